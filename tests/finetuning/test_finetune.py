"""Whole runs on a tiny model: what is trained, kept and reloaded."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import request_of, toy_rows, write_csv
from safetensors.torch import load_file

from modernbert.errors import BadOption
from modernbert.evaluation.evaluate import evaluate_model
from modernbert.evaluation.trained_task import task_of_file
from modernbert.finetuning.finetune import finetune
from modernbert.finetuning.study import plan_study, run_study
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore


@pytest.mark.parametrize("model", ["tiny_modernbert", "tiny_bert"])
def test_a_run_learns(model, tmp_path, store, request):
    folder = request.getfixturevalue(model)
    rows = write_csv(tmp_path / "many.csv", toy_rows(300))
    result = finetune(request_of(rows, folder, epochs=8.0), store)
    untrained = result.record.training.history[0].metrics["accuracy"]
    assert result.main >= 0.9 > untrained


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("model", ["tiny_modernbert", "tiny_bert"])
def test_a_run_is_kept_whole(model, lora, reviews, store, request):
    result = finetune(request_of(reviews, request.getfixturevalue(model), lora=lora, epochs=1.0), store)
    record = store.read(result.name)
    assert record.status == "finished"
    assert record.results[0].scores[0].n == 12
    rows = (store.path(result.name) / "scores.jsonl").read_text().splitlines()
    assert len(rows) == 12
    assert set(json.loads(rows[0])) == {"id", "label", "prediction", "logits"}
    assert (record.parameters.frozen > 0) is lora
    assert not (store.path(result.name) / "checkpoints").exists()


def test_random_weights_are_another_draw_for_each_seed(reviews, store, tiny_modernbert):
    """Nothing of the checkpoint is left; a seed draws the same weights again."""

    def embeddings(folder):
        weights = load_file(folder / "model.safetensors")
        return next(tensor for name, tensor in weights.items() if name.endswith("tok_embeddings.weight"))

    def drawn(seed):
        settings = {"random_weights": True, "seed": seed, "epochs": 0.01, "learning_rate": 1e-12}
        run = finetune(request_of(reviews, tiny_modernbert, **settings), store)
        assert run.record.new_tensors == ("all: random weights",)
        assert "random" in run.name
        return embeddings(store.path(run.name) / "model")

    first, again, other = drawn(1), drawn(1), drawn(2)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first - embeddings(tiny_modernbert)).abs().mean() > 1e-3


def test_random_weights_start_from_no_run(reviews, store, tiny_bert):
    first = finetune(request_of(reviews, tiny_bert, epochs=0.1), store)
    request = request_of(reviews, tiny_bert, random_weights=True)
    with pytest.raises(BadOption, match=f"--random-weights cannot start from {first.name}"):
        finetune(replace(request, init_from=first.name), store)


def test_adapters_on_random_weights_are_refused(reviews, store, tiny_bert):
    with pytest.raises(BadOption, match="--lora and --random-weights exclude each other"):
        finetune(request_of(reviews, tiny_bert, random_weights=True, lora=True), store)


@pytest.mark.parametrize("lora", [False, True])
def test_the_saved_model_scores_as_recorded(lora, reviews, store, tiny_modernbert):
    from modernbert.evaluation.evaluate import Scorer
    from modernbert.evaluation.trained_task import task_of_run

    result = finetune(request_of(reviews, tiny_modernbert, lora=lora), store)
    source = locate_model(result.name, store=store)
    scorer = Scorer(source, task_of_run(result.record), max_length=32, precision="fp32")
    rows = [json.loads(line) for line in (store.path(result.name) / "scores.jsonl").read_text().splitlines()]
    texts = reviews.read_text().splitlines()[1:]
    chosen = [(texts[int(row["id"].split("/")[1]) - 1].split(",")[0],) for row in rows]
    expected = torch.tensor([row["logits"] for row in rows])
    torch.testing.assert_close(torch.from_numpy(scorer.logits(chosen)), expected, atol=1e-4, rtol=1e-4)


def test_lora_saves_the_whole_head_of_modernbert(reviews, store, tiny_modernbert):
    """peft saves only `classifier` by itself; ModernBERT's `head` would come back random."""
    from safetensors import safe_open

    name = finetune(request_of(reviews, tiny_modernbert, lora=True, epochs=1.0), store).name
    with safe_open(store.path(name) / "model" / "adapter_model.safetensors", "pt") as file:
        keys = list(file.keys())
    assert any("head.dense.weight" in key for key in keys)
    assert any("Wqkv.lora_A" in key for key in keys)
    assert not any("tok_embeddings" in key for key in keys)


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(reviews, tmp_path, tiny_bert):
    from safetensors.torch import load_file

    def classifier(folder: str, seed: int) -> torch.Tensor:
        store = RunStore(tmp_path / folder)
        name = finetune(request_of(reviews, tiny_bert, epochs=1.0), store, seed=seed).name
        return load_file(store.path(name) / "model" / "model.safetensors")["classifier.weight"]

    first, again, other = classifier("a", 1), classifier("b", 1), classifier("c", 2)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_half_precision_checkpoints_train_in_fp32(tmp_path, reviews, store, tiny_bert):
    from transformers import BertModel

    from modernbert.model.pretrained import quiet_transformers

    folder = tmp_path / "half"
    with quiet_transformers():
        BertModel.from_pretrained(tiny_bert).half().save_pretrained(folder)
    for file in tiny_bert.glob("token*"):
        (folder / file.name).write_bytes(file.read_bytes())
    name = finetune(request_of(reviews, folder, epochs=1.0), store).name
    assert json.loads((store.path(name) / "model" / "config.json").read_text())["dtype"] == "float32"


