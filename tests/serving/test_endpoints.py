"""Each endpoint answers what the command answers."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import toy_rows
from modernbert.cli.main import app
from typer.testing import CliRunner

import modernbert
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.rerank import Reranker
from modernbert.evaluation.tagging import Tagger
from modernbert.model.locate import locate_model

MACHINE = {"device": "cpu", "precision": "fp32"}
TEXTS = [row["text"] for row in toy_rows(40, seed=9)]


def predicted(store, model, tmp_path, *options):
    """Return what `mbert predict` writes for the texts, without the text."""
    path, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    line = ["predict", str(path), "-m", model, "-o", str(out), "--runs-dir", str(store.root)]
    done = CliRunner().invoke(app, [*line, "--device", "cpu", "--precision", "fp32", *options])
    assert done.exit_code == 0, (done.output, done.exception)
    rows = [json.loads(row) for row in out.read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "text"} for row in rows]


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ((), {"model": "reviews"}),
        (("--top", "1"), {"model": "reviews", "top": 1}),
        (("--calibrated",), {"model": "reviews", "calibrated": True}),
        ((), {"model": "several"}),
    ],
)
def test_predictions_are_those_of_the_command(serving, store, tmp_path, options, asked):
    wanted = predicted(store, asked["model"], tmp_path, *options)
    found = serving.ask("/predict", texts=TEXTS, **asked)
    assert found["model"] == asked["model"]
    assert found["truncated"] == []
    assert [one["prediction"] for one in found["predictions"]] == [one["prediction"] for one in wanted]
    for one, other in zip(found["predictions"], wanted, strict=True):
        assert one.keys() == other.keys()
        assert _numbers(one) == pytest.approx(_numbers(other), abs=2e-6)


def _numbers(prediction):
    named = {best["label"]: best["probability"] for best in prediction.get("top", ())}
    return {"": prediction.get("confidence", 0), **prediction.get("probabilities", {}), **named}


def test_thresholds_decide(serving):
    """The run's thresholds are not 0.5, and some answers hang on that."""
    task = serving.service.models["several"].task
    found = serving.ask("/predict", texts=TEXTS, model="several")["predictions"]
    for one in found:
        shares = one["probabilities"]
        above = [
            name for name, least in zip(task.labels, task.thresholds, strict=True) if shares[name] > least
        ]
        assert one["prediction"] == above
    assert any(one["prediction"] != [n for n, p in one["probabilities"].items() if p > 0.5] for one in found)


def test_a_number_for_pairs(serving, store):
    pairs = list(zip(TEXTS[:20], TEXTS[20:], strict=True))
    own = modernbert.load("alike", runs_dir=store.root, **MACHINE).predict(pairs)
    found = serving.ask("/predict", texts=pairs, model="alike")["predictions"]
    assert [one["prediction"] for one in found] == pytest.approx([one["prediction"] for one in own], abs=1e-5)
    assert len({one["prediction"] for one in found}) > 10
    assert "pairs of texts" in serving.ask("/predict", 400, texts=["a"], model="alike")
    assert "predicts a number" in serving.ask("/predict", 400, texts=pairs, model="alike", top=1)


def test_entities_are_those_of_the_tagger(serving, store, folders):
    texts = ["good w1 bad awful w2", "w3", ""]
    own = Tagger(locate_model(folders["tagger"], store=store), **MACHINE).predict(texts)
    found = serving.ask("/predict", texts=texts, model="tagger")["predictions"]
    assert [_entities(one) for one in found] == [_entities(one) for one in own]
    assert any(one["prediction"] for one in own)


def _entities(one):
    return [{**entity, "confidence": round(entity["confidence"], 4)} for entity in one["prediction"]]


@pytest.mark.parametrize("kind", ["document", "query"])
def test_vectors_are_those_of_the_embedder(serving, store, folders, kind):
    own = Embedder(locate_model(folders["encoder"], store=store), **MACHINE).encode(TEXTS, kind)
    found = serving.ask("/embed", texts=TEXTS, kind=kind)
    assert (found["model"], found["size"]) == ("tiny-modernbert", 32)
    np.testing.assert_allclose(found["vectors"], own, atol=1e-6)


def test_openai_s_form(serving):
    """The same vectors as numbers and as base64, and what clients read besides."""
    vectors = serving.ask("/embed", texts=TEXTS[:2])["vectors"]
    plain = serving.ask("/v1/embeddings", input=TEXTS[:2], model="tiny-modernbert", user="me")
    assert plain["object"] == "list"
    assert [one["index"] for one in plain["data"]] == [0, 1]
    np.testing.assert_allclose([one["embedding"] for one in plain["data"]], vectors, atol=1e-6)
    words = sum(len(text.split()) + 2 for text in TEXTS[:2])
    assert plain["usage"] == {"prompt_tokens": words, "total_tokens": words}
    coded = serving.ask("/v1/embeddings", input=TEXTS[0], encoding_format="base64", dimensions=32)
    (one,) = coded["data"]
    np.testing.assert_allclose(
        np.frombuffer(base64.b64decode(one["embedding"]), "<f4"), vectors[0], atol=1e-6
    )
    assert "cannot shorten" in serving.ask("/v1/embeddings", 400, input="good", dimensions=16)
    assert "input" in serving.ask("/v1/embeddings", 422, input=[1, 2])


