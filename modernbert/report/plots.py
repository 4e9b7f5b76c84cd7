"""Plotly figures of plain data. Names that users chose are escaped: plotly reads some HTML in its labels."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from plotly import graph_objects as go

from modernbert.comparison.results import Contrast, ModelScores
from modernbert.evaluation.calibration import Calibration

# Told apart by colour-blind readers too (Okabe and Ito 2008), on white and on black.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#999999")
CONFIG = {"displaylogo": False, "responsive": True, "modeBarButtonsToRemove": ["select2d", "lasso2d"]}
GREY = "#888888"
ROW_HEIGHT = 40
LONGEST_NAME = 40


def to_html(figure: go.Figure, label: str) -> str:
    """Return a figure as HTML without plotly's script, which the page holds once."""
    drawn = figure.to_html(full_html=False, include_plotlyjs=False, config=CONFIG)
    return f'<figure role="img" aria-label="{html.escape(label, quote=True)}">{drawn}</figure>'


def _names(texts: Iterable[str]) -> list[str]:
    """Return names cut to what fits, escaped; plotly would draw what is called alike as one."""
    texts = list(texts)
    cut = {text: _cut(text) for text in texts}
    shared = {short for short, count in Counter(cut.values()).items() if count > 1}
    unique = {
        text: f"{n}: {short}" if short in shared else short for n, (text, short) in enumerate(cut.items())
    }
    return [html.escape(unique[text], quote=False) for text in texts]


def _cut(text: str) -> str:
    """Leave out the middle: names often differ at their ends alone."""
    if len(text) <= LONGEST_NAME:
        return text
    half = LONGEST_NAME // 2
    return f"{text[:half]}…{text[1 - half :]}"


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _figure(x: str, y: str, height: int = 360) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 60, "r": 16, "t": 16, "b": 52},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13},
        legend={"orientation": "h", "y": -0.25},
        hoverlabel={"namelength": -1},
    )
    figure.update_xaxes(title=x, automargin=True, zeroline=False)
    figure.update_yaxes(title=y, automargin=True, zeroline=False)
    return figure


def _rows(figure: go.Figure, names: Sequence[str]) -> None:
    """Let the y axis show names, the first on top."""
    figure.update_layout(height=90 + ROW_HEIGHT * len(names), showlegend=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)


def scores(models: Sequence[ModelScores], metric: str) -> go.Figure:
    """Draw each model's mean with its interval, and every seed as a dot."""
    figure = _figure(metric, "")
    names = _names(m.model for m in models)
    figure.add_scatter(
        x=[m.mean for m in models],
        y=names,
        mode="markers",
        marker={"size": 11, "color": COLOURS[0]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [0 if m.high is None else m.high - m.mean for m in models],
            "arrayminus": [0 if m.low is None else m.mean - m.low for m in models],
            "color": COLOURS[0],
        },
        hovertemplate="%{y}: %{x:.4f}<extra>mean</extra>",
    )
    figure.add_scatter(
        x=[value for m in models for value in m.by_seed.values()],
        y=[name for m, name in zip(models, names, strict=True) for _ in m.by_seed],
        mode="markers",
        marker={"size": 6, "color": COLOURS[1], "symbol": "diamond"},
        hovertemplate="%{y}: %{x:.4f}<extra>one run</extra>",
    )
    _rows(figure, names)
    return figure


def differences(contrasts: Sequence[Contrast], metric: str) -> go.Figure:
    """Draw each difference with its interval, around 0."""
    figure = _figure(f"difference in {metric}", "")
    sides = _names(name for c in contrasts for name in (c.model, c.baseline))
    names = [f"{model}<br>− {baseline}" for model, baseline in zip(sides[::2], sides[1::2], strict=True)]
    figure.add_vline(x=0, line={"width": 1, "dash": "dot", "color": GREY})
    figure.add_scatter(
        x=[c.difference.value for c in contrasts],
        y=names,
        mode="markers",
        marker={"size": 11, "color": [COLOURS[4 if c.is_decided else 0] for c in contrasts]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [c.difference.high - c.difference.value for c in contrasts],
            "arrayminus": [c.difference.value - c.difference.low for c in contrasts],
            "color": GREY,
        },
        customdata=[c.verdict for c in contrasts],
        hovertemplate="%{y}: %{x:+.4f}<extra>%{customdata}</extra>",
    )
    _rows(figure, names)
    return figure


def curves(lines: Mapping[str, Sequence[tuple[float, float]]], x: str, y: str) -> go.Figure:
    """Draw a line for each name."""
    figure = _figure(x, y)
    for number, (name, points) in enumerate(zip(_names(lines), lines.values(), strict=True)):
        xs, ys = zip(*points, strict=True)
        marker = {"size": 5, "color": _colour(number)}
        figure.add_scatter(x=xs, y=ys, name=name, mode="lines+markers", marker=marker)
    return figure


def speed_and_score(models: Sequence[ModelScores], metric: str) -> go.Figure:
    """Draw score against examples a second; the Pareto front is joined."""
    figure = _figure("examples a second (inference, log scale)", metric)
    known = [m for m in models if m.cost.examples_per_second]
    front = sorted((m for m in known if m.on_front), key=lambda m: m.cost.examples_per_second or 0)
    figure.add_scatter(
        x=[m.cost.examples_per_second for m in front],
        y=[m.mean for m in front],
        mode="lines",
        line={"dash": "dot", "color": GREY},
        name="front",
    )
    for number, (m, name) in enumerate(zip(models, _names(m.model for m in models), strict=True)):
        if m in known:
            figure.add_scatter(
                x=[m.cost.examples_per_second],
                y=[m.mean],
                mode="markers",
                marker={"size": 12, "color": _colour(number)},
                name=name,
            )
    figure.update_xaxes(type="log")
    return figure


def reliability(models: Mapping[str, Calibration]) -> go.Figure:
    """Draw the share of right answers against confidence; a calibrated model lies on the diagonal."""
    figure = _figure("confidence of the answer", "share right")
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"dash": "dot", "color": GREY}, name="calibrated"
    )
    for number, (name, found) in enumerate(zip(_names(models), models.values(), strict=True)):
        figure.add_scatter(
            marker={"color": _colour(number)},
            x=found.confidence,
            y=found.accuracy,
            customdata=found.counts,
            mode="lines+markers",
            name=f"{name} (ECE {found.error:.3f})",
            hovertemplate="%{x:.2f}: %{y:.2f} of %{customdata}",
        )
    return figure


def confusion(counts_CC: np.ndarray, labels: Sequence[str]) -> go.Figure:
    """Draw how often each class was taken for each."""
    names = _names(labels)
    figure = _figure("answer", "truth", height=200 + 34 * len(names))
    share_CC = counts_CC / np.maximum(1, counts_CC.sum(axis=1, keepdims=True))
    figure.add_heatmap(
        z=share_CC,
        x=names,
        y=names,
        text=counts_CC,
        texttemplate="%{text}",
        colorscale=[[0, "rgba(0,114,178,0)"], [1, "rgba(0,114,178,0.65)"]],
        zmin=0,
        zmax=1,
        showscale=False,
        hovertemplate="%{y} taken for %{x}: %{text} (%{z:.0%})<extra></extra>",
    )
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
    return figure


def gains(values_N: np.ndarray, metric: str) -> go.Figure:
    """Draw what each query gains or loses, sorted."""
    figure = _figure("queries, sorted", f"difference in {metric}")
    figure.add_bar(y=np.sort(values_N)[::-1], marker={"color": COLOURS[0], "line": {"width": 0}})
    figure.update_layout(bargap=0, showlegend=False)
    return figure
