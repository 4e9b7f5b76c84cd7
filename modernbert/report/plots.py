"""What a report draws of plain data.

Shape suffixes: N examples.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from markupsafe import Markup

from modernbert.comparison.results import Contrast, ModelScores
from modernbert.evaluation.calibration import Calibration
from modernbert.report import svg
from modernbert.report.svg import Figure, Part, Style

# Told apart by colour-blind readers too (Okabe and Ito 2008), on white and on black.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#999999")
# Circle, square, diamond, triangle, each about 10 units wide around 0, 0.
SHAPES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
    "M-4.5 -4.5h9v9h-9z",
    "M0 -6L6 0L0 6L-6 0z",
    "M0 -6L5.5 4.5H-5.5z",
)
# Of pictures that have a row for each name.
ROW, ROWS_TOP = 42, 10
LONGEST_NAME = 56
# Points of a line or a cloud; more cannot be told apart and make the page large.
MOST_POINTS = 400
MOST_DOTS = 2000
# A line of few points shows each of them.
FEW = 40
SHARES = (-0.03, 1.03)

Styles = Mapping[str, Style]
Points = Sequence[tuple[float, float]]


def styles_of(models: Iterable[str]) -> dict[str, Style]:
    """Give each model a colour and a shape, which it keeps through a whole page."""
    return {model: _style(n) for n, model in enumerate(dict.fromkeys(models))}


def _style(n: int) -> Style:
    # The shape changes with the colour too: colours alone are hard to tell in print.
    return Style(COLOURS[n % len(COLOURS)], SHAPES[(n % len(COLOURS) + n // len(COLOURS)) % len(SHAPES)])


def cut_name(text: str) -> str:
    """Leave out the middle of a long name: names often differ at their ends alone."""
    half = LONGEST_NAME // 2
    return text if len(text) <= LONGEST_NAME else f"{text[:half]}…{text[1 - half :]}"


def evenly(count: int, most: int) -> np.ndarray:
    """Return up to `most` places of `count`, evenly apart, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _legend(names: Iterable[str], styles: Styles) -> dict[str, dict[str, str]]:
    return {name: styles[name].mark() for name in names}


def scores(models: Sequence[ModelScores], metric: str, styles: Styles) -> Markup:
    """Draw each model's mean with its interval, and every seed as a small sign."""
    every = [v for m in models for v in (*m.by_seed.values(), m.mean, m.low, m.high) if v is not None]
    height = ROWS_TOP + ROW * len(models) + svg.BOTTOM
    x = svg.axis_x(svg.spread(every))
    parts = svg.horizontal(x, metric, height, ROWS_TOP)
    for n, m in enumerate(models):
        y, style = ROWS_TOP + ROW * n + 29, styles[m.model]
        parts.append(svg.letters(svg.RIGHT, y - 14, cut_name(m.model), kind="name"))
        parts += _interval(x, y, m.low, m.high, style.colour)
        parts.append(svg.sign((x(m.mean), y), style, f"{m.model}: {m.mean:.4f}, mean"))
        parts += [
            svg.sign((x(value), y + 8), style, f"{m.model}, seed {seed}: {value:.4f}", small=True)
            for seed, value in m.by_seed.items()
            if len(m.by_seed) > 1
        ]
    return Figure(f"{metric} with 95 % intervals", tuple(parts), height=height).html()


def _interval(x: svg.Scale, y: float, low: float | None, high: float | None, colour: str) -> list[Part]:
    if low is None or high is None:
        return []
    ends = [svg.line((x(end), y - 4), (x(end), y + 4), kind="line", colour=colour) for end in (low, high)]
    return [svg.line((x(low), y), (x(high), y), kind="line", colour=colour), *ends]


