"""The benchmark of classification runs as it stands."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import SHARED_DATA, needs_shared_data

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.slow
@needs_shared_data
@pytest.mark.by_hand
def test_classification(tmp_path):
    """Two sets at its quick size: every tool answers each row; a second call measures nothing again."""
    output = tmp_path / "classification.json"
    script = EXAMPLES / "benchmarks" / "classification.py"
    command = [sys.executable, script, "--data-dir", SHARED_DATA, "--quick", "--output", output]
    command += ["--sets", "price", "topics"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = json.loads(output.read_text())
    tools = {(r["set"], r["tool"]): r for r in records}
    assert len(tools) == len(records) == 6
    sizes = {len(column.split()) for r in records for key in ("labels", "answers") for column in r[key]}
    assert sizes == {40}
    assert " ".join(tools["topics", "scikit-learn"]["labels"]).split().count("1") > 40
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0 and again.stdout.startswith("| set |"), again.stderr
