"""Every sequence classifier in transformers' layout predicts and is scored; labels go by their names."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers import request_of, tiny_modernbert_config, toy_rows, write_csv

from modernbert.data.rows import Rows
from modernbert.data.task import FileData, Task
from modernbert.errors import BadModel
from modernbert.evaluation.evaluate import Scorer, evaluate_model, trained_length
from modernbert.evaluation.predict_file import predict_file
from modernbert.evaluation.trained_task import task_to_predict, task_to_score
from modernbert.finetuning.finetune import finetune
from modernbert.model.labels import Head, head_of, spelt_as_in
from modernbert.model.loading import load_classifier
from modernbert.model.locate import locate_model
from modernbert.model.pretrained import quiet_transformers

NAMED = {"id2label": {0: "POSITIVE", 1: "NEGATIVE"}, "label2id": {"POSITIVE": 0, "NEGATIVE": 1}}
SMALL = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}


def _model(kind: str, **labels):
    import transformers

    if kind == "modernbert":
        return transformers.ModernBertForSequenceClassification(tiny_modernbert_config(**labels))
    if kind == "deberta":
        relative = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 32}
        config = transformers.DebertaV2Config(**SMALL, **relative, **labels)
        return transformers.DebertaV2ForSequenceClassification(config)
    return transformers.BertForSequenceClassification(transformers.BertConfig(**SMALL, **labels))


@pytest.fixture
def classifier(tmp_path, tiny_tokenizer):
    """Save a classifier with random weights; its answers differ from text to text."""

    def make(kind: str = "bert", **labels) -> Path:
        torch.manual_seed(1)
        with quiet_transformers():
            model = _model(kind, **labels).eval()
            with torch.no_grad():
                model.classifier.weight.mul_(50)
            model.save_pretrained(tmp_path / kind)
            tiny_tokenizer.save_pretrained(tmp_path / kind)
        return tmp_path / kind

    return make


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def theirs(folder: Path, texts: list[tuple[str, ...]]) -> torch.Tensor:
    """Return the logits of transformers itself, one text at a time."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with quiet_transformers(), torch.inference_mode():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
        return torch.cat([model(**tokenizer(*text, return_tensors="pt")).logits for text in texts])


@pytest.mark.parametrize("columns", [("text",), ("text", "other")])
@pytest.mark.parametrize("kind", ["bert", "deberta", "modernbert"])
def test_predictions_are_those_of_transformers(kind, columns, classifier, tmp_path, store):
    rows = [{**row, "other": row["label"]} for row in toy_rows(30)]
    path, folder = write_csv(tmp_path / "new.csv", rows), classifier(kind, **NAMED)
    source = locate_model(str(folder), store=store)
    scorer = Scorer(source, task_to_predict(source, path, columns), precision="fp32")
    predict_file(scorer, path, tmp_path / "o.jsonl", text=columns)
    expected = theirs(folder, [tuple(row[name] for name in columns) for row in rows])
    for row, logits in zip(read_lines(tmp_path / "o.jsonl"), expected, strict=True):
        assert row["prediction"] == NAMED["id2label"][int(logits.argmax())]
        shares = [row["probabilities"][name] for name in ("POSITIVE", "NEGATIVE")]
        assert shares == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)


def test_labels_are_found_by_their_names_whatever_their_order(classifier, store):
    """The first class of the task is negative; that of this model is POSITIVE."""
    rows = toy_rows(40)
    columns = {name: [row[name] for row in rows] for name in ("text", "label")}
    task = Task(
        name="own/toy", summary="toy", kind="single_label", text=("text",), metrics=("accuracy",),
        labels=("negative", "positive"), source=FileData({"validation": Rows.of(columns, "toy")}, Path()),
    )  # fmt: skip
    folder = classifier(**NAMED)
    result = evaluate_model(task, locate_model(str(folder), store=store), store, precision="fp32")
    says_positive = theirs(folder, [(r["text"],) for r in rows]).argmax(1) == 0
    right = says_positive == torch.tensor([label == "positive" for label in columns["label"]])
    assert 0.2 < right.float().mean() < 0.8 and not result.notes
    assert result.splits[0].main.value == pytest.approx(float(right.float().mean()))


def test_labels_without_names_are_taken_in_order_and_that_is_said(classifier, tmp_path, store):
    rows = [{"text": r["text"], "label": str(int(r["label"] == "positive"))} for r in toy_rows(40)]
    path, folder = write_csv(tmp_path / "new.csv", rows), classifier(num_labels=2)
    source = locate_model(str(folder), store=store)
    result = evaluate_model(task_to_score(source, path), source, store, precision="fp32")
    says = theirs(folder, [(r["text"],) for r in rows]).argmax(1)
    right = says == torch.tensor([int(r["label"]) for r in rows])
    assert result.splits[0].main.value == pytest.approx(float(right.float().mean()))
    assert (
        result.notes[0] == "the model's labels have no names (LABEL_0, LABEL_1): taken as 0, 1, in this order"
    )
    assert store.read(result.name).notes == (result.notes[0],)


def test_own_labels_are_matched_to_the_models(classifier, tmp_path, store):
    path, folder = write_csv(tmp_path / "new.csv", toy_rows(40)), classifier(**NAMED)
    source = locate_model(str(folder), store=store)
    task = task_to_score(source, path)
    assert task.labels == ("positive", "negative")
    says = theirs(folder, [(r["text"],) for r in toy_rows(40)]).argmax(1)
    right = [r["label"] == task.labels[i] for r, i in zip(toy_rows(40), says.tolist(), strict=True)]
    result = evaluate_model(task, source, store, precision="fp32")
    assert result.splits[0].main.value == pytest.approx(sum(right) / 40)


