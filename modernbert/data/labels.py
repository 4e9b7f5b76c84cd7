"""What a label column holds, decided once from all of its cells, with the reason: it is always shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from modernbert.data.cells import (
    VECTOR,
    Cells,
    as_number,
    is_flags,
    is_missing,
    structure_of,
    vector_of,
    whole_number,
)
from modernbert.data.rows import Rows
from modernbert.data.task import Kind
from modernbert.errors import BadData

SEPARATORS = ("|", ";", ",")
# A separator in a smaller share of the cells that have any is part of a name.
LEAST_SEPARATED = 0.1
SEVERAL = ("labels", "tags", "categories", "classes", "topics", "genres", "emotions", "keywords", "intents")
# Words in a column's name that say its numbers are names, or are quantities.
CLASS_WORDS = frozenset(("label", "labels", "category", "class", "code", "intent", "topic", "type", "id"))
QUANTITY_WORDS = frozenset(
    ("score", "scores", "rating", "ratings", "stars", "grade", "similarity", "value", "price", "age", "count")
)
# More whole-number values than this are a quantity, unless the column's name or its values say otherwise.
MOST_NUMBER_CLASSES = 20
# Rows for each value, on average, below which numbers do not repeat as classes do.
LEAST_REPEATS = 2
COMMA = re.compile(r"[+-]?[$€£¥]?\s?\d+(,\d+)*(\.\d+)?\s?[$€£¥%]?")
# Above this share of numbers, a cell that is none is a mistake to name, not a class.
MOSTLY = 0.9


@dataclass(frozen=True)
class LabelColumn:
    """A label column: the kind of task, how its cells are read, and why.

    Attributes:
        otherwise: the option that decides otherwise, and what it does; empty where it was given.
        labels: the names in order; empty for numbers.
    """

    kind: Kind
    cells: Cells
    why: str
    otherwise: str
    labels: tuple[str, ...] = ()


def read_label_column(rows: Rows, label: str, kind: Kind | None = None) -> LabelColumn:
    """Decide how a label column is read; a kind that is given is taken as it is.

    Raises:
        BadData: a cell is not of the form that was decided, with its row.
    """
    present = [value for value in rows.cells(label) if not is_missing(value)]
    found = _structures(present) or _scalars(label, present, kind)
    if kind is None and found.cells == Cells():
        _refuse_commas(rows, label)
    if kind is not None:
        form = "" if found.cells.form in ("names", "numbers") else f"{found.why}; "
        found = replace(found, kind=kind, why=f"{form}--kind {kind}", otherwise="")
    if found.kind == "regression":
        return found
    return replace(found, labels=_label_names(rows, label, found.cells))


ONE_A_ROW = "--kind single_label takes one label a row"
OTHERWISE = "--kind and --label-col decide otherwise"


def _structures(present: Sequence[Any]) -> LabelColumn | None:
    """Decide on lists, vectors and objects, written as text or not; None when most cells are neither."""
    if present and all(isinstance(value, str) and VECTOR.fullmatch(value.strip()) for value in present):
        return _vectors([vector_of(value) or [] for value in present])
    structures = [structure for value in present if (structure := structure_of(value)) is not None]
    if not any(isinstance(v, (list, tuple, dict)) for v in present) and 2 * len(structures) <= len(present):
        return None
    if all(map(is_flags, structures)):
        why = "zeros and ones, each for a label by its name"
        return LabelColumn("multi_label", Cells("flags"), why, ONE_A_ROW)
    lists = [value for value in structures if isinstance(value, list)]
    if _are_vectors(lists):
        return _vectors(lists)
    return LabelColumn("multi_label", Cells("lists"), "lists of labels", ONE_A_ROW)


def _are_vectors(lists: Sequence[list[Any]]) -> bool:
    """Are these zeros and ones for each class, not the numbers of classes?

    Class numbers do not repeat within a row, and not every row has as many of them.
    """
    filled = [values for values in lists if values]
    if not filled or any(vector_of(values) is None for values in filled):
        return False
    repeated = any(len(set(values)) < len(values) for values in filled)
    return repeated or (len(filled[0]) > 1 and len({len(values) for values in lists}) == 1)


def _vectors(vectors: Sequence[list[Any]]) -> LabelColumn:
    size = Counter(map(len, vectors)).most_common(1)[0][0]
    why, cells = f"vectors of {size} zeros and ones", Cells("vectors", size=size)
    if all(sum(vector) == 1 for vector in vectors):
        otherwise = "--kind multi_label allows several a row"
        return LabelColumn("single_label", cells, f"{why}, with one 1 in each", otherwise)
    return LabelColumn("multi_label", cells, why, ONE_A_ROW)


def _scalars(label: str, present: Sequence[Any], kind: Kind | None) -> LabelColumn:
    texts = [value for value in present if isinstance(value, str)]
    mark, count = _separator(texts)
    if mark and (kind == "multi_label" or (kind is None and _several(label, mark, texts))):
        why = f"'{mark}' stands between labels in {count} of {len(present)} rows"
        return LabelColumn("multi_label", Cells("separated", mark), why, "--kind single_label never splits")
    otherwise = f"--kind multi_label splits them at '{mark}'" if mark else OTHERWISE
    return _numbers(label, present) or LabelColumn("single_label", Cells(), "names", otherwise)


def _separator(texts: Sequence[str]) -> tuple[str, int]:
    """Return what stands between labels, and in how many cells; the rarer a mark is in names, the sooner."""
    counts = {mark: sum(mark in text for text in texts) for mark in SEPARATORS}
    marked = sum(any(mark in text for mark in SEPARATORS) for text in texts)
    return next(((m, n) for m, n in counts.items() if n and n >= LEAST_SEPARATED * marked), ("", 0))


def _several(label: str, mark: str, texts: Sequence[str]) -> bool:
    """Do the marked cells hold several labels? A plural says so, or parts that come back in other cells."""
    if label.lower() in SEVERAL:
        return True
    parts = {part.strip() for text in texts for part in text.split(mark)}
    return mark != "," and len(parts) < len(set(texts))


def _numbers(label: str, present: Sequence[Any]) -> LabelColumn | None:
    """Decide between classes and quantities; None for names."""
    numbers = [number for number in map(as_number, present) if number is not None]
    quantities, classes = "--kind regression takes quantities", "--kind single_label takes classes"
    if len(numbers) < MOSTLY * len(present) or not numbers:
        return None
    if code := next((value for value in present if _is_code(value)), None):
        return LabelColumn("single_label", Cells(), f"codes, such as {code}", quantities)
    if any(number != int(number) for number in numbers):
        return LabelColumn("regression", Cells(), "numbers with decimals", classes)
    distinct = len({whole_number(value) for value in present if as_number(value) is not None})
    each = len(numbers) / distinct
    why = f"{distinct} whole numbers, each in {each:.3g} rows on average"
    if not _are_classes(label, numbers):
        return LabelColumn("regression", Cells(), why, classes)
    cells = Cells("numbers" if len(numbers) == len(present) else "names")
    return LabelColumn("single_label", cells, why, quantities)


def _are_classes(label: str, numbers: Sequence[float]) -> bool:
    """Are whole numbers classes? They repeat, and are few, or named as classes, or count from 0 or 1."""
    values = set(numbers)
    words = set(re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", label).lower()))
    if len(numbers) < LEAST_REPEATS * len(values):
        return False
    if len(values) <= MOST_NUMBER_CLASSES or words & CLASS_WORDS:
        return True
    counted = min(values) in (0, 1) and max(values) - min(values) + 1 == len(values)
    return counted and not words & QUANTITY_WORDS


def _refuse_commas(rows: Rows, label: str) -> None:
    """Raise BadData for numbers with a comma (decimal or for thousands), a currency or a percent sign."""
    texts = [(i, v) for i, v in enumerate(rows.cells(label)) if isinstance(v, str) and v.strip()]
    found = [(i, v) for i, v in texts if as_number(v) is None and COMMA.fullmatch(v.strip())]
    others = sum(as_number(v) is not None for _, v in texts)
    if found and label.lower() not in SEVERAL and len(found) + others == len(texts):
        raise BadData(
            f"column '{label}' holds {found[0][1]!r}, which is no plain number",
            where=rows.where(found[0][0]),
            fix="Write 3.5 for 3,5 and 1234 for $1,234, or say what it is with --kind single_label.",
        )


def _is_code(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"0\d+", value.strip()))


def _label_names(rows: Rows, label: str, cells: Cells) -> tuple[str, ...]:
    if cells.form == "vectors":
        return tuple(map(str, range(cells.size)))
    names: set[str] = set()
    for index, value in enumerate(rows.cells(label)):
        if cells.form == "flags":  # a label that no row has is one all the same
            names.update(structure_of(value) or ())
        if not is_missing(value):
            names.update(cells.names(value, column=label, where=rows.where(index)))
    whole = all(re.fullmatch(r"-?\d+", name) for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if whole else 0, name)))
