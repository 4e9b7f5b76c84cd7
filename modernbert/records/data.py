"""What a record says of its task and its data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat

from modernbert.records.base import Amount, Count, Part, Text

TaskKind = Literal["single_label", "multi_label", "regression", "retrieval", "tokens", "pretraining"]


class StoredTask(Part):
    """What is predicted, and how it is scored.

    Attributes:
        labels: of texts; of tagged words every tag, O first.
        positive: of two classes, the one that precision, recall and F1 are of.
    """

    name: Text
    kind: TaskKind
    labels: tuple[str, ...]
    metrics: Annotated[tuple[str, ...], Field(min_length=1)]
    positive: str = ""


class Split(Part):
    """One split of the data.

    Attributes:
        rows: labelled texts, or queries.
        fingerprint: a checksum of what was read.
        found_in, revision: where it was found, and which revision.
        used: how many rows were used, where that may be fewer.
        documents: of a collection.
    """

    rows: Count
    fingerprint: Text
    found_in: str = ""
    revision: str = ""
    used: Count | None = None
    documents: Count | None = None

    @property
    def place(self) -> str:
        """Where own data lay: a path (retrieval's follows a word); else `found_in`."""
        return self.found_in.removeprefix("folder ").removeprefix("file ")

    @property
    def part_of_rows(self) -> str:
        """How many rows were used, of how many; empty when all were."""
        return "" if self.used in (None, self.rows) else f"{self.used} of {self.rows}"

    @property
    def shown_rows(self) -> str:
        """How many rows were used, and of how many when not all were."""
        return self.part_of_rows or str(self.rows)


class StoredSplitReport(Part):
    """What the look at one split found; `truncated` is the share of texts that were cut."""

    split: str
    truncated: Amount


class StoredReport(Part):
    """What the look at the data found."""

    splits: tuple[StoredSplitReport, ...]


# How the cells of a label column are read (see `data.cells`).
Form = Literal["names", "numbers", "separated", "lists", "vectors", "flags"]


class StoredCells(Part):
    """How the label column is read (see `data.cells.Cells`)."""

    form: Form
    separator: str
    size: Count


class Target(Part):
    """Mean and standard deviation of the training labels, where these are numbers."""

    mean: FiniteFloat
    deviation: FiniteFloat


class Data(Part):
    """What was trained or scored on.

    Attributes:
        splits: by name.
        text, label, cluster: the columns that were read.
        cells: how the label column is read.
        target: the labels' mean and deviation, of a regression.
        class_weights: what each class's loss is multiplied by.
        teacher: the model whose vectors or probabilities are learnt, with the checksums of its files.
        report: what the look at the data found.
        notes: how columns and splits were decided.
    """

    splits: Annotated[dict[str, Split], Field(min_length=1)]
    text: Annotated[tuple[str, ...], Field(max_length=2)] = ()
    label: str = ""
    cluster: str = ""
    cells: StoredCells | None = None
    target: Target | None = None
    class_weights: dict[str, FiniteFloat] | None = None
    teacher: dict[str, Any] | None = None
    report: StoredReport | None = None
    notes: tuple[str, ...] = ()
