"""A rare class from training to prediction: metric, weights and threshold travel with the run."""

from __future__ import annotations

import json

import pytest
from helpers import toy_rows, write_csv
from sklearn import metrics as sk

from modernbert.comparison.outcomes import read_outcomes
from modernbert.evaluation import temperature
from modernbert.evaluation.evaluate import Scorer, evaluate_model
from modernbert.evaluation.predict_file import predict_file
from modernbert.evaluation.trained_task import task_of_run, task_to_score
from modernbert.finetuning.card import model_card
from modernbert.finetuning.finetune import finetune
from modernbert.model.locate import locate_model
from modernbert.training.inputs import Request


@pytest.fixture
def rare(tmp_path):
    rows = [r for i, r in enumerate(toy_rows(260)) if r["label"] == "negative" or i % 8 == 0]
    return write_csv(tmp_path / "rare.csv", rows)


def test_a_run_decides_by_its_tuned_threshold(rare, tmp_path, store, tiny_bert, monkeypatch):
    # The toy's classes are told apart so well that none is the best.
    monkeypatch.setattr(temperature, "fit_temperature", lambda labels, logits: 2.0)
    settings = {
        "epochs": 1.0, "learning_rate": 1e-3, "max_length": 32, "metric": "f1", "threshold": "auto",
        "class_weights": "balanced",
    }  # fmt: skip
    request = Request(
        target=str(rare), model=str(tiny_bert), settings=settings, device="cpu", precision="fp32"
    )
    run = finetune(request, store)
    record = store.read(run.name)
    assert record.task.positive == "positive" and record.task.metrics[0] == "f1"
    assert run.main == run.splits[0].scores[0].value and run.splits[0].main.metric == "f1"
    weights = record.data.class_weights
    assert weights["positive"] > 1 > weights["negative"]
    threshold = record.thresholds["positive"]
    assert threshold + record.thresholds["negative"] == pytest.approx(1)
    assert any("tuned for f1 on validation" in note for note in record.notes)
    assert f"above {threshold:.4f}" in model_card(record, run.name)
    (outcome,) = read_outcomes(store, run.name)
    assert outcome.value == pytest.approx(run.main)
    assert outcome.value == pytest.approx(sk.f1_score(outcome.labels, outcome.predictions, pos_label=1))
    assert record.temperature == 2.0
    assert {score.metric for score in record.results[0].calibrated} == {"calibration_error", "brier"}
    assert f"divide its logits by {record.temperature:.4f}" in model_card(record, run.name)
    source = locate_model(run.name, store=store)
    scorer = Scorer(source, task_of_run(record), max_length=32, precision="fp32")
    predict_file(scorer, rare, tmp_path / "out.jsonl")
    for line in (tmp_path / "out.jsonl").read_text().splitlines():
        row = json.loads(line)
        share = row["probabilities"]["positive"]
        if abs(share - threshold) > 1e-5:
            assert (row["prediction"] == "positive") == (share > threshold)
    found = evaluate_model(task_to_score(source, rare), source, store)
    assert found.splits[0].main.metric == "f1"
    assert found.splits[0].calibrated and store.read(found.name).temperature == record.temperature
