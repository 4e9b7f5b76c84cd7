"""Records and texts without the paths of a machine: reports and cards are for others to read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

# What records say of places: the kind of place, its path (which may have blanks), and its state.
_PLACE = re.compile(r"(bundle|folder|file|run) ([/~].*?)( \([^()]*\))?", re.DOTALL)
# A path inside a sentence: it begins a word, and has two parts or more.
_INSIDE = re.compile(r"(?<![\w/.:~-])~?(?:/[^\s/'\"`,;:()]+){2,}/?")
# The user's own words, which may look like paths and are none.
_WORDS = ("labels", "label", "text", "lora_targets")


def without_paths(value: Any) -> Any:
    """Return plain data in which each absolute path is only its last part."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {key: part if key in _WORDS else without_paths(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(without_paths(part) for part in value)
    return value


def paths_in(text: str) -> list[str]:
    """Return what looks like an absolute path of two parts or more in a text."""
    return [found[0] for found in _INSIDE.finditer(text)]


def _text(text: str) -> str:
    if text.startswith(("/", "~/")) and " /" not in text and "\n" not in text:
        return PurePath(text).name or text
    if found := _PLACE.fullmatch(text):
        return f"{found[1]} {PurePath(found[2]).name}{found[3] or ''}"
    return _INSIDE.sub(lambda found: PurePath(found[0]).name, text)
