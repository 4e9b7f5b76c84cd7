"""Which results are of one model, and what models are called."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from helpers import made_run

from modernbert.comparison.collect import collect
from modernbert.comparison.compare import compare
from modernbert.comparison.identity import ModelId, names_of
from modernbert.errors import BadOption
from modernbert.model.locate import locate_model

RIGHT = np.arange(100) < 90


def of_folder(folder, **known):
    return {"name": folder, "found_in": f"folder {folder}", "revision": "local folder", "family": "bert",
            "folder": folder, **known}  # fmt: skip


def models(store, runs=()):
    return sorted({outcome.model for outcome in collect(store, runs)[0]})


def test_two_folders_of_one_name_are_two_models(store):
    """Each was a `checkpoint-1000`; of an older version's records only the path tells them apart."""
    for seed, (folder, known) in enumerate(
        [("/a/one/checkpoint-1000", {"weights": "1" * 64}), ("/a/two/checkpoint-1000", {"weights": "2" * 64}),
         ("/a/old/checkpoint-1000", {})]
    ):  # fmt: skip
        made_run(store, f"r{seed}", folder, RIGHT, seed=seed, record={"model": of_folder(folder, **known)})
    names = ["checkpoint-1000 (old)", "checkpoint-1000 (one)", "checkpoint-1000 (two)"]
    assert models(store) == names
    with pytest.raises(BadOption, match=r"several models on glue/sst2: checkpoint-1000 \(old\), ") as caught:
        compare(store, [], ["checkpoint-1000"])
    assert all(name in caught.value.what for name in names)
    found = compare(store, [], ["checkpoint-1000 (two)"])
    assert found.baselines == ("checkpoint-1000 (two)",)


def test_one_folder_that_was_moved_is_one_model(store):
    for seed, folder in enumerate(["/a/checkpoint-1000", "/elsewhere/checkpoint-1000"]):
        made_run(store, f"r{seed}", folder, RIGHT, seed=seed,
                 record={"model": of_folder(folder, weights="1" * 64)})  # fmt: skip
    assert models(store) == ["checkpoint-1000"]


def test_an_alias_at_two_revisions_is_two_models(store):
    for seed, revision in enumerate(["a" * 40, "b" * 40]):
        model = {"name": "minilm", "found_in": "Hub x/y", "revision": revision, "family": "bert"}
        made_run(store, f"r{seed}", "minilm", RIGHT, seed=seed, record={"model": model})
    assert models(store) == ["minilm (revision aaaaaaaa)", "minilm (revision bbbbbbbb)"]
    with pytest.raises(BadOption, match="several models"):
        compare(store, [], ["minilm"])
    (contrast,) = compare(store, [], ["minilm (revision aaaaaaaa)"]).tasks[0].contrasts
    assert contrast.model == "minilm (revision bbbbbbbb)"


def test_a_name_is_never_read_for_what_it_says(store):
    """A folder may be called `minilm lora`, or like a fusion; it is neither."""
    made_run(store, "a", "minilm", RIGHT, lora=True)
    made_run(store, "b", "minilm lora", RIGHT, seed=43)
    made_run(store, "c", "x + bm25 (english) trained", RIGHT)
    found = {outcome.run: outcome for outcome in collect(store, [])[0]}
    assert found["a"].id.method == "lora" and found["b"].id.method == ""
    assert found["a"].model != found["b"].model
    assert found["c"].id == ModelId("x + bm25 (english) trained", "1")


def test_a_classifier_as_it_comes_is_no_seed_of_what_it_was_trained_to(store):
    made_run(store, "trained", "mine", RIGHT)
    made_run(store, "scored", "mine", np.arange(100) < 50, seed=None, kept_as="evaluate")
    assert models(store) == ["mine", "mine (as it comes)"]


def test_what_came_before_a_training_tells_models_apart_on_one_task():
    plain = ModelId("base", "1")
    after = ModelId("base", "1", start="glue/mnli paper")
    assert names_of([("rte", plain), ("rte", after)]) == {
        ("rte", plain): "base",
        ("rte", after): "base (from glue/mnli paper)",
    }
    # On several tasks it is one model: GLUE's average is over both.
    assert set(names_of([("sst2", plain), ("rte", after)]).values()) == {"base"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ModelId("m", passages=256), ModelId("m")),
        (ModelId("m", fused="bm25 (code)"), ModelId("m", fused="bm25 (english)")),
        (ModelId("m", reranker=ModelId("r", "1")), ModelId("m", reranker=ModelId("r", "2"))),
        (ModelId("m", head="trained", trained_on="a"), ModelId("m", head="trained", trained_on="b")),
        (ModelId("m", run="a"), ModelId("m", run="b")),
        (ModelId("m", weights="0" * 63 + "1"), ModelId("m", weights="0" * 63 + "2")),
        (ModelId("m", method="lora"), ModelId("m lora")),
    ],
)
def test_unlike_models_are_never_called_alike(one, other):
    names = names_of([("t", one), ("t", other)])
    assert names["t", one] != names["t", other]


def test_a_folders_weights_are_its_files(tiny_bert, tmp_path, store):
    for name in ("one", "same", "other"):
        shutil.copytree(tiny_bert, tmp_path / name)
    (tmp_path / "same" / "notes.txt").write_text("no weights")
    weights = tmp_path / "other" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    kept = {n: locate_model(str(tmp_path / n), store=store).record() for n in ("one", "same", "other")}
    assert kept["one"].weights == kept["same"].weights != kept["other"].weights
    assert len(kept["one"].weights) == 64
