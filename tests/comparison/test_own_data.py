"""Users' own files of one name: two tasks, however alike their runs are called."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import made_run

from modernbert.comparison.collect import collect
from modernbert.comparison.compare import compare
from modernbert.comparison.plan import Wanted, plan_runs
from modernbert.errors import BadRun


@pytest.fixture
def two_files(store, tmp_path):
    """Two files called reviews.csv, with two models of two seeds on each."""
    random = np.random.default_rng(0)
    for folder in ("shop", "forum"):
        path = tmp_path / folder / "reviews.csv"
        path.parent.mkdir()
        path.write_text("text,label\n")
        for model, share in (("one", 0.9), ("other", 0.6)):
            for seed in (1, 2):
                scored = {"rows": 200, "found_in": str(path), "revision": "1", "fingerprint": folder}
                data = {"text": ["text"], "label": "label", "splits": {"validation": scored}}
                made_run(store, f"{folder}-{model}-{seed}", model, random.random(200) < share, seed=seed,
                         task="own/reviews", record={"data": data})  # fmt: skip
    return store


def tasks_of(outcomes):
    return sorted({outcome.task for outcome in outcomes})


def test_two_files_of_one_name_are_two_tasks(two_files):
    found = compare(two_files, [], ["other"])
    assert [(task.task, len(task.contrasts)) for task in found.tasks] == [
        ("own/reviews (forum)", 1), ("own/reviews (shop)", 1),
    ]  # fmt: skip
    assert {model.runs for task in found.tasks for model in task.models} == {
        (f"{folder}-{model}-1", f"{folder}-{model}-2")
        for folder in ("shop", "forum")
        for model in ("one", "other")
    }
    (note,) = found.notes
    assert note.startswith("own/reviews stands for 2 data sets: ")


def test_one_file_alone_keeps_its_name(two_files):
    names = [name for name in two_files.names() if name.startswith("shop")]
    assert tasks_of(collect(two_files, names)[0]) == ["own/reviews"]


@pytest.mark.parametrize("target", ["shop/reviews.csv", "own/reviews (shop)"])
def test_one_of_them_is_named_by_its_path_or_by_the_name_it_is_told_by(two_files, target, tmp_path):
    target = str(tmp_path / target) if target.endswith("csv") else target
    (task,) = compare(two_files, [], ["other"], tasks=[target]).tasks
    assert {run for model in task.models for run in model.runs} == {
        "shop-one-1", "shop-one-2", "shop-other-1", "shop-other-2"
    }  # fmt: skip


def test_the_name_they_share_is_both(two_files):
    assert len(compare(two_files, [], ["other"], tasks=["own/reviews"]).tasks) == 2


def test_a_baseline_beside_named_runs_is_of_their_file(two_files):
    (task,) = compare(two_files, ["shop-one-1", "shop-one-2"], ["other"]).tasks
    assert {run for model in task.models for run in model.runs} == {
        "shop-one-1", "shop-one-2", "shop-other-1", "shop-other-2"
    }  # fmt: skip


def test_runs_of_two_files_are_not_compared(two_files):
    with pytest.raises(BadRun, match="nothing to compare") as caught:
        compare(two_files, ["shop-one-1", "forum-other-1"], [])
    assert "own/reviews (shop)" in caught.value.what


def test_what_is_missing_is_so_for_one_file(two_files, tmp_path):
    """A third file of the name has no runs; the two that have are not taken for it."""
    other = tmp_path / "new" / "reviews.csv"
    other.parent.mkdir()
    other.write_text("text,label\n")
    outcomes, _ = collect(two_files, [])
    wanted = {"baselines": ("tfidf",), "models": ("minilm",), "seeds": 1}
    plan = plan_runs(two_files, outcomes, Wanted(tasks=(str(other),), **wanted))
    assert [(planned.model, planned.request.target) for planned in plan] == [
        ("minilm", str(other)), ("tfidf", str(other))
    ]  # fmt: skip
    known = plan_runs(two_files, outcomes, Wanted(baselines=("other",), seeds=3))
    assert {(planned.task, planned.seed) for planned in known} == {
        (f"own/reviews ({folder})", seed) for folder in ("shop", "forum") for seed in (42, 43, 44)
    }


def test_data_that_was_moved_is_still_its_own(two_files, tmp_path):
    (tmp_path / "shop").rename(tmp_path / "archive")
    target = str(tmp_path / "archive" / "reviews.csv")
    assert tasks_of(collect(two_files, [], tasks=[target])[0]) == ["own/reviews"]
