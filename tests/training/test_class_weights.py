"""Weights of classes: scikit-learn's numbers, torch's losses, whatever parts a batch is cut into."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from modernbert.data.task import FileData, Task
from modernbert.errors import BadData, BadOption
from modernbert.training.class_weights import class_weights
from modernbert.training.objectives import weighted_loss


def task_of(*labels: str, kind: str = "single_label") -> Task:
    return Task(
        name="own/x", summary="", kind=kind, text=("text",), labels=labels, metrics=("f1",),
        source=FileData({}, None),
    )  # fmt: skip


def test_balanced_weights_are_scikit_learns():
    labels = np.repeat([0, 1, 2], [684, 36, 10])
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 2]), y=labels)
    found = class_weights(task_of("a", "b", "c"), "balanced", labels)
    assert list(found.values()) == pytest.approx(expected)
    # A class without rows (left out by --limit) is not counted.
    found = class_weights(task_of("a", "b", "c", "d"), "balanced", labels)
    assert list(found.values()) == pytest.approx([*expected, 1.0])


def test_several_labels_have_the_texts_without_for_each_with():
    labels = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]], np.float32)
    found = class_weights(task_of("a", "b", "c", kind="multi_label"), "balanced", labels)
    assert found == {"a": 3.0, "b": 1.0, "c": 1.0}


@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_parts_of_a_batch_give_torchs_mean_and_gradient(kind):
    torch.manual_seed(0)
    weights = torch.tensor([0.5, 10.0, 2.0])
    logits = torch.randn(12, 3, requires_grad=True)
    single = kind == "single_label"
    labels = torch.randint(0, 3, (12,)) if single else torch.randint(0, 2, (12, 3)).float()
    whole = (
        torch.nn.CrossEntropyLoss(weight=weights)
        if single
        else torch.nn.BCEWithLogitsLoss(pos_weight=weights)
    )
    expected = whole(logits, labels)
    (gradient,) = torch.autograd.grad(expected, logits)
    loss, parts = weighted_loss(kind, weights), [slice(0, 1), slice(1, 8), slice(8, 12)]
    sums, counts = zip(*(loss(logits[part], labels[part]) for part in parts), strict=True)
    torch.testing.assert_close(sum(sums) / sum(counts), expected)
    (summed,) = torch.autograd.grad(sum(sums), logits)
    torch.testing.assert_close(summed / sum(counts), gradient)


def test_a_file_names_some_labels(tmp_path):
    path = tmp_path / "weights.json"
    path.write_text('{"b": 7}')
    assert class_weights(task_of("a", "b"), str(path), np.array([0, 1])) == {"a": 1.0, "b": 7.0}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"c": 1}, "'c' is no label of own/x"),
        ({"a": 0}, "the weight of 'a' is 0; it must be a number above 0"),
        ({"a": True}, "the weight of 'a' is True"),
        ([1, 2], "no object of weights by label"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(tmp_path, written, told):
    path = tmp_path / "weights.json"
    path.write_text(json.dumps(written))
    with pytest.raises(BadData, match=told):
        class_weights(task_of("a", "b"), str(path), np.array([0, 1]))


def test_numbers_have_no_classes():
    task = task_of(kind="regression")
    assert class_weights(task, "none", np.zeros(2)) == {}
    with pytest.raises(BadOption, match="predicts numbers"):
        class_weights(task, "balanced", np.zeros(2))
