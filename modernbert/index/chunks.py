"""Files cut into chunks: code along functions and classes, text along paragraphs."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from pathlib import PurePath
from typing import Any

from modernbert.index.names import LONGEST_NAME, is_function, name_of, own_name

# Characters of a chunk: about 400 tokens of code, which embedding models read whole.
LARGEST = 1600

# Suffix: (package of the tree-sitter grammar, its function).
GRAMMARS = {
    **dict.fromkeys((".py", ".pyi"), ("tree_sitter_python", "language")),
    **dict.fromkeys((".js", ".jsx", ".mjs", ".cjs"), ("tree_sitter_javascript", "language")),
    ".ts": ("tree_sitter_typescript", "language_typescript"),
    ".tsx": ("tree_sitter_typescript", "language_tsx"),
    ".java": ("tree_sitter_java", "language"),
    ".go": ("tree_sitter_go", "language"),
    ".rs": ("tree_sitter_rust", "language"),
    **dict.fromkeys((".c", ".h"), ("tree_sitter_c", "language")),
    **dict.fromkeys((".cc", ".cpp", ".cxx", ".hpp", ".hh"), ("tree_sitter_cpp", "language")),
    ".rb": ("tree_sitter_ruby", "language"),
    ".php": ("tree_sitter_php", "language_php"),
    ".cs": ("tree_sitter_c_sharp", "language"),
    **dict.fromkeys((".sh", ".bash"), ("tree_sitter_bash", "language")),
}
TEXTS = frozenset((".md", ".rst", ".txt", ".adoc", ".toml", ".yaml", ".yml", ".sql", ".html", ".css"))
SUFFIXES = frozenset(GRAMMARS) | TEXTS

# What is taken apart whatever its size: it says nothing of what it holds.
_TRANSPARENT = re.compile(r"preproc_if|linkage_specification|declaration_list")
# What belongs to the definition right below it.
_COMMENT = re.compile(r"comment|attribute_item")


@dataclass(frozen=True)
class Chunk:
    """Lines of a file, numbered from 1, with the dotted name of what they define, if anything.

    Of a table: the number of a row, its id, text, and (as JSON) all its columns; in files that is empty.
    """

    start: int
    end: int
    name: str
    text: str
    row: str = ""


def text_of(path: str, chunk: Chunk) -> str:
    """Return what is searched of a chunk: place and name say much of what it is about, but in a table."""
    if chunk.row:
        return chunk.text
    title = f"{path} {chunk.name}".strip()
    return f"{title}\n{chunk.text}"


@dataclass(frozen=True)
class _Piece:
    """Lines `start` to `end`, both counted from 0, and the name of what they define, or are a part of.

    Only parts may be joined, those of one definition or of none.
    """

    start: int
    end: int
    name: str = ""
    comment: bool = False
    part: bool = True


class Lines:
    """A text's lines as the grammars count them: a newline ends one, after a carriage return or not.

    Whatever else Python takes for the end of a line (a form feed, U+2028) stays within it.
    """

    def __init__(self, text: str) -> None:
        """Cut the text."""
        self.texts = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
        self.places = [0, *accumulate(len(line) + 1 for line in self.texts)]

    def size(self, start: int, end: int) -> int:
        """Return how many characters the lines `start` to `end` have, newlines included."""
        return self.places[end + 1] - self.places[start]

    def hold_text(self, start: int, end: int) -> bool:
        """Is there anything in the lines `start` to `end`?"""
        return any(line.strip() for line in self.texts[start : end + 1])


def cut_file(path: PurePath, text: str) -> list[Chunk]:
    """Cut a file's text; every line that is not blank is in one chunk, or in a few where lines are long."""
    lines = Lines(text)
    suffix = path.suffix.lower()
    if suffix in GRAMMARS:
        pieces = _of_code(_parser(*GRAMMARS[suffix]).parse(text.encode()).root_node, lines)
    else:
        pieces = _of_text(lines)
    whole = _with_comments(list(_without_gaps(pieces, lines)), lines)
    return [chunk for piece in _joined(whole, lines) for chunk in _chunks(piece, lines)]


@cache
def _parser(package: str, function: str) -> Any:
    import tree_sitter  # it takes time to load, and tables need none of it

    grammar = importlib.import_module(package)
    return tree_sitter.Parser(tree_sitter.Language(getattr(grammar, function)()))


