"""`--processes` of commands that run a model: the same files as one process writes, or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import MBERT, children_of, finish, is_alive, run, unfinished, wait_until
from helpers import toy_rows, write_csv

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's children")


def begun(*arguments: object) -> subprocess.Popen:
    """Start `mbert` from nothing: a process that was forked has no use of `multiprocessing`."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [*MBERT, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        **pipes,
    )


def embedding(model: Path) -> tuple[subprocess.Popen, list[int]]:
    """Begin to embed in two processes; return the command and, once they work, the processes."""
    rows = write_csv(Path("many.csv"), toy_rows(20_000))
    flags = ["--model", model, "--processes", "2", "--precision", "fp32"]
    process = begun("embed", rows, "-o", "o.parquet", *flags)

    def working() -> list[int]:
        found = [n for n in children_of(process) if b"spawn_main" in Path(f"/proc/{n}/cmdline").read_bytes()]
        return found if len(found) == 2 and all(seconds(n) > 0 for n in found) else []

    wait_until(working, process)
    wait_until(lambda: unfinished(Path()), process)  # the output is open
    return process, working()


def seconds(number: int) -> int:
    return sum(map(int, Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[11:13]))


@linux
@pytest.mark.slow
@pytest.mark.parametrize("victim", ["child", "all"])
def test_whoever_is_ended_ends_all_and_nothing_is_half_written(victim, tiny_modernbert):
    process, others = embedding(tiny_modernbert)
    began = time.monotonic()
    if victim == "child":
        os.kill(others[1], signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    code, _, err = finish(process)
    wait_until(lambda: not any(map(is_alive, others)))
    assert time.monotonic() - began < 20
    assert not Path("o.parquet").exists()
    said = {"child": "process 2 of 2 was ended by SIGKILL", "all": "stopped by SIGINT"}[victim]
    assert code == {"child": 1, "all": 128 + signal.SIGINT}[victim], err
    assert said in err and "Traceback" not in err and err.count("Error: ") == 1, err


@linux
@pytest.mark.slow
def test_a_prediction_goes_on_with_another_number_of_processes(tiny_modernbert, mbert, trained):
    rows = write_csv(Path("many.csv"), toy_rows(3_000))
    flags = ["-m", trained, "--precision", "fp32"]
    assert run("predict", rows, "-o", "one.csv", *flags)[0] == 0
    process = begun("predict", rows, "-o", "two.csv", "--processes", "2", *flags)
    kept = Path("two.csv.partial")
    wait_until(lambda: kept.exists() and kept.read_bytes().count(b"\n") > 2, process)
    others = children_of(process)
    process.kill()
    finish(process)
    wait_until(lambda: not any(map(is_alive, others)))
    code, out, err = run("predict", rows, "-o", "two.csv", *flags)
    assert code == 0 and "had been scored before" in out, err
    assert Path("two.csv").read_bytes() == Path("one.csv").read_bytes()
