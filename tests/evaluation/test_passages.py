"""Documents cut into passages, and vectors kept on disk."""

from __future__ import annotations

import numpy as np
import pytest

from modernbert.evaluation import vectors
from modernbert.evaluation.passages import cut_into_passages
from modernbert.evaluation.vectors import VectorCache


def test_passages_cover_every_word_and_overlap(tiny_tokenizer):
    words = [f"w{i % 60}" for i in range(50)]
    passages, owners = cut_into_passages(tiny_tokenizer, [" ".join(words), "", "good bad"], 18)
    assert owners.tolist() == [0, 0, 0, 0, 1, 2]
    assert passages[4:] == ["", "good bad"]
    assert all(len(tiny_tokenizer(passage)["input_ids"]) <= 18 for passage in passages)
    found = passages[0].split()
    for passage in passages[1:4]:
        assert passage.split()[:2] == found[-2:], "two of sixteen words are shared"
        found += passage.split()[2:]
    assert found == words


def test_a_killed_embedding_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "SHARD", 3)
    texts = [str(i) for i in range(8)]
    calls: list[list[str]] = []

    def encode(part):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(list(part))
        return np.array([[float(text), 1.0] for text in part], np.float32)

    cache = VectorCache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cache.vectors({"model": "a"}, texts, encode)
    assert not list(tmp_path.rglob("*.mbert-tmp"))
    calls.clear()
    found = cache.vectors({"model": "a"}, texts, encode)
    assert calls == [["6", "7"]]
    np.testing.assert_array_equal(np.concatenate(found)[:, 0], range(8))


@pytest.mark.parametrize(("key", "texts"), [({"model": "b"}, ["x"]), ({"model": "a"}, ["y"])])
def test_other_texts_or_another_model_are_other_vectors(key, texts, tmp_path):
    def encode(part):
        return np.full((len(part), 1), hash((str(key), *part)) % 97, np.float32)

    cache = VectorCache(tmp_path)
    cache.vectors({"model": "a"}, ["x"], lambda part: np.full((1, 1), -1.0, np.float32))
    assert cache.vectors(key, texts, encode)[0][0, 0] >= 0
