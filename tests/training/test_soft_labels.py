"""Learning a teacher's probabilities: the loss by its formula, columns, and runs that learn from runs."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import request_of, toy_rows, write_csv
from scipy.special import expit, rel_entr, softmax
from sklearn.metrics import log_loss

from modernbert.comparison.outcomes import read_outcomes
from modernbert.data.examples import to_examples
from modernbert.data.own import OwnData, own_task
from modernbert.errors import BadData, BadModel, BadOption, Stopped
from modernbert.evaluation.evaluate import Scorer
from modernbert.finetuning.finetune import finetune, resume
from modernbert.runs import RunStore
from modernbert.training.reports import EvaluationReport
from modernbert.training.soft_labels import distillation_loss, logits_of_columns

WEIGHT, TEMPERATURE = 0.3, 3.0


def drawn(columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return logits of a student and a teacher for seven texts."""
    random = np.random.default_rng(columns)
    return random.normal(0, 3, (7, columns)), random.normal(0, 3, (7, columns))


def test_the_loss_of_one_label_a_text_is_the_formula_of_hinton_et_al():
    student, teacher = drawn(4)
    labels = np.array([0, 1, 2, 3, 3, 0, 1])
    targets = torch.from_numpy(np.hstack([labels[:, None], teacher]))
    loss, count = distillation_loss("single_label", WEIGHT, TEMPERATURE)(torch.from_numpy(student), targets)
    soft = rel_entr(softmax(teacher / TEMPERATURE, axis=1), softmax(student / TEMPERATURE, axis=1)).sum(1)
    hard = log_loss(labels, softmax(student, axis=1))
    expected = (1 - WEIGHT) * hard + WEIGHT * TEMPERATURE**2 * soft.mean()
    assert float(loss) / count == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_several_labels_takes_each_for_a_yes_or_no():
    student, teacher = drawn(3)
    labels = (teacher > 1).astype(float)
    targets = torch.from_numpy(np.hstack([labels, teacher]))
    loss, count = distillation_loss("multi_label", WEIGHT, TEMPERATURE)(torch.from_numpy(student), targets)
    p, q = expit(teacher / TEMPERATURE), expit(student / TEMPERATURE)
    soft = rel_entr(p, q) + rel_entr(1 - p, 1 - q)
    hard = -np.where(labels == 1, np.log(expit(student)), np.log(expit(-student)))
    expected = (1 - WEIGHT) * hard.mean() + WEIGHT * TEMPERATURE**2 * soft.mean()
    assert count == 21 and float(loss) / count == pytest.approx(expected, rel=1e-5)


def test_the_soft_gradient_is_the_difference_of_the_softened_probabilities():
    student, teacher = drawn(4)
    logits = torch.from_numpy(student).requires_grad_()
    targets = torch.from_numpy(np.hstack([np.zeros((7, 1)), teacher]))
    loss, _ = distillation_loss("single_label", 1.0, TEMPERATURE)(logits, targets)
    loss.backward()
    difference = softmax(student / TEMPERATURE, axis=1) - softmax(teacher / TEMPERATURE, axis=1)
    np.testing.assert_allclose(logits.grad, TEMPERATURE * difference, atol=1e-5)


def taught(tmp_path, shares):
    """Return the examples and the task of rows with columns of probabilities."""
    rows = [
        {**row, "probability_negative": low, "probability_positive": high}
        for row, (low, high) in zip(toy_rows(30), shares, strict=True)
    ]
    task, _ = own_task(OwnData(path=str(write_csv(tmp_path / "taught.csv", rows))))
    return task, to_examples(task, task.source.splits["train"])


def test_columns_give_the_probabilities_that_they_hold(tmp_path):
    shares = [(round(0.01 * i, 2), round(1 - 0.01 * i, 2)) for i in range(30)]
    task, examples = taught(tmp_path, shares)
    found = softmax(logits_of_columns(task, examples), axis=1)
    expected = [[float(examples.rows.columns[f"probability_{n}"][i]) for n in task.labels] for i in range(27)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("share", "message"),
    [((0.9, 0.3), "sum to 1.200, not to 1"), ((1.5, 0.1), "'1.5' where a probability is expected")],
)
def test_columns_of_other_numbers_are_refused_with_their_row(tmp_path, share, message):
    with pytest.raises(BadData, match=message) as refused:
        logits_of_columns(*taught(tmp_path, [share] * 30))
    assert "row" in refused.value.where


