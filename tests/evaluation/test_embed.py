"""Vectors: the same as sentence-transformers', in the order of the texts."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from modernbert.errors import BadModel, BadOption
from modernbert.evaluation import embed
from modernbert.evaluation.embed import Embedder
from modernbert.model.locate import locate_model

TEXTS = ["good w1 w2", "bad", "w3 " * 50, "fine w4 awful"]


def as_sentence_transformer(folder, target, pooling, *, normalize=True, max_length=20):
    """Add what sentence-transformers writes beside an encoder."""
    shutil.copytree(folder, target)
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    rows = [
        {
            "idx": i,
            "name": str(i),
            "path": f"{i}_{name}" if i else "",
            "type": f"sentence_transformers.models.{name}",
        }
        for i, name in enumerate(modules)
    ]
    (target / "modules.json").write_text(json.dumps(rows))
    (target / "sentence_bert_config.json").write_text(
        json.dumps({"max_seq_length": max_length, "do_lower_case": False})
    )
    (target / "1_Pooling").mkdir()
    config = {"word_embedding_dimension": 32, f"pooling_mode_{pooling}": True}
    off = {"mean_tokens": "cls_token", "cls_token": "mean_tokens"}.get(pooling, "mean_tokens")
    config[f"pooling_mode_{off}"] = False
    (target / "1_Pooling" / "config.json").write_text(json.dumps(config))
    (target / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "w5 "}}))
    return target


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("pooling", ["mean_tokens", "cls_token"])
@pytest.mark.parametrize("model", ["tiny_modernbert", "tiny_bert"])
def test_vectors_equal_sentence_transformers(model, pooling, normalize, tmp_path, store, request):
    st = pytest.importorskip("sentence_transformers")
    folder = as_sentence_transformer(
        request.getfixturevalue(model), tmp_path / "st", pooling, normalize=normalize
    )
    expected = st.SentenceTransformer(str(folder), device="cpu").encode(TEXTS)
    found = Embedder(locate_model(str(folder), store=store), device="cpu", precision="fp32")
    np.testing.assert_allclose(found.encode(TEXTS), expected, atol=1e-5)
    assert found.settings.tuned
    assert found.estimate(TEXTS).cut == 0.25


def test_lower_case_is_read_as_sentence_transformers_reads_it(tmp_path, tiny_modernbert, store):
    st = pytest.importorskip("sentence_transformers")
    folder = as_sentence_transformer(tiny_modernbert, tmp_path / "st", "mean_tokens")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20, "do_lower_case": true}')
    texts = ["GOOD W1", "Bad", "fine AWFUL w2"]
    expected = st.SentenceTransformer(str(folder), device="cpu").encode(texts)
    found = Embedder(locate_model(str(folder), store=store), device="cpu", precision="fp32")
    np.testing.assert_allclose(found.encode(texts), expected, atol=1e-5)
    assert not np.allclose(
        found.encode(["GOOD"]), st.SentenceTransformer(str(tiny_modernbert)).encode(["GOOD"])
    )


def test_a_mean_without_the_prompt_is_refused(tmp_path, tiny_modernbert, store):
    folder = as_sentence_transformer(tiny_modernbert, tmp_path / "st", "mean_tokens")
    path = folder / "1_Pooling" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"include_prompt": False}))
    with pytest.raises(BadModel, match="include_prompt"):
        Embedder(locate_model(str(folder), store=store))


def test_prompts_and_order(tmp_path, tiny_modernbert, store, monkeypatch):
    folder = as_sentence_transformer(tiny_modernbert, tmp_path / "st", "mean_tokens")
    embedder = Embedder(locate_model(str(folder), store=store), device="cpu", precision="fp32")
    together = embedder.encode(TEXTS)
    np.testing.assert_allclose(
        embedder.encode(TEXTS, "query"), embedder.encode([f"w5 {text}" for text in TEXTS]), atol=1e-6
    )
    monkeypatch.setattr(embed, "CHUNK", 2)
    np.testing.assert_allclose(embedder.encode(TEXTS), together, atol=1e-5)


def test_a_plain_encoder_is_not_tuned(tiny_modernbert, store):
    embedder = Embedder(locate_model(str(tiny_modernbert), store=store))
    assert not embedder.settings.tuned
    assert embedder.settings.pooling == "mean"


def test_what_mbert_does_not_know_is_refused(tmp_path, tiny_bert, store):
    folder = as_sentence_transformer(tiny_bert, tmp_path / "st", "max_tokens")
    with pytest.raises(BadModel, match="does not know the pooling max_tokens"):
        Embedder(locate_model(str(folder), store=store))
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(BadModel, match="modules that mbert does not know: Dense"):
        Embedder(locate_model(str(folder), store=store))
    modules.pop()
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "euclidean"}')
    with pytest.raises(BadModel, match="does not know the similarity 'euclidean'"):
        Embedder(locate_model(str(folder), store=store))
    with pytest.raises(BadOption, match="exceeds the model's context"):
        Embedder(locate_model(str(tiny_bert), store=store), max_length=100_000)
