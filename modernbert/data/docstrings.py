"""Code search out of Python source: a docstring's first paragraph asks for the code under it."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modernbert.data.collection import Collection, Documents
from modernbert.data.splits import hash_split, near_duplicates
from modernbert.wording import one_line

# A shorter first paragraph ("Close.") says too little to search by.
MIN_WORDS = 3
# A body without a statement of its own has nothing to be found by.
MIN_LINES = 2
# What ends a line for Python's parser: str.splitlines would also cut at form feeds and the like.
LINE_END = re.compile(r"\r\n|\r|\n")
# Between the parts of a document's id: module, name and number.
MARK = ":"
SHARES = {"test": 0.2, "validation": 0.1, "train": 0.7}


@dataclass(frozen=True)
class Snippet:
    """A function, method or class: where it stands, its code without docstrings, and what it says it does."""

    module: str
    name: str
    code: str
    summary: str


def snippets_of(path: Path, module: str) -> list[Snippet]:
    """Return what `snippets_in` finds in a file; nothing if it is not UTF-8."""
    try:
        return snippets_in(path.read_text(encoding="utf-8"), module)
    except UnicodeDecodeError:
        return []


def snippets_in(source: str, module: str) -> list[Snippet]:
    """Return every function, method and class that has a docstring; none if the source cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of invalid escapes in other people's code
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    found = list(_definitions(tree, ""))
    dropped = {line for _, node in found for line in _docstring_lines(node)}
    kept = [(number, line) for number, line in enumerate(LINE_END.split(source), start=1) if line.strip()]
    lines = {number: line for number, line in kept if number not in dropped}
    return list(_snippets(found, lines, module))


def module_of(identifier: str) -> str:
    """Return the module of a document that `docstring_collections` made."""
    return identifier.split(MARK)[0]


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
    """Yield every definition with its dotted name; only statements can hold one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            yield f"{prefix}{child.name}", child
            yield from _definitions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _definitions(child, prefix)


def _docstring_lines(node: Definition) -> range:
    if ast.get_docstring(node, clean=False) is None:
        return range(0)
    return range(node.body[0].lineno, (node.body[0].end_lineno or node.body[0].lineno) + 1)


def _snippets(
    found: list[tuple[str, Definition]], lines: Mapping[int, str], module: str
) -> Iterator[Snippet]:
    for name, node in found:
        docstring = ast.get_docstring(node) or ""
        summary = one_line(re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0])
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        kept = [lines[n] for n in range(first, (node.end_lineno or first) + 1) if n in lines]
        if len(summary.split()) >= MIN_WORDS and len(kept) >= MIN_LINES:
            margin = min(len(line) - len(line.lstrip()) for line in kept)
            yield Snippet(module, name, "\n".join(line[margin:] for line in kept), summary)


def docstring_collections(name: str, snippets: list[Snippet]) -> Mapping[str, Collection]:
    """Make a collection of each split, cut by module, so that no module stands on two sides.

    Snippets that nearly repeat an earlier one are merged with it on the same side, and left out on another.
    Equal summaries are one query with several relevant documents.
    """
    first = near_duplicates([snippet.code for snippet in snippets])
    modules = [snippet.module for snippet in snippets]
    parts = hash_split(modules, [""] * len(modules), SHARES)
    sides = {row: split for split, rows in parts.items() for row in rows}
    return {
        split: _collection(name, split, [i for i in rows if sides[first[i]] == split], first, snippets)
        for split, rows in parts.items()
    }


def _collection(
    name: str, split: str, rows: list[int], first: list[int], snippets: list[Snippet]
) -> Collection:
    kept = [i for i in rows if first[i] == i]
    ids = {i: f"{snippets[i].module}{MARK}{snippets[i].name}{MARK}{i}" for i in kept}
    queries: dict[str, str] = {}
    judgements: dict[str, dict[str, int]] = {}
    for i in rows:
        query = queries.setdefault(snippets[i].summary, f"{split}-q{len(queries)}")
        judgements.setdefault(query, {})[ids[first[i]]] = 1
    documents = Documents(list(ids.values()), [""] * len(kept), [snippets[i].code for i in kept])
    texts = {identifier: text for text, identifier in queries.items()}
    return Collection(name, split, documents, texts, judgements)