def test_a_run_can_start_from_another_with_other_labels(tmp_path, reviews, store, tiny_modernbert):
    first = finetune(request_of(reviews, tiny_modernbert, epochs=2.0), store).name
    rows = [{"text": r["text"], "label": str(i % 3)} for i, r in enumerate(toy_rows(60))]
    three = write_csv(tmp_path / "three.csv", rows)
    asked = replace(request_of(three, tiny_modernbert, epochs=1.0), init_from=first)
    result = finetune(asked, store)
    assert result.record.init.name == first
    assert result.record.new_tensors == ("classifier.bias", "classifier.weight")
    assert result.record.task.labels == ("0", "1", "2")


def test_a_start_that_does_not_exist_names_the_command(reviews, store, tiny_bert):
    asked = replace(request_of(reviews, tiny_bert), init_from="mnli")
    with pytest.raises(BadOption, match="no finished run") as caught:
        finetune(asked, store)
    assert "mbert finetune glue/mnli" in caught.value.fix


def test_regression_and_pairs(tmp_path, store, tiny_bert):
    rows = [
        {"sentence1": r["text"], "sentence2": "good w1", "score": str(0.5 + 4 * (r["label"] == "positive"))}
        for r in toy_rows(80)
    ]
    result = finetune(request_of(write_csv(tmp_path / "pairs.csv", rows), tiny_bert), store)
    assert result.record.task.kind == "regression"
    assert result.record.data.text == ("sentence1", "sentence2")
    assert [s.metric for s in result.splits[0].scores] == [
        "r2",
        "mean_absolute_error",
        "root_mean_squared_error",
        "pearson",
        "spearman",
    ]


def test_multi_label(tmp_path, store, tiny_bert):
    rows = [
        {"text": r["text"], "labels": r["label"] + ("|long" if len(r["text"]) > 40 else "")}
        for r in toy_rows(80)
    ]
    result = finetune(request_of(write_csv(tmp_path / "tags.csv", rows), tiny_bert), store)
    assert result.record.task.labels == ("long", "negative", "positive")
    assert result.splits[0].main.metric == "micro_f1"
    assert set(result.record.training.history[0].metrics) >= {"micro_f1", "macro_average_precision"}


def test_the_record_and_the_card_say_how_many_rows_were_used(reviews, store, tiny_bert):
    run = finetune(replace(request_of(reviews, tiny_bert, epochs=1.0), limit=40), store)
    splits = store.read(run.name).data.splits
    assert [splits[name].shown_rows for name in ("train", "validation")] == ["40 of 108", "12"]
    assert (
        "rows: train 40 of 108, validation 12" in (store.path(run.name) / "model" / "README.md").read_text()
    )


def test_rare_labels_are_predicted_by_thresholds_that_the_run_keeps(tmp_path, store, tiny_bert, monkeypatch):
    """None of them reaches a probability of 0.5 in a short training: at 0.5 nothing would be predicted."""
    from modernbert.evaluation.evaluate import Scorer
    from modernbert.evaluation.predict_file import predict_file
    from modernbert.evaluation.trained_task import task_of_run

    rows = [
        {"text": r["text"], "labels": "|".join(["common", *["rare"][i % 5 :], *["other"][i % 7 :]])}
        for i, r in enumerate(toy_rows(120))
    ]
    path = write_csv(tmp_path / "tags.csv", rows)
    run = finetune(request_of(path, tiny_bert, epochs=1.0), store)
    assert run.record.training.best_step > 0, "a new head is never what is kept"
    kept = [json.loads(x) for x in (store.path(run.name) / "scores.jsonl").read_text().splitlines()]
    names = run.record.task.labels
    assert tuple(run.record.thresholds) == names
    assert run.record.thresholds["rare"] < 0.5
    task = task_of_run(run.record)
    scorer = Scorer(locate_model(run.name, store=store), task, max_length=32, precision="fp32")
    predict_file(scorer, path, tmp_path / "out.jsonl")
    given = [json.loads(line)["prediction"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    for row in kept:
        expected = [name for name, yes in zip(names, row["prediction"], strict=True) if yes]
        assert given[int(row["id"].split("/")[1]) - 1] == expected
    assert any("rare" in chosen for chosen in given)
    assert [label.n for label in run.splits[0].labels] == np.sum([r["label"] for r in kept], axis=0).tolist()


def test_one_class_predictions_are_called_out(reviews, store, tiny_bert):
    result = finetune(request_of(reviews, tiny_bert, epochs=0.1, learning_rate=1e-9, keep="last"), store)
    assert any("has collapsed" in note for note in result.record.notes)


def test_a_study_runs_seeds_and_sums_them_up(reviews, store, tiny_bert):
    request = request_of(reviews, tiny_bert, epochs=1.0)
    study = plan_study(request, [str(reviews)], 3, store)
    result = run_study(request, study, store)
    summary = result.summaries[0]
    assert list(summary.by_seed) == [42, 43, 44]
    values = torch.tensor(list(summary.by_seed.values()), dtype=torch.double)
    assert summary.mean == pytest.approx(float(values.mean()))
    assert summary.deviation == pytest.approx(float(values.std()))


def test_adapters_may_lie_on_another_run_but_not_on_adapters(reviews, store, tiny_bert):
    first = finetune(request_of(reviews, tiny_bert, epochs=1.0), store).name
    asked = replace(request_of(reviews, tiny_bert, epochs=1.0, lora=True), init_from=first)
    second = finetune(asked, store)
    source = locate_model(second.name, store=store)
    assert source.base is not None and source.base.name == first
    task = task_of_file(second.record, reviews)
    assert evaluate_model(task, source, store).splits[0].main.value > 0
    with pytest.raises(BadOption, match="it consists of LoRA adapters itself"):
        finetune(replace(asked, init_from=second.name), store)
