"""How long a user waits for the first signs of life: help, a mistake, the first line of a training, searches.

    python examples/benchmarks/first_minute.py [--rounds 5]

Every time is of a process of its own, from its start to the line that is waited for; the median of the rounds
is shown. The second search is a second query to a process whose model is loaded. Files are in the system's
cache after the first round, which does not count.
"""

from __future__ import annotations

import argparse
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from _common import RESULTS, keep_record, processor_of, read_records

from modernbert.model.device import describe_hardware
from modernbert.version import versions

OUTPUT = RESULTS / "first_minute.json"
MBERT = (sys.executable, "-m", "modernbert.cli")
QUERIES = ("print a table", "parse a number")


def until(command: tuple[str, ...], line: Callable[[str], bool]) -> float:
    """Start a command and return the seconds until it prints such a line, on stdout or stderr."""
    started = time.perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen([*MBERT, *command], **pipes) as process:
        for printed in process.stdout:
            if line(printed):
                seconds = time.perf_counter() - started
                process.kill()
                return seconds
    raise SystemExit(f"mbert {' '.join(command)} did not print what was waited for")


def on_screen(command: tuple[str, ...]) -> float:
    """Start a command on a terminal of its own and return the seconds until anything appears on it."""
    ours, theirs = pty.openpty()
    started = time.perf_counter()
    with subprocess.Popen([*MBERT, *command], stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.read(ours, 1)
        seconds = time.perf_counter() - started
        process.kill()
    os.close(ours)
    os.close(theirs)
    return seconds


def searches(index: Path) -> tuple[float, float]:
    """Return the seconds of the first query, the process's start included, and of a second one."""
    command = [*MBERT, "search", "--index", str(index), "--json"]
    started, times = time.perf_counter(), []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for query in QUERIES:
            process.stdin.write(query + "\n")
            process.stdin.flush()
            while process.stdout.readline().rstrip() not in ("}", "]"):  # the end of a result
                pass
            times.append(time.perf_counter() - started)
            started = time.perf_counter()
        process.stdin.close()
    return times[0], times[1]


def measured(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield what is waited for, with its seconds."""
    rows = folder / "reviews.csv"
    rows.write_text(
        "text,label\n" + "".join(f"film number {i},{'good' if i % 2 else 'bad'}\n" for i in range(400))
    )
    training = ("finetune", str(rows), "--model", "modernbert-nano", "--runs-dir", str(folder / "runs"))
    yield "mbert --help", until(("--help",), lambda line: "finetune" in line)
    mistake = ("finetune", str(folder / "reveiws.csv"))
    yield "a mistake in a file's name", until(mistake, lambda line: "no such file" in line)
    yield "finetune: something on the screen", on_screen(training)
    yield "finetune: what it will do", until(training, lambda line: "learning_rate" in line)
    yield "finetune: score before training", until(training, lambda line: line.startswith("step 0/"))
    first, second = searches(folder / "code")
    yield "search, first query", first
    yield "search, second query", second


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy = folder / "code"
        copy.mkdir()
        for path in Path(__file__).parent.glob("*.py"):
            (copy / path.name).write_text(path.read_text())
        subprocess.run([*MBERT, "index", str(copy)], check=True, capture_output=True)
        rounds = [dict(measured(folder)) for _ in range(given.rounds + 1)][min(1, given.rounds) :]
    seconds = {what: statistics.median(one[what] for one in rounds) for what in rounds[0]}
    record = {
        "seconds": seconds,
        "rounds": given.rounds,
        "hardware": describe_hardware(),
        "versions": versions(),
    }
    keep_record(record, given.output)
    print(table(read_records(given.output)))


def read() -> list[dict]:
    return read_records(OUTPUT)


def table(records: list[dict]) -> str:
    """Return seconds in rows, a column for each kind of machine."""
    lines = ["| until | " + " | ".join(map(processor_of, records)) + " |", "|---|" + "---|" * len(records)]
    for what in records[0]["seconds"]:
        lines.append(f"| {what} | " + " | ".join(f"{r['seconds'][what]:.2f} s" for r in records) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
