"""May NEW replace OLD? Both answer a user's texts; what differs, what that can cost, and a verdict.

Shape suffixes: N texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.benchmark.texts import TextEngine, measure_texts
from modernbert.errors import BadOption
from modernbert.evaluation.evaluate import Scorer
from modernbert.evaluation.shown import share_text
from modernbert.evaluation.statistics import wilson
from modernbert.files import atomic_file
from modernbert.migration.agreement import Direction, Flip, Group, directions, groups
from modernbert.migration.change import Change, change_of_accuracy, to_label
from modernbert.migration.cost import megabytes_of
from modernbert.migration.sides import Side, ask, common_tasks, load_side
from modernbert.migration.texts import UNKNOWN, Texts, read_texts
from modernbert.migration.thresholds import Refit, answers_at, refits
from modernbert.migration.verdict import Verdict, decide_verdict
from modernbert.model.device import describe_hardware
from modernbert.model.labels import label_notes
from modernbert.model.locate import ModelSource, locate_model, record_of
from modernbert.records.export import Speed
from modernbert.records.record import now
from modernbert.runs import RunStore
from modernbert.version import versions
from modernbert.wording import counted

# Flips that are shown with their text.
SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class MigrationRequest:
    """What the user asked for.

    Attributes:
        old, new: alias, run, folder (an export too) or Hub id.
        on: the texts.
        text, label: columns of it.
        labels_from: a table of `row` and `label`.
        limit: the most texts; 0 for all.
        margin: how much less accuracy is no loss.
    """

    old: str
    new: str
    on: Path
    text: tuple[str, ...] = ()
    label: str | None = None
    labels_from: Path | None = None
    limit: int = 10_000
    margin: float = 0.01
    device: str = "auto"
    precision: str = "auto"
    data_dir: Path | None = None


@dataclass(frozen=True)
class Model:
    """One of both models: how much it reads, and how much of the texts that cuts off."""

    name: str
    max_length: int
    truncated: float
    positive_rate: float | None
    accuracy: float | None
    megabytes: float

    @property
    def more(self) -> dict[str, str]:
        """Columns of the costs."""
        return {} if self.accuracy is None else {"accuracy": f"{self.accuracy:.4f}"}


@dataclass(frozen=True)
class Migration:
    """All that was found.

    Attributes:
        texts, of: how many were compared, and how many there are.
        labelled: how many have a label.
        groups: agreement over all texts first, then by confidence and length.
        flips: those on which both models are surest, the surest first.
        label_first: rows of flips without a label, in the order to label them.
        positive: of two classes, the positive one.
        thresholds: NEW's, of two classes.
        speed: of OLD and NEW.
    """

    created: str
    data: str
    texts: int
    of: int
    labelled: int
    labels: tuple[str, ...]
    positive: str
    old: Model
    new: Model
    groups: tuple[Group, ...]
    directions: tuple[Direction, ...]
    flips: tuple[Flip, ...]
    label_first: tuple[int, ...]
    change: Change
    thresholds: tuple[Refit, ...]
    speed: tuple[Speed, ...]
    verdict: Verdict
    notes: tuple[str, ...]
    hardware: dict[str, Any]
    versions: dict[str, str | None]

    @property
    def agreement(self) -> Group:
        """Over all texts."""
        return self.groups[0]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "speed": [speed.as_dict() for speed in self.speed]}


def migrate(request: MigrationRequest, store: RunStore, to_label_in: Path | None = None) -> Migration:
    """Compare two classifiers on texts.

    Args:
        to_label_in: a CSV file to write: the flips without a label, in the order to label them, with columns
            `row`, the text, both answers and an empty `label`.

    Raises:
        BadModel: they predict other labels, or are no classifiers of one label a text.
        MbertError: a model or the texts cannot be read.
    """
    sources = [locate_model(n, store=store, data_dir=request.data_dir) for n in (request.old, request.new)]
    tasks = common_tasks(sources[0], sources[1], request.text)
    columns = {task.text for task in tasks}
    if len({len(names) for names in columns}) > 1:
        raise BadOption("one model reads pairs of texts, and the other one text at a time")
    known = record_of(sources[1]) or record_of(sources[0])
    texts = read_texts(
        request.on, tasks[0].labels, text=request.text, trained_on=known.data.text if known else (),
        label=request.label, labels_from=request.labels_from, limit=request.limit,
    )  # fmt: skip
    if len(texts.texts[0]) != len(tasks[0].text):
        raise BadOption(f"the models read {counted(len(tasks[0].text), 'text')} at once, and a row has "
                        f"{len(texts.texts[0])}", fix="Name the columns with --text-col.")  # fmt: skip
    scorers = [
        load_side(source, task, device=request.device, precision=request.precision)
        for source, task in zip(sources, tasks, strict=True)
    ]
    with phase("asking both models"):
        old, new = (ask(scorer, texts.texts) for scorer in scorers)
    speed = measure_texts([_engine("OLD", scorers[0]), _engine("NEW", scorers[1])], texts.texts)
    found = _found(request, texts, old, new, speed, sources, scorers)
    if to_label_in is not None:
        _write_to_label(to_label_in, texts, old, new)
    return found


def _engine(name: str, scorer: Scorer) -> TextEngine:
    def count(texts: list[tuple[str, ...]]) -> np.ndarray:
        lengths_N = scorer.lengths(texts).lengths
        return np.asarray(np.minimum(lengths_N, scorer.max_length or scorer.context))

    return TextEngine(name, scorer.logits, count)


def _found(
    request: MigrationRequest, texts: Texts, old: Side, new: Side, speed: tuple[Speed, ...],
    sources: list[ModelSource], scorers: list[Scorer],
) -> Migration:  # fmt: skip
    labels_N, margin = texts.labels_N, request.margin
    lengths_N = scorers[1].lengths(texts.texts).lengths
    change = change_of_accuracy(old.answers_N, new.answers_N, labels_N, margin=margin)
    other = refits(old, new, labels_N)
    changes = [
        change_of_accuracy(old.answers_N, answers_at(new, refit.threshold), labels_N, margin=margin)
        for refit in other
    ]
    by_group = groups(old, new, lengths_N)
    first = to_label(old.answers_N, new.answers_N, labels_N)
    return Migration(
        created=now(),
        data=texts.name,
        texts=len(texts.texts),
        of=texts.of,
        labelled=texts.labelled,
        labels=old.task.labels,
        positive=old.task.labels[old.task.positive_index] if old.task.is_binary else "",
        old=_model(old, labels_N, sources[0]),
        new=_model(new, labels_N, sources[1]),
        groups=by_group,
        directions=directions(old, new),
        flips=surest_flips(texts, old, new),
        label_first=tuple(texts.numbers[i] for i in first),
        change=change,
        thresholds=other,
        speed=speed,
        verdict=decide_verdict(by_group[0], change, list(zip(other, changes, strict=True))[1:], speed),
        notes=tuple(_notes(texts, old, new, sources)),
        hardware=describe_hardware(),
        versions=versions(),
    )


def _model(side: Side, labels_N: np.ndarray, source: ModelSource) -> Model:
    known_N, task = labels_N != UNKNOWN, side.task
    rate = float((side.answers_N == task.positive_index).mean()) if task.is_binary else None
    right = float((side.answers_N == labels_N)[known_N].mean()) if known_N.any() else None
    return Model(
        name=side.name,
        max_length=side.max_length,
        truncated=side.truncated / len(labels_N),
        positive_rate=rate,
        accuracy=right,
        megabytes=megabytes_of(source.folder),
    )


def surest_flips(texts: Texts, old: Side, new: Side, most: int = SHOWN) -> tuple[Flip, ...]:
    """Return the flips on which the less sure model is surest."""
    sure_N = np.minimum(old.confidence_N, new.confidence_N)
    places = np.flatnonzero(old.answers_N != new.answers_N)
    order = places[np.argsort(-sure_N[places], kind="stable")][:most]
    return tuple(_flip(texts, old, new, int(i)) for i in order)


def _flip(texts: Texts, old: Side, new: Side, i: int) -> Flip:
    names, label = old.task.labels, int(texts.labels_N[i])
    return Flip(
        row=int(texts.numbers[i]),
        text=texts.texts[i],
        old=names[int(old.answers_N[i])],
        old_confidence=float(old.confidence_N[i]),
        new=names[int(new.answers_N[i])],
        new_confidence=float(new.confidence_N[i]),
        label=None if label == UNKNOWN else names[label],
    )


def _notes(texts: Texts, old: Side, new: Side, sources: list[ModelSource]) -> Iterator[str]:
    if len(texts.texts) < texts.of:
        yield f"{len(texts.texts):,} of {texts.of:,} texts, drawn at random (--limit)"
    for side, source in zip((old, new), sources, strict=True):
        yield from (f"{side.name}: {note}" for note in label_notes(source, side.task))
    only_new = (old.truncated - new.truncated) / len(texts.texts)
    if only_new > 0:
        yield (
            f"NEW reads {share_text(only_new)} of the texts to the end that OLD cuts ({old.max_length:,} and "
            f"{new.max_length:,} tokens)"
        )
    if old.task.is_binary:
        was, is_now = (float((side.answers_N == side.task.positive_index).mean()) for side in (old, new))
        low, high = wilson(was, len(texts.texts))
        if not low <= is_now <= high:
            name = old.task.labels[old.task.positive_index]
            yield f"'{name}' is given to {share_text(is_now)} of the texts instead of {share_text(was)}"
    if texts.unused:
        yield f"the column '{texts.unused}' is not read; with true labels: --label-col {texts.unused}"
    if texts.labelled:
        yield "the labels of flips are taken for a random sample of the flips, as --to-label orders them"


def _write_to_label(path: Path, texts: Texts, old: Side, new: Side) -> None:
    """Write the flips without a label, in the order to label them."""
    import csv

    names = old.task.labels
    columns = texts.columns or ("text",)
    with atomic_file(path) as file:
        writer = csv.writer(file)
        writer.writerow(["row", *columns, "old", "new", "label"])
        for i in to_label(old.answers_N, new.answers_N, texts.labels_N):
            answers = (names[int(side.answers_N[i])] for side in (old, new))
            writer.writerow([texts.numbers[i], *texts.texts[i], *answers, ""])
