"""Everything that reaches the screen: rich tables or JSON from the same dataclass, errors to stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modernbert.errors import MbertError


def console(*, error: bool = False) -> Console:
    """Return a console for stdout or stderr; in a pipe, lines are not wrapped at 80 columns."""
    made = Console(stderr=error, highlight=False)
    if not made.is_terminal:
        made = Console(stderr=error, highlight=False, width=200, soft_wrap=True)
    return made


def print_line(text: str, *, style: str = "", error: bool = False) -> None:
    """Print one line as it is: brackets in it are no markup."""
    console(error=error).print(escape(text), style=style or None)


def print_error(error: MbertError) -> None:
    """Print what went wrong, where, and what to do next."""
    shown = console(error=True)
    where = f"{escape(error.where)}: " if error.where else ""
    shown.print(f"[bold red]Error[/]: {where}{escape(error.what)}")
    if error.fix:
        shown.print(escape(error.fix), style="yellow")


def print_note(text: str) -> None:
    """Print what a reader should know of a result, on stderr."""
    console(error=True).print(f"[bold]Note[/]: {escape(text)}")


def print_warning(text: str) -> None:
    """Print a warning to stderr."""
    console(error=True).print(f"[bold yellow]Warning[/]: {escape(text)}")


def print_json(value: Any) -> None:
    """Print JSON, and nothing else, to stdout."""
    console().print(json.dumps(value, indent=2, ensure_ascii=False), markup=False, soft_wrap=True)


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()
) -> None:
    """Print a table; the columns named in `right` are aligned right."""
    table = Table(
        title=escape(title) or None, title_justify="left", box=None, pad_edge=False, header_style="bold"
    )
    for name in columns:
        table.add_column(escape(name), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    console().print(table)


def print_facts(title: str, facts: dict[str, object]) -> None:
    """Print names and values, aligned."""
    width = max(map(len, facts), default=0)
    lines = [f"  {name:<{width}}  {value}" for name, value in facts.items()]
    console().print(f"[bold]{escape(title)}[/]")
    console().print(escape("\n".join(lines)))