def test_several_labels_and_numbers(classifier, tmp_path, store):
    rows = [{"text": r["text"], "labels": "joy|fear", "score": i} for i, r in enumerate(toy_rows(30))]
    path = write_csv(tmp_path / "new.csv", rows)
    names = {"id2label": {0: "joy", 1: "anger", 2: "fear"}, "problem_type": "multi_label_classification"}
    source = locate_model(str(classifier("bert", **names)), store=store)
    predict_file(Scorer(source, task_to_predict(source, path), precision="fp32"), path, tmp_path / "o.csv")
    given = theirs(source.folder, [(r["text"],) for r in rows]) > 0
    with (tmp_path / "o.csv").open(newline="") as file:
        for row, yes in zip(csv.DictReader(file), given.tolist(), strict=True):
            expected = [n for n, chosen in zip(("joy", "anger", "fear"), yes, strict=True) if chosen]
            assert row["prediction"] == "|".join(expected)
    task = task_to_score(source, path)
    assert evaluate_model(task, source, store, precision="fp32").splits[0].main.metric == "micro_f1"
    source = locate_model(str(classifier("modernbert", num_labels=1)), store=store)
    numbers = Scorer(source, task_to_score(source, path, label="score"), precision="fp32")
    texts = [(r["text"],) for r in rows]
    torch.testing.assert_close(
        torch.from_numpy(numbers.logits(texts)), theirs(source.folder, texts), atol=1e-3, rtol=1e-4
    )


def test_a_runs_model_folder_is_the_run_and_a_copy_of_it_predicts_the_same(
    reviews, store, tiny_bert, tmp_path
):
    name = finetune(request_of(reviews, tiny_bert, epochs=1.0), store).name
    folder = store.path(name) / "model"
    shutil.copytree(folder, tmp_path / "copied")
    written = []
    for i, model in enumerate((name, folder, store.path(name), tmp_path / "copied")):
        source = locate_model(str(model), store=store)
        scorer = Scorer(
            source, task_to_predict(source, reviews), max_length=trained_length(source), precision="fp32"
        )
        predict_file(scorer, reviews, tmp_path / f"{i}.jsonl")
        written.append((tmp_path / f"{i}.jsonl").read_text())
        assert (source.run is None) == (i == 3)
    assert len(set(written)) == 1


def test_a_run_of_another_store_is_read_with_its_own_record(reviews, store, tiny_bert, tmp_path):
    """Two stores may have runs of the same name: the length is that of the run that was named."""
    from modernbert.runs import RunStore

    other = RunStore(tmp_path / "others")
    for place, length in ((store, 16), (other, 32)):
        run = finetune(request_of(reviews, tiny_bert, epochs=1.0, max_length=length), place)
    assert trained_length(locate_model(str(other.path(run.name)), store=store)) == 32
    assert trained_length(locate_model(run.name, store=store)) == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["BertModel"]}, "no head trained for labels: it is of kind BertModel"),
        ({"problem_type": "regression"}, "says regression with 2 outputs"),
        ({"id2label": {"0": "a", "1": "a"}}, "does not name each output once"),
        ({"id2label": {"0": "x", "1": "y"}}, "predicts x, y, and the labels in .* are negative, positive"),
    ],
)
def test_what_is_no_classifier_for_the_data_is_refused(changes, message, classifier, reviews, store):
    folder = classifier(**NAMED)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(BadModel, match=message):
        task_to_score(locate_model(str(folder), store=store), reviews)


def test_adapters_alone_are_no_classifier(reviews, store, tiny_bert, tmp_path):
    name = finetune(request_of(reviews, tiny_bert, epochs=1.0, lora=True), store).name
    shutil.copytree(store.path(name) / "model", tmp_path / "copied")
    with pytest.raises(BadModel, match="adapters alone"):
        locate_model(str(tmp_path / "copied"), store=store)


def test_labels_are_spelt_as_in_the_file():
    head = Head("single_label", ("NOT_duplicate", "Duplicate"))
    assert spelt_as_in(head, {"duplicate", "not duplicate"}) == ("not duplicate", "duplicate")
    assert spelt_as_in(head, {"duplicate", "Duplicate"}) == head.labels
    assert spelt_as_in(Head("single_label", ("LABEL_0", "LABEL_1")), {"0", "1"}) == ("0", "1")
    assert spelt_as_in(Head("single_label", ("LABEL_0", "LABEL_1")), {"0", "2"}) == ("LABEL_0", "LABEL_1")


def test_the_head_of_a_hub_model(classifier, store):
    assert head_of(locate_model(str(classifier(**NAMED)), store=store)) == Head(
        "single_label", ("POSITIVE", "NEGATIVE")
    )


@pytest.mark.parametrize(("names", "kept"), [(("negative", "positive"), True), (("spam", "ham"), False)])
def test_training_keeps_the_head_only_for_the_same_labels(classifier, store, names, kept):
    folder = classifier(id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})
    task = Task(
        name="toy",
        summary="",
        kind="single_label",
        text=("text",),
        labels=("Negative", "Positive"),
        metrics=("accuracy",),
        source=FileData({}, Path()),
    )
    loaded = load_classifier(locate_model(str(folder), store=store), task)
    assert loaded.new_tensors == (() if kept else ("classifier.bias", "classifier.weight"))
    assert list(loaded.model.config.id2label.values()) == ["Negative", "Positive"]
    assert (loaded.model.classifier.weight.abs().max() > 0.5) == kept
