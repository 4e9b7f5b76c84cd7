"""Everything that reaches the screen: rich tables or JSON from the same dataclass, errors to stderr.

No other module prints. Text from outside is shown through `screen`, and never read as rich's markup.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer
from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from modernbert.errors import BadOption, MbertError

from .columns import GAP, WORDS, Columns
from .screen import Screen, screen, visible, visible_json
from .screen import one_line as plain

if TYPE_CHECKING:
    from rich.progress import Progress

# The bars that are on the screen now: what is printed meanwhile goes above them.
_bars: ContextVar[Progress | None] = ContextVar("bars", default=None)


def errors_are_seen() -> bool:
    """Is standard error a terminal, and no file or other program?"""
    return sys.stderr.isatty()


def show(*renderables: RenderableType, error: bool = False) -> None:
    """Print what rich can render, one below the other."""
    bars = _bars.get()
    shared = bars is not None and (error or sys.stdout.isatty())
    console = bars.console if bars is not None and shared else screen(error=error)
    for renderable in renderables:
        console.print(renderable)


def width() -> int:
    """Return the columns of the screen."""
    return screen().width


def print_line(text: str, *, style: str = "", error: bool = False) -> None:
    """Print one line as it is: brackets in it are no markup."""
    show(Text(visible(text), style=style), error=error)


def print_hanging(before: Text, text: Text) -> None:
    """Print a line whose continuations on a narrow terminal begin where the text does."""
    console = screen()
    room = console.width - before.cell_len
    if not console.is_terminal or text.cell_len <= room or room < WORDS:
        return show(before + text)
    for number, line in enumerate(text.wrap(console, room, overflow="fold")):
        show((before if not number else Text(" " * before.cell_len)) + line)


def print_error(error: MbertError) -> None:
    """Print what went wrong, where, and what to do next."""
    where = f"{plain(error.where)}: " if error.where else ""
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


def print_written(path: Path, what: str, *, replaced: bool) -> None:
    """Print which file was written, on stderr, and whether it replaced another."""
    print_line(f"{what} -> {path}{', replaced' if replaced else ''}", error=True)


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
    one_line: bool = False,
    error: bool = False,
) -> None:
    """Print a table; the columns named in `right` are aligned right.

    Words may wrap, numbers may not: columns that do not fit beside the others follow in a table of their
    own, which begins again with the columns that tell the rows apart. Before that the `optional` ones are
    left out, the first ones first, and named. So is an optional column without content. With `one_line`,
    words do not wrap either.
    """
    names = [plain(name) for name in columns]
    cells = [["" if cell is None else plain(str(cell)) for cell in row] for row in rows]
    if title:
        show(Text(visible(title), style="table.title"), error=error)
    made = Columns(names, cells, one_line=one_line)
    width = screen(error=error).width
    left_out = {columns.index(name) for name in optional if any(row[columns.index(name)] for row in cells)}
    for number, part in enumerate(made.parts([columns.index(name) for name in optional], width)):
        left_out -= {*part}
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        for i in part:
            justify: Literal["left", "right"] = "right" if columns[i] in right else "left"
            table.add_column(Text(made.heads[i]), justify=justify, overflow="fold", no_wrap=made.whole[i])
        for row in cells:
            table.add_row(*(Text(row[i]) for i in part))
        show(*([Text()] if number else []), table, error=error)
    if left_out:
        print_note(f"too narrow for: {', '.join(names[place] for place in sorted(left_out))}")


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
def progress_bar(left: Callable[[], str]) -> Iterator[Progress | None]:
    """Show a bar on stderr, with the fields `count` and `note`; None where stderr is no terminal.

    Args:
        left: says how much time is left, asked whenever the bar is drawn.
    """
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn

    class Bar(BarColumn):
        """A bar where a total is known."""

        def render(self, task: Task) -> Any:
            return super().render(task) if task.total else Text()

    class Left(ProgressColumn):
        """The time left."""

        def render(self, task: Task) -> Text:
            return Text(left(), style="progress.remaining")

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
        Left(),
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
    return recorder.export_svg(title=plain(title))
