"""Learning a teacher's sentence vectors: targets, the loss, whole runs, what is kept and refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from helpers import request_of, tiny_modernbert_config
from modernbert.cli.main import app
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from modernbert.errors import BadData, BadModel, BadOption, BadRun, Interrupted
from modernbert.evaluation import embed
from modernbert.evaluation.vectors import SHARD
from modernbert.finetuning.finetune import finetune
from modernbert.finetuning.study import resume_any
from modernbert.model.embedding import EmbeddingSettings, save_embedder
from modernbert.pretraining.corpus import Corpus
from modernbert.pretraining.inputs import PretrainingRequest
from modernbert.pretraining.store import SHORTEST_TAUGHT, Pieces, build
from modernbert.pretraining.teacher import PieceTexts, Targets, projection
from modernbert.pretraining.tokenizer import train_tokenizer
from modernbert.pretraining.vector_loss import TEMPERATURE, divergence
from modernbert.runs import RunStore
from modernbert.training.reports import StepReport

FAST = {"max_length": 64, "batch_size": 4, "epochs": 2.0, "learning_rate": 3e-3, "held_out": 0.1}


@pytest.fixture
def corpus(tmp_path):
    """Eighty short texts about one of eight things each."""
    draw = random.Random(0)
    rows = [" ".join(f"w{n % 8 * 8 + draw.randrange(8)}" for _ in range(12)) for n in range(80)]
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows))
    return path


@pytest.fixture(scope="session")
def teacher(tmp_path_factory, tiny_tokenizer):
    """A BERT with random weights in the layout of a sentence encoder; vectors of 24 numbers."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=128, hidden_size=24, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("teacher") / "teacher"
    save_embedder(BertModel(config).eval(), tiny_tokenizer, EmbeddingSettings(max_length=32), folder)
    return folder


def taught(corpus, model, teacher, **settings):
    """Return a request to train `model` with a teacher."""
    return PretrainingRequest(
        target="pretraining",
        files=(str(corpus),),
        model=str(model),
        teacher=str(teacher),
        settings=FAST | settings,
        precision="fp32",
        device="cpu",
    )


@pytest.mark.parametrize("size", [8, 16, 24, 40])
def test_the_projection_keeps_dot_products_as_well_as_any_map(size):
    vectors = np.random.default_rng(0).standard_normal((200, 24)) @ np.diag(np.linspace(3, 0.1, 24))
    mapped = vectors @ projection(vectors.astype(np.float32), size)
    assert mapped.shape == (200, size)
    values = np.linalg.svd(vectors, compute_uv=False)
    best = np.sqrt((values[size:] ** 4).sum())
    assert np.linalg.norm(vectors @ vectors.T - mapped @ mapped.T) == pytest.approx(best, abs=1e-3, rel=1e-4)


def test_targets_come_from_their_own_shard_at_length_one():
    vectors = np.random.default_rng(0).standard_normal((SHARD + 5, 6)).astype(np.float32)
    targets = Targets.projected([vectors[:SHARD], vectors[SHARD:]], np.eye(6, dtype=np.float32)[:, :4])
    numbers = np.array([SHARD + 2, 0, SHARD - 1])
    expected = vectors[numbers][:, :4]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(targets.of(numbers).numpy(), expected, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(targets.of(numbers), axis=1), 1, rtol=1e-6)


def test_pieces_of_several_shards_are_taken_in_the_order_asked_for():
    shards = (np.arange(10, dtype=np.uint16), np.arange(10, 17, dtype=np.uint16))
    pieces = Pieces(shards, np.array([0, 10, 17]), np.array([0, 3, 10, 12, 17]))
    ids, lengths = pieces.take(np.array([3, 0, 2, 3]))
    assert ids.tolist() == [*range(12, 17), *range(3), 10, 11, *range(12, 17)]
    assert lengths.tolist() == [5, 3, 2, 5]
    assert ids.tolist() == [int(token) for number in (3, 0, 2, 3) for token in pieces[number]]


