"""One of two processes is killed or told to stop: both end soon, with one sentence, and the run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import children_of, finish, is_alive, run, start, wait_until
from helpers import toy_rows, write_csv

from modernbert.runs import RunStore

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's children")
FLAGS = ["--batch-size", "16", "--precision", "fp32", "--name", "mine"]


def training(model: Path) -> tuple[subprocess.Popen, int]:
    """Begin a training of two processes; return the first one, and the other's number."""
    rows = write_csv(Path("many.csv"), toy_rows(20_000))
    flags = ["--epochs", "5", "--processes", "2", "--runs-dir", "runs"]
    process = start("finetune", rows, "--model", model, *FLAGS, *flags, start_new_session=True)
    wait_until(lambda: "StepReport" in log(), process)
    (other,) = children_of(process)
    return process, other


def log() -> str:
    path = Path("runs/mine/log.jsonl")
    return path.read_text() if path.exists() else ""


def ended(process: subprocess.Popen, other: int, began: float) -> tuple[int, str]:
    """Both are gone within 30 seconds, with one sentence and what was saved; return code and stderr."""
    code, _, err = finish(process)
    assert time.monotonic() - began < 30
    wait_until(lambda: not is_alive(other))
    assert "Traceback" not in err and err.count("Error: ") == 1, err
    assert RunStore(Path("runs")).read("mine").status == "interrupted"
    assert len(list(Path("runs/mine/checkpoints").glob("step-*"))) == 1
    return code, err


def test_a_killed_process_ends_the_training_which_another_number_goes_on_with(tiny_modernbert):
    process, other = training(tiny_modernbert)
    began = time.monotonic()
    os.kill(other, signal.SIGKILL)
    code, err = ended(process, other, began)
    assert code == 1
    assert "Error: process 2 of 2 was ended by SIGKILL; everything up to step " in err
    assert "Next: mbert resume mine" in err
    again = start("resume", "mine", "--runs-dir", "runs")
    wait_until(lambda: "resuming at step" in log(), again)
    again.send_signal(signal.SIGTERM)
    assert finish(again)[0] == 128 + signal.SIGTERM


@pytest.mark.slow
def test_a_stopped_process_ends_the_training(tiny_modernbert, monkeypatch):
    monkeypatch.setenv("MBERT_PROCESS_TIMEOUT", "5")
    process, other = training(tiny_modernbert)
    began = time.monotonic()
    os.kill(other, signal.SIGSTOP)
    code, err = ended(process, other, began)
    assert code == 1
    assert "Error: process 2 of 2 gave no sign of life for 5 s; everything up to step " in err
    assert "Next: mbert resume mine" in err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_once(number, tiny_modernbert):
    process, other = training(tiny_modernbert)
    began = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    code, err = ended(process, other, began)
    assert code == 128 + number
    assert err.count(": stopping after this step, and saving. A second ") == 1
    assert f"Error: stopped by {signal.Signals(number).name} at step " in err and "mbert resume mine" in err


@pytest.mark.slow
def test_a_signal_to_another_process_stops_all(tiny_modernbert):
    process, other = training(tiny_modernbert)
    began = time.monotonic()
    os.kill(other, signal.SIGTERM)
    code, err = ended(process, other, began)
    assert code == 128 + signal.SIGTERM
    assert "Error: stopped by SIGTERM at step " in err and "everything is saved" in err


@pytest.mark.slow
def test_the_others_end_with_the_first(tiny_modernbert):
    process, other = training(tiny_modernbert)
    process.kill()
    began = time.monotonic()
    assert finish(process)[0] == -signal.SIGKILL
    wait_until(lambda: not is_alive(other))
    assert time.monotonic() - began < 30
    assert RunStore(Path("runs")).read("mine").status == "interrupted"


@pytest.mark.slow
def test_a_mistake_is_told_once(tmp_path):
    code, out, err = run("finetune", "none.csv", "--processes", "2", "--model", "modernbert-nano", "--json")
    assert code == 2 and err.count("Error: ") == 1
    assert "none.csv" in json.loads(out)["error"]["where"]
