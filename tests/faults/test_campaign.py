"""Every command that writes, killed at many places and started again: the end is as if nothing had happened.

    MBERT_KILLS=12 pytest -m slow tests/faults/test_campaign.py -n 0 -s      # a table: what, tried, survived

Without MBERT_KILLS each command is killed once, half way. What is compared is what a user keeps: weights,
scores, outputs, bundles, search results; and nothing temporary may stay behind.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from collections_toy import write_collection
from commands import finish, start
from faults import kill_at
from faults.kill_at import changes_of, was_killed
from helpers import toy_rows, write_csv

from modernbert.data.bundle import verify
from modernbert.files import sha256
from modernbert.temporary import REPLACED, TEMPORARY

KILLS = int(os.environ.get("MBERT_KILLS", "1"))
SHORT = ["--epochs", "2", "--batch-size", "16", "--lr", "0.003", "--precision", "fp32", "--name", "r"]
RUN = "trained/runs/t"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def weights(folder: Path) -> object:
    """What a training leaves: weights and scores; nothing of its checkpoints."""
    run_folder = folder / "runs" / "r"
    assert not (run_folder / "checkpoints").exists()
    found = sorted((run_folder / "model").glob("*.safetensors"))
    assert found
    return [sha256(path) for path in (*found, run_folder / "scores.jsonl")]


def evaluation(folder: Path) -> object:
    """The scores of the finished run that an evaluation leaves."""
    finished = [
        path.parent
        for path in (folder / "runs").glob("*/run.json")
        if json.loads(path.read_text())["status"] == "finished"
    ]
    return {sha256(path / "scores.jsonl") for path in finished}


def bundle(folder: Path) -> object:
    """A bundle's files, which fit its checksums."""
    root = folder / "bundle"
    assert verify(root, root / "models" / "modernbert-nano") == "verified"
    return sorted(
        (path.relative_to(root).as_posix(), sha256(path)) for path in root.rglob("*") if path.is_file()
    )


def hits(folder: Path) -> object:
    """What a search in the index finds."""
    found = mbert(folder, "search", "good w1", "--index", "src", "--json")
    assert found.returncode == 0, found.stderr
    return [(hit["path"], hit["start"], round(hit["score"], 4)) for hit in json.loads(found.stdout)]


def exists(folder: Path) -> object:
    """Is there a report? It holds the time at which it was made."""
    return (folder / "out.html").stat().st_size > 10_000


def file(name: str) -> Callable[[Path], object]:
    """Return what reads an output file."""
    return lambda folder: sha256(folder / name)


@dataclass(frozen=True)
class Command:
    """A command that writes, and what it leaves; a training is resumed where there is something to resume."""

    arguments: list[str]
    result: Callable[[Path], object]
    resumes: bool = False


COMMANDS = {
    "finetune": Command(["finetune", "reviews.csv", "-m", "tiny", *SHORT], weights, resumes=True),
    "finetune --lora": Command(
        ["finetune", "reviews.csv", "-m", "tiny", "--lora", *SHORT], weights, resumes=True
    ),
    "finetune pairs": Command(["finetune", "pairs.jsonl", "-m", "tiny", *SHORT], weights, resumes=True),
    "pretrain": Command(
        ["pretrain", "texts.csv", "-m", "tiny", "--max-length", "32", *SHORT], weights, resumes=True
    ),
    "predict": Command(
        ["predict", "reviews.csv", "-m", RUN, "-o", "out.jsonl", "--overwrite"], file("out.jsonl")
    ),
    "embed": Command(
        ["embed", "reviews.csv", "-m", "tiny", "-o", "out.parquet", "--overwrite"], file("out.parquet")
    ),
    "eval": Command(["eval", "collection", "-m", "tiny"], evaluation),
    "download": Command(["download", "modernbert-nano", "--to", "bundle"], bundle),
    "index": Command(["index", "src", "-m", "tiny"], hits),
    "report": Command(["report", "t", "--runs-dir", "trained/runs", "-o", "out.html", "--overwrite"], exists),
}