def test_the_divergence_is_that_of_each_texts_similarities_to_the_others():
    from scipy.special import softmax
    from scipy.stats import entropy

    draw = np.random.default_rng(0)
    own, wanted = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in draw.standard_normal((2, 7, 5)))

    def shares(vectors, text):
        return softmax(np.delete(vectors @ vectors[text], text) / TEMPERATURE)

    expected = sum(entropy(shares(wanted, text), shares(own, text)) for text in range(7))
    student = torch.tensor(own, requires_grad=True)
    found = divergence(student, torch.tensor(wanted))
    assert found.item() == pytest.approx(expected, rel=1e-6)
    found.backward()
    assert student.grad.isfinite().all()
    assert divergence(torch.tensor(wanted), torch.tensor(wanted)).item() == pytest.approx(0, abs=1e-9)


def test_words_are_taught_and_scraps_are_left_out_otherwise(tmp_path, tiny_tokenizer):
    rows = [json.dumps({"text": f"w{n} w{n + 1}"}) + "\n" for n in range(60)]
    (tmp_path / "texts.jsonl").write_text("".join(rows))
    corpus = Corpus.of([tmp_path / "texts.jsonl"])
    make = partial(build, corpus, tiny_tokenizer, length=32, held_out=0.2)
    (tmp_path / "taught").mkdir()
    found = make(tmp_path / "taught", shortest=SHORTEST_TAUGHT)
    assert (found["train"]["pieces"] + found["held_out"]["pieces"], found["short_pieces"]) == (60, 0)
    (tmp_path / "words").mkdir()
    with pytest.raises(BadData, match="no text left"):
        make(tmp_path / "words")


def test_pieces_are_read_back_as_they_were_written():
    texts = ["Straße, 東京 and\n\ttabs", "def f(x):\n    return x  # twice"]
    tokenizer = train_tokenizer(texts, 300, 64)
    ids = [np.array(tokenizer(text)["input_ids"], np.uint16) for text in texts]
    stream = np.concatenate(ids)
    pieces = Pieces((stream,), np.array([0, len(stream)]), np.cumsum([0, *map(len, ids)]))
    read = PieceTexts(pieces, tokenizer)
    assert list(read) == texts
    assert read[1:] == texts[1:]


@pytest.mark.parametrize("model", ["tiny_modernbert", "tiny_bert"])
def test_vectors_come_near_the_teachers(model, corpus, teacher, store, request):
    from sentence_transformers import SentenceTransformer

    result = finetune(taught(corpus, request.getfixturevalue(model), teacher, epochs=12.0), store)
    history = [point.metrics["teacher_cosine"] for point in result.record.training.history]
    assert history[-1] > history[0] + 0.2
    assert [score.metric for score in result.splits[0].scores] == [
        "teacher_cosine",
        "masked_accuracy",
        "loss",
    ]
    assert result.record.data.teacher["weights"]
    # The score again, with another library on both sides.
    texts = [json.loads(line)["text"] for line in corpus.read_text().splitlines()]
    student = SentenceTransformer(str(store.path(result.name) / "model"), device="cpu").encode(texts)
    wanted = SentenceTransformer(str(teacher), device="cpu").encode(texts)
    assert student.shape == (80, 32)
    own, other = (v @ v.T for v in (student, wanted))
    above = np.triu_indices(80, 1)
    assert np.corrcoef(own[above], other[above])[0, 1] > 0.5


def test_the_score_is_the_mean_cosine_of_held_out_texts(corpus, teacher, tiny_modernbert, store):
    result = finetune(taught(corpus, tiny_modernbert, teacher), store)
    rows = [json.loads(line) for line in (store.path(result.name) / "scores.jsonl").read_text().splitlines()]
    score = result.splits[0].scores[0]
    assert score.value == pytest.approx(np.mean([row["cosine"] for row in rows]), abs=1e-4)
    assert all({"masked", "correct", "loss"} <= row.keys() for row in rows)


def test_the_loss_line_is_the_distance_to_the_teacher_alone(corpus, teacher, tiny_modernbert, store):
    """1 minus a cosine is at most 2; masked words (above 4 each) do not make it jump."""
    result = finetune(taught(corpus, tiny_modernbert, teacher, log_every=1), store)
    lines = map(json.loads, (store.path(result.name) / "log.jsonl").read_text().splitlines())
    losses = [line["loss"] for line in lines if line["event"] == "StepReport"]
    assert len(losses) > 3 and all(0 <= loss <= 2 for loss in losses)


