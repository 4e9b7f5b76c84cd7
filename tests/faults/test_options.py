"""Wrong options in real processes: exit code 2, one sentence, nothing left behind."""

from __future__ import annotations

import subprocess
import sys

import pytest
from helpers import toy_rows, write_csv

TRIED = {
    "finetune reviews.csv --epochs inf": "--epochs",
    "finetune reviews.csv --seed -1": "--seed",
    "finetune reviews.csv --name CON": "Windows",
    "finetune reviews.csv --dims ²": "--dims",
    "finetune reviews.csv new.csv --text-col text --text-col text": "named twice",
    "pretrain reviews.csv --from-scratch nano --vocabulary 999999999": "--vocabulary",
    "eval reviews.csv --passages -1": "--passages",
    "predict new.csv -o folder/": "a folder",
    "predict new.csv -o reviews.csv/out.csv": "Not a directory",
    "embed new.csv -o o.parquet --max-length 1": "--max-length",
    "index folder --to reviews.csv": "a file",
    "search x -k 99999999999999999999": "-k",
    "compare -b tfidf --seeds -1 --yes": "--seeds",
    "compare -b tfidf --yes --device tpu": "device",
    "runs --runs-dir reviews.csv": "a file",
    "bench --lengths 64,-1": "--lengths",
    "download modernbert-nano --to reviews.csv/models": "Not a directory",
    "doctor --runs-dir reviews.csv": "a file",
}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("reviews.csv", "new.csv"):
        write_csv(tmp_path / name, toy_rows(20))
    return tmp_path


def run(folder, arguments: list[str | bytes]) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "modernbert.cli", *arguments]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def refused(folder, arguments: list[str | bytes]) -> str:
    before = sorted(folder.rglob("*"))
    done = run(folder, arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("Error: ") and len(done.stderr.splitlines()) <= 2, done.stderr
    assert "\x1b" not in done.stderr
    assert sorted(folder.rglob("*")) == before
    return done.stderr


def test_a_process_refuses_and_writes_nothing(folder):
    assert "--epochs is 'nan'" in refused(folder, ["finetune", "reviews.csv", "--epochs", "nan"])
    assert "--split is empty" in refused(folder, ["eval", "reviews.csv", "--split", ""])


def test_bytes_that_are_no_text(folder):
    assert "UTF-8" in refused(folder, ["search", b"caf\xe9 \x1b[31m"])


@pytest.mark.slow
@pytest.mark.parametrize("line", TRIED)
def test_wrong_options(folder, line):
    more = ["-m", "toy"] if line.startswith("predict") else []
    assert TRIED[line] in refused(folder, [*line.split(), *more])
