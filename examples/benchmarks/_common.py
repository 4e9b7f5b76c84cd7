"""What the benchmarks share: the folder of their records, and how these are read and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def read_records(path: Path) -> list[dict]:
    """Return the records in a file; none where it is missing."""
    return json.loads(path.read_text()) if path.is_file() else []


def write_records(records: Any, path: Path) -> None:
    """Replace the records in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records, indent=1) + "\n")
