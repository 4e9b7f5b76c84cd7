"""What the shell offers when Tab is pressed."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest
from modernbert.cli import values
from parameters import COMMANDS, parameters_of

from modernbert.pretraining.architectures import ARCHITECTURES

RUNS = {
    "toy": {
        "status": "finished",
        "task": {"name": "own/reviews"},
        "model": {"name": "tiny"},
        "tags": ["good"],
    },
    "stopped": {"status": "running", "study": {"name": "five"}, "tags": ["later"]},
    "folded": {"status": "finished", "folds": 5, "task": {"name": "glue/rte"}},
    "damaged": [],
}


@pytest.fixture
def tab(mbert, monkeypatch, tmp_path):
    """Press Tab at the end of a line; return what is offered."""
    for name, record in RUNS.items():
        (tmp_path / "kept" / name).mkdir(parents=True)
        (tmp_path / "kept" / name / "run.json").write_text(json.dumps(record))
    (tmp_path / "kept" / "toy" / "model").mkdir()
    monkeypatch.setenv("MBERT_RUNS", str(tmp_path / "kept"))
    monkeypatch.setenv("_MBERT_COMPLETE", "complete_bash")

    def press(line: str) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", f"mbert {line}")
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" "))))
        code, out, err = mbert()
        assert (code, err) == (0, "")
        return out.split()

    return press


@pytest.mark.parametrize("command", COMMANDS)
def test_every_name_can_be_completed(command):
    for name, described, _ in parameters_of(COMMANDS[command].callback):
        parser = getattr(described, "parser", None)
        read = inspect.getclosurevars(parser).nonlocals.get("read") if parser else None
        if read in (values.name, values.tag):
            assert described.autocompletion is not None, name


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("finetune glue/s", ["glue/sst2", "glue/stsb"]),
        ("finetune x.csv --model minilm", ["minilm-l12", "minilm"]),
        ("finetune x.csv --teacher t", ["toy"]),
        ("finetune x.csv --init-from t", ["toy", "text/bbc-news"]),
        ("finetune x.csv --schedule c", ["cosine"]),
        ("finetune x.csv --kind t", ["tokens"]),
        ("pretrain x.txt --from-scratch b", ["bert-nano", "base"]),
        ("resume ", ["stopped", "five"]),
        ("eval glue/m", ["glue/mrpc", "glue/mnli"]),
        ("eval glue/mnli --split ", ["validation_matched", "validation_mismatched"]),
        ("eval x --rerank t", ["toy"]),
        ("compare s", ["stopped"]),
        ("compare --baseline t", ["toy", "tfidf"]),
        ("compare --model ti", ["tiny"]),
        ("compare --task text", ["text/bbc-news", "text"]),
        ("report f", ["folded"]),
        ("runs show ", [*sorted(RUNS)]),
        ("runs rm toy st", ["stopped"]),
        ("runs mv d", ["damaged"]),
        ("runs tag toy g", ["good"]),
        ("runs --task own", ["own/reviews"]),
        ("runs --tag l", ["later"]),
        ("runs --sort s", ["score"]),
        ("migrate toy t", ["toy"]),
        ("predict --model ", ["toy"]),
        ("export t", ["toy"]),
        ("data check x.csv --label-errors ", ["folded", "toy", "auto"]),
        (
            "download gl",
            [
                f"glue/{t}"
                for t in ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte", "wnli", "ax"]
            ]
            + ["glue"],
        ),
        ("help pre", ["predict", "pretrain"]),
        ("bench text/", ["text/bbc-news"]),
        ("predict --runs-dir nowhere --model ", []),
    ],
)
def test_what_is_offered(tab, line, offered):
    assert sorted(tab(line)) == sorted(offered)


def test_the_architectures_are_those_that_there_are(tab):
    assert sorted(tab("pretrain x.txt --from-scratch ")) == sorted(ARCHITECTURES)


def test_completion_imports_no_torch():
    code = "from modernbert.cli.entry import main\ntry: main()\nfinally: print('torch' in sys.modules)"
    given = {"_MBERT_COMPLETE": "complete_bash", "COMP_WORDS": "mbert eval glue/r", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", f"import os, sys\nsys.argv = ['mbert']\nos.environ |= {given}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["glue/rte", "False"], done.stderr
