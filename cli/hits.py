"""What a search found, on the screen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import output
from .screen import one_line, visible

if TYPE_CHECKING:
    from rich.text import Text

    from modernbert.index.hits import Hit

# Characters of a row's value that are shown; --json has all of it.
LONGEST_VALUE = 300


def show_hits(hits: list[Hit], query: str, *, as_json: bool) -> None:
    """Print hits: lines of files, or rows of a table with their columns."""
    from modernbert.index.hits import as_dict

    if as_json:
        return output.print_json(as_dict(hits))
    for hit in hits:
        show_lines(hit, query) if hit.columns is None else show_row(hit, query)
    if not hits:
        output.print_line("nothing found")


def show_lines(hit: Hit, query: str) -> None:
    """Print those lines of a hit that hold most of the query's words, and where they stand."""
    from rich.syntax import Syntax
    from rich.text import Text

    title = _title(f"{hit.path}:{hit.best_start}-{hit.best_end}", hit, hit.name)
    shown = [visible(line) for line in hit.text.split("\n")]
    shown = shown[hit.best_start - hit.start : hit.best_end - hit.start + 1]
    code = Syntax("", Syntax.guess_lexer(hit.path), background_color="default").highlight("\n".join(shown))
    _mark(code, query)
    numbered = enumerate(code.split("\n", allow_blank=True)[: len(shown)], hit.best_start)
    output.show(title)
    for number, line in numbered:
        output.print_hanging(Text(f"{number:>6}  ", style="dim"), line)
    output.show("")


def show_row(hit: Hit, query: str) -> None:
    """Print a row's columns, long values cut."""
    from rich.text import Text

    lines = []
    assert hit.columns is not None
    for name, value in hit.columns.items():
        if value is None or value == "":
            continue
        text = one_line(str(value))
        line = Text(text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]} ...")
        _mark(line, query)
        lines.append((Text(f"  {one_line(name)}: ", style="dim"), line))
    output.show(_title(f"{hit.path}, row {hit.row}", hit, f"id {hit.name}" if hit.name else ""))
    for before, line in lines:
        output.print_hanging(before, line)
    output.show("")


def _title(place: str, hit: Hit, name: str) -> Text:
    from rich.text import Text

    title = Text(one_line(place), style="bold cyan")
    title.append(one_line(f"  {name}") if name else "", style="bold")
    title.append(f"  score {hit.score:.4f}", style="dim")
    return title.append("  (the file has changed since)" if hit.stale else "", style="yellow")


def _mark(text: Text, query: str) -> None:
    words = {word for word in re.findall(r"\w+", query.lower()) if len(word) > 2}
    text.highlight_words(sorted(words), "reverse", case_sensitive=False)
