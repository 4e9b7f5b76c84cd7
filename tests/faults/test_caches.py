"""Caches shared by processes, killed or damaged: the results are those of a run without any."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from collections_toy import write_collection
from damages import DAMAGES
from faults import kill_at
from safetensors.numpy import load_file

PRETRAIN = ("--epochs", "1", "--max-length", "32", "--batch-size", "4", "--held-out", "0.2")


def start(*arguments):
    """Start mbert in a process of its own."""
    line = [sys.executable, "-m", "modernbert.cli", *map(str, arguments), "--precision", "fp32"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def finish(process):
    """Return what a process wrote to stdout and to stderr; it must have gone well."""
    shown, said = process.communicate()
    assert process.returncode == 0, said
    return shown, said


FILL = """
import json, pathlib, sys, time
import numpy as np
from modernbert.evaluation import vectors
vectors.SHARD, made = 3, []
def encode(texts):
    made.extend(texts)
    time.sleep(0.1)
    return np.array([[float(text)] for text in texts], np.float32)
found = vectors.VectorCache(pathlib.Path("cache")).vectors({}, [str(i) for i in range(12)], encode)
print(json.dumps([np.concatenate(found)[:, 0].tolist(), made]))
"""


def test_processes_share_the_work_on_vectors():
    line = [sys.executable, "-c", FILL]
    processes = [subprocess.Popen(line, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    results = [json.loads(process.communicate()[0]) for process in processes]
    assert all(found == list(range(12)) for found, _ in results)
    assert sorted(int(text) for _, made in results for text in made) == list(range(12)), "each once"


def evaluation(*more):
    return start("eval", "toy", "--model", "modernbert-nano", "--json", *more)


def scores(done):
    """Return every figure of an evaluation."""
    systems = json.loads(done[0])["results"][0]["systems"]
    return [[score["value"] for score in system["scores"]] for system in systems]


@pytest.mark.slow
@pytest.mark.parametrize("apart", [0.0, 0.5])
def test_evaluations_share_a_cache(apart, tmp_path):
    write_collection(tmp_path / "toy")
    expected = scores(finish(evaluation("--no-cache")))
    processes = []
    for _ in range(2):
        processes.append(evaluation())
        time.sleep(apart)
    assert [scores(finish(process)) for process in processes] == [expected, expected]
    (shard,) = (tmp_path / "cache/vectors").rglob("*.npy")
    DAMAGES["a bit flipped at 0.8"](shard)
    done = finish(evaluation())
    assert scores(done) == expected
    assert "were damaged or of an older mbert" in done[0]


@pytest.fixture
def corpus(tmp_path):
    """A file of texts, one a row."""
    draw = random.Random(0)
    texts = [" ".join(f"w{draw.randrange(60)}" for _ in range(30)) for _ in range(60)]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return path


def pretraining(corpus, name):
    return start("pretrain", corpus, "--model", "modernbert-nano", "--name", name, *PRETRAIN)


def weights(name):
    model = load_file(Path("runs") / name / "model/model.safetensors")
    return {key: values.tobytes() for key, values in model.items()}


@pytest.mark.slow
@pytest.mark.parametrize("apart", [0.0, 1.0])
def test_pretrainings_share_a_corpus(apart, corpus, tmp_path):
    processes = []
    for name in ("a", "b"):
        processes.append(pretraining(corpus, name))
        time.sleep(apart)
    for process in processes:
        finish(process)
    assert weights("a") == weights("b")
    (folder,) = (tmp_path / "cache/corpora").glob("[!.]*")
    DAMAGES["a bit flipped at 0.8"](folder / "train-00000.tokens.npy")
    shown, _ = finish(pretraining(corpus, "c"))
    assert weights("c") == weights("a")
    assert "was damaged, and was made again" in shown


@pytest.mark.slow
def test_other_text_of_the_same_size_and_time_is_another_corpus(corpus):
    finish(pretraining(corpus, "a"))
    before = corpus.stat()
    corpus.write_text(corpus.read_text().replace("w1 ", "w9 "))
    os.utime(corpus, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert corpus.stat().st_size == before.st_size
    finish(pretraining(corpus, "b"))
    assert weights("a") != weights("b")
    assert len(list(Path("cache/corpora").glob("[!.]*"))) == 2


KEEP = """
import json, pathlib
from modernbert.kept import kept_folder
def write(folder):
    for name in "ab":
        (folder / name).write_text(name * 1000)
kept_folder(pathlib.Path("cache/made"), write)
"""


def test_a_folder_survives_a_kill_at_every_change(tmp_path):
    """No lock of a killed process is in the next one's way, which also sweeps."""
    for at in range(1, 40):
        killed = kill_at.was_killed(kill_at.run(["-c", KEEP], at=at))
        left = [path for path in tmp_path.glob("cache/made")]
        assert not left or sorted(path.name for path in left[0].iterdir()) == ["a", "b", "checksums.json"]
        if not killed:
            break
        shutil.rmtree(tmp_path / "cache/made", ignore_errors=True)
    assert 5 < at < 39
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [".made.lock", "made"]
