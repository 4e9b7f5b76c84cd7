"""The benchmark of the first minute runs as it stands, and records of unlike machines stand side by side."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from _common import keep_record, processor_of

from modernbert.model.device import describe_hardware

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "first_minute.py"


def test_processors_of_one_name_keep_their_records_apart(tmp_path):
    """A cloud's "Intel Xeon" has units for matrices or has none."""
    path, kinds = tmp_path / "records.json", ("AMX", "AVX-512")
    for instructions in (*kinds, "AMX"):
        hardware = {**describe_hardware(), "instructions": instructions}
        keep_record({"work": "short", "hardware": hardware}, path, "work")
    kept = json.loads(path.read_text())
    assert sorted(record["hardware"]["instructions"] for record in kept) == sorted(kinds)
    assert len({processor_of(record) for record in kept}) == 2


@pytest.mark.slow
@pytest.mark.by_hand
def test_first_minute(tmp_path):
    """Everything that is waited for comes, and the second search does not load the model again."""
    output = tmp_path / "first_minute.json"
    command = [sys.executable, SCRIPT, "--rounds", "0", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(output.read_text())
    seconds = record["seconds"]
    assert len(seconds) == 7 and all(value > 0 for value in seconds.values())
    assert seconds["search, second query"] < seconds["search, first query"] / 2
    assert "| search, second query |" in done.stdout
