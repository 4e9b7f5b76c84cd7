"""The benchmark beside transformers' Trainer measures both sides."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import request_of

from modernbert.finetuning.prepare import prepare

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "benchmarks"))


@pytest.mark.slow
def test_both_sides_are_measured(reviews, tiny_bert, store):
    import trainer

    request = replace(request_of(reviews, tiny_bert, epochs=1.0), precision="fp32")
    inputs = prepare(request, store)
    for run in (trainer.run_mbert, trainer.run_trainer):
        found = json.loads(json.dumps(run(inputs, store)))
        assert 0 <= found["scores"]["accuracy"] <= 1
        assert all(megabytes > 0 for megabytes in found["peak_memory_mib"].values())
