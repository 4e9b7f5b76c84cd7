"""A prediction killed by SIGKILL amid its rows goes on from what it had scored, to the same file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from forks import start
from helpers import request_of, toy_rows, write_csv

from modernbert.evaluation.kept_logits import SUFFIX
from modernbert.finetuning.finetune import finetune
from modernbert.runs import RunStore

ROWS, CHUNK = 2_000, 100
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def run(tmp_path, tiny_bert) -> Iterator[str]:
    """The name of a run, beside a file to predict."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # a fork would wait for ever for threads that its parent had
    write_csv(tmp_path / "new.csv", toy_rows(ROWS, seed=1))
    path = write_csv(tmp_path / "reviews.csv", toy_rows(60))
    yield finetune(request_of(path, tiny_bert, epochs=1.0), RunStore(tmp_path / "runs")).name
    torch.set_num_threads(before)


def predicting(run: str, output: Path, pause: float = 0.0) -> subprocess.Popen[str]:
    """Start `mbert predict` with small chunks; after each, it waits for `pause` seconds."""

    def work() -> None:
        from modernbert.cli.main import main

        from modernbert.evaluation import predict_file
        from modernbert.evaluation.kept_logits import KeptLogits

        def add(self: KeptLogits, *given: object) -> None:
            kept(self, *given)
            time.sleep(pause)

        kept, KeptLogits.add, predict_file.CHUNK_ROWS = KeptLogits.add, add, CHUNK
        sys.argv = ["mbert", "predict", "new.csv", "-m", run, "-o", str(output), "--overwrite"]
        main()

    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return start(work, {"OMP_NUM_THREADS": "1"}, cwd=output.parent, **streams)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a process; return its exit code and what it printed."""
    out, err = process.communicate()
    return process.returncode, out, err


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_a_killed_prediction_goes_on_to_the_same_file(run, tmp_path, name):
    whole, output = tmp_path / f"whole-{name}", tmp_path / name
    assert ended(predicting(run, whole))[0] == 0
    kept = output.with_name(name + SUFFIX)
    for chunks in (3, 8):
        process = predicting(run, output, pause=0.1)
        while process.poll() is None and _lines(kept) < 1 + chunks:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        code, _, err = ended(process)
        assert code == -signal.SIGKILL, err
        assert not output.exists() and _lines(kept) < 1 + ROWS // CHUNK
    code, out, err = ended(predicting(run, output))
    assert code == 0, err
    scored = int(out.split(" of them had been scored before")[0].split()[-1].replace(",", ""))
    assert 8 * CHUNK <= scored < ROWS
    assert output.read_bytes() == whole.read_bytes()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"new.csv", "reviews.csv", "runs", name, whole.name}


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0
