"""The templates of a page. Whatever they are given is escaped, unless they made it themselves."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@cache
def _environment() -> Environment:
    loader = PackageLoader("modernbert.report", ".")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def render(template: str, **values: Any) -> Markup:
    """Return a template of this folder, filled in, as safe HTML."""
    return Markup(_environment().get_template(template).render(**values))
