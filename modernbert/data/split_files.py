"""Which file of a folder holds which split, by its name."""

from __future__ import annotations

from pathlib import Path

from modernbert.data.readers import SUFFIXES
from modernbert.errors import BadData

SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}


def split_file(folder: Path, split: str) -> Path | None:
    """Return a folder's file of a split, if it has one. Raises BadData for two."""
    names = SPLIT_NAMES[split]
    found = [p for p in sorted(folder.iterdir()) if p.stem in names and p.suffix.lower() in SUFFIXES]
    if len(found) > 1:
        raise BadData(f"two files for '{split}': {found[0].name} and {found[1].name}", where=str(folder))
    return found[0] if found else None
