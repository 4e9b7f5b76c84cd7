"""Vectors kept on disk: taken up only as they were written, and made by one process at a time."""

from __future__ import annotations

import numpy as np
import pytest
from damages import DAMAGES

from modernbert.errors import BadOption
from modernbert.evaluation import vectors
from modernbert.evaluation.vectors import VectorCache

TEXTS = [str(i) for i in range(8)]


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr(vectors, "SHARD", 3)


def encode(texts):
    return np.array([[float(text), 1.0] for text in texts], np.float32)


def made(cache, texts=TEXTS):
    """Return the vectors, and the texts for which they had to be made."""
    calls: list[str] = []
    shards = cache.vectors({"model": "a"}, texts, lambda part: [calls.extend(part), encode(part)][1])
    return np.concatenate(shards), calls


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_shard_is_made_again_and_said_so(damage, tmp_path):
    made(VectorCache(tmp_path))
    damage(next(tmp_path.glob("*/000001.npy")))
    cache = VectorCache(tmp_path)
    found, calls = made(cache)
    np.testing.assert_array_equal(found, encode(TEXTS))
    assert calls == ["3", "4", "5"]
    assert len(cache.notes) == 1
    cache = VectorCache(tmp_path)
    assert made(cache)[1] == cache.notes == []


def test_a_shard_in_anothers_place_is_made_again(tmp_path):
    """It is whole, and has the right shape; it only belongs to other texts."""
    made(VectorCache(tmp_path))
    made(VectorCache(tmp_path), [str(i) for i in range(100, 108)])
    first, second = sorted(tmp_path.glob("*/000000.npy"))
    content = [path.read_bytes() for path in (first, second)]
    first.write_bytes(content[1])
    second.write_bytes(content[0])
    np.testing.assert_array_equal(made(VectorCache(tmp_path))[0], encode(TEXTS))


def test_what_a_killed_process_left_is_swept(tmp_path):
    made(VectorCache(tmp_path))
    left = next(tmp_path.glob("*")) / ".000000.npy.0123456789abcdef.mbert-tmp"
    left.write_text("half")
    made(VectorCache(tmp_path))
    assert not left.exists()


def test_a_cache_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file" / "vectors", "/proc/nowhere/vectors"):
        with pytest.raises(BadOption, match="cannot write here"):
            made(VectorCache(tmp_path / root))