def _of_code(root: Any, lines: Lines) -> Iterator[_Piece]:
    """Yield a tree's children, definitions by themselves; what is too large is taken apart further.

    A list of what waits, for trees may be deeper than Python's stack.
    """
    # A node, what it is in, and the name of what has none itself.
    waiting = [(child, "", "") for child in reversed(root.children)]
    while waiting:
        node, prefix, within = waiting.pop()
        start, end = _rows(node, lines)
        own = name_of(node)
        name = ".".join(filter(None, (prefix, own)))[:LONGEST_NAME] if own else within
        small = lines.size(start, end) <= LARGEST and not _TRANSPARENT.search(node.type)
        # A large class is taken apart into its methods; a large function is cut at line ends.
        if start == end or small or (own and is_function(node)) or not node.children:
            yield _Piece(start, end, name, bool(_COMMENT.search(node.type)), part=not own)
        else:
            # What merely wraps a definition is no part of its name: the definition adds that itself.
            inner = name if own_name(node) else prefix
            waiting += [(child, inner, name) for child in reversed(node.children)]


def _rows(node: Any, lines: Lines) -> tuple[int, int]:
    """Return a node's first and last line; some nodes end with the newline, or after the last line."""
    start, (end, column) = node.start_point[0], node.end_point
    last = len(lines.texts) - 1
    return min(start, last), min(end - 1 if column == 0 and end > start else end, last)


def _of_text(lines: Lines) -> Iterator[_Piece]:
    """Yield paragraphs; a heading begins one."""
    start: int | None = None
    for number, line in enumerate(lines.texts):
        if not line.strip() or line.startswith("#"):
            if start is not None:
                yield _Piece(start, number - 1)
            start = number if line.strip() else None
        elif start is None:
            start = number
    if start is not None:
        yield _Piece(start, len(lines.texts) - 1)


def _without_gaps(pieces: Iterable[_Piece], lines: Lines) -> Iterator[_Piece]:
    """Yield pieces in order, and between them the lines that a grammar does not tell of."""
    covered = 0
    for piece in pieces:
        if lines.hold_text(covered, piece.start - 1):
            yield _Piece(covered, piece.start - 1)
        yield piece
        covered = max(covered, piece.end + 1)
    if lines.hold_text(covered, len(lines.texts) - 1):
        yield _Piece(covered, len(lines.texts) - 1)


def _joined(pieces: Iterable[_Piece], lines: Lines) -> Iterator[_Piece]:
    """Join neighbours that fit together: what has no name, and what shares a line."""
    held: _Piece | None = None
    for piece in pieces:
        if held is None:
            held = piece
        elif piece.end > held.end:  # else it is on the same lines, and nothing new
            parts = held.part and piece.part
            together = (parts and held.name == piece.name) or piece.start <= held.end
            if together and lines.size(held.start, piece.end) <= LARGEST:
                name = piece.name if held.part else held.name
                held = _Piece(held.start, piece.end, name, part=parts)
            else:
                yield held
                held = replace(piece, start=max(piece.start, held.end + 1))
    if held is not None:
        yield held


def _with_comments(pieces: list[_Piece], lines: Lines) -> list[_Piece]:
    """Put comments with the definition right below them."""
    result: list[_Piece] = []
    for piece in reversed(pieces):
        below = result[-1] if result else None
        if piece.comment and below and not below.part and lines.size(piece.start, below.end) <= LARGEST:
            result[-1] = replace(below, start=piece.start)
        else:
            result.append(piece)
    return result[::-1]


def _chunks(piece: _Piece, lines: Lines) -> Iterator[Chunk]:
    """Yield a piece, cut at line ends where it is too large, and inside a line where that alone is."""
    start, size = piece.start, 0
    for number in range(piece.start, piece.end + 1):
        length = len(lines.texts[number]) + 1
        if size and size + length > LARGEST:
            yield from _chunk(start, number - 1, piece.name, lines)
            start, size = number, 0
        size += length
    yield from _chunk(start, piece.end, piece.name, lines)


def _chunk(start: int, end: int, name: str, lines: Lines) -> Iterator[Chunk]:
    text = "\n".join(lines.texts[start : end + 1])
    for first in range(0, len(text), 2 * LARGEST):  # one line longer than that: minified, or data
        part = text[first : first + 2 * LARGEST]
        if part.strip():
            yield Chunk(start + 1, end + 1, name, part)
