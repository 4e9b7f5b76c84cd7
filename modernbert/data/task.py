"""What a task is: a data sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from modernbert.data.cells import Cells
from modernbert.data.rows import Rows
from modernbert.records.data import StoredTask

Kind = Literal["single_label", "multi_label", "regression"]
OWN = "own/"


def own_name(path: Path) -> str:
    """Return the name of the task that own data makes: `own/x` of the file x.csv or the folder x."""
    return f"{OWN}{path.resolve().name if path.is_dir() else path.stem}"


@dataclass(frozen=True)
class HubData:
    """A Parquet data set on the Hugging Face Hub, at a pinned revision."""

    repo: str
    config: str
    revision: str


@dataclass(frozen=True)
class PackageData:
    """A data set that installs as a Python package; `load` maps split names to rows."""

    package: str
    load: Callable[[], Mapping[str, Rows]]
    install: str


@dataclass(frozen=True)
class FileData:
    """The user's own rows, already read: split name to rows."""

    splits: Mapping[str, Rows]
    path: Path


@dataclass(frozen=True)
class FoldData:
    """The training rows of a named task, split again for cross-validation.

    Attributes:
        splits: split name to rows.
        found_in, revision: of the whole training split, as `LoadedSplit` has them.
    """

    splits: Mapping[str, Rows]
    found_in: str
    revision: str


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task: what it reads, what it predicts, how it is scored.

    The first of `metrics` is the main one: it selects the checkpoint. The first of `validation` is the
    split it is computed on. `hidden` names splits whose labels are not published.

    Attributes:
        cells: how the label column of files is read.
        similarity: is the number how alike the two texts are? A cosine of their vectors can say that.
        standardised: are numbers learnt on the scale of their mean and deviation? A benchmark's own protocol
            says no; predictions are in the labels' unit all the same.
        mean: of the training labels, for numbers: what a model must beat. None where it is not known.
        positive: of two classes, the one that precision, recall and the like are of; empty for the second.
        decision: from which probability on the positive class, or each of several labels, is given: a number;
            `auto` to tune it on the validation split; empty for 0.5 with one label a text, and for `auto`
            with several.
        thresholds: what `decision` came to: of several labels a text, each is given where its probability is
            greater; of two classes, the one whose probability is. Empty for 0.5.
        temperature: what logits are divided by for calibrated probabilities (`evaluation.temperature`); the
            answers, and what `thresholds` are compared with, stay as they are. 1 where none was fitted.
        cluster: the column whose equal texts make rows belong together, such as the premise of several
            hypotheses: intervals are over clusters then. Empty where each row stands for itself.
    """

    name: str
    summary: str
    kind: Kind
    text: tuple[str, ...]
    label: str = "label"
    cells: Cells = Cells()
    labels: tuple[str, ...] = ()
    label_range: tuple[float, float] | None = None
    similarity: bool = False
    standardised: bool = False
    mean: float | None = None
    positive: str = ""
    decision: float | str = ""
    thresholds: tuple[float, ...] = ()
    temperature: float = 1.0
    metrics: tuple[str, ...]
    source: HubData | PackageData | FileData | FoldData
    train: str = "train"
    validation: tuple[str, ...] = ("validation",)
    test: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()
    trains_on: str | None = None
    submission: Mapping[str, str] = field(default_factory=dict)
    submit_names: bool = False
    in_average: bool = True
    cluster: str = ""
    licence: str = "see the source"
    citation: str = ""

    def __post_init__(self) -> None:
        assert 1 <= len(self.text) <= 2, "one text or a pair"
        assert self.metrics, "a task needs a main metric"
        assert (self.kind == "regression") == (not self.labels), "only regression has no labels"
        assert not self.positive or self.positive in self.labels, "the positive class is a label"

    @property
    def family(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/")[0]

    @property
    def short_name(self) -> str:
        """The part of the name after the slash."""
        return self.name.split("/")[-1]

    @property
    def is_binary(self) -> bool:
        """Has each text one of two classes?"""
        return self.kind == "single_label" and len(self.labels) == 2

    @property
    def positive_index(self) -> int:
        """The place of the positive class among the labels; 1 where it means nothing."""
        return self.labels.index(self.positive) if self.positive else 1

    def record(self) -> StoredTask:
        """Return what a run keeps of its task."""
        kept = StoredTask(name=self.name, kind=self.kind, labels=self.labels, metrics=self.metrics)
        return kept.with_values(positive=self.labels[self.positive_index]) if self.is_binary else kept

    @property
    def num_outputs(self) -> int:
        """How many numbers the head must give: one per label, or one for regression."""
        return max(1, len(self.labels))

    @property
    def scored_splits(self) -> tuple[str, ...]:
        """Every held-out split whose labels are known, the selecting one first."""
        return tuple(s for s in (*self.validation, *self.test) if s not in self.hidden)
