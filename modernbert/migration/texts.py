"""The texts that two models are compared on: a user's own, from production, mostly without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modernbert.data.columns import guess_text
from modernbert.data.examples import require_columns, to_texts
from modernbert.data.lines import lines_of
from modernbert.data.readers import TABLES, iter_rows
from modernbert.data.rows import Rows
from modernbert.errors import BadData
from modernbert.model.labels import Head, spelt_as_in

# A file of these holds a text a line.
LINES = (".txt", ".log")
# What a column of labels is mostly called.
LABEL = "label"
# In place of a label that is not known.
UNKNOWN = -1


@dataclass(frozen=True)
class Texts:
    """N texts, or pairs, and what is known of them.

    Attributes:
        texts: what the models read.
        numbers: of their rows or lines in the file, from 1.
        labels_N: places of the true labels; `UNKNOWN` where none is given.
        of: how many the file has.
        columns: the text columns; empty for a file of lines.
        name: the file's.
        unused: a column of labels that the user did not name; empty where there is none.
    """

    texts: list[tuple[str, ...]]
    numbers: Sequence[int]
    labels_N: np.ndarray
    of: int
    columns: tuple[str, ...]
    name: str
    unused: str = ""

    @property
    def labelled(self) -> int:
        """How many have a label."""
        return int((self.labels_N != UNKNOWN).sum())


def read_texts(
    path: Path,
    labels: tuple[str, ...],
    *,
    text: tuple[str, ...] = (),
    trained_on: tuple[str, ...] = (),
    label: str | None = None,
    labels_from: Path | None = None,
    limit: int = 0,
) -> Texts:
    """Read texts: a table with a text column, or a file of lines.

    Args:
        path: CSV, TSV, JSONL, Parquet; or .txt or .log with a text a line, whose empty lines are left out.
        labels: what the models predict.
        text: the text columns, if the user names them.
        trained_on: those that a model was trained on, which are taken if they are there.
        label: the column of labels; empty cells are not known.
        labels_from: a table with `row` and `label`, which names rows of `path`.
        limit: how many texts at most, drawn with a fixed seed; 0 for all. Labelled ones are always kept.

    Raises:
        BadData: the file cannot be read, a row has no text, or a label is none of the models'.
    """
    rows, columns = _lines(path) if path.suffix.lower() in LINES else _table(path, text, trained_on)
    texts = to_texts(rows, columns)
    known_N = np.full(len(rows), UNKNOWN)
    if label is not None:
        require_columns(rows, [label])
        known_N = _places(rows.columns[label], labels, rows)
    if labels_from is not None:
        known_N = _from_table(labels_from, rows, labels, known_N)
    chosen = _drawn(known_N, limit)
    return Texts(
        texts=[texts[i] for i in chosen],
        numbers=[rows.numbers[i] for i in chosen],
        labels_N=known_N[chosen],
        of=len(rows),
        columns=() if path.suffix.lower() in LINES else columns,
        name=path.name,
        unused=LABEL if label is None and LABEL in rows.columns and LABEL not in columns else "",
    )


def _lines(path: Path) -> tuple[Rows, tuple[str, ...]]:
    found = [(number, line.strip()) for number, line in enumerate(lines_of(path), start=1)]
    kept = [(number, {"text": line}) for number, line in found if line]
    if not kept:
        raise BadData("the file has no lines with text", where=str(path))
    return Rows.from_records(kept, str(path)), ("text",)


def _table(path: Path, text: tuple[str, ...], trained_on: tuple[str, ...]) -> tuple[Rows, tuple[str, ...]]:
    if path.suffix.lower() not in TABLES:
        raise BadData(f"'{path.suffix}' is no format of texts", where=str(path),
                      fix=f"Give a {', '.join((*TABLES, *LINES))} file.")  # fmt: skip
    rows = Rows.from_records(iter_rows(path), str(path))
    if not len(rows):
        raise BadData("the file has no rows", where=str(path))
    columns = text
    if not columns and trained_on and all(name in rows.columns for name in trained_on):
        columns = trained_on
    columns = columns or guess_text(rows)
    require_columns(rows, columns)
    return rows, columns


def _places(cells: Sequence[object], labels: tuple[str, ...], rows: Rows) -> np.ndarray:
    """Return the place of each label that a cell names; a file's spelling may differ in case and dashes."""
    names = {str(cell).strip() for cell in cells if cell is not None and str(cell).strip()}
    spelt = spelt_as_in(Head("single_label", labels), names)
    places = {name: place for place, name in enumerate(spelt)}
    if not names & places.keys() and names <= {str(i) for i in range(len(labels))}:
        places = {str(i): i for i in range(len(labels))}
    found = []
    for index, cell in enumerate(cells):
        name = "" if cell is None else str(cell).strip()
        if name and name not in places:
            raise BadData(f"the label '{name}' is none of the models' ({', '.join(labels)})",
                          where=rows.where(index), fix="Mend it, or leave the cell empty.")  # fmt: skip
        found.append(places[name] if name else UNKNOWN)
    return np.array(found)


def _from_table(path: Path, rows: Rows, labels: tuple[str, ...], known_N: np.ndarray) -> np.ndarray:
    """Return known labels with those of a table of `row` and `label` added."""
    given = Rows.from_records(iter_rows(path), str(path))
    require_columns(given, ["row", "label"])
    index = {str(number): place for place, number in enumerate(rows.numbers)}
    known_N = known_N.copy()
    for place, (number, label) in enumerate(
        zip(given.columns["row"], _places(given.columns["label"], labels, given), strict=True)
    ):
        if str(number) not in index:
            raise BadData(f"there is no row {number} among the texts", where=given.where(place))
        if label != UNKNOWN:
            known_N[index[str(number)]] = label
    return known_N


def _drawn(known_N: np.ndarray, limit: int) -> list[int]:
    if not limit or len(known_N) <= limit:
        return list(range(len(known_N)))
    labelled = np.flatnonzero(known_N != UNKNOWN)
    others = np.flatnonzero(known_N == UNKNOWN)
    more = np.random.default_rng(0).permutation(others)[: max(0, limit - len(labelled))]
    found: list[int] = np.sort(np.concatenate([labelled, more])).tolist()
    return found