def test_documents_are_in_the_order_of_their_scores(serving, store, folders):
    own = Reranker(locate_model(folders["reranker"], store=store), **MACHINE)
    scores = own.score([("good w1", text) for text in TEXTS])
    found = serving.ask("/rerank", query="good w1", documents=TEXTS)["results"]
    assert [one["index"] for one in found] == np.argsort(-scores, kind="stable").tolist()
    np.testing.assert_allclose([one["score"] for one in found], np.sort(scores)[::-1], atol=1e-5)
    assert serving.ask("/rerank", query="good w1", documents=TEXTS, top=3)["results"] == found[:3]


def test_hits_are_those_of_the_command(serving, index, store):
    line = ["search", TEXTS[0], "--index", str(index), "-k", "2", "--json", "--runs-dir", str(store.root)]
    wanted = json.loads(CliRunner().invoke(app, line).stdout)
    assert serving.ask("/search", query=TEXTS[0], k=2)["hits"] == wanted
    assert len(wanted) == 2
    words = toy_rows(3)[1]["text"]
    assert serving.ask("/search", query=words, hybrid=True)["hits"][0]["path"] == "1.txt"
    assert "empty" in serving.ask("/search", 400, query=" ")


def test_what_a_model_cannot_do_is_said(serving):
    sentences = {
        "/predict": ("tiny-modernbert", {"texts": ["a"]}),
        "/embed": ("reviews", {"texts": ["a"]}),
        "/rerank": ("tagger", {"query": "a", "documents": ["b"]}),
        "/v1/embeddings": ("reranker", {"input": "a"}),
    }
    for path, (model, body) in sentences.items():
        assert f"{model} cannot" in serving.ask(path, 400, model=model, **body)
    assert "name one as 'model' (reviews, several, alike, tagger)" in serving.ask(
        "/predict", 400, texts=["a"]
    )
    assert "there are: reviews, several" in serving.ask("/predict", 404, texts=["a"], model="nosuch")
    assert "one text at a time" in serving.ask("/predict", 400, texts=[["a", "b"]], model="reviews")
    assert "'top' is 3" in serving.ask("/predict", 400, texts=["a"], model="reviews", top=3)
    assert "no temperature" in serving.ask("/predict", 400, texts=["a"], model="several", calibrated=True)
    assert "tags words" in serving.ask("/predict", 400, texts=["a"], model="tagger", top=1)


@pytest.mark.parametrize("piece", [1, 100, 10**9])
def test_a_request_is_tokenised_in_pieces(serving, piece, monkeypatch):
    whole = serving.ask("/embed", texts=[*TEXTS, "w1 " * 400])
    monkeypatch.setattr("modernbert.serving.service.PIECE", piece)
    pieces = serving.ask("/embed", texts=[*TEXTS, "w1 " * 400])
    np.testing.assert_allclose(pieces["vectors"], whole["vectors"], atol=1e-6)
    assert pieces["truncated"] == [len(TEXTS)]


def test_a_text_that_is_cut_is_named(serving):
    found = serving.ask("/embed", texts=["good", "w1 " * 400])
    assert found["truncated"] == [1]


def test_requests_at_once_share_batches_and_get_their_own_answers(serving):
    """Fewer passes than requests, and no answer that belongs to another request."""
    alone = {text: serving.ask("/predict", texts=[text], model="reviews") for text in TEXTS}
    before = serving.counted('mbert_batch_texts_count{model="reviews"}')
    with serving.service.turn, ThreadPoolExecutor(len(TEXTS)) as pool:
        futures = {
            text: pool.submit(serving.ask, "/predict", texts=[text], model="reviews") for text in TEXTS
        }
        batcher = serving.service.batchers["reviews"]
        while len(batcher.queue) < len(TEXTS) - 20:  # at most the first batch is out of the queue
            assert not any(future.done() for future in futures.values())
        serving.service.turn.release()
        found = {text: future.result() for text, future in futures.items()}
        serving.service.turn.acquire()
    passes = serving.counted('mbert_batch_texts_count{model="reviews"}') - before
    assert passes <= 5, "40 requests"
    for text in TEXTS:
        numbers = [_numbers(one["predictions"][0]) for one in (found[text], alone[text])]
        assert numbers[0] == pytest.approx(numbers[1], abs=2e-6)


def test_models_health_and_metrics(serving):
    models = {one["id"]: one for one in serving.client.get("/v1/models").json()["data"]}
    assert models["reviews"]["labels"] == ["negative", "positive"]
    assert models["tagger"]["labels"] == ["MINUS", "PLUS"]
    assert models["tiny-modernbert"]["size"] == 32
    assert serving.client.get("/health").json() == {"status": "ok"}
    assert serving.client.get("/ready").json() == {"status": "ready"}
    before = serving.counted('mbert_texts_total{model="reviews"}')
    serving.ask("/predict", texts=TEXTS[:3], model="reviews")
    assert serving.counted('mbert_texts_total{model="reviews"}') == before + 3


def test_every_example_of_the_description_is_answered(serving):
    described = serving.client.get("/openapi.json").json()
    schemas, asked = described["components"]["schemas"], 0
    for path, methods in described["paths"].items():
        if "post" not in methods:
            continue
        kind = methods["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        fields = schemas[kind.rpartition("/")[2]]["properties"]
        body = {name: field["examples"][0] for name, field in fields.items() if "examples" in field}
        more = {"model": "reviews"} if path == "/predict" else {}
        serving.ask(path, **body, **more)
        asked += 1
    assert asked == 5
