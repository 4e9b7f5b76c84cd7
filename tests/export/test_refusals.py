"""An export that is not the same model, or not good enough, is refused with the numbers."""

from __future__ import annotations

import pytest

from modernbert.errors import BadModel
from modernbert.export.export import require_proven
from modernbert.export.proof import long_text
from modernbert.records.export import LongText, Outputs, Proof, ProvenMetric


def proof(metric: str, own: float, export: float, *, largest: float = 0.0, long: float = 0.0) -> Proof:
    return Proof(
        data="own/toy",
        split="test",
        outputs=Outputs(
            rows=100, largest=largest, mean=0.0, allowed=1e-3, agreement=1.0, agreement_is="same answer"
        ),
        long=(LongText(tokens=256, largest=long, padded=True),),
        metrics=(ProvenMetric(metric=metric, torch=own, export=export, low=None, high=None, n=100),),
        speed=(),
    )


@pytest.mark.parametrize(
    ("metric", "own", "export"),
    [
        ("accuracy", 0.90, 0.891),
        ("accuracy", 0.90, 0.95),
        ("mean_absolute_error", 50.0, 50.4),  # 0.8 %: an error has a unit
        ("mean_absolute_error", 50.0, 40.0),
    ],
)
def test_int8_within_the_tolerance(metric, own, export):
    require_proven(proof(metric, own, export, largest=0.5), "int8", 0.01)


@pytest.mark.parametrize(
    ("metric", "own", "export", "said"),
    [
        ("accuracy", 0.90, 0.88, "accuracy is 0.8800, and 0.9000 without it, on 100 rows .worse by 0.0200"),
        ("mean_absolute_error", 50.0, 51.0, "worse by 1.0000"),
    ],
)
def test_int8_beyond_the_tolerance_is_refused_with_the_numbers(metric, own, export, said):
    with pytest.raises(BadModel, match=said):
        require_proven(proof(metric, own, export), "int8", 0.01)


@pytest.mark.parametrize("where", ["largest", "long"])
def test_outputs_in_fp32_that_are_too_far_apart_are_refused(where):
    require_proven(proof("accuracy", 0.9, 0.9, **{where: 9e-4}), "fp32", 0.01)
    with pytest.raises(BadModel, match=r"not the same model.*0\.002"):
        require_proven(proof("accuracy", 0.9, 0.9, **{where: 2e-3}), "fp32", 0.01)


def test_lengths_end_where_the_next_would_take_too_long(monkeypatch):
    """The clock says that each length takes twice as long as the one before."""
    import numpy as np

    from modernbert.export import proof as proofs

    clock = iter(())
    monkeypatch.setattr(proofs.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(
        proofs, "_long", lambda readings, texts, n: LongText(tokens=n, largest=0.0, padded=False)
    )
    reading = proofs.Reading(None, None, 8192, lambda: 0, lambda length: None, None)
    for seconds, lengths in ((0.0, 3), (20.0, 4), (1e9, 6)):
        clock = iter(np.repeat(np.cumsum([0, *(2.0**i for i in range(10))]), 2).tolist()[1:])
        found = proofs.compare_long(reading, reading, [("a",)], seconds=seconds)
        assert [one.tokens for one in found] == list(proofs.LENGTHS[:lengths])


def test_lengths_end_where_memory_would(monkeypatch):
    """Twelve heads at 8,192 tokens: ten matrices of 3.2 GB."""
    from functools import partial

    from modernbert.export import proof as proofs
    from modernbert.export import subject

    assert proofs.memory_of_long(8192, 12) == 10 * 12 * 8192 * 8192 * 4
    assert proofs.memory_of_long(2048, 12) == 10 * 12 * 2048 * 2048 * 4 * 2, "beside a short text"
    monkeypatch.setattr(
        proofs, "_long", lambda readings, texts, n: LongText(tokens=n, largest=0.0, padded=False)
    )
    reading = proofs.Reading(None, None, 8192, lambda: 0, lambda length: None, None)
    fits = partial(subject._fits, 12, 10e9)
    found = proofs.compare_long(reading, reading, [("a",)], fits=fits)
    assert [one.tokens for one in found] == [256, 512, 1024, 2048, 4096]
    (note,) = subject._length_notes(found, 8192, fits)
    assert note.startswith("texts of more than 4,096 tokens") and "memory" in note
    (note,) = subject._length_notes(found, 8192)
    assert "minutes" in note


def test_long_texts_are_made_of_the_tasks_own():
    texts = [("a b", "x"), ("c", "y")]
    made = long_text(texts, lambda text: len(text[0].split()), 7)
    assert made[0].split()[:4] == ["a", "b", "c", "a"]
    assert len(made[0].split()) >= 7
    assert made[1] == "x"
    assert long_text([("",)], lambda text: 0, 10), "empty texts end too"
