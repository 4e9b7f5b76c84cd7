"""Pairs whose texts are read apart: the number is a line through the cosine of their vectors."""

from __future__ import annotations

import os
import random
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import BAD, GOOD, request_of, write_csv
from numpy.testing import assert_allclose
from safetensors.torch import load_file

from modernbert.data.registry import find_task
from modernbert.errors import BadOption, Interrupted
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.evaluate import Scorer, evaluate_model
from modernbert.evaluation.loaded import load_model
from modernbert.evaluation.predict_file import predict_file
from modernbert.evaluation.trained_task import task_of_file, task_of_run
from modernbert.export.export import export_model
from modernbert.export.subject import ExportRequest
from modernbert.finetuning.finetune import finetune, resume
from modernbert.model.locate import locate_model
from modernbert.model.similarity import FILE
from modernbert.runs import RunStore
from modernbert.training.labelled import suits_vectors
from modernbert.training.reports import StepReport


def alike_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Return pairs of texts and the share of their words, in hundreds, that are of one kind."""
    draw, rows = random.Random(seed), []
    for _ in range(count):
        good = [draw.randint(0, 4), draw.randint(0, 4)]
        texts = [" ".join(draw.choices(GOOD, k=n) + draw.choices(BAD, k=4 - n)) for n in good]
        alike = 100 * (1 - abs(good[0] - good[1]) / 4) + draw.gauss(0, 3)
        rows.append({"first": texts[0], "second": texts[1], "alike": repr(alike)})
    return rows


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    """A CSV file of 150 pairs."""
    return write_csv(tmp_path_factory.mktemp("data") / "alike.csv", alike_rows(150))


def asked(path, model, **settings):
    usual = {"pair_encoder": "bi", "epochs": 3.0, "batch_size": 16, "learning_rate": 2e-3}
    request = request_of(path, model, **(usual | settings))
    return replace(request, text=("first", "second"), label="alike", kind="regression")


@pytest.fixture(scope="module")
def trained(alike, tiny_modernbert, tmp_path_factory):
    """A run, with the store that has it."""
    store = RunStore(tmp_path_factory.mktemp("runs"))
    return finetune(asked(alike, tiny_modernbert), store), store


def source_of(trained):
    return locate_model(trained[0].name, store=trained[1])


def test_it_learns(trained):
    record = trained[0].record
    own, mean = (
        {s.metric: s.value for s in scores} for scores in (record.results[0].scores, record.results[0].mean)
    )
    assert own["mean_absolute_error"] < mean["mean_absolute_error"]
    before, *_, last = (entry.metrics["pearson"] for entry in record.training.history)
    assert last > before > 0  # the line was fitted before the first step
    assert record.config.pairs_apart


def test_sentence_transformers_gives_the_same_cosines(trained):
    from sentence_transformers import SentenceTransformer

    source = source_of(trained)
    pairs = [(row["first"], row["second"]) for row in alike_rows(20, seed=1)]
    task = task_of_run(trained[0].record)
    found = Scorer(source, task, device="cpu", precision="fp32").logits(pairs)[:, 0]
    theirs = SentenceTransformer(str(source.folder), device="cpu")
    first, second = (theirs.encode([pair[i] for pair in pairs]) for i in (0, 1))
    line = load_file(source.folder / FILE)
    cosines = np.asarray(theirs.similarity_pairwise(first, second))
    assert_allclose(found, float(line["weight"]) * cosines + float(line["bias"]), rtol=1e-4)


def test_the_line_is_that_of_least_squares(alike, tiny_modernbert, store):
    """Before the first step, scipy's fit to the vectors of the model as it comes gives the same numbers."""
    from scipy.stats import linregress

    result = finetune(asked(alike, tiny_modernbert, epochs=0.01, learning_rate=1e-30), store)
    rows = [line.split(",") for line in alike.read_text().splitlines()[1:]]
    held = {int(line.split('"id": "validation/')[1].split('"')[0]) for line in
            (store.path(result.name) / "scores.jsonl").read_text().splitlines()}  # fmt: skip
    train = [row for number, row in enumerate(rows, start=1) if number not in held]
    embedder = Embedder(locate_model(str(tiny_modernbert), store=store), device="cpu", precision="fp32")
    first, second = (embedder.encode([row[i] for row in train]) for i in (0, 1))
    cosines = (first * second).sum(1) / np.linalg.norm(first, axis=1) / np.linalg.norm(second, axis=1)
    fitted = linregress(cosines.astype(float), [float(row[2]) for row in train])
    line = load_file(store.path(result.name) / "model" / FILE)
    assert_allclose([float(line["weight"]), float(line["bias"])], [fitted.slope, fitted.intercept], rtol=1e-3)


