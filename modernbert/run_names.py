"""What a run may be called: a folder's name on every system."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator

from modernbert.errors import BadOption

# A file system takes 255; tables, reports and what is added to a name must remain readable too.
LONGEST_NAME = 160
# Windows keeps these for devices, whatever follows a dot.
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}


def check_run_name(name: str) -> None:
    """Raise BadOption unless `name` can be a folder's name on every system."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name.endswith("."):
        shown = name if len(name) <= LONGEST_NAME else f"{name[:40]}..."
        fix = "Use letters, digits, '.', '_' and '-'; the first and last no mark."
        raise BadOption(f"'{shown}' cannot name a run", fix=fix)
    if len(name) > LONGEST_NAME:
        raise BadOption(f"a run's name has at most {LONGEST_NAME} characters, and this one {len(name):,}")
    if _is_reserved(name):
        raise BadOption(f"'{name}' cannot name a run: Windows keeps the name for a device")


def _is_reserved(name: str) -> bool:
    return name.lower().partition(".")[0] in RESERVED


def is_file_name(text: str) -> bool:
    """Can it name one entry of a folder that is not hidden?"""
    return 0 < len(os.fsencode(text)) < 256 and not text.startswith(".") and not {"/", "\0"} & {*text}


def numbered(wanted: str) -> Iterator[str]:
    """Yield a name, without odd characters, and then the same with numbers."""
    tidy = _shortened(re.sub(r"[^A-Za-z0-9._-]+", "-", wanted).strip("-._") or "run")
    tidy = f"run-{tidy}" if _is_reserved(tidy) else tidy
    return (f"{tidy}-{i}" if i > 1 else tidy for i in range(1, 100_000))


def _shortened(name: str) -> str:
    """Return a name that every file system takes; what is cut out is told apart by a checksum."""
    if len(name) <= LONGEST_NAME:
        return name
    checksum = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - 40]}-{checksum}-{name[-20:].lstrip('-._')}"
