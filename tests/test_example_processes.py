"""The benchmark of one process and two runs as it stands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "processes.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_processes(tmp_path):
    """One layer: one process and two agree, and each of two holds half of the weights."""
    output = tmp_path / "processes.json"
    small = ["--layers", "1", "--steps", "2", "--texts", "20", "--rounds", "1", "--output", output]
    command = [sys.executable, SCRIPT, *small]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    training, embedding = json.loads(output.read_text())
    assert set(training["rounds"][0]) == {"one", "two", "two, divided"}
    assert set(embedding["rounds"][0]) == {"one", "two"} and embedding["difference"] == 0
    assert training["bytes"]["divided"] == pytest.approx(training["bytes"]["copied"] / 2, rel=0.01)
    assert training["idle"]["by tokens"] < 0.02 < training["idle"]["by examples"]