def test_predict_eval_and_load_give_the_runs_own_scores(trained, alike, tmp_path, store):
    result, runs = trained
    source = source_of(trained)
    task = task_of_file(result.record, alike)
    scores = evaluate_model(task, source, runs, device="cpu", precision="fp32")
    assert scores.splits[0].main.n == 150
    other = write_csv(tmp_path / "new.csv", alike_rows(10, seed=2))
    scorer = Scorer(source, task, device="cpu", precision="fp32")
    predict_file(scorer, other, tmp_path / "out.csv")
    pairs = [(row["first"], row["second"]) for row in alike_rows(10, seed=2)]
    loaded = load_model(source, max_length=0, device="cpu", precision="fp32").predict(pairs)
    written = [float(line.split(",")[-1]) for line in (tmp_path / "out.csv").read_text().splitlines()[1:]]
    assert_allclose(written, [row["prediction"] for row in loaded], rtol=1e-5)


def test_the_order_of_the_two_texts_does_not_matter(trained):
    scorer = Scorer(source_of(trained), task_of_run(trained[0].record), device="cpu", precision="fp32")
    pairs = [(row["first"], row["second"]) for row in alike_rows(10)]
    swapped = [(second, first) for first, second in pairs]
    assert_allclose(scorer.logits(pairs), scorer.logits(swapped), rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("tiny_bert", {}),
        ("tiny_modernbert", {"lora": True}),
        ("tiny_modernbert", {"random_weights": True}),
        ("tiny_modernbert", {"max_tokens": 24}),
    ],
)
def test_other_ways_to_train(model, settings, alike, store, request):
    """Saving compares with what was read back, in half precision too."""
    asked_for = asked(alike, request.getfixturevalue(model), epochs=0.5, **settings)
    result = finetune(replace(asked_for, precision="bf16"), store)
    assert np.isfinite(result.main)


def test_a_resumed_run_equals_an_uninterrupted_one(alike, tiny_modernbert, tmp_path):
    whole, broken = RunStore(tmp_path / "whole"), RunStore(tmp_path / "broken")
    request = replace(asked(alike, tiny_modernbert, log_every=1), name="run")

    def interrupt(report):
        if isinstance(report, StepReport) and report.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    finetune(request, whole)
    with pytest.raises(Interrupted):
        finetune(request, broken, observe=interrupt)
    resume("run", broken)
    for name in (FILE, "model.safetensors"):
        first, second = (load_file(store.path("run") / "model" / name) for store in (whole, broken))
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_what_is_no_pair_with_a_number_is_refused(reviews, tiny_modernbert, store):
    with pytest.raises(BadOption, match="--pair-encoder bi applies only to pairs of texts that get a number"):
        finetune(request_of(reviews, tiny_modernbert, pair_encoder="bi"), store)


def test_an_export_is_refused_with_a_reason(trained, tmp_path):
    with pytest.raises(BadOption, match="compares the vectors of two texts"):
        export_model(ExportRequest(model=trained[0].name, output=tmp_path / "onnx"), trained[1])


def test_the_default_is_two_vectors_where_they_say_how_alike_texts_are(tiny_modernbert, store):
    made_for_vectors = locate_model("modernbert-nano", store=store)
    plain = locate_model(str(tiny_modernbert), store=store)
    likeness, other = find_task("glue/stsb"), find_task("glue/rte")
    assert suits_vectors(likeness, made_for_vectors)
    assert not suits_vectors(likeness, plain)
    assert not suits_vectors(other, made_for_vectors)


def test_own_pairs_are_told_of_the_other_way(alike, store):
    from modernbert.finetuning.prepare import prepare

    told = "if alike says how alike two texts are, try --pair-encoder bi"
    for way, times in (("cross", 1), ("bi", 0)):
        notes = prepare(asked(alike, "modernbert-nano", pair_encoder=way), store).notes
        assert sum(told in note for note in notes) == times