def environment(folder: Path) -> dict[str, str]:
    """Everything that a command keeps lies in its own folder."""
    return {
        "MBERT_RUNS": str(folder / "runs"), "MBERT_CACHE": str(folder / "cache"),
        "HF_HOME": str(folder / "hf"), "MBERT_OFFLINE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip


def mbert(folder: Path, *arguments: str, at: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end, or to its change number `at`."""
    return kill_at.run([*arguments], at=at, cwd=folder, **environment(folder))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_modernbert: Path) -> Path:
    """A folder with a finished run, for the commands that need one."""
    folder = tmp_path_factory.mktemp("trained")
    write_csv(folder / "reviews.csv", toy_rows(120))
    done = mbert(folder, "finetune", "reviews.csv", "-m", str(tiny_modernbert), *SHORT[:-1], "t")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def fresh(tmp_path_factory, tiny_modernbert, trained) -> Callable[[], Path]:
    """Return what makes a folder with all that the commands read, the same each time."""

    def make() -> Path:
        folder = tmp_path_factory.mktemp("fresh")
        (folder / "tiny").symlink_to(tiny_modernbert)
        (folder / "trained").symlink_to(trained)
        write_csv(folder / "reviews.csv", toy_rows(120))
        write_csv(folder / "texts.csv", [{"text": row["text"]} for row in toy_rows(300, seed=1)])
        pairs = [
            {"query": row["text"], "positive": f"{row['text']} {i}"} for i, row in enumerate(toy_rows(80))
        ]
        (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
        write_collection(folder / "collection")
        (folder / "src").mkdir()
        for i, row in enumerate(toy_rows(40, seed=2)):
            (folder / "src" / f"m{i}.txt").write_text(row["text"] + "\n")
        return folder

    return make


def killed_at_changes(command: Command, fresh: Callable[[], Path]) -> list[Path]:
    """Kill a command at changes to the file system, evenly over all that it makes; return the folders."""
    whole = fresh()
    total = changes_of(mbert(whole, *command.arguments))
    folders = []
    for place in range(KILLS):
        folder = fresh()
        at = 1 + round((place + 0.5) / KILLS * (total - 1))
        assert was_killed(mbert(folder, *command.arguments, at=at)), f"change {at} of {total}"
        folders.append(folder)
    return folders


def killed_at_times(command: Command, fresh: Callable[[], Path]) -> list[Path]:
    """Kill a command whose database makes its changes itself, at moments evenly over its time."""
    folder = fresh()
    started = time.perf_counter()
    mbert(folder, *command.arguments)
    seconds, folders = time.perf_counter() - started, []
    for place in range(KILLS):
        folder = fresh()
        process = start(*command.arguments, cwd=folder, env=environment(folder))
        time.sleep(seconds * (place + 0.5) / KILLS)
        process.send_signal(signal.SIGKILL)
        finish(process)
        folders.append(folder)
    return folders


def go_on(command: Command, folder: Path) -> str:
    """Start a killed command again, as a user would; return what is wrong at the end, or nothing."""
    resumes = command.resumes and (folder / "runs" / "r" / "run.json").exists()
    finished = resumes and json.loads((folder / "runs/r/run.json").read_text())["status"] == "finished"
    done = mbert(folder, *(["runs"] if finished else ["resume", "r"] if resumes else command.arguments))
    if done.returncode:
        return done.stderr
    if left := [path for path in folder.rglob("*") if path.name.endswith((TEMPORARY, REPLACED))]:
        return f"left behind: {left[0].relative_to(folder)}"
    return ""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_command_ends_as_if_nothing_had_happened(name, fresh, capsys):
    command = COMMANDS[name]
    undisturbed = fresh()
    done = mbert(undisturbed, *command.arguments)
    assert done.returncode == 0, done.stderr
    expected = command.result(undisturbed)
    kill = killed_at_times if name == "index" else killed_at_changes
    wrong = []
    for folder in kill(command, fresh):
        problem = go_on(command, folder)
        if not problem and command.result(folder) != expected:
            problem = "another result"
        wrong += [problem] if problem else []
    with capsys.disabled():
        sys.stdout.write(f"\n{name:16} tried {KILLS:4}  survived {KILLS - len(wrong):4}\n")
    assert not wrong, wrong
