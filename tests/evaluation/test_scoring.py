"""From logits to scores, rows and readable predictions."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from helpers import tokens_of_lengths

from modernbert.data.examples import to_examples
from modernbert.data.registry import find_task
from modernbert.data.rows import Rows
from modernbert.errors import BadModel
from modernbert.evaluation.predict import decide, predict_logits, probabilities
from modernbert.evaluation.scoring import (
    collapse_notes,
    example_rows,
    quick_metrics,
    readable_prediction,
    score_split,
)
from modernbert.model.accelerator import make_accelerator
from modernbert.model.device import Machine, choose_machine
from modernbert.model.encoder import PackedClassifier
from modernbert.model.inference import pack_linear_layers, packing_fault, round_linear_weights

SST2, STSB = find_task("glue/sst2"), find_task("glue/stsb")
LOGITS = np.array([[2.0, -1.0], [0.0, 3.0], [1.0, 0.5]], np.float32)


def test_both_figures_and_every_row_are_kept():
    task = find_task("glue/mrpc")
    columns = {"sentence1": list("abc"), "sentence2": list("def"), "label": [0, 1, 1]}
    examples = to_examples(task, Rows.of(columns, "rows"))
    scores = score_split(task, "validation", examples, LOGITS)
    assert {s.metric: s.value for s in scores.scores} == {
        "accuracy": pytest.approx(2 / 3),
        "f1": pytest.approx(2 / 3),
    }
    assert [s.metric for s in scores.calibration] == ["calibration_error", "brier"]
    assert type(scores).model_validate_json(json.dumps(scores.as_dict())) == scores
    rows = list(example_rows(task, "validation", examples, LOGITS))
    assert rows[2] == {"id": "validation/3", "label": 1, "prediction": 0, "logits": [1.0, 0.5]}


def test_rows_of_one_premise_are_kept_as_one_cluster():
    columns = {"sentence1": list("aba"), "sentence2": list("def"), "label": [0, 1, 1]}
    task, examples = find_task("glue/rte"), to_examples(find_task("glue/rte"), Rows.of(columns, "rows"))
    rows = list(example_rows(task, "validation", examples, LOGITS))
    assert [row["cluster"] for row in rows] == [1, 2, 1]
    (score,) = score_split(task, "validation", examples, LOGITS).scores
    assert score.n == 3
    assert score.interval == "Wilson 95 %, effective n, 2 clusters, rough: few examples decide"


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_answers_that_are_no_numbers_are_refused(broken):
    """As a class NaN is the first, and a correlation of NaN was 0.0000."""
    logits = LOGITS.copy()
    logits[1, 0] = broken
    examples = to_examples(SST2, Rows.of({"sentence": list("abc"), "label": [0, 1, 1]}, "rows"))
    assert examples.labels is not None
    with pytest.raises(BadModel, match="answers to 1 of 3 examples are not numbers") as caught:
        score_split(SST2, "validation", examples, logits)
    assert caught.value.where == "validation"
    with pytest.raises(BadModel):
        quick_metrics(SST2, examples.labels, logits)


def test_a_model_that_predicts_one_class_is_called_out():
    assert "every example is predicted 'positive'" in collapse_notes(SST2, np.array([1, 1, 1]))[0]
    assert collapse_notes(STSB, np.array([2.5, 2.5]))
    assert not collapse_notes(SST2, np.array([1, 0]))
    assert not collapse_notes(SST2, np.array([1]))  # one example says nothing


def test_decisions_and_probabilities():
    assert decide(LOGITS, "single_label").tolist() == [0, 1, 0]
    assert decide(LOGITS, "multi_label").tolist() == [[1, 0], [0, 1], [1, 1]]
    assert probabilities(LOGITS * 500, "single_label").sum(axis=1) == pytest.approx(np.ones(3))
    assert probabilities(np.zeros((1, 2)), "multi_label").tolist() == [[0.5, 0.5]]


def test_predictions_read_in_the_tasks_own_words():
    found = readable_prediction(SST2, LOGITS[1])
    assert found["prediction"] == "positive"
    assert found["confidence"] == found["probabilities"]["positive"] == pytest.approx(0.952574)
    assert readable_prediction(STSB, np.array([3.25])) == {"prediction": 3.25}


@pytest.mark.parametrize("model", ["tiny_bert", "tiny_modernbert"])
@pytest.mark.parametrize("prepare", ["round", "pack"])
def test_weights_rounded_once_give_what_autocast_gives(model, prepare, store, request):
    from modernbert.model.loading import load_classifier
    from modernbert.model.locate import locate_model

    source = locate_model(str(request.getfixturevalue(model)), store=store)
    plain = PackedClassifier(load_classifier(source, SST2).model).eval()
    rounded = copy.deepcopy(plain)
    if prepare == "pack":
        if why := packing_fault(torch.bfloat16):
            pytest.skip(why)
        pack_linear_layers(rounded, torch.bfloat16)
    else:
        round_linear_weights(rounded)
    tokens = tokens_of_lengths([3, 90, 17])
    accelerator = make_accelerator(Machine("cpu", "", "bf16", ""))
    first, second = (
        predict_logits(m, tokens, max_tokens=99, accelerator=accelerator) for m in (plain, rounded)
    )
    if (model, prepare) == ("tiny_modernbert", "pack"):  # its gated units round less often
        np.testing.assert_allclose(first, second, atol=2e-2)
    else:
        np.testing.assert_array_equal(first, second)


def test_logits_come_in_the_order_of_the_texts(tiny_bert, store):
    """Batches are sorted by length; the result must not be. Any budget gives the same logits."""
    from modernbert.model.loading import load_classifier
    from modernbert.model.locate import locate_model

    model = PackedClassifier(load_classifier(locate_model(str(tiny_bert), store=store), SST2).model).eval()
    tokens = tokens_of_lengths([3, 90, 17, 4, 55, 3, 60])
    accelerator = make_accelerator(choose_machine("cpu", "fp32"))
    one_by_one = predict_logits(model, tokens, max_tokens=1, accelerator=accelerator)
    together = predict_logits(model, tokens, max_tokens=10_000, accelerator=accelerator)
    np.testing.assert_allclose(one_by_one, together, atol=1e-5)
