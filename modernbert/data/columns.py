"""Guess which columns hold the text and the label, and what kind of label it is; always shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modernbert.data.cells import flag_of, is_missing
from modernbert.data.examples import require_columns
from modernbert.data.labels import LabelColumn, read_label_column
from modernbert.data.rows import Rows
from modernbert.data.task import Kind
from modernbert.errors import BadData, BadOption
from modernbert.wording import counted

PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "answer"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("query", "passage"),
    ("query", "document"),
    ("query", "positive"),
    ("anchor", "positive"),
    ("question", "positive"),
)
TEXTS = ("text", "sentence", "body", "content", "review", "document", "comment", "message", "description")
LABELS = ("label", "labels", "category", "categories", "class", "target", "tags", "topic", "sentiment")
NUMBERS = ("score", "rating", "stars", "grade", "similarity", "value")
MOST_CLASSES = 1000


@dataclass(frozen=True)
class Columns:
    """The chosen columns: of the text, of the label, and what the latter holds."""

    text: tuple[str, ...]
    label: str
    found: LabelColumn

    def describe(self) -> str:
        """Say what was taken and why, such as `text <- body, label <- category (12 classes): names`."""
        what = {
            "single_label": counted(len(self.found.labels), "class", "classes"),
            "multi_label": f"{counted(len(self.found.labels), 'label')}, several a row",
            "regression": "a number",
        }[self.found.kind]
        taken = f"text <- {' + '.join(self.text)}, label <- {self.label} ({what}): {self.found.why}"
        return f"{taken}; {self.found.otherwise}" if self.found.otherwise else taken


def check_text_columns(text: Sequence[str], label: str | None = None) -> None:
    """Raise BadOption unless the named columns are one text or a pair, and none of them is the label."""
    if len(text) > 2:
        raise BadOption(f"a text is one column or a pair, and {len(text)} were named: {', '.join(text)}")
    if len(set(text)) < len(text):
        raise BadOption(f"the text column '{text[0]}' was named twice")
    if label and (both := {label, *label.split(",")} & set(text)):
        raise BadOption(f"the column '{min(both)}' cannot be both text and label")


def guess_columns(
    rows: Rows, *, text: Sequence[str] = (), label: str | None = None, kind: Kind | None = None
) -> Columns:
    """Choose the columns of a training file; what the caller gives is taken as it is.

    Raises:
        BadData: a given column does not exist, or no column can be a text or a label.
    """
    check_text_columns(text, label)
    require_columns(rows, [*text, *([label] if label else [])])
    if len(rows.columns) < 2:
        raise BadData(
            f"the only column is '{', '.join(rows.columns)}'; a text and a label are needed",
            where=rows.origin,
        )
    label = label or _guess_label(rows, text)
    chosen = tuple(text) or guess_text(rows, label)
    found = read_label_column(rows, label, kind)
    if found.kind == "single_label" and len(found.labels) > MOST_CLASSES:
        raise BadData(
            f"column '{label}' has {len(found.labels)} different values: not a label",
            where=rows.origin,
            fix="Name the right one with --label-col.",
        )
    return Columns(chosen, label, found)


def _guess_label(rows: Rows, text: Sequence[str]) -> str:
    by_lower = {name.lower(): name for name in sorted(rows.columns, key=str.islower) if name not in text}
    for candidate in (*LABELS, *NUMBERS):
        if candidate in by_lower:
            return by_lower[candidate]
    others = [name for low, name in by_lower.items() if low not in TEXTS and _mean_length(rows, name) < 30]
    few = [name for name in others if 2 <= _num_distinct(rows, name) <= max(2, min(100, len(rows) // 5))]
    flags = [name for name in others if {flag_of(value) for value in rows.columns[name]} <= {0, 1}]
    if len(few) > 1 and set(few) <= set(flags):  # a column for each label
        return ",".join(flags)
    if not few and len(others) == 1 and _holds_measurements(rows, others[0]):
        return others[0]
    if len(few) != 1:
        what = "cannot tell which column is the label" if few else "no column looks like a label"
        such = f" {few[0] if few else others[0]}" if few or len(others) == 1 else ""
        raise BadData(
            f"{what}; the columns are {', '.join(rows.columns)}",
            where=rows.origin,
            fix=f"Name it with --label-col{such} (and the text with --text-col). If these are no names of "
            "columns, add a first line that names them.",
        )
    return few[0]


def guess_text(rows: Rows, label: str | None = None) -> tuple[str, ...]:
    """Choose one text column or a pair. Raises BadData when there is none but the label."""
    by_lower = {name.lower(): name for name in rows.columns if name != label}
    for first, second in PAIRS:
        if first in by_lower and second in by_lower:
            return by_lower[first], by_lower[second]
    for candidate in TEXTS:
        if candidate in by_lower:
            return (by_lower[candidate],)
    strings = [n for n in by_lower.values() if all(isinstance(v, str) for v in rows.columns[n])]
    if not strings:
        raise BadData(
            f"no column holds text in every row; the columns are {', '.join(rows.columns)}",
            where=rows.origin,
            fix="Name the text with --text-col.",
        )
    return (max(strings, key=lambda name: _mean_length(rows, name)),)


def _mean_length(rows: Rows, name: str) -> float:
    sample = rows.columns[name][:1000]
    return sum(len(str(value)) for value in sample) / max(1, len(sample))


def _holds_measurements(rows: Rows, name: str) -> bool:
    """Are all cells numbers, some with decimals? Whole numbers that hardly repeat may be identifiers."""
    try:
        numbers = [float(value) for value in rows.columns[name] if not is_missing(value)]
    except (TypeError, ValueError):
        return False
    return any(not number.is_integer() for number in numbers)


def _num_distinct(rows: Rows, name: str) -> int:
    return len({str(value) for value in rows.columns[name] if not is_missing(value)})
