"""Commands against a Hub that misbehaves, each in a process of its own: one sentence, then they end."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import hub_faults
import pytest
from hub import serve


@pytest.fixture
def served(tmp_path):
    root = tmp_path / "served"
    folder = root / "models/some/model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(b"weights" * 1000)
    return root


def command(address, *arguments):
    environment = {k: v for k, v in os.environ.items() if "OFFLINE" not in k and "proxy" not in k.lower()}
    environment |= {"HF_ENDPOINT": address, "MBERT_HUB_TIMEOUT": "1", "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "modernbert.cli", *arguments]
    return subprocess.run(line, capture_output=True, text=True, env=environment, timeout=60)


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("body", "drip headers"),
        ("body", "wrong byte"),
        pytest.param("api", "hang", marks=pytest.mark.slow),
        pytest.param("head", "wait an hour", marks=pytest.mark.slow),
        pytest.param("head", "loop", marks=pytest.mark.slow),
        pytest.param("body", "stall", marks=pytest.mark.slow),
    ],
)
def test_a_download_ends_in_one_sentence_and_the_next_one_works(part, fault, served, tmp_path):
    faults = {"api": hub_faults.API_FAULTS, "head": hub_faults.HEAD_FAULTS, "body": hub_faults.BODY_FAULTS}
    download = ("download", "some/model", "--to", "bundle")
    started = time.monotonic()
    with serve(served, (part, faults[part][fault])) as (address, _):
        done = command(address, *download)
    assert time.monotonic() - started < 30
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Error: ") and len(done.stderr.splitlines()) <= 3  # and two of advice
    assert not list((tmp_path / "bundle").rglob("*.json"))
    with serve(served) as (address, _):
        done = command(address, *download)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "hf").rglob("*.incomplete"))
    assert (tmp_path / "bundle/models/some--model/config.json").is_file()
