"""Numbers in their own unit: learnt on the scale of the training labels, predicted as they were given."""

from __future__ import annotations

import json
import os
import random
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import BAD, FILLER, GOOD, request_of, write_csv
from safetensors.torch import load_file

from modernbert.data.examples import to_examples
from modernbert.data.registry import find_task
from modernbert.data.rows import Rows
from modernbert.errors import BadData, Interrupted
from modernbert.evaluation.evaluate import Scorer, evaluate_model
from modernbert.evaluation.predict_file import predict_file
from modernbert.evaluation.trained_task import task_of_file, task_of_run
from modernbert.finetuning.finetune import finetune, resume
from modernbert.finetuning.jobs import load_job
from modernbert.finetuning.study import read_result
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.training.labelled import prepare_labelled
from modernbert.training.reports import StepReport
from modernbert.training.scale import Scale


def priced_rows(count: int, *, low: float = 27.0, high: float = 208.0, seed: int = 0) -> list[dict[str, str]]:
    """Return texts whose price lies between `low` and `high`: the more good words, the dearer."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        good = draw.randint(0, 4)
        words = draw.choices(GOOD, k=good) + draw.choices(BAD, k=4 - good) + draw.choices(FILLER, k=4)
        draw.shuffle(words)
        share = min(1.0, max(0.0, good / 4 + draw.gauss(0, 0.03)))
        rows.append({"text": " ".join(words), "price": repr(low + (high - low) * share)})
    return rows


@pytest.fixture
def prices(tmp_path):
    """A CSV file of 120 priced texts."""
    return write_csv(tmp_path / "prices.csv", priced_rows(120))


def asked(path, model, **settings):
    return replace(request_of(path, model, **settings), label="price", kind="regression")


def predictions_of(store, name: str) -> dict[int, float]:
    """Return what a run predicted of its held-out rows, by their number in the file."""
    rows = [json.loads(line) for line in (store.path(name) / "scores.jsonl").read_text().splitlines()]
    return {int(row["id"].split("/")[1]): row["prediction"] for row in rows}


def texts_of(path, numbers) -> list[tuple[str, ...]]:
    lines = path.read_text().splitlines()
    return [(lines[number].split(",")[0],) for number in numbers]


@pytest.mark.parametrize("model", ["tiny_modernbert", "tiny_bert"])
def test_prices_are_learnt(model, tmp_path, store, request):
    rows = write_csv(tmp_path / "prices.csv", priced_rows(200))
    result = finetune(asked(rows, request.getfixturevalue(model), epochs=6.0), store)
    (split,) = result.splits
    own, mean = ({s.metric: s.value for s in scores} for scores in (split.scores, split.mean))
    assert own["mean_absolute_error"] < mean["mean_absolute_error"] / 2
    assert own["r2"] > 0.7 > 0 >= mean["r2"]
    assert not any("NOT BETTER" in note for note in result.record.notes)
    assert read_result(result.name, store).splits == result.splits


@pytest.mark.parametrize(
    ("low", "high", "lora"), [(1.7e9, 1.8e9, False), (-3e-6, 2e-6, True), (9990.0, 10010.0, True)]
)
def test_any_unit_gives_the_same_model(low, high, lora, tmp_path, store, tiny_modernbert):
    """What is learnt does not depend on the unit, and no check of the saved model fails for it."""

    def r2(name, low, high):
        path = write_csv(tmp_path / f"{name}.csv", priced_rows(80, low=low, high=high))
        result = finetune(asked(path, tiny_modernbert, lora=lora, epochs=1.0), store)
        return result.splits[0].main.value

    assert r2("other", low, high) == pytest.approx(r2("prices", 27, 208), abs=2e-3)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft's
@pytest.mark.parametrize("lora", [False, True])
def test_plain_transformers_reads_prices(lora, prices, store, tiny_modernbert):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    run = finetune(asked(prices, tiny_modernbert, lora=lora, epochs=2.0), store)
    folder, predicted = store.path(run.name) / "model", predictions_of(store, run.name)
    if lora:
        from peft import PeftModel

        base = AutoModelForSequenceClassification.from_pretrained(tiny_modernbert, num_labels=1)
        model = PeftModel.from_pretrained(base, str(folder)).eval()
    else:
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for number, prediction in list(predicted.items())[:5]:
        with torch.no_grad():
            found = model(**tokenizer(*texts_of(prices, [number])[0], return_tensors="pt")).logits
        assert float(found) == pytest.approx(prediction, rel=1e-4)
    assert min(predicted.values()) > 20


def test_predictions_of_a_file_and_its_evaluation_are_in_the_same_unit(prices, tmp_path, store, tiny_bert):
    run = finetune(asked(prices, tiny_bert, epochs=2.0), store)
    source, task = locate_model(run.name, store=store), task_of_run(run.record)
    scorer = Scorer(source, task, max_length=32, precision="fp32")
    predict_file(scorer, prices, tmp_path / "out.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    for number, prediction in predictions_of(store, run.name).items():
        assert rows[number - 1]["prediction"] == pytest.approx(prediction, rel=1e-5)
    (split,) = evaluate_model(task_of_file(run.record, prices), source, store, precision="fp32").splits
    truth, given = (np.array([float(row[key]) for row in rows]) for key in ("price", "prediction"))
    scores = {score.metric: score.value for score in split.scores}
    assert scores["mean_absolute_error"] == pytest.approx(np.abs(truth - given).mean(), rel=1e-4)
    mean = {score.metric: score.value for score in split.mean}
    expected = np.abs(truth - run.record.data.target.mean).mean()
    assert mean["mean_absolute_error"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("lora", [False, True])
def test_a_resumed_run_equals_an_uninterrupted_one(lora, prices, tmp_path, tiny_modernbert):
    request = asked(prices, tiny_modernbert, lora=lora, epochs=2.0)
    whole, broken = RunStore(tmp_path / "a"), RunStore(tmp_path / "b")
    expected = finetune(request, whole)

    def stop(report):
        if isinstance(report, StepReport) and report.step == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        finetune(request, broken, observe=stop)
    found = resume(name := broken.names()[0], broken)
    file = "adapter_model.safetensors" if lora else "model.safetensors"
    first, second = (load_file(s.path(name) / "model" / file) for s in (whole, broken))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert found.splits == expected.splits


@pytest.mark.parametrize("lora", [False, True])
def test_a_run_goes_on_from_anothers_prices(lora, prices, tmp_path, store, tiny_modernbert):
    """Its head is kept, whatever the scale of the new data: before the first step it predicts the same."""
    first = finetune(asked(prices, tiny_modernbert, epochs=6.0), store)
    other = write_csv(tmp_path / "other.csv", priced_rows(150, low=80, high=120, seed=5))
    source = locate_model(first.name, store=store)
    task = task_of_file(first.record, other)
    second = finetune(asked(other, first.name, lora=lora, epochs=1.0, max_length=32), store)
    numbers = predictions_of(store, second.name)
    truth = [float(other.read_text().splitlines()[number].split(",")[1]) for number in numbers]
    before = Scorer(source, task, max_length=32, precision="fp32").logits(texts_of(other, numbers))[:, 0]
    step0 = second.record.training.history[0].metrics["mean_absolute_error"]
    assert step0 == pytest.approx(np.abs(before - truth).mean(), rel=1e-4)
    assert second.record.data.target.mean == pytest.approx(100, abs=5)


def test_half_precision_keeps_prices_apart(prices, store, tiny_modernbert):
    request = replace(asked(prices, tiny_modernbert, epochs=2.0), precision="bf16")
    predicted = predictions_of(store, finetune(request, store).name)
    assert len(set(predicted.values())) > len(predicted) * 0.8
    scorer = Scorer(
        locate_model(store.names()[0], store=store), task_of_run(store.read(store.names()[0])),
        max_length=32, precision="bf16",
    )  # fmt: skip
    found = scorer.logits(texts_of(prices, predicted))[:, 0]
    # How exact bf16 is depends on the processor; the network's outputs are of the size of the spread.
    np.testing.assert_allclose(found, list(predicted.values()), atol=0.02 * np.std(found))
    assert len(np.unique(found)) > len(predicted) * 0.8


def test_a_model_that_learnt_nothing_is_called_out_loudly(prices, store, tiny_bert):
    run = finetune(asked(prices, tiny_bert, epochs=0.1, learning_rate=1e-9, keep="last"), store)
    assert any(note.startswith("validation: NOT BETTER THAN THE MEAN: ") for note in run.record.notes)


def test_equal_prices_are_no_division_by_zero(tmp_path, store, tiny_bert):
    rows = [row | {"price": "3.5"} for row in priced_rows(40)]
    run = finetune(asked(write_csv(tmp_path / "same.csv", rows), tiny_bert, epochs=1.0), store)
    assert run.record.data.target.as_dict() == {"mean": 3.5, "deviation": 1.0}


def test_a_benchmark_keeps_its_own_protocol(prices, store, tiny_bert):
    assert not find_task("glue/stsb").standardised
    inputs = prepare_labelled(asked(prices, tiny_bert), store)
    assert inputs.scale == inputs.target
    plain = replace(inputs, task=replace(inputs.task, standardised=False))
    assert plain.scale is None
    job = load_job(plain, make_cpu(), None)
    labels = inputs.examples["train"].labels
    np.testing.assert_array_equal(job.data.targets, labels)
    scaled = load_job(inputs, make_cpu(), None).data.targets
    assert (scaled.mean(), scaled.std()) == pytest.approx((0, 1), abs=1e-5)


def make_cpu():
    from modernbert.model.accelerator import make_accelerator
    from modernbert.model.device import choose_machine

    return make_accelerator(choose_machine("cpu", "fp32"))


def test_a_number_that_fp32_does_not_know_is_refused(prices, store, tiny_bert):
    task = replace(prepare_labelled(asked(prices, tiny_bert), store).task, label="price")
    rows = Rows.of({"text": ["a", "b"], "price": ["1.5", "1e39"]}, "prices.csv")
    with pytest.raises(BadData, match="is no plain number"):
        to_examples(task, rows)


def test_a_scale_there_and_back():
    labels = np.float32([27, 104, 208])
    scale = Scale.of(labels)
    np.testing.assert_allclose(scale.to_labels(scale.to_learn(labels)), labels, rtol=1e-6)
    assert (scale.mean, scale.deviation) == pytest.approx((113.0, np.std([27, 104, 208])))
