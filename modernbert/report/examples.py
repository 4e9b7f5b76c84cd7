"""Examples that a report shows: a model's worst mistakes, and where two models differ.

Shape suffixes: N examples, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from modernbert.comparison.analysis import (
    Group,
    confidence_of,
    disagreement,
    example_texts,
    extremes,
    is_right,
)
from modernbert.comparison.outcomes import Outcome
from modernbert.comparison.results import Contrast
from modernbert.comparison.tables import Table
from modernbert.evaluation.predict import probabilities
from modernbert.report import plots
from modernbert.report.plots import Styles
from modernbert.report.section import Section

# Examples shown with their text, and how much of it.
SHOWN = 10
LONGEST_TEXT = 600
ORDER = {
    "single_label": "Wrong answers, the most confident first.",
    "multi_label": "Rows with a wrong label, the one that is furthest from the truth first.",
    "regression": "The largest distance from the truth first.",
    "retrieval": "The lowest score first.",
    "tokens": "The most entities missed or wrongly found first.",
}


def wrongness(outcome: Outcome) -> np.ndarray:
    """Return how wrong each answer is, shape (N,); 0 for a right one.

    One label: the wrong answer's probability. Several: the largest distance of a wrong label's probability
    from the truth. Numbers: the distance from the truth. Search: what the query lacks of a score of 1. Tagged
    words: how many entities are missed or wrongly found.
    """
    kind = outcome.record.task.kind
    if outcome.labels is None:
        return np.asarray(1 - outcome.predictions)
    if kind == "regression":
        return np.asarray(np.abs(outcome.labels - outcome.predictions))
    if kind == "tokens":
        pairs = zip(outcome.labels, outcome.predictions, strict=True)
        return np.array([float(len({*truth} ^ {*found})) for truth, found in pairs])
    if kind == "multi_label":
        assert outcome.logits is not None
        far_NC = np.abs(probabilities(outcome.logits, kind) - outcome.labels)
        return np.asarray((far_NC * (outcome.labels != outcome.predictions)).max(axis=1))
    confidence_N = confidence_of(outcome)
    return np.where(is_right(outcome), 0.0, 1.0 if confidence_N is None else confidence_N)


def error_section(outcomes: Sequence[Outcome], *, texts: bool = True) -> Section:
    """Return the worst answers of a run, or of each of its ways of searching, the worst first."""
    known = example_texts(outcomes[0]) if texts else None
    order = ORDER[outcomes[0].record.task.kind]
    tables = tuple(_worst(outcome, known) for outcome in outcomes)
    return Section("Worst errors", f"{order} {_missing_texts(known)}".strip(), tables=tables)


def _worst(outcome: Outcome, texts: list[str] | None) -> Table:
    wrong_N = wrongness(outcome)
    places = [i for i in extremes(wrong_N, SHOWN) if wrong_N[i] > 0 or outcome.labels is None]
    table = _examples(f"Worst of {outcome.model}", [outcome], places, texts)
    if outcome.record.task.kind not in ("single_label", "multi_label", "tokens"):
        return table
    return replace(table, notes=(f"{(wrong_N > 0).sum():,} of {len(wrong_N):,} rows are wrong",))


def against(contrast: Contrast, outcomes: Mapping[str, Outcome], styles: Styles, *, shown: bool) -> Section:
    """Return where one model is right and the other is not, or where it gains and loses most."""
    first, second = outcomes[contrast.model], outcomes[contrast.baseline]
    title = f"{contrast.model} against {contrast.baseline}"
    texts = example_texts(first) if shown else None
    if first.record.task.kind in ("retrieval", "regression", "tokens"):
        return _gains(title, first, second, texts, styles)
    lengths = None if texts is None else np.array([len(text) for text in texts])
    tables = (
        _groups_table(disagreement(first, second, lengths), first.model, second.model),
        _only_one_right(first, second, texts),
        _only_one_right(second, first, texts),
    )
    said = "One run of each; the most confident mistakes first. "
    return Section(title, said + _missing_texts(texts), tables=tables)


def _only_one_right(right: Outcome, wrong: Outcome, texts: list[str] | None) -> Table:
    wrong_N = wrongness(wrong) * is_right(right)
    places = [i for i in extremes(wrong_N, SHOWN) if wrong_N[i] > 0]
    return _examples(f"{right.model} right, {wrong.model} wrong", [right, wrong], places, texts)


def _gains(title: str, first: Outcome, second: Outcome, texts: list[str] | None, styles: Styles) -> Section:
    gain_N = wrongness(second) - wrongness(first)
    far = (
        "entities missed or wrongly found"
        if first.record.task.kind == "tokens"
        else "distance from the truth"
    )
    metric = first.metric if first.labels is None else f"{far} (more is better)"
    tables = (
        _examples("Largest gains", [first, second], extremes(gain_N, SHOWN), texts),
        _examples("Largest losses", [first, second], extremes(-gain_N, SHOWN), texts),
    )
    figure = plots.gains(gain_N, metric, styles[first.model])
    counts = f"{(gain_N > 0).sum():,} better, {(gain_N < 0).sum():,} worse, {(gain_N == 0).sum():,} alike. "
    return Section(title, counts + _missing_texts(texts), plots=(figure,), tables=tables)


def _missing_texts(texts: list[str] | None) -> str:
    why = "Ids alone are shown: texts were left out, or the data is not on this machine as the run read it."
    return why if texts is None else ""


def _groups_table(groups: Sequence[Group], first: str, second: str) -> Table:
    numbers = ("n", "both right", f"only {first}", f"only {second}", "neither")
    rows = tuple(
        (g.by, g.name, *(f"{v:,}" for v in (g.n, g.both, g.only_first, g.only_second, g.neither)))
        for g in groups
    )
    return Table("Who is right", ("by", "group", *numbers), rows, numbers)


def _examples(
    title: str, outcomes: Sequence[Outcome], places: Sequence[int], texts: list[str] | None
) -> Table:
    labelled = outcomes[0].labels is not None
    columns = ("id", *(["truth"] if labelled else []), *map(_answer_column, outcomes), "text")
    rows = tuple(
        (
            outcomes[0].ids[i],
            *([_shown(outcomes[0], outcomes[0].labels[i], text)] if outcomes[0].labels is not None else []),
            *(_answer(o, i, text) for o in outcomes),
            text[:LONGEST_TEXT] + ("…" if len(text) > LONGEST_TEXT else ""),
        )
        for i in places
        for text in ("" if texts is None else texts[i],)
    )
    return Table(title if rows else f"{title}: none", columns, rows)


def _answer_column(outcome: Outcome) -> str:
    return outcome.model if outcome.labels is not None else f"{outcome.model}, {outcome.metric}"


def _answer(outcome: Outcome, i: int, text: str) -> str:
    """Return an answer with how sure the model is of it, or how far it is from the truth."""
    said, kind = _shown(outcome, outcome.predictions[i], text), outcome.record.task.kind
    if outcome.labels is None:
        return said
    if kind == "regression":
        return f"{said} ({outcome.predictions[i] - outcome.labels[i]:+.3f})"
    if outcome.logits is None:
        return said
    assert kind in ("single_label", "multi_label")
    share_C = probabilities(outcome.logits[i : i + 1], kind)[0]
    if kind == "single_label":
        return f"{said} ({share_C.max():.2f})"
    wrong = np.flatnonzero(outcome.labels[i] != outcome.predictions[i]).tolist()
    told = ", ".join(f"{outcome.record.task.labels[c]} {share_C[c]:.2f}" for c in wrong)
    return f"{said} (wrong: {told})" if told else said


def _shown(outcome: Outcome, value: np.ndarray, text: str) -> str:
    kind, names = outcome.record.task.kind, outcome.record.task.labels
    if kind == "single_label":
        return str(names[int(value)])
    if kind == "multi_label":
        return ", ".join(name for name, on in zip(names, value, strict=True) if on) or "none"
    if kind == "tokens":
        return ", ".join(f"{text[a:b] or f'{a} to {b}'} ({label})" for a, b, label in value) or "none"
    return f"{float(value):.3f}"
