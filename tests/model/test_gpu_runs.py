"""Whole trainings and commands on a GPU: they learn, and give what a CPU gives.

Toy models and data; all is skipped where there is no CUDA GPU.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import request_of, tiny_modernbert_config
from modernbert.cli.main import main
from safetensors.torch import load_file
from transformers import ModernBertModel

import modernbert
from modernbert.errors import Interrupted
from modernbert.evaluation.embed import Embedder
from modernbert.finetuning.finetune import finetune, resume
from modernbert.model import encoder
from modernbert.model.embedding import EmbeddingSettings, save_embedder
from modernbert.model.locate import locate_model
from modernbert.pretraining.inputs import PretrainingRequest
from modernbert.runs import RunStore
from modernbert.training.reports import Notice, StepReport

DEVICE = torch.device("cuda")
KERNELS = ("flash", "varlen")  # what a GPU has of its own
# Warnings of a GPU's libraries are shown, but fail nothing.
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("exact_products"),
]


def on_gpu(request, precision: str = "bf16"):
    return replace(request, device=DEVICE.type, precision=precision)


def trained(request, store: RunStore):
    """Train; return the result and the loss of every step."""
    seen: list[StepReport] = []
    result = finetune(request, store, observe=lambda r: seen.append(r) if isinstance(r, StepReport) else None)
    return result, [report.loss for report in seen]


def learns(request, store: RunStore, tmp_path, precision: str = "bf16"):
    """Train on both devices: the first step's loss is the same, and on the GPU it falls."""
    result, losses = trained(on_gpu(request, precision), store)
    one_step = replace(request, settings=request.settings | {"epochs": 0.01, "compile": False})
    _, expected = trained(replace(one_step, device="cpu"), RunStore(tmp_path / "cpu"))
    # Of a network without dropout, whose weights are drawn on the CPU.
    assert losses[0] == pytest.approx(expected[0], abs=1e-3 if precision == "fp32" else 5e-2)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    return result


@pytest.mark.parametrize(
    ("settings", "precision"),
    [
        ({}, "bf16"),
        ({}, "fp32"),
        ({"lora": True}, "bf16"),
        ({"recompute": True}, "bf16"),
        ({"compile": True}, "bf16"),
        ({"optimizer": "stable_adamw"}, "bf16"),
        ({"max_tokens": 64}, "bf16"),
    ],
    ids=lambda value: "-".join(value) or "plain" if isinstance(value, dict) else value,
)
def test_finetuning_learns(settings, precision, reviews, store, tmp_path, tiny_modernbert):
    result = learns(request_of(reviews, tiny_modernbert, **settings), store, tmp_path, precision)
    record = result.record
    assert record.machine.device == DEVICE.type
    assert record.attention.backend in (KERNELS if precision == "bf16" else ["padded"])
    assert record.training.peak_memory_mib["gpu"] > 0
    assert not [note for note in record.notes if "torch.compile failed" in note]


def test_other_architectures_learn_too(reviews, store, tiny_bert):
    """BERT draws dropout on its own device."""
    _, losses = trained(on_gpu(request_of(reviews, tiny_bert)), store)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def weights_of(store: RunStore, name: str) -> dict[str, torch.Tensor]:
    return load_file(store.path(name) / "model" / "model.safetensors")


def furthest(first: dict, second: dict) -> float:
    return max(float((first[key] - second[key]).abs().max()) for key in first)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_resumed_run_is_as_near_to_an_uninterrupted_one_as_two_of_these_are(
    precision, reviews, tmp_path, tiny_modernbert
):
    """To the bit where the GPU's sums are: some of its kernels add in no fixed order."""
    request = on_gpu(request_of(reviews, tiny_modernbert, epochs=2.0, keep="last"), precision)
    stores = [RunStore(tmp_path / name) for name in "abc"]
    names = [finetune(request, store).name for store in stores[:2]]

    def stop(report):
        if isinstance(report, StepReport) and report.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        finetune(request, stores[2], observe=stop)
    found = resume(stores[2].names()[-1], stores[2])
    first, second = (weights_of(s, n) for s, n in zip(stores[:2], names, strict=True))
    apart = furthest(first, second)
    distance = furthest(first, weights_of(stores[2], found.name))
    warnings.warn(
        f"{precision}: two runs differ by {apart:.2g}, the resumed one by {distance:.2g}", stacklevel=1
    )
    assert distance <= 20 * apart


def test_a_full_memory_halves_the_budget(monkeypatch, reviews, store, tiny_modernbert):
    """The allocator's own error, at more than 100 tokens."""
    real, notices = encoder.modernbert_logits, []

    def hungry(model, batch, attention=None):
        if torch.is_grad_enabled() and batch.num_tokens > 100:
            torch.empty(2**44, dtype=torch.uint8, device=DEVICE)
        return real(model, batch, attention)

    monkeypatch.setattr(encoder, "modernbert_logits", hungry)
    request = on_gpu(request_of(reviews, tiny_modernbert, epochs=1.0))
    finetune(request, store, observe=lambda r: notices.append(r) if isinstance(r, Notice) else None)
    assert any("out of memory" in notice.text for notice in notices)


