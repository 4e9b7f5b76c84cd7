"""A query without torch: the same vector, or else torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from helpers import tiny_modernbert_config

from modernbert.errors import BadModel
from modernbert.evaluation.embed import Embedder
from modernbert.index import light as reading
from modernbert.index.build import build_index
from modernbert.index.light import PROBES, light_reading
from modernbert.index.query import LightEmbedder, Searcher, query_embedder
from modernbert.index.record import read_record
from modernbert.model.light import LightEncoder, gelu
from modernbert.model.locate import locate_model
from modernbert.model.pretrained import quiet_transformers
from modernbert.runs import RunStore

LONG = "good w1 bad w2 fine w3 " * 30  # longer than the window of the local layers


def embedder_of(folder, tmp_path, **given):
    source = locate_model(str(folder), store=RunStore(tmp_path / "none"))
    return Embedder(source, device="cpu", precision="fp32", **given)


def changed(tiny_tokenizer, folder, **changes):
    import torch
    from transformers import ModernBertModel

    torch.manual_seed(1)
    with quiet_transformers():
        ModernBertModel(tiny_modernbert_config(initializer_range=0.5, **changes)).save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
    return folder


def test_gelu_is_the_exact_one():
    from scipy.special import erf

    x = np.linspace(-9, 9, 4001, dtype=np.float32)
    np.testing.assert_allclose(gelu(x), 0.5 * x * (1 + erf(x / np.sqrt(2))), atol=1e-6)


@pytest.mark.parametrize("name", ["tiny", "modernbert-nano"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_vector_is_that_of_the_model(name, pooling, tiny_modernbert, tmp_path):
    embedder = embedder_of(tiny_modernbert if name == "tiny" else name, tmp_path, pooling=pooling)
    encoder = LightEncoder(embedder.source.folder, light_reading(embedder))
    queries = [*PROBES, LONG, "x"]
    found = np.stack([encoder.encode(query) for query in queries])
    np.testing.assert_allclose(found, embedder.encode(queries, "query"), atol=2e-6)


def test_rotary_angles_and_windows_are_read(tiny_tokenizer, tmp_path):
    ropes = {
        "full_attention": {"rope_type": "default", "rope_theta": 900.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 30.0},
    }
    kinds = ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
    folder = changed(tiny_tokenizer, tmp_path / "m", rope_parameters=ropes, layer_types=kinds, norm_eps=1e-3)
    embedder = embedder_of(folder, tmp_path)
    encoder = LightEncoder(folder, light_reading(embedder))
    np.testing.assert_allclose(encoder.encode(LONG), embedder.encode([LONG], "query")[0], atol=2e-6)


@pytest.mark.parametrize(
    "changes",
    [{"norm_bias": True}, {"mlp_bias": True}, {"attention_bias": True}, {"hidden_activation": "relu"}],
)
def test_what_numpy_lacks_is_left_to_torch(changes, tiny_tokenizer, tmp_path):
    assert light_reading(embedder_of(changed(tiny_tokenizer, tmp_path / "m", **changes), tmp_path)) is None


def test_bert_is_left_to_torch(tiny_bert, tmp_path):
    assert light_reading(embedder_of(tiny_bert, tmp_path)) is None


def test_another_vector_or_other_tokens_are_left_to_torch(tmp_path, monkeypatch):
    embedder = embedder_of("modernbert-nano", tmp_path)
    true = reading._light(embedder)
    monkeypatch.setattr(reading, "_light", lambda _: {**true, "theta": [3.0] * 6})
    assert light_reading(embedder) is None
    monkeypatch.setattr(reading, "_light", lambda _: true)
    assert light_reading(embedder) is not None
    embedder.tokenizer.split_special_tokens = False
    assert light_reading(embedder) is None


def test_a_search_finds_the_same_either_way(tree, tmp_path, tiny_modernbert):
    folder, embedder = tmp_path / "index", embedder_of(tiny_modernbert, tmp_path)
    build_index(tree, embedder, folder)
    record = read_record(folder)
    light = query_embedder(embedder.source, record)
    assert isinstance(light, LightEmbedder)
    assert isinstance(query_embedder(embedder.source, record, "cpu"), Embedder)
    assert isinstance(query_embedder(embedder.source, {**record, "light": None}), Embedder)
    for hybrid in (False, True):
        ours = Searcher(folder, light).search("good w1", 9, hybrid=hybrid)
        theirs = Searcher(folder, embedder).search("good w1", 9, hybrid=hybrid)
        assert [(hit.path, hit.start) for hit in ours] == [(hit.path, hit.start) for hit in theirs]
        np.testing.assert_allclose([h.score for h in ours], [h.score for h in theirs], atol=1e-5)


def test_other_weights_are_refused(tree, tmp_path, tiny_tokenizer):
    folder, model = tmp_path / "index", changed(tiny_tokenizer, tmp_path / "m")
    embedder = embedder_of(model, tmp_path)
    build_index(tree, embedder, folder)
    record = read_record(folder)
    changed(tiny_tokenizer, model, norm_eps=1e-2)
    with pytest.raises(BadModel, match="not those of"):
        Searcher(folder, query_embedder(embedder.source, record))
    with pytest.raises(BadModel, match="do not fit together"):
        query_embedder(embedder.source, {**record, "light": {**record["light"], "heads": 7}}).encode(["w1"])
    (model / "model.safetensors").write_bytes(b"x")
    with pytest.raises(BadModel, match="cannot be read"):
        query_embedder(embedder.source, record)


def test_a_search_imports_neither_torch_nor_transformers(tree, tmp_path, tiny_modernbert):
    build_index(tree, embedder_of(tiny_modernbert, tmp_path), tree / ".mbert-index")
    code = (
        "import sys; sys.argv = ['mbert', 'search', 'good w1', '--hybrid', '--index', sys.argv[1]]\n"
        "from modernbert.cli.entry import main; main()\n"
        "heavy = {'torch', 'transformers', 'accelerate', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tree)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "a.py:1-2  good_fine" in done.stdout
