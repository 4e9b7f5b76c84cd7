"""Training to tag words: whole runs on tiny models, what is learnt of which token, what is missed."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import request_of, toy_sentences, write_conll
from safetensors.torch import load_file

from modernbert.data.entities import Span
from modernbert.errors import BadOption, BadRun, Interrupted
from modernbert.evaluation.tagging import evaluate_tagger
from modernbert.finetuning.finetune import finetune, resume
from modernbert.finetuning.prepare import require_settings
from modernbert.finetuning.study import plan_study, run_study
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.training.objectives import IGNORED, token_cross_entropy
from modernbert.training.reports import StepReport
from modernbert.training.tagging import make_data, prepare_tagging


@pytest.fixture
def words(tmp_path):
    return write_conll(tmp_path / "words.conll", toy_sentences(120))


def test_the_first_token_of_each_word_alone_is_learnt(tmp_path, store):
    sentences = [(["Ana", "Ruiz-Weißmüller", "."], ["B-PER", "I-PER", "O"]), (["Oslo"], ["B-LOC"])] * 4
    inputs = prepare_tagging(
        request_of(write_conll(tmp_path / "a.conll", sentences), "modernbert-nano"), store
    )
    for split in inputs.sentences:
        data = make_data(inputs, split)
        for start, end, sentence in zip(
            data.words.tokens.starts, data.words.tokens.starts[1:], data.sentences.all, strict=False
        ):
            targets = data.targets[start:end]
            learnt = targets[targets != IGNORED].tolist()
            assert tuple(inputs.task.labels[i] for i in learnt) == sentence.tags
            assert len(targets) > len(learnt) + 2 or len(sentence.words) == 1


def test_the_loss_is_torchs_mean_over_words():
    logits, targets = torch.randn(9, 5), torch.tensor([IGNORED, 1, IGNORED, 0, 4, 2, IGNORED, 0, IGNORED])
    total, count = token_cross_entropy(logits, targets)
    assert total / count == pytest.approx(torch.nn.CrossEntropyLoss()(logits, targets).item())
    nothing, none = token_cross_entropy(logits, torch.full((9,), IGNORED))
    assert nothing / none == 0


@pytest.mark.parametrize(("model", "least"), [("tiny_modernbert", 0.9), ("tiny_bert", 0.5)])
def test_a_run_learns(model, least, tmp_path, store, request):
    path = write_conll(tmp_path / "many.conll", toy_sentences(300))
    result = finetune(request_of(path, request.getfixturevalue(model), epochs=6.0), store)
    record = result.record
    assert (record.task.kind, record.task.metrics) == ("tokens", ("f1", "precision", "recall"))
    assert result.main >= least > record.training.history[0].metrics["f1"]
    assert {label.label for label in result.headline.labels} == {"MINUS", "PLUS"}
    scored = evaluate_tagger(locate_model(result.name, store=store), path, store, precision="fp32")
    assert "270 of 300 sentences were trained on" in " ".join(scored.splits[0].notes)


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("model", ["tiny_modernbert", "tiny_bert"])
def test_the_saved_model_scores_as_recorded(model, lora, tmp_path, store, request):
    path = write_conll(tmp_path / "words.conll", toy_sentences(100))
    held = write_conll(tmp_path / "held.conll", toy_sentences(30, seed=1))
    asked = request_of(path, request.getfixturevalue(model), epochs=2.0, lora=lora, learning_rate=1e-2)
    result = finetune(replace(asked, validation=str(held)), store)
    assert (result.record.parameters.frozen > 0) is lora
    assert 0 < result.main < 1
    scored = evaluate_tagger(locate_model(result.name, store=store), held, store, precision="fp32")
    assert scored.splits[0].scores == result.headline.scores


def test_words_beyond_the_length_are_missed_and_told(tmp_path, store, tiny_modernbert):
    far = [([f"w{i}"] * 30 + ["good"], ["O"] * 30 + ["B-PLUS"]) for i in range(30)]
    near = [(["bad"] + [f"w{i}"] * 30, ["B-MINUS"] + ["O"] * 30) for i in range(30)]
    path = write_conll(tmp_path / "long.conll", far + near)
    result = finetune(request_of(path, tiny_modernbert, epochs=1.0, max_length=16), store)
    assert any("lie beyond 16 tokens" in note for note in result.record.notes)
    plus = {label.label: label for label in result.headline.labels}["PLUS"]
    assert plus.n > 0 and plus.recall == 0
    whole = finetune(request_of(path, tiny_modernbert, epochs=1.0), store)
    assert whole.record.config.data.max_length == 40
    assert not any("lie beyond" in note for note in whole.record.notes)


def test_a_resumed_run_equals_an_uninterrupted_one(words, tmp_path, tiny_modernbert):
    request = request_of(words, tiny_modernbert)
    whole, broken = RunStore(tmp_path / "a"), RunStore(tmp_path / "b")
    expected = finetune(request, whole)

    def observe(report):
        if isinstance(report, StepReport) and report.step == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        finetune(request, broken, observe=observe)
    name = broken.names()[-1]
    found = resume(name, broken)
    first, second = (load_file(s.path(name) / "model" / "model.safetensors") for s in (whole, broken))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert [s.as_dict() for s in found.splits] == [s.as_dict() for s in expected.splits]


def test_changed_tags_are_not_resumed(words, store, tiny_modernbert):
    def observe(report):
        if isinstance(report, StepReport) and report.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        finetune(request_of(words, tiny_modernbert), store, observe=observe)
    words.write_text(words.read_text().replace("B-PLUS", "B-MINUS", 1))
    with pytest.raises(BadRun, match="the data changed"):
        resume(store.names()[-1], store)


def test_seeds_are_runs_of_one_study(words, store, tiny_modernbert):
    request = request_of(words, tiny_modernbert, epochs=1.0)
    result = run_study(request, plan_study(request, [str(words)], 2, store), store)
    assert {run.record.seed for run in result.runs} == {42, 43}
    assert result.summaries[0].metric == "f1"


def test_a_run_starts_from_another_of_the_same_tags(words, store, tiny_modernbert):
    first = finetune(request_of(words, tiny_modernbert, epochs=3.0), store)
    again = finetune(request_of(words, first.name, epochs=0.1), store)
    assert again.record.new_tensors == ()
    assert again.record.training.history[0].metrics["f1"] == pytest.approx(first.main)


def test_the_rows_are_entities_in_characters(words, store, tiny_modernbert):
    result = finetune(replace(request_of(words, tiny_modernbert, epochs=1.0), limit=16), store)
    rows = [json.loads(line) for line in (store.path(result.name) / "scores.jsonl").read_text().splitlines()]
    sentences = toy_sentences(120)
    for row in rows:
        text = " ".join(sentences[int(row["id"].rpartition("/")[2]) - 1][0])
        for span in row["label"]:
            start, end, label = Span(*span)
            kinds = {"PLUS": "good great fine lovely superb", "MINUS": "bad poor awful dull weak"}
            assert {*text[start:end].split()} <= {*kinds[label].split()}
    assert np.sum([len(row["label"]) for row in rows]) == sum(label.n for label in result.headline.labels)


@pytest.mark.parametrize("setting", ["class_weights", "threshold", "positive", "metric"])
def test_settings_of_whole_texts_are_refused(words, tiny_modernbert, setting):
    values = {"class_weights": "balanced", "threshold": 0.5, "positive": "x", "metric": "f1"}
    with pytest.raises(BadOption, match="applies only to classification and regression"):
        require_settings(request_of(words, tiny_modernbert, **{setting: values[setting]}))
