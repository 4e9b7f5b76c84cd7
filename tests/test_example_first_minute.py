"""The benchmark of the first minute runs as it stands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "first_minute.py"


@pytest.mark.slow
def test_first_minute(tmp_path):
    """Everything that is waited for comes, and the second search does not load the model again."""
    output = tmp_path / "first_minute.json"
    command = [sys.executable, SCRIPT, "--rounds", "1", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(output.read_text())
    seconds = record["seconds"]
    assert len(seconds) == 7 and all(value > 0 for value in seconds.values())
    assert seconds["search, second query"] < seconds["search, first query"] / 2
    assert "| search, second query |" in done.stdout
