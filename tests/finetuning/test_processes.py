"""Two real processes train as one does: the same losses, weights and scores, for every kind of task."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest
import torch
from helpers import request_of, toy_rows, toy_sentences, write_conll, write_csv
from safetensors.torch import load_file
from torch import distributed

from modernbert import meeting
from modernbert.errors import BadData, Interrupted, ProcessLost
from modernbert.finetuning import launch
from modernbert.finetuning.finetune import finetune, resume
from modernbert.finetuning.launch import led
from modernbert.pretraining.inputs import PretrainingRequest
from modernbert.ranks import Ranks
from modernbert.runs import RunStore
from modernbert.training.inputs import Request
from modernbert.training.reports import StepReport

# 13 steps an epoch; the last batch of each is a single example, so that one process has nothing to do.
ROWS, BATCH = 97, 8
SHORT = {"batch_size": BATCH, "learning_rate": 1e-3, "log_every": 1, "keep": "last"}


def labelled(folder: Path, **columns: Callable[[dict[str, str], int], object]) -> Path:
    """Write training rows whose labels are made of a toy row and its number, and validation rows."""
    folder.mkdir()
    for split, rows, seed in (("train", ROWS, 0), ("validation", 20, 1)):
        made = [
            {"text": row["text"], **{name: make(row, i) for name, make in columns.items()}}
            for i, row in enumerate(toy_rows(rows, seed))
        ]
        write_csv(folder / f"{split}.csv", made)
    return folder


def classes(folder: Path) -> Path:
    return labelled(folder, label=lambda row, i: row["label"])


def several_labels(folder: Path) -> Path:
    return labelled(folder, label=lambda row, i: f"{row['label']}|{'long' if i % 3 else 'short'}")


def numbers(folder: Path) -> Path:
    return labelled(folder, label=lambda row, i: len(row["text"]) / 7)


def alike(folder: Path) -> Path:
    return labelled(folder, other=lambda row, i: row["text"][::2], label=lambda row, i: len(row["text"]) / 7)


def sentences(folder: Path) -> Path:
    folder.mkdir()
    write_conll(folder / "validation.conll", toy_sentences(20, seed=1))
    return write_conll(folder / "train.conll", toy_sentences(ROWS))


def pairs(folder: Path) -> Path:
    """Pairs with a negative and a teacher's scores of both."""
    draw, rows = random.Random(0), []
    for _ in range(ROWS + 20):
        words = draw.sample(range(20), draw.randint(1, 6))
        texts = [" ".join(f"w{i + 20 * shift}" for i in words) for shift in (0, 1, 2)]
        scores = [draw.random() + 1, draw.random()]
        rows.append(dict(zip(("query", "positive", "negative"), texts, strict=True)) | {"scores": scores})
    folder.mkdir()
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def corpus(folder: Path) -> Path:
    folder.mkdir()
    for number, row in enumerate(toy_rows(250)):
        (folder / f"{number}.txt").write_text(row["text"] + f" w{number % 60}")
    return folder


# Of each kind: its data, and settings besides SHORT. Few tokens at once: shares have several parts each.
KINDS: dict[str, tuple[Callable[[Path], Path], dict[str, object]]] = {
    "one label": (classes, {}),
    "one label, in parts": (classes, {"max_tokens": 24}),
    "class weights": (classes, {"class_weights": "balanced", "max_tokens": 48}),
    "several labels": (several_labels, {}),
    "numbers": (numbers, {}),
    "pairs with a number": (alike, {"pair_encoder": "bi", "max_tokens": 48}),
    "LoRA": (classes, {"lora": True, "lora_dropout": 0.0}),
    "StableAdamW": (classes, {"optimizer": "stable_adamw"}),
    "tags": (sentences, {"max_tokens": 48}),
    "pairs": (pairs, {"hard_negatives": 1, "dims": [8, 32]}),
    "pairs, in parts": (pairs, {"hard_negatives": 1, "max_tokens": 32}),
    "a teacher's scores": (pairs, {"hard_negatives": 1, "loss": "kl"}),
    "mined negatives": (pairs, {"hard_negatives": 2, "mine": True}),
    "late interaction": (pairs, {"head": "tokens", "max_tokens": 32}),
    "reranker": (pairs, {"head": "reranker", "hard_negatives": 1, "max_tokens": 64}),
    "masked words": (corpus, {"max_length": 32, "held_out": 0.1}),
}


