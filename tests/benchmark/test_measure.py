"""What is reported of engines that take turns."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
import transformers
from helpers import tiny_modernbert_config

from modernbert.benchmark.engines import CPU, Mbert, Setting, Transformers, exact_logits, make_engines
from modernbert.benchmark.measure import measure, modernbert_operations
from modernbert.benchmark.workloads import of_lengths
from modernbert.memory import working_memory

WORK = of_lengths("test", [9, 30, 3, 17], 90)


def model():
    torch.manual_seed(0)
    return transformers.ModernBertForSequenceClassification(tiny_modernbert_config()).eval()


class Sleeper:
    """An engine that takes a known time."""

    def __init__(self, name, seconds, logits=0.0):
        self.name, self.seconds, self.setting = name, seconds, Setting(CPU, training=False)
        self.found = np.full((4, 2), logits)

    def run(self, tokens):
        time.sleep(self.seconds)
        return self.found


def test_speedups_are_against_mbert():
    found = measure([Sleeper("transformers", 0.25), Sleeper("mbert", 0.05)], WORK, rounds=3)
    assert 3 < found.speedup["transformers"] < 6
    assert found.speedup["mbert"] == 1
    assert found.tokens_per_second["mbert"] == pytest.approx(59 / 0.05, rel=0.3)


@pytest.mark.parametrize(("off", "agrees"), [(0.0, True), (0.01, False)])
def test_logits_that_are_off_are_noticed(off, agrees):
    engines = [Sleeper("transformers", 0), Sleeper("mbert", 0, logits=off)]
    found = measure(engines, WORK, rounds=1, exact=np.zeros((4, 2)))
    assert found.agrees is agrees
    assert found.difference == {"transformers": 0.0, "mbert": off}


@pytest.mark.parametrize("training", [False, True])
def test_every_engine_gives_the_texts_logits_in_their_order(training):
    exact = exact_logits(model(), WORK.tokens)
    near = 1e-2 if training else 1e-4  # transformers' two engines share a model: the second finds it trained
    for engine in make_engines(model(), Setting(CPU, training=training), accelerated=True):
        np.testing.assert_allclose(engine.run(WORK.tokens), exact, atol=near, err_msg=engine.name)


def test_training_changes_weights():
    for kind in (Transformers, Mbert):
        engine = kind("x", model(), Setting(CPU, training=True))
        before = [p.detach().clone() for p in engine.model.parameters()]
        engine.run(WORK.tokens)
        changed = [not torch.equal(a, b) for a, b in zip(before, engine.model.parameters(), strict=True)]
        assert all(changed)


def test_operations_are_counted_without_padding_and_within_the_window():
    config = transformers.ModernBertConfig()
    # Per token and layer of the base model: 2 x (4 x 768^2 + 3 x 768 x 1152) in linear maps.
    linear = 2 * (4 * 768**2 + 3 * 768 * 1152) * 22
    one = modernbert_operations(config, np.array([1]), training=False)
    assert one == linear + 22 * 4 * 768
    long = modernbert_operations(config, np.array([1000]), training=False)
    assert long == 1000 * (linear + 4 * 768 * (8 * 1000 + 14 * 129))
    assert modernbert_operations(config, np.array([1000]), training=True) == 3 * long


def test_working_memory_is_what_a_call_takes():
    assert 150 < working_memory(lambda: torch.ones(50 * 2**20)) < 300
    assert working_memory(lambda: None) < 20
