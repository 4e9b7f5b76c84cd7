"""The page of all options, made from the commands: `python -m modernbert.cli.docs > cli/OPTIONS.md`."""

from __future__ import annotations

from typing import Any

import typer
from typer.cli import get_docs_for_click

from modernbert.wording import one_line

from . import output
from .examples import EXAMPLES
from .main import app


def page() -> str:
    """Return the page, in Markdown."""
    command: Any = typer.main.get_command(app)
    _prepare(command, "mbert")
    return f"{get_docs_for_click(obj=command, ctx=typer.Context(command), name='mbert').strip()}\n"


def _prepare(command: Any, name: str) -> None:
    """Give a command, and those below it, a whole sentence in lists, and examples as a block of code."""
    command.short_help = one_line((command.help or "").split("\n\n")[0])
    lines = "\n".join(EXAMPLES[name.removeprefix("mbert ")])
    command.epilog = f"**Examples**:\n\n```bash\n{lines}\n```"
    for child, below in getattr(command, "commands", {}).items():
        _prepare(below, f"{name} {child}")


if __name__ == "__main__":
    output.put_line(page().rstrip())
