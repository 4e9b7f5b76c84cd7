"""Everything that reaches the screen: rich tables or JSON from the same dataclass, errors to stderr.

No other module prints. Text from outside is shown through `screen`, and never read as rich's markup.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

import typer
from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from modernbert.errors import BadOption, MbertError

from .screen import Screen, one_line, screen, visible, visible_json

if TYPE_CHECKING:
    from rich.progress import Progress

# Between two columns.
GAP = 2
# To this width a column of words may shrink, a column of numbers never. Words are whole up to the second.
WORDS, LONGEST_WORD = 14, 40
NUMBER = re.compile(r"-|[-+]?[0-9][0-9.,]*(e[-+]?[0-9]+)?%?( (to|±) [-+]?[0-9][0-9.,]*%?)?( \([0-9]+\))?")


# The bars that are on the screen now: what is printed meanwhile goes above them.
_bars: ContextVar[Progress | None] = ContextVar("bars", default=None)


def show(*renderables: RenderableType, error: bool = False) -> None:
    """Print what rich can render, one below the other."""
    bars = _bars.get()
    shared = bars is not None and (error or sys.stdout.isatty())
    console = bars.console if bars is not None and shared else screen(error=error)
    for renderable in renderables:
        console.print(renderable)


def print_line(text: str, *, style: str = "", error: bool = False) -> None:
    """Print one line as it is: brackets in it are no markup."""
    show(Text(visible(text), style=style), error=error)


def print_error(error: MbertError) -> None:
    """Print what went wrong, where, and what to do next."""
    where = f"{one_line(error.where)}: " if error.where else ""
    _print_headed("Error", "bold red", where + error.what)
    if error.fix:
        print_line(error.fix, style="yellow", error=True)


def print_json_error(error: MbertError) -> None:
    """Print an error as one JSON object on stdout, for whoever asked for JSON."""
    told = {"kind": type(error).__name__, "message": error.what, "where": error.where, "fix": error.fix}
    print_json({"error": told})


def print_note(text: str) -> None:
    """Print what a reader should know of a result, on stderr."""
    _print_headed("Note", "bold", text)


def print_warning(text: str) -> None:
    """Print a warning to stderr."""
    _print_headed("Warning", "bold yellow", text)


def _print_headed(head: str, style: str, text: str) -> None:
    show(Text.assemble((head, style), f": {visible(text)}"), error=True)


def print_json(value: Any) -> None:
    """Print JSON, and nothing else, to stdout."""
    sys.stdout.write(visible_json(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def put_line(line: str) -> bool:
    """Write a line of JSON to stdout at once; return whether anybody still reads."""
    sys.stdout.write(visible_json(line) + "\n")
    sys.stdout.flush()
    return getattr(sys.stdout, "lost", None) is None


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    optional: Sequence[str] = (),
    error: bool = False,
) -> None:
    """Print a table; the columns named in `right` are aligned right.

    Words may wrap, numbers may not: columns that do not fit beside the others follow in a table of their own,
    which begins with the first column again. Before that the `optional` ones are left out, the first ones
    first, and so is an optional column without content.
    """
    names = [one_line(name) for name in columns]
    cells = [["" if cell is None else one_line(str(cell)) for cell in row] for row in rows]
    whole = [_is_whole(column) for column in zip(*cells, strict=True)] or [True] * len(names)
    least = [_least_width(column, whole[i]) for i, column in enumerate(zip(names, *cells, strict=True))]
    if title:
        show(Text(visible(title), style="table.title"), error=error)
    width = screen(error=error).width
    kept = [i for i, name in enumerate(columns) if name not in optional or any(row[i] for row in cells)]
    for name in optional:
        if len(_parts([least[i] for i in kept], width)) > 1:
            kept = [i for i in kept if columns[i] != name]
    for number, part in enumerate(_parts([least[i] for i in kept], width)):
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for i in (chosen := [kept[i] for i in part]):
            justify: Literal["left", "right"] = "right" if columns[i] in right else "left"
            table.add_column(Text(names[i]), justify=justify, overflow="fold", no_wrap=whole[i])
        for row in cells:
            table.add_row(*(Text(row[i]) for i in chosen))
        show(*([Text()] if number else []), table, error=error)


def _is_whole(cells: Sequence[str]) -> bool:
    """Are these numbers, or names without blanks? Neither is broken; a very long name is."""
    names = all(" " not in cell and cell_len(cell) <= LONGEST_WORD for cell in cells)
    return names or all(not cell or NUMBER.fullmatch(cell) for cell in cells)


def _least_width(cells: Sequence[str], whole: bool) -> int:
    """Return how narrow a column may be: as its longest cell, or, if it holds words, its longest word."""
    if whole:
        return max(map(cell_len, cells))
    words = [min(cell_len(word), LONGEST_WORD) for cell in cells for word in cell.split()]
    return min(max(map(cell_len, cells)), max([WORDS, *words]))


def _parts(least: Sequence[int], width: int) -> list[list[int]]:
    """Return which columns stand side by side; the first one always does."""
    parts = [[0]]
    for i in range(1, len(least)):
        if sum(least[k] + GAP for k in (*parts[-1], i)) - GAP > width and len(parts[-1]) > 1:
            parts.append([0])
        parts[-1].append(i)
    return parts


def print_facts(title: str, facts: dict[str, object]) -> None:
    """Print names and values, aligned."""
    table = Table.grid(padding=(0, GAP, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(Text(visible(f"  {name}")), Text(visible(str(value))))
    print_line(title, style="bold")
    show(table)


def ask(question: str, *, yes: bool, otherwise: str) -> None:
    """Ask before something is done, unless `yes`.

    Raises:
        BadOption: it should not be done, or this is no terminal.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadOption("not a terminal: cannot ask", fix=otherwise)
    if not typer.confirm(visible(question), err=True):
        raise BadOption("nothing was done", fix=otherwise)


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress | None]:
    """Show bars on stderr, each with the fields `count` and `note`; None where stderr is no terminal."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn, TimeRemainingColumn

    class Bar(BarColumn):
        """A bar where a total is known."""

        def render(self, task: Task) -> Any:
            return super().render(task) if task.total else Text()

    console = screen(error=True)
    if not console.is_terminal:
        yield None
        return
    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        Bar(bar_width=20),
        TextColumn("{task.fields[count]}", markup=False),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", style="dim", markup=False, table_column=rest),
    )
    with Progress(*columns, console=console, transient=True, expand=True, redirect_stdout=False) as bars:
        before = _bars.set(bars)
        try:
            yield bars
        finally:
            _bars.reset(before)


def svg(picture: RenderableType, title: str, width: int) -> str:
    """Return what would be printed as an SVG picture."""
    recorder = Screen(record=True, width=width, file=io.StringIO())
    recorder.print(picture)
    return recorder.export_svg(title=one_line(title))
