"""The records of seven tiny runs, of every kind, are those that `seven_runs.json` has: nothing moved."""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path

import pytest
from faults.records import collection
from helpers import SHORT, request_of, toy_rows, write_csv

from modernbert.comparison.baselines import run_baseline
from modernbert.data.collections import folder_task
from modernbert.evaluation.evaluate import evaluate_model
from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks
from modernbert.evaluation.trained_task import task_of_file
from modernbert.finetuning.finetune import finetune
from modernbert.model.locate import locate_model
from modernbert.pretraining.inputs import PretrainingRequest
from modernbert.runs import RunStore

KEPT = Path(__file__).with_name("seven_runs.json")
# What another minute, machine or version changes.
VOLATILE = {"created", "minutes", "tokens_per_second", "examples_per_second", "peak_memory_mib", "hardware",
            "versions", "model_files", "weights", "device", "device_reason", "precision_reason",
            "reason", "backend", "max_tokens"}  # fmt: skip


def plain(value, folder: Path):
    """Return a record without what is volatile; its keys stay."""
    if isinstance(value, dict):
        return {key: "..." if key in VOLATILE else plain(part, folder) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part, folder) for part in value]
    if isinstance(value, str):
        text = re.sub(r"[^ ]*/(tiny-\w+)", r"\1", value.replace(str(folder), "TMP"))
        return re.sub(r"(bundle|package) mbert [\w.]+", r"\1 mbert", text)
    return value


@pytest.fixture(scope="module")
def records(tmp_path_factory, tiny_modernbert, tiny_bert):
    folder = tmp_path_factory.mktemp("seven")
    store = RunStore(folder / "runs")
    reviews = write_csv(folder / "reviews.csv", toy_rows(120))
    draw = random.Random(0)
    pairs = folder / "pairs.jsonl"
    words = [draw.sample(range(20), 2) for _ in range(60)]
    lines = [{"query": f"w{a} w{b}", "positive": f"w{a + 20} w{b + 20}"} for a, b in words]
    pairs.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "corpus").mkdir()
    for number in range(40):
        text = " ".join(f"w{(number + i) % 60}" for i in range(50))
        (folder / "corpus" / f"{number}.txt").write_text(text)
    full = finetune(request_of(reviews, tiny_modernbert, epochs=2.0), store).name
    lora = finetune(request_of(reviews, tiny_bert, lora=True, epochs=1.0), store).name
    retrieval = finetune(request_of(pairs, tiny_modernbert, epochs=1.0), store).name
    settings = SHORT | {"max_length": 64, "batch_size": 4, "held_out": 0.1, "epochs": 1.0}
    pretrained = finetune(
        PretrainingRequest(
            target="pretraining",
            files=(str(folder / "corpus"),),
            model=str(tiny_modernbert),
            settings=settings,
            precision="fp32",
            device="cpu",
        ),
        store,
    ).name
    source = locate_model(full, store=store)
    evaluated = evaluate_model(task_of_file(store.read(full), reviews), source, store, precision="fp32").name
    task = folder_task(collection(folder / "coll"))
    before = {*store.names()}
    source = locate_model(str(tiny_bert), store=store)
    evaluate_tasks([task], source, store, SearchOptions(), device="cpu", precision="fp32")
    (searched,) = {*store.names()} - before
    baseline = run_baseline("tfidf", request_of(reviews, "tfidf"), store)
    names = {"full": full, "lora": lora, "retrieval": retrieval, "pretrained": pretrained,
             "evaluated": evaluated, "searched": searched, "baseline": baseline}  # fmt: skip
    found = {kind: json.loads((store.path(name) / "run.json").read_text()) for kind, name in names.items()}
    return {kind: plain(record, folder) for kind, record in found.items()}


def same(found, kept) -> bool:
    """Are two values of JSON alike, but for the last digits of numbers?"""
    if isinstance(kept, dict):
        return found.keys() == kept.keys() and all(same(found[key], kept[key]) for key in kept)
    if isinstance(kept, list):
        return len(found) == len(kept) and all(map(same, found, kept))
    if isinstance(kept, float):
        return found == pytest.approx(kept, rel=1e-3, abs=1e-4)
    return found == kept


def test_they_are_what_was_kept(records):
    if os.environ.get("MBERT_KEEP_RECORDS"):  # after a change that is meant
        lines = ",\n".join(f"{json.dumps(kind)}: {json.dumps(record)}" for kind, record in records.items())
        KEPT.write_text(f"{{\n{lines}\n}}\n")
    kept = json.loads(KEPT.read_text())
    for kind, record in records.items():
        assert record.keys() == kept[kind].keys(), kind
        for key, value in record.items():
            assert same(value, kept[kind][key]), (kind, key, value, kept[kind][key])