# Trained together, so that the second process starts once.
GROUPS = {"usual": ("one label, in parts", "pairs, in parts")}
GROUPS["rest"] = tuple(kind for kind in KINDS if kind not in GROUPS["usual"])
# Those whose weights two processes divide, too.
DIVIDED = {group: tuple(kind for kind in kinds if kind != "LoRA") for group, kinds in GROUPS.items()}
EPOCHS = {"usual": 4.0, "rest": 1.0}
every_kind = pytest.mark.parametrize(
    ("group", "kind"),
    [
        pytest.param(group, kind, marks=[pytest.mark.slow] if group == "rest" else [], id=kind)
        for group, kinds in GROUPS.items()
        for kind in kinds
    ],
)


def requests(kinds: tuple[str, ...], folder: Path, model: Path, epochs: float = 4.0) -> dict[str, Request]:
    made = {}
    for number, kind in enumerate(kinds):
        write, settings = KINDS[kind]
        path = write(folder / str(number))
        if write is corpus:
            kept = {**SHORT, "epochs": epochs, **settings}
            made[kind] = PretrainingRequest(
                target="pretraining", files=(str(path),), model=str(model), settings=kept, precision="fp32"
            )
        else:
            made[kind] = request_of(path, model, **{**SHORT, "epochs": epochs, **settings})
            if write is alike:
                made[kind] = replace(made[kind], text=("text", "other"), label="label", kind="regression")
            if write is sentences:
                held = str(path.with_name("validation.conll"))
                made[kind] = replace(made[kind], kind="tokens", validation=held)
    return made


@pytest.fixture(scope="module")
def both(tiny_modernbert, tmp_path_factory):
    """Return how to get the runs of a group by one process and by two: by kind, the folder of each."""

    @cache
    def runs(group: str) -> dict[str, tuple[Path, Path]]:
        root = tmp_path_factory.mktemp(group)
        asked = requests(GROUPS[group], root, tiny_modernbert, EPOCHS[group])
        stores = [RunStore(root / "one"), RunStore(root / "two")]
        one = {kind: finetune(wanted, stores[0]).name for kind, wanted in asked.items()}
        with led(2):
            two = {kind: finetune(wanted, stores[1]).name for kind, wanted in asked.items()}
        return {kind: (stores[0].path(one[kind]), stores[1].path(two[kind])) for kind in asked}

    return runs


def losses(run: Path) -> list[float]:
    reports = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [report["loss"] for report in reports if report["event"] == "StepReport"]


def weights(run: Path) -> dict[str, torch.Tensor]:
    found = {}
    for path in sorted((run / "model").rglob("*.safetensors")):
        found |= {f"{path.parent.name}/{name}": tensor for name, tensor in load_file(path).items()}
    return found


@every_kind
def test_two_processes_train_as_one(group, kind, both):
    one, two = both(group)[kind]
    expected, found = losses(one), losses(two)
    assert len(found) >= 12 * EPOCHS[group]
    assert found[0] == pytest.approx(expected[0], rel=1e-6)
    assert found == pytest.approx(expected, abs=1e-5)
    before, after = weights(one), weights(two)
    assert before and before.keys() == after.keys()
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


