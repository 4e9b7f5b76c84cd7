"""A late-interaction model of another program is never read as one that gives a vector for each text."""

from __future__ import annotations

import json
import shutil

import pytest

from modernbert.errors import BadModel
from modernbert.evaluation.embed import Embedder
from modernbert.model.embedding import embedding_settings
from modernbert.model.locate import locate_model


def module(kind, path=""):
    return {"idx": 0, "name": "0", "path": path, "type": kind}


TRANSFORMER = module("sentence_transformers.models.Transformer")
PYLATE = [TRANSFORMER, module("pylate.models.Dense.Dense", "1_Dense")]
FOLDERS = {
    "PyLate": {
        "modules.json": PYLATE,
        "config_sentence_transformers.json": {"model_type": "ColBERT", "query_prefix": "[Q] "},
    },
    "PyLate without its model_type": {"modules.json": PYLATE},
    "with MaxSim": {
        "modules.json": [TRANSFORMER, module("sentence_transformers.models.Pooling", "1_Pooling")],
        "config_sentence_transformers.json": {"similarity_fn_name": "MaxSim"},
    },
    "tokens alone": {"modules.json": [TRANSFORMER]},
    "Stanford's settings": {"artifact.metadata": {"dim": 128}},
    "Stanford's architecture": {"config.json": {"architectures": ["HF_ColBERT"]}},
    "transformers' own": {"config.json": {"architectures": ["ModernBertForRetrieval"]}},
}


@pytest.mark.parametrize("name", FOLDERS)
def test_it_is_refused(name, tiny_bert, tmp_path, store):
    folder = shutil.copytree(tiny_bert, tmp_path / "model")
    for file, content in FOLDERS[name].items():
        path = folder / file
        if isinstance(content, dict) and path.exists():
            content = json.loads(path.read_text()) | content
        path.write_text(json.dumps(content))
    source = locate_model(str(folder), store=store)
    for load in (Embedder, embedding_settings):
        with pytest.raises(BadModel, match="a late-interaction model"):
            load(source)


def test_what_sentence_transformers_saves_is_refused(tiny_bert, tmp_path, store):
    library = pytest.importorskip("sentence_transformers")
    if not hasattr(library, "MultiVectorEncoder"):
        pytest.skip("it came with version 6")
    library.MultiVectorEncoder(str(tiny_bert), device="cpu").save_pretrained(str(tmp_path / "model"))
    with pytest.raises(BadModel, match="a late-interaction model"):
        Embedder(locate_model(str(tmp_path / "model"), store=store))