def test_missing_columns_are_named(reviews, tiny_bert, store):
    with pytest.raises(BadData, match="no column 'probability_negative'"):
        finetune(request_of(reviews, tiny_bert, teacher="columns"), store)


@pytest.fixture(scope="module")
def trained_once(tiny_bert, tmp_path_factory):
    """The folder of a run that knows the labels of the reviews."""
    place = tmp_path_factory.mktemp("teacher")
    reviews, store = write_csv(place / "reviews.csv", toy_rows(120)), RunStore(place / "runs")
    run = finetune(replace(request_of(reviews, tiny_bert, epochs=20.0), name="big"), store)
    assert run.main > 0.9
    return store.path(run.name)


@pytest.fixture
def teacher(trained_once, store):
    """Its name in the test's own store."""
    shutil.copytree(trained_once, store.path("big"))
    return "big"


@pytest.fixture
def flipped(tmp_path):
    """The reviews, each with the wrong label."""
    other = {"positive": "negative", "negative": "positive"}
    rows = [{**row, "label": other[row["label"]]} for row in toy_rows(120)]
    return write_csv(tmp_path / "flipped.csv", rows)


def test_a_student_follows_its_teacher_where_labels_say_the_contrary(
    flipped, store, tiny_bert, teacher, monkeypatch
):
    settings = {"teacher": teacher, "teacher_weight": 1.0, "keep": "last", "epochs": 20.0}
    run = finetune(request_of(flipped, tiny_bert, **settings), store)
    assert run.splits[0].main.value < 0.1
    assert run.record.data.teacher["name"] == teacher
    card = (store.path(run.name) / "model" / "README.md").read_text()
    assert "probabilities of a teacher (big)" in card
    monkeypatch.setattr(Scorer, "logits", lambda *_: pytest.fail("the teacher was asked again"))
    again = finetune(request_of(flipped, tiny_bert, **settings), store)
    assert [s.scores for s in again.splits] == [s.scores for s in run.splits]


def test_a_taught_run_is_resumed_to_the_same_bits(reviews, store, tiny_bert, teacher):
    request = request_of(reviews, tiny_bert, teacher=teacher, lora=True)
    whole = finetune(request, store)

    def stop(report):
        if isinstance(report, EvaluationReport) and report.step:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        finetune(replace(request, name="stopped"), store, observe=stop)
    resumed = resume("stopped", store)
    rows = [(store.path(run.name) / "scores.jsonl").read_text() for run in (whole, resumed)]
    assert rows[0] == rows[1]
    assert "taught by big" in read_outcomes(store, resumed.name)[0].model


@pytest.mark.parametrize(
    ("rows", "settings", "error", "message"),
    [
        ([{"text": f"w{i}", "label": str(i + 0.5)} for i in range(40)], {}, BadOption, "predicts numbers"),
        ([{"text": f"w{i}", "label": "ab"[i % 2]} for i in range(40)], {}, BadModel, "big predicts"),
        (
            [{"premise": f"w{i}", "hypothesis": "good", "label": "ab"[i % 2]} for i in range(40)],
            {},
            BadOption,
            "big reads one text, and own/other has pairs of texts",
        ),
        (toy_rows(40), {"class_weights": "balanced"}, BadOption, "--teacher and --class-weights exclude"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(
    rows, settings, error, message, tmp_path, store, tiny_bert, teacher
):
    request = request_of(write_csv(tmp_path / "other.csv", rows), tiny_bert, teacher=teacher, **settings)
    with pytest.raises(error, match=message):
        finetune(request, store)
    assert store.names() == ["big"]


def test_texts_that_the_teacher_was_trained_on_are_told(reviews, store, tiny_bert, teacher, tmp_path):
    path = write_csv(tmp_path / "new.csv", toy_rows(40, seed=1))
    request = replace(request_of(path, tiny_bert, teacher=teacher), validation=str(reviews))
    run = finetune(request, store)
    trained = store.read(teacher).data.splits["train"].rows
    assert any(f"was trained on {trained} of 120 texts" in note for note in run.record.data.notes)