@every_kind
def test_the_records_agree(group, kind, both):
    one, two = (json.loads((run / "run.json").read_text()) for run in both(group)[kind])
    for key in ("steps", "tokens", "best_step"):
        assert one["training"][key] == two["training"][key], key
    for before, after in zip(one["training"]["history"], two["training"]["history"], strict=True):
        assert after["step"] == before["step"]
        assert after["metrics"] == pytest.approx(before["metrics"], abs=1e-4)
    assert one["config"] == two["config"] and one["request"] == two["request"]
    assert two["hardware"]["processes"] == 2 and "processes" not in one["hardware"]
    scores = [
        [(s["metric"], s["value"], s["n"]) for r in run["results"] for s in r["scores"]] for run in (one, two)
    ]
    for before, after in zip(*scores, strict=True):
        assert (after[0], after[2]) == (before[0], before[2])
        assert after[1] == pytest.approx(before[1], abs=1e-4)


@pytest.fixture(scope="module")
def divided(tiny_modernbert, tmp_path_factory):
    """Return how to get the runs of a group by two processes that divide the weights."""

    @cache
    def runs(group: str) -> dict[str, Path]:
        root = tmp_path_factory.mktemp(f"{group}-divided")
        kinds = DIVIDED[group]
        asked = requests(kinds, root, tiny_modernbert, EPOCHS[group])
        store = RunStore(root / "runs")
        with led(2):
            made = {
                kind: finetune(replace(wanted, settings={**wanted.settings, "shard": True}), store).name
                for kind, wanted in asked.items()
            }
        return {kind: store.path(name) for kind, name in made.items()}

    return runs


@pytest.mark.slow
@pytest.mark.by_hand
@pytest.mark.parametrize(("group", "kind"), [(group, kind) for group in DIVIDED for kind in DIVIDED[group]])
def test_divided_weights_train_as_whole_ones(group, kind, both, divided):
    whole, run = both(group)[kind][0], divided(group)[kind]
    assert losses(run) == pytest.approx(losses(whole), abs=1e-5)
    before, after = weights(whole), weights(run)
    assert before and before.keys() == after.keys()
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    files = [sorted(path.name for path in (one / "model").iterdir()) for one in (whole, run)]
    assert files[0] == files[1]
    scores = [json.loads((one / "run.json").read_text())["results"][0]["scores"] for one in (whole, run)]
    for expected, found in zip(*scores, strict=True):
        assert found["value"] == pytest.approx(expected["value"], abs=1e-4)


def test_it_goes_on_with_another_number_of_processes(both, tiny_modernbert, tmp_path):
    """Begun by two, gone on with by one: the weights are those of a training that nothing stopped."""
    wanted = requests(("one label, in parts",), tmp_path, tiny_modernbert)["one label, in parts"]
    store = RunStore(tmp_path / "stopped")

    def stop(report: object) -> None:
        if isinstance(report, StepReport) and report.step == 20:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted, match="at step 21 of 52"), led(2):
        finetune(wanted, store, observe=stop)
    (name,) = store.names()
    resume(name, store)
    whole, _ = both("usual")["one label, in parts"]
    torch.testing.assert_close(weights(store.path(name)), weights(whole), atol=1e-5, rtol=0)


def test_a_process_that_fails_leaves_a_word(tmp_path, monkeypatch, capsys):
    def fail(error: Exception, *given: object) -> None:
        raise error

    for number, error, code, said in (
        (1, BadData("a row is empty", where="a.csv"), 2, "a.csv: a row is empty"),
        (2, KeyError("odd"), 1, "KeyError: 'odd'"),
        (3, ProcessLost("gone"), 1, None),
    ):
        monkeypatch.setattr(launch.meeting, "join", partial(fail, error))
        store = distributed.FileStore(str(tmp_path / str(number)), 4)
        ranks = Ranks(number, 4, number, 4)
        assert launch._follow(ranks, store) == code
        expected = f"process {number + 1} of 4: {said}" if said else meeting.ENDED
        assert launch._last_words(ranks, store) == expected
    assert "Traceback" in capsys.readouterr().err  # a mistake of ours
