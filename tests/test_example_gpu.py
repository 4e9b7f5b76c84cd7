"""The benchmark of one GPU runs as it stands, on a CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "examples" / "benchmarks" / "gpu.py"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.by_hand
def test_gpu(tmp_path):
    """On a CPU with tiny models: every section but the compiler's runs, nothing fails, parity is exact."""
    output = tmp_path / "gpu.json"
    small = ["--tiny", "--device", "cpu", "--section", "kernels", "parity", "inference", "training"]
    command = [sys.executable, SCRIPT, *small, "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = json.loads(output.read_text())
    assert record["failures"] == []
    assert {row["section"] for row in record["rows"]} == {"kernels", "parity", "inference", "training"}
    padded = [row for row in record["rows"] if row.get("backend") == "padded"]
    exact = [row for row in padded if row.get("precision") == "fp32"]
    assert exact and all(row["logits"] < 1e-5 and row["gradient"] < 1e-4 for row in exact)
    timed = [row for row in record["rows"] if "tokens_per_second" in row]
    assert len(timed) == 4
    assert all(row["x arrival"] > 0 and row["errors"] == {} for row in timed)
    assert "| training | nano | 512 |" in done.stdout
