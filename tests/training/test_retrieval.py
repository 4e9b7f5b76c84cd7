"""Training a bi-encoder end to end on a toy language: `wI wJ` is answered by `wI+20 wJ+20`."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace

import numpy as np
import pytest
from helpers import request_of

from modernbert.data.collections import hold_out
from modernbert.data.pairs import read_pairs
from modernbert.errors import BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.late_search import LateEmbedder
from modernbert.evaluation.protocols import PROTOCOLS
from modernbert.export.search import EmbedderSubject
from modernbert.export.subject import ExportRequest
from modernbert.finetuning.finetune import finetune, resume
from modernbert.finetuning.jobs import load_job
from modernbert.finetuning.prepare import prepare
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.training.reports import EvaluationReport
from modernbert.training.retrieval import scored

FLAGS = {"batch_size": 16, "learning_rate": 3e-3, "epochs": 6.0}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    draw = random.Random(0)
    rows = []
    for _ in range(150):
        words = draw.sample(range(20), 2)
        others = draw.sample(range(20), 2)
        rows.append(
            {
                "query": " ".join(f"w{i}" for i in words),
                "positive": " ".join(f"w{i + 20}" for i in words),
                "negative": " ".join(f"w{i + 20}" for i in others),
            }
        )
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def trained(pairs, tiny_modernbert, tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("trained"))
    seen = []
    result = finetune(request_of(pairs, tiny_modernbert, **FLAGS, dims=[8]), store, observe=seen.append)
    return result, store, seen


def test_it_learns_and_shows_where_it_started(trained):
    result, _, seen = trained
    first = next(report for report in seen if isinstance(report, EvaluationReport))
    assert first.step == 0
    assert first.evaluation.main + 0.3 < result.main
    assert result.headline.main.metric == "ndcg_at_10"
    notes = " ".join(result.headline.notes)
    assert "the first 8 numbers of each vector: nDCG@10" in notes
    assert "BM25 (english) scores nDCG@10 0.0" in notes, "no word is shared"
    assert "below this model" in notes


def test_the_run_keeps_every_query_and_its_data(trained, pairs):
    result, store, _ = trained
    folder = store.path(result.name)
    rows = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    assert len(rows) == result.headline.main.n
    assert np.mean([row["ndcg_at_10"] for row in rows]) == pytest.approx(result.main)
    assert set(result.record.data.splits) == {"train", "validation"}
    assert result.record.task.kind == "retrieval"
    assert store.read(result.name).protocol.as_dict() == asdict(PROTOCOLS["mteb"]), (
        "as an evaluation writes it"
    )
    whole, _ = read_pairs(pairs, "train")
    kept, held = hold_out(whole)
    splits = result.record.data.splits
    used = (splits["train"].used, splits["train"].rows, splits["validation"].rows)
    assert used == (len(kept.queries), len(whole.queries), len(held.queries))
    assert not set(kept.queries) & set(held.queries)
    assert {row["id"] for row in rows} == {f"validation/{query}" for query in held.queries}


def test_an_export_is_proven_on_the_queries_that_scored_the_run(trained):
    """There is no validation file: they were held out of the pairs."""
    result, store, _ = trained
    request = ExportRequest(model=result.name)
    subject = EmbedderSubject(locate_model(result.name, store=store), request)
    rows = [json.loads(row) for row in (store.path(result.name) / "scores.jsonl").read_text().splitlines()]
    assert {f"validation/{query}" for query in subject.collection.queries} == {row["id"] for row in rows}
    assert subject.split == "validation"


def test_sentence_transformers_reads_the_same_vectors(trained):
    st = pytest.importorskip("sentence_transformers")
    result, store, _ = trained
    texts = ["w1 w2", "w21 w22 w23", "good"]
    embedder = Embedder(locate_model(result.name, store=store), device="cpu", precision="fp32")
    assert embedder.settings.tuned
    theirs = st.SentenceTransformer(str(store.path(result.name) / "model"), device="cpu")
    np.testing.assert_allclose(embedder.encode(texts), theirs.encode(texts), atol=1e-5)
    assert theirs.max_seq_length == embedder.settings.max_length


@pytest.mark.parametrize("model", ["tiny_modernbert", "tiny_bert"])
def test_adapters_are_folded_in(model, pairs, store, request):
    settings = FLAGS | {"lora": True, "learning_rate": 0.03, "epochs": 2.0, "query_prompt": "good "}
    result = finetune(request_of(pairs, request.getfixturevalue(model), **settings), store)
    files = {path.name for path in (store.path(result.name) / "model").iterdir()}
    assert "model.safetensors" in files
    assert "adapter_config.json" not in files
    assert result.record.parameters.frozen > result.record.parameters.trained
    embedder = Embedder(locate_model(result.name, store=store), device="cpu", precision="fp32")
    assert embedder.settings.query_prompt == "good "


@pytest.mark.parametrize("lora", [False, True])
def test_late_interaction(lora, pairs, tiny_modernbert, store):
    settings = FLAGS | {"head": "tokens", "lora": lora, "max_length": 12}
    result = finetune(request_of(pairs, tiny_modernbert, **settings), store)
    assert result.main > result.record.training.history[0].metrics["ndcg_at_10"]
    assert result.record.new_tensors == ("projection.weight",)
    test = read_pairs(pairs, "train")[0]
    embedder = LateEmbedder(locate_model(result.name, store=store), device="cpu", precision="fp32")
    assert embedder.settings.max_length == 12
    _, held = hold_out(test)
    found = embedder.search(list(held.queries.values()), list(held.documents.texts), 1000)
    assert scored(held, found).main.value == pytest.approx(result.main, abs=1e-3)
    with pytest.raises(BadOption, match="one vector a text"):
        embedder.search(["w1"], ["w2"], 1, owners=np.zeros(1))


@pytest.mark.parametrize("head", ["vectors", "tokens", "reranker"])
def test_half_precision_is_no_difference_to_the_saved_model(head, pairs, tiny_modernbert, store):
    """The network that is read back computes in fp32, and training's in bf16: only weights may count."""
    request = request_of(pairs, tiny_modernbert, **FLAGS | {"epochs": 1.0, "head": head, "max_length": 12})
    result = finetune(replace(request, precision="bf16"), store)
    assert result.record.status == "finished"
    assert result.record.machine.precision == "bf16"


