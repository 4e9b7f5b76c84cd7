"""The benchmarks of several processes run as they stand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "examples" / "benchmarks"


def records(script: str, output: Path, *flags: str) -> list[dict]:
    """Run a benchmark; return what it has recorded."""
    command = [sys.executable, BENCHMARKS / script, *flags, "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(output.read_text())


@pytest.mark.slow
@pytest.mark.by_hand
@pytest.mark.timeout(900)
def test_processes(tmp_path):
    """One layer: one process and two agree, and each of two holds half of the weights."""
    small = ["--layers", "1", "--steps", "2", "--texts", "20", "--rounds", "1"]
    training, embedding = records("processes.py", tmp_path / "processes.json", *small)
    assert set(training["rounds"][0]) == {"one", "two", "two, divided"}
    assert set(embedding["rounds"][0]) == {"one", "two"} and embedding["difference"] == 0
    assert training["bytes"]["divided"] == pytest.approx(training["bytes"]["copied"] / 2, rel=0.01)
    assert training["idle"]["by tokens"] < 0.02 < training["idle"]["by examples"]


@pytest.mark.slow
@pytest.mark.by_hand
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="the script looks at processes as Linux lists them")
def test_killed(tmp_path):
    """A process of each kind is killed once: what ended says so and goes on, and nothing is lost."""
    found = records("killed.py", tmp_path / "killed.json", "--moments", "1")
    assert [one["work"].split()[0] for one in found] == ["finetune", "finetune", "embed", "embed", "embed"]
    for training in found[:2]:
        (kill,) = training["kills"]
        # A process that is killed when all is trained ends nothing.
        assert bool(kill["code"]) == bool(kill["said"]) and kill["seconds"] < 30
        assert kill["difference"] <= 1e-5
    assert all(kill["difference"] == 0 for one in found[2:] for kill in one["kills"])
