"""What a page is made of."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from modernbert.comparison.tables import Table


@dataclass(frozen=True)
class Section:
    """One heading and what is below it, in order; `plots` and `blocks` are safe HTML."""

    title: str
    text: str = ""
    points: tuple[str, ...] = ()
    plots: tuple[Markup, ...] = ()
    tables: tuple[Table, ...] = ()
    blocks: tuple[Markup, ...] = ()