def test_mined_negatives(pairs, tiny_modernbert, store):
    inputs = prepare(request_of(pairs, tiny_modernbert, **FLAGS, mine=True, hard_negatives=4), store)
    job = load_job(inputs, *_machinery())
    given = [len(found) for found in job.data.negatives.values()]
    assert min(given) >= 1
    assert max(given) >= 4
    assert job.data.batch(np.arange(100)).candidates_BK.shape[1] == 5


def _machinery():
    from modernbert.model.accelerator import make_accelerator
    from modernbert.model.device import choose_machine
    from modernbert.training.signals import StopRequest

    return make_accelerator(choose_machine("cpu", "fp32")), StopRequest()


def test_a_stopped_run_goes_on_to_the_same_bits(pairs, tiny_modernbert, tmp_path):
    from modernbert.errors import Interrupted

    settings = FLAGS | {"epochs": 3.0, "eval_every": 5, "log_every": 1}
    whole = finetune(request_of(pairs, tiny_modernbert, **settings), RunStore(tmp_path / "whole"))

    def stop(report):
        if getattr(report, "step", 0) == 12:
            raise Interrupted(15, "stopped")

    parts = RunStore(tmp_path / "parts")
    with pytest.raises(Interrupted):
        finetune(request_of(pairs, tiny_modernbert, **settings), parts, observe=stop)
    again = resume(parts.names()[0], parts)
    assert again.record.model_files == whole.record.model_files
    assert again.record.results == whole.record.results


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "triplet"}, "it must be one of contrastive, kl, margin"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be from 0.0001 to 100"),
        ({"max_length": 9999}, "exceeds the model's context"),
        ({"pooling": "max"}, "it must be one of mean, cls"),
    ],
)
def test_settings_that_make_no_sense(settings, message, pairs, tiny_modernbert, store):
    with pytest.raises(BadOption, match=message):
        prepare(request_of(pairs, tiny_modernbert, **settings), store)
    assert not store.names()


def test_a_labelled_task_has_no_temperature(reviews, tiny_modernbert, store):
    with pytest.raises(BadOption, match=r"reviews\.csv: --temperature applies only to retrieval"):
        prepare(request_of(reviews, tiny_modernbert, temperature=0.1), store)
