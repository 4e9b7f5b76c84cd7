"""Which runs a comparison is made of."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import made_run
from modernbert.cli.main import app
from typer.testing import CliRunner

from modernbert.comparison.collect import collect
from modernbert.comparison.compare import compare
from modernbert.errors import BadOption, BadRun

RIGHT = np.arange(100) < 90
WRONG = np.arange(100) < 50
LATER = "2026-02-01T00:00:00+00:00"


def runs_of(found):
    return {m.model: m.runs for m in found.tasks[0].models}


def test_two_named_runs_are_enough(store):
    """Nobody asks for a baseline, nor for seeds that only one of them has; nothing else slips in."""
    made_run(store, "a", "one", RIGHT, seed=1)
    made_run(store, "b", "other", WRONG, seed=2)
    made_run(store, "c", "other", WRONG, seed=1)
    made_run(store, "d", "third", WRONG, seed=1)
    for arguments, baseline in (("a b", "one"), ("a b -b b", "other"), ("a -b b", "other")):
        done = CliRunner().invoke(app, ["compare", *arguments.split(), "--json"])
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert found["baselines"] == [baseline]
        assert {m["model"]: m["runs"] for m in found["tasks"][0]["models"]} == {"one": ["a"], "other": ["b"]}
    assert runs_of(compare(store, ["a"], ["other"])) == {"one": ("a",), "other": ("c", "b")}


def test_two_runs_of_one_model_stand_for_themselves(store):
    """Another rate, the same seed: what differs is what is compared, and is told."""
    made_run(store, "fast", "one", RIGHT, settings={"learning_rate": 1e-2})
    made_run(store, "slow", "one", WRONG)
    found = compare(store, ["fast", "slow"], [])
    assert runs_of(found) == {"fast": ("fast",), "slow": ("slow",)}
    assert found.notes[0] == "all of them are runs of one"
    (contrast,) = found.tasks[0].contrasts
    assert (contrast.model, contrast.baseline) == ("slow", "fast")
    assert contrast.differing == {"learning_rate": (0.003, 0.01)}
    made_run(store, "slow-2", "one", WRONG, seed=43)
    found = compare(store, ["slow", "slow-2"], ["fast"])
    assert runs_of(found) == {"one (fast)": ("fast",), "one": ("slow", "slow-2")}
    made_run(store, "third", "third", WRONG)
    found = compare(store, ["fast", "slow", "third"], ["third"])
    assert set(runs_of(found)) == {"one (fast)", "one (slow)", "third"}


def test_what_differs_is_refused_between_named_runs_as_between_seeds(store):
    made_run(store, "a", "one", RIGHT, settings={"epochs": 9.0})
    made_run(store, "b", "other", WRONG)
    with pytest.raises(BadRun, match=r"epochs: 1\.0 and 9\.0"):
        compare(store, ["a", "b"], [])
    assert compare(store, ["a", "b"], [], allow=True).tasks[0].contrasts[0].differing == {
        "epochs": (1.0, 9.0)
    }


def test_a_named_run_wins_over_a_newer_one(store):
    made_run(store, "a", "one", RIGHT)
    made_run(store, "newer", "one", WRONG, created=LATER)
    made_run(store, "b", "other", WRONG)
    assert runs_of(compare(store, ["a"], ["other"])) == {"one": ("a",), "other": ("b",)}
    assert runs_of(compare(store, ["b"], ["one"])) == {"one": ("newer",), "other": ("b",)}
    assert runs_of(compare(store, ["a", "b"], ["one"])) == {"one": ("a",), "other": ("b",)}


@pytest.mark.parametrize("allow", [False, True])
def test_age_settles_nothing_between_other_data(allow, store):
    """An evaluation of other data may be newer; it is not the same result."""
    made_run(store, "a", "one", RIGHT)
    made_run(store, "b", "one", WRONG, fingerprint="w", created=LATER)
    made_run(store, "c", "other", WRONG)
    assert len(collect(store, [])[0]) == 3
    with pytest.raises(BadRun, match="data: "):
        compare(store, [], ["other"], allow=allow)
    assert runs_of(compare(store, ["a", "c"], ["other"])) == {"one": ("a",), "other": ("c",)}


def test_one_model_under_two_protocols_is_told_twice(store):
    known = {"kind": "retrieval", "task": "codesearch/x", "head": "vectors"}
    short = {"name": "mteb, but 64 tokens", "titles": True, "max_length": 64, "source": "", "identical": None}
    made_run(store, "a", "one", RIGHT, **known)
    made_run(store, "b", "one", WRONG, **known, record={"protocol": short}, created=LATER)
    made_run(store, "c", "other", WRONG, **known)
    names = sorted(outcome.model for outcome in collect(store, [])[0])
    assert names == [
        "one trained (protocol mteb)", "one trained (protocol mteb, but 64 tokens)", "other trained",
    ]  # fmt: skip
    with pytest.raises(BadRun, match="protocol: "):
        compare(store, [], ["other trained"])
    assert len(compare(store, [], ["other trained"], allow=True).tasks[0].contrasts) == 2


def test_a_run_of_the_store_may_be_the_baseline(store):
    """Its model's other seeds are what is compared with it; nothing is missing then."""
    for seed in (1, 2, 3):
        made_run(store, f"s{seed}", "one", RIGHT, seed=seed)
    assert runs_of(compare(store, [], ["s1"])) == {"one (s1)": ("s1",), "one": ("s2", "s3")}
    done = CliRunner().invoke(app, ["compare", "-b", "s1", "--json"])
    assert done.exit_code == 0, done.output


def test_runs_of_unlike_tasks_are_not_compared(store):
    made_run(store, "a", "one", RIGHT)
    made_run(store, "b", "other", RIGHT, task="glue/rte")
    with pytest.raises(BadRun, match="different tasks or files"):
        compare(store, ["a", "b"], [])
    told = "nothing is compared: no other model was scored on a task of one"
    assert compare(store, [], ["one"]).notes[-1] == told


def test_one_run_is_nothing_to_compare(store):
    made_run(store, "a", "one", RIGHT)
    with pytest.raises(BadOption, match="nothing to compare with"):
        compare(store, ["a"], [])
    with pytest.raises(BadOption, match="one model alone"):
        compare(store, ["a"], ["a"])
