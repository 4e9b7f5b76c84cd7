"""Which columns of a table stand side by side, how narrow each may be, and what is left out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len

# Between two columns.
GAP = 2
# To this width a column of words may shrink, a column of numbers never. Words are whole up to the second.
WORDS, LONGEST_WORD = 14, 40
NUMBER = re.compile(r"-|[-+]?[0-9][0-9.,]*(e[-+]?[0-9]+)?%?( (to|±) [-+]?[0-9][0-9.,]*%?)?( \([0-9]+\))?")
# More columns than these are never repeated.
MOST_KEYS = 2


class Columns:
    """The columns of a table, with their cells as text.

    Attributes:
        heads: names, in several lines where the table is too wide otherwise.
        whole: columns that are never broken.
    """

    def __init__(self, names: Sequence[str], rows: Sequence[Sequence[str]], *, one_line: bool) -> None:
        """Look at all cells; with `one_line` no column is broken."""
        self.heads = list(names)
        self.cells = [[row[i] for row in rows] for i in range(len(names))]
        self.whole = [one_line or _is_whole(column) for column in self.cells]
        self.keys = _keys(rows)

    def parts(self, optional: Sequence[int], width: int) -> list[list[int]]:
        """Return the numbers of the columns of each table that is printed, one below the other.

        An optional column is never broken: it is left out instead.
        """
        for i in optional:
            self.whole[i] = True
        kept = [i for i in range(len(self.heads)) if i not in optional or any(self.cells[i])]
        if len(self._side_by_side(kept, width)) > 1:
            self.heads = [self._wrapped(i) for i in range(len(self.heads))]
        for i in optional:
            if len(self._side_by_side(kept, width)) > 1:
                kept = [k for k in kept if k != i]
        parts = self._side_by_side(kept, width)
        if any(self._width(part) > width for part in parts):  # two columns alone: words wrap after all
            self.whole = [_is_whole(column) for column in self.cells]
        return parts

    def _side_by_side(self, kept: Sequence[int], width: int) -> list[list[int]]:
        """Return which columns stand side by side; each table begins with those that tell the rows apart."""
        keys = [i for i in kept if i < self.keys]
        if any(self._width([*keys, i]) > width for i in kept if i not in keys):
            keys = keys[:1]
        parts = [list(keys)]
        for i in (i for i in kept if i not in keys):
            if len(parts[-1]) > len(keys) and self._width([*parts[-1], i]) > width:
                parts.append(list(keys))
            parts[-1].append(i)
        return parts

    def _width(self, part: Sequence[int]) -> int:
        """Return how narrow these columns can be side by side."""
        return sum(self._least_width(i) + GAP for i in part) - GAP

    def _least_width(self, i: int) -> int:
        """Return how narrow a column may be: as its longest cell, or, if it holds words, its longest word."""
        texts = [*self.heads[i].split("\n"), *self.cells[i]]
        if self.whole[i]:
            return max(map(cell_len, texts))
        words = [min(cell_len(word), LONGEST_WORD) for text in texts for word in text.split()]
        return min(max(map(cell_len, texts)), max([WORDS, *words]))

    def _wrapped(self, i: int) -> str:
        """Return a head in lines as long as the column's longest cell, or as its own longest word."""
        if not self.whole[i] or not self.cells[i]:
            return self.heads[i]
        widest = max([1, *map(cell_len, self.cells[i]), *map(cell_len, self.heads[i].split())])
        return textwrap.fill(self.heads[i], widest, break_long_words=False, break_on_hyphens=False)


def _is_whole(cells: Sequence[str]) -> bool:
    """Are these numbers, or names without blanks? Neither is broken; a very long name is."""
    names = all(" " not in cell and cell_len(cell) <= LONGEST_WORD for cell in cells)
    return names or all(not cell or NUMBER.fullmatch(cell) for cell in cells)


def _keys(rows: Sequence[Sequence[str]]) -> int:
    """Return how many of the first columns tell the rows apart; 1 if that takes too many."""
    for count in range(1, MOST_KEYS + 1):
        if len({tuple(row[:count]) for row in rows}) == len(rows):
            return count
    return 1