def test_pieces_longer_than_a_pass_leave_no_pass_empty(corpus, teacher, tiny_modernbert, store, monkeypatch):
    monkeypatch.setattr("modernbert.pretraining.job.EVALUATED_AT_ONCE", 5)
    result = finetune(taught(corpus, tiny_modernbert, teacher, epochs=0.1), store)
    held_out = result.record.data.splits["held_out"].pieces
    assert result.splits[0].scores[0].n == held_out


def test_without_masked_words_only_vectors_are_learnt(corpus, teacher, tiny_modernbert, store):
    result = finetune(taught(corpus, tiny_modernbert, teacher, mask=0.0), store)
    assert [score.metric for score in result.splits[0].scores] == ["teacher_cosine"]


def test_a_resumed_run_equals_an_uninterrupted_one(corpus, teacher, tiny_modernbert, tmp_path):
    def observe(report):
        if isinstance(report, StepReport) and report.step == 10:
            os.kill(os.getpid(), signal.SIGTERM)

    request = taught(corpus, tiny_modernbert, teacher, epochs=8.0, log_every=5)
    whole, broken = RunStore(tmp_path / "a"), RunStore(tmp_path / "b")
    expected = finetune(request, whole)
    with pytest.raises(Interrupted):
        finetune(request, broken, observe=observe)
    (name,) = broken.names()
    resume_any(name, broken)
    first, second = (load_file(s.path(name) / "model" / "model.safetensors") for s in (whole, broken))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert broken.read(name).results == expected.record.results


def test_a_run_is_not_resumed_with_another_teacher(corpus, teacher, tiny_modernbert, store, tmp_path):
    def observe(report):
        if isinstance(report, StepReport):
            os.kill(os.getpid(), signal.SIGTERM)

    own = shutil.copytree(teacher, tmp_path / "own")
    with pytest.raises(Interrupted):
        finetune(taught(corpus, tiny_modernbert, own, epochs=8.0, log_every=1), store, observe=observe)
    weights = load_file(own / "model.safetensors")
    save_file({name: tensor + 0.1 for name, tensor in weights.items()}, own / "model.safetensors")
    with pytest.raises(BadRun, match="the teacher"):
        resume_any(store.names()[0], store)


def test_the_teacher_reads_the_corpus_once(corpus, teacher, tiny_modernbert, store, monkeypatch):
    finetune(taught(corpus, tiny_modernbert, teacher), store)
    monkeypatch.setattr(embed.Embedder, "run", None)
    finetune(taught(corpus, tiny_modernbert, teacher, seed=43), store)


def test_a_model_from_scratch_can_be_taught(corpus, teacher, store, tmp_path):
    config = tmp_path / "tiny.json"
    config.write_text(tiny_modernbert_config().to_json_string())
    request = replace(taught(corpus, "unused", teacher), scratch=str(config), vocabulary=600)
    assert finetune(request, store).record.model.revision == "untrained"


def test_teachers_without_sentence_vectors_are_refused(
    corpus, reviews, teacher, tiny_modernbert, store, tmp_path
):
    with pytest.raises(BadOption, match="not made for sentence vectors"):
        finetune(taught(corpus, tiny_modernbert, tiny_modernbert), store)
    classifier = finetune(request_of(reviews, tiny_modernbert, epochs=0.1), store).name
    with pytest.raises(BadModel, match="is a classifier or a reranker"):
        finetune(taught(corpus, tiny_modernbert, classifier), store)
    assert store.names() == [classifier]


def test_nothing_masked_and_nobody_to_learn_from_is_refused(corpus, tiny_modernbert, store):
    request = replace(taught(corpus, tiny_modernbert, "unused", mask=0.0), teacher=None)
    with pytest.raises(BadOption, match="nothing to learn"):
        finetune(request, store)


def test_the_command_shows_what_is_learnt(corpus, teacher, tiny_modernbert):
    flags = ["--epochs", "1", "--max-length", "64", "--batch-size", "4", "--held-out", "0.1"]
    done = CliRunner().invoke(
        app, ["pretrain", str(corpus), "--model", str(tiny_modernbert), "--teacher", str(teacher), *flags]
    )
    assert done.exit_code == 0, done.output
    assert "teacher_cosine" in done.output
