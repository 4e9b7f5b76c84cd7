"""What stands between mbert and a terminal, a pipe or a log: nothing from outside controls it or ends it.

Names, labels and texts may hold characters that move a terminal's cursor, hide text or turn it around: they
are shown, not obeyed. A reader that has gone, or a disk that is full, ends the output and not the command.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# C0 and C1 controls, line and paragraph separators, what turns the direction of text, lone surrogates.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
BREAKS = re.compile("[\n\t]")


def visible(text: str) -> str:
    r"""Return text with its control characters spelled out (`\x1b`); newlines and tabs stay."""
    return CONTROLS.sub(_spelled, text)


def one_line(text: str) -> str:
    r"""Return text with newlines and tabs spelled out too (`\n`)."""
    return BREAKS.sub(_spelled, visible(text))


def visible_json(text: str) -> str:
    """Return JSON that means the same, with the control characters in its strings escaped."""
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _spelled(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


class Screen(Console):
    """A console that shows control characters, whatever they came in."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does; only rich itself controls the terminal."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


def screen(*, error: bool = False, **settings: Any) -> Screen:
    """Return the screen for stdout or stderr; in a pipe, lines are not wrapped at 80 columns."""
    made = Screen(stderr=error, highlight=False, emoji=False, **settings)
    if not made.is_terminal:
        made = Screen(stderr=error, highlight=False, emoji=False, width=200, soft_wrap=True, **settings)
    return made


class Guarded:
    """A standard stream that goes quiet when it cannot be written any more, and remembers why."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        """Write text; what the stream's encoding lacks is spelled out."""
        self._try(lambda: self.stream.write(self._encodable(text)))
        return len(text)

    def flush(self) -> None:
        """Flush what was written."""
        self._try(self.stream.flush)

    def _encodable(self, text: str) -> str:
        encoding = self.stream.encoding or "utf-8"
        return text.encode(encoding, "backslashreplace").decode(encoding)

    def _try(self, write: Callable[[], object]) -> None:
        if self.lost is not None:
            return
        try:
            write()
        except OSError as error:
            self.lost = error
            _send_nowhere(self.stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _send_nowhere(stream: TextIO) -> None:
    """Keep the interpreter from complaining at exit of what it could not write."""
    with contextlib.suppress(io.UnsupportedOperation), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


@contextlib.contextmanager
def guarded() -> Iterator[Guarded]:
    """Guard stdout (which is returned) and stderr while the block runs; a closed stream is an empty one."""
    before = sys.stdin, sys.stdout, sys.stderr
    _open_closed_ones()
    with Path(os.devnull).open("r+") as nowhere:
        out, err = Guarded(sys.stdout or nowhere), Guarded(sys.stderr or nowhere)
        sys.stdin, sys.stdout, sys.stderr = sys.stdin or nowhere, cast(TextIO, out), cast(TextIO, err)
        try:
            yield out
        finally:
            out.flush()
            err.flush()
            sys.stdin, sys.stdout, sys.stderr = before


def _open_closed_ones() -> None:
    """Open what is closed of 0, 1 and 2: a file of ours with such a number would get a library's messages."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