@pytest.fixture
def mbert(monkeypatch, capfd):
    """Run the command line in this process; return its standard output."""

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["mbert", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        shown = capfd.readouterr()
        assert code == 0, shown.err
        return shown.out

    return run


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-3), ("bf16", 0.3)])
def test_a_trained_model_gives_on_a_gpu_what_it_gives_on_a_cpu(
    precision, limit, mbert, reviews, store, tiny_modernbert
):
    finetune(replace(on_gpu(request_of(reviews, tiny_modernbert)), name="toy"), store)
    texts = [f"w{i} w{2 * i} good" for i in range(20)] + ["w3 bad " * 40, "awful"]
    found = modernbert.load("toy", device=DEVICE.type, precision=precision).logits(texts)
    expected = modernbert.load("toy", device="cpu", precision="fp32").logits(texts)
    np.testing.assert_allclose(found, expected, atol=limit * max(1, np.abs(expected).max() / 4))
    asked = ["--device", DEVICE.type, "--precision", precision]
    assert "accuracy" in mbert("eval", reviews, "--model", "toy", *asked)
    mbert("predict", reviews, "-m", "toy", "-o", "o.jsonl", *asked)
    assert len(Path("o.jsonl").read_text().splitlines()) == 120


@pytest.mark.parametrize("model", ["tiny_modernbert", "tiny_bert"])
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-4), ("bf16", 2e-2)])
def test_vectors_are_those_of_a_cpu(model, precision, limit, request, store):
    folder = request.getfixturevalue(model)
    texts = ["w1 w2", "good", *(" ".join(f"w{i % 60}" for i in range(n)) for n in (3, 50, 90))]
    source = locate_model(str(folder), store=store)
    found = Embedder(source, max_length=128, device=DEVICE.type, precision=precision).encode(texts)
    expected = Embedder(source, max_length=128, device="cpu", precision="fp32").encode(texts)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (found, expected)]
    np.testing.assert_allclose((unit[0] * unit[1]).sum(axis=1), 1, atol=limit)
    np.testing.assert_allclose(unit[0], unit[1], atol=5 * limit)


@pytest.fixture
def pairs(tmp_path):
    """Questions and answers of a toy language: `wI wJ` is answered by `wI+20 wJ+20`."""
    draw, rows = random.Random(0), []
    for _ in range(100):
        words, others = draw.sample(range(20), 2), draw.sample(range(20), 2)
        query, positive, negative = (
            " ".join(f"w{i + shift}" for i in chosen)
            for chosen, shift in ((words, 0), (words, 20), (others, 20))
        )
        rows.append(json.dumps({"query": query, "positive": positive, "negative": negative}) + "\n")
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(rows))
    return path


@pytest.mark.parametrize("head", ["vectors", "tokens", "reranker"])
@pytest.mark.parametrize("max_tokens", [0, 64], ids=["at once", "in parts"])
def test_retrieval_learns(head, max_tokens, pairs, store, tmp_path, tiny_modernbert):
    """In parts: gradients are cached (GradCache)."""
    settings = {"batch_size": 16, "epochs": 4.0, "head": head, "max_length": 12, "max_tokens": max_tokens}
    learns(request_of(pairs, tiny_modernbert, **settings), store, tmp_path)


@pytest.fixture
def teacher(tmp_path, tiny_tokenizer):
    """A ModernBERT with random weights in the layout of a sentence encoder."""
    torch.manual_seed(1)
    folder = tmp_path / "teacher"
    model = ModernBertModel(tiny_modernbert_config()).eval()
    save_embedder(model, tiny_tokenizer, EmbeddingSettings(max_length=64), folder)
    return folder


@pytest.mark.parametrize("taught", [False, True], ids=["masked words", "a teacher"])
@pytest.mark.parametrize("model", ["tiny_modernbert", "tiny_bert"])
def test_pretraining_runs(taught, model, request, tmp_path, store, teacher):
    corpus = tmp_path / "texts.jsonl"
    rows = [" ".join(f"w{(n + i) % 60}" for i in range(30)) for n in range(60)]
    corpus.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    asked = PretrainingRequest(
        target="pretraining",
        files=(str(corpus),),
        model=str(request.getfixturevalue(model)),
        teacher=str(teacher) if taught else None,
        settings={"max_length": 64, "batch_size": 4, "epochs": 6.0, "learning_rate": 3e-3, "held_out": 0.1},
        precision="bf16",
        device=DEVICE.type,
    )
    history = finetune(asked, store).record.training.history
    first, last = history[0].metrics, history[-1].metrics
    assert last["loss"] < first["loss"]
    if taught:
        assert last["teacher_cosine"] > first["teacher_cosine"]


def test_the_doctor_names_the_gpu(mbert):
    facts = json.loads(mbert("doctor", "--json"))["facts"]
    assert facts["compute"]["device"].startswith(DEVICE.type)
    assert facts["compute"]["attention"].startswith(KERNELS)
    assert facts["hardware"]["gpu"] == torch.cuda.get_device_name()


@pytest.mark.parametrize("mode", ["inference", "training", "lora"])
def test_bench_agrees_with_transformers(mode, mbert, tiny_modernbert):
    asked = ["--model", tiny_modernbert, "--lengths", "32,128", "--mode", mode, "--rounds", "1", "--json"]
    found = json.loads(mbert("bench", *asked, "--device", DEVICE.type))
    assert len(found["points"]) == 2
    assert all(point["agrees"] is not False for point in found["points"])