def shares(label: str, what: str, rows: Sequence[tuple[str, float, float, float]], style: Style) -> Markup:
    """Draw a share with its interval for each group of examples.

    Args:
        label: of the picture.
        what: the share that it is.
        rows: of each group its name, the share, and both ends of the interval.
        style: of all.
    """
    height = ROWS_TOP + ROW * len(rows) + svg.BOTTOM
    x = svg.axis_x(svg.spread([value for _, *values in rows for value in values]))
    parts = svg.horizontal(x, what, height, ROWS_TOP)
    for n, (name, share, low, high) in enumerate(rows):
        y = ROWS_TOP + ROW * n + 29
        parts.append(svg.letters(svg.RIGHT, y - 14, cut_name(name), kind="name"))
        parts += _interval(x, y, low, high, style.colour)
        parts.append(svg.sign((x(share), y), style, f"{name}: {share:.4f} ({low:.4f} to {high:.4f})"))
    return Figure(label, tuple(parts), height=height).html()


def differences(contrasts: Sequence[Contrast], metric: str, styles: Styles) -> Markup:
    """Draw each difference with its interval, around 0, in the model's colour."""
    every = [v for c in contrasts for v in (c.difference.low, c.difference.high, c.difference.value)]
    height = ROWS_TOP + ROW * len(contrasts) + svg.BOTTOM
    x = svg.axis_x(svg.spread([*every, 0.0]))
    parts = [*svg.horizontal(x, f"difference in {metric}", height, ROWS_TOP)]
    parts.append(svg.line((x(0), ROWS_TOP), (x(0), height - svg.BOTTOM), kind="dashes"))
    for n, c in enumerate(contrasts):
        y, d, style = ROWS_TOP + ROW * n + 29, c.difference, styles[c.model]
        parts.append(svg.letters(svg.RIGHT, y - 14, cut_name(f"{c.model} − {c.baseline}"), kind="name"))
        parts += _interval(x, y, d.low, d.high, style.colour)
        parts.append(svg.sign((x(d.value), y), style, f"{c}: {d.value:+.4f}"))
    return Figure("Differences with 95 % intervals", tuple(parts), height=height).html()


def curves(label: str, lines: Mapping[str, Points], x: str, y: str, styles: Styles) -> Markup:
    """Draw a line for each name."""
    thinned = {name: [points[i] for i in evenly(len(points), MOST_POINTS)] for name, points in lines.items()}
    up = svg.axis_y(svg.spread([p[1] for points in thinned.values() for p in points]))
    across = svg.axis_x(svg.spread([p[0] for points in thinned.values() for p in points]), beside=up)
    parts = svg.horizontal(across, x) + svg.vertical(up, y, across)
    for name, points in thinned.items():
        places = [(across(a), up(b)) for a, b in points]
        parts.append(svg.path(places, kind="line", colour=styles[name].colour))
        parts += [
            svg.sign(place, styles[name], f"{name}, {x} {a:g}: {b:.4f}", small=True)
            for place, (a, b) in zip(places, points, strict=True)
            if len(points) <= FEW
        ]
    legend = _legend(lines, styles) if len(lines) > 1 else {}
    return Figure(label, tuple(parts), legend).html()


def speed_and_score(models: Sequence[ModelScores], metric: str, styles: Styles) -> Markup:
    """Draw score against examples a second; the Pareto front is joined."""
    known = {m.model: (m.cost.examples_per_second, m.mean, m) for m in models if m.cost.examples_per_second}
    y = svg.axis_y(svg.spread([mean for _, mean, _ in known.values()]))
    x = svg.axis_x(svg.spread([s for s, _, _ in known.values()], is_log=True), beside=y, is_log=True)
    parts = svg.horizontal(x, "examples a second (inference, log scale)") + svg.vertical(y, metric, x)
    front = sorted((x(speed), y(mean)) for speed, mean, m in known.values() if m.on_front)
    parts.append(svg.path(front, kind="dashes"))
    parts += [
        svg.sign((x(speed), y(mean)), styles[name], f"{name}: {mean:.4f}, {speed:,.0f} a second")
        for name, (speed, mean, _) in known.items()
    ]
    return Figure("Score against speed", tuple(parts), _legend(known, styles)).html()


def reliability(models: Mapping[str, Calibration], styles: Styles) -> Markup:
    """Draw the share of right answers against confidence; a calibrated model lies on the dashed diagonal."""
    y = svg.axis_y(SHARES)
    x = svg.axis_x(SHARES, beside=y)
    parts = svg.horizontal(x, "confidence of the answer") + svg.vertical(y, "share right", x)
    parts.append(svg.line((x(0), y(0)), (x(1), y(1)), kind="dashes"))
    for name, found in models.items():
        style = styles[name]
        bins = list(zip(found.confidence, found.accuracy, found.counts, strict=True))
        parts.append(svg.path([(x(c), y(a)) for c, a, _ in bins], kind="line", colour=style.colour))
        parts += [
            svg.sign((x(c), y(a)), style, f"{name}: {a:.2f} of {n:,} right at {c:.2f}") for c, a, n in bins
        ]
    return Figure("Share right against confidence", tuple(parts), _legend(models, styles)).html()


def precision_recall(
    lines: Mapping[str, Points], used: Mapping[str, tuple[float, float]], styles: Styles, *, of: str = ""
) -> Markup:
    """Draw precision against recall over all thresholds, with a sign at the threshold that was used.

    Args:
        lines: of each model.
        used: recall and precision of each model.
        styles: of each model.
        of: the label that this is of, if there are several.
    """
    y = svg.axis_y(SHARES)
    x = svg.axis_x(SHARES, beside=y)
    parts = svg.horizontal(x, "recall") + svg.vertical(y, "precision", x)
    for name, points in lines.items():
        drawn = [points[i] for i in evenly(len(points), MOST_POINTS)]
        parts.append(svg.path([(x(r), y(p)) for r, p in drawn], kind="line", colour=styles[name].colour))
        recall, precision = used[name]
        told = f"{name}, threshold used: precision {precision:.3f}, recall {recall:.3f}"
        parts.append(svg.sign((x(recall), y(precision)), styles[name], told))
    label = f"{cut_name(of)}: precision against recall" if of else "Precision against recall"
    return Figure(label, tuple(parts), _legend(lines, styles)).html()


def scatter(label: str, points_N2: np.ndarray, names: tuple[str, str], line: str, style: Style) -> Markup:
    """Draw points with a dashed `line`: the `diagonal`, or `zero`."""
    shown = points_N2[evenly(len(points_N2), MOST_DOTS)]
    y = svg.axis_y(svg.spread([*points_N2[:, 1].tolist(), *([0.0] if line == "zero" else [])]))
    x = svg.axis_x(svg.spread(points_N2[:, 0].tolist()), beside=y)
    parts = svg.horizontal(x, names[0]) + svg.vertical(y, names[1], x)
    if line == "zero":
        parts.append(svg.line((x.start, y(0)), (x.end, y(0)), kind="dashes"))
    elif (low := max(x.low, y.low)) < (high := min(x.high, y.high)):
        parts.append(svg.line((x(low), y(low)), (x(high), y(high)), kind="dashes"))
    parts.append(svg.cloud([(x(a), y(b)) for a, b in shown.tolist()], style.colour))
    return Figure(label, tuple(parts)).html()


def gains(values_N: np.ndarray, metric: str, style: Style) -> Markup:
    """Draw what each query gains or loses, sorted."""
    falling = np.sort(values_N)[::-1]
    places = evenly(len(falling), MOST_POINTS)
    y = svg.axis_y(svg.spread([*falling.tolist(), 0.0]))
    x = svg.axis_x((0, max(1, len(falling) - 1)), beside=y)
    parts = svg.horizontal(x, "queries or texts, sorted") + svg.vertical(y, f"difference in {metric}", x)
    parts.append(svg.line((x.start, y(0)), (x.end, y(0)), kind="dashes"))
    parts.append(svg.path([(x(i), y(falling[i])) for i in places.tolist()], kind="line", colour=style.colour))
    return Figure("Gains and losses", tuple(parts)).html()
