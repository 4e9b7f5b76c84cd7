"""The mean over tasks: intervals and differences against scipy, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import made_run
from scipy import stats

from modernbert.comparison.compare import compare
from modernbert.comparison.tables import comparison_tables, write_tables
from modernbert.evaluation.noise import Noise, Part, noise_of_average
from modernbert.evaluation.statistics import average_difference, difference
from modernbert.evaluation.sums import sums_of


def sums(values):
    return [sums_of("mean", row, row) for row in values]


def test_the_difference_over_two_tasks_is_welchs_t():
    """Half of d1 + d2 is d1 less -d2: two samples of unlike size and spread."""
    random = np.random.default_rng(0)
    apart = random.normal(0.1, 1, 30), random.normal(0.2, 3, 50)
    parts = [difference(sums([a]), sums([a * 0]), trained=(False, False)) for a in apart]
    found = average_difference(parts, np.inf)
    expected = stats.ttest_ind(apart[0], -apart[1], equal_var=False)
    ends = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((ends.low / 2, ends.high / 2))
    assert (found.n, found.seeds, found.one_training) == (80, (1, 1), False)


def test_parts_of_many_tasks_add_up():
    """Each side's seeds have their own degrees of freedom, by hand: (4 + 1 + 1)^2 / (16/2 + 1/1 + 1/4)."""
    first, second, third = (
        Noise(Part(9.0, 99), (Part(v, f), Part(1.0, 3))) for v, f in ((4.0, 2), (1.0, 1), (1.0, 4))
    )
    found = noise_of_average([first, second, third])
    assert (found.examples.variance, found.examples.freedom) == pytest.approx((3.0, 297.0))
    assert found.seeds[0].variance == pytest.approx(6 / 9)
    assert found.seeds[0].freedom == pytest.approx(36 / 9.25)
    assert (found.seeds[1].variance, found.seeds[1].freedom) == pytest.approx((1 / 3, 9.0))


@pytest.fixture
def store_of_three_tasks(store):
    """Two seeds of two models on three tasks, one of them a little better on each."""
    random = np.random.default_rng(1)
    for task in ("glue/sst2", "glue/rte", "glue/mrpc"):
        hard = random.random(400)
        for seed in (1, 2):
            for model, share in (("good", 0.84), ("bad", 0.80)):
                right = 0.8 * hard + 0.2 * random.random(400) < share
                made_run(store, f"{task[5:]}-{model}-{seed}", model, right, seed=seed, task=task)
    return store


def test_averages_have_intervals_and_a_verdict(store_of_three_tasks):
    found = compare(store_of_three_tasks, [], ["bad"], margin=0.5)
    good, bad = found.averages
    (contrast,) = found.average_contrasts
    assert good.low < good.mean < good.high
    assert contrast.difference.value == pytest.approx(good.mean - bad.mean)
    widths = [c.difference.high - c.difference.low for task in found.tasks for c in task.contrasts]
    assert contrast.difference.high - contrast.difference.low < min(widths)
    assert contrast.equivalent_corrected < 0.05
    assert contrast.difference.seeds == (2, 2)
    titles = {table.title: table for table in comparison_tables(found)}
    mean = titles["mean over the tasks that all have (glue/mrpc, glue/rte, glue/sst2)"]
    assert mean.columns == ("model", "mean", "95 % interval")
    assert titles["mean over tasks: differences"].rows[0][-1] == contrast.verdict
    assert "### mean over tasks: differences" in write_tables(found, ".md")
    assert found.as_dict()["average_contrasts"][0]["verdict"] == contrast.verdict


def test_one_training_decides_nothing_of_a_mean_either(store_of_three_tasks):
    names = [f"{task}-{m}-1" for task in ("sst2", "rte", "mrpc") for m in ("good", "bad")]
    (contrast,) = compare(store_of_three_tasks, names, ["bad"]).average_contrasts
    assert contrast.verdict == "one training: examples only"


@pytest.mark.parametrize("seeds", [2, 3])
def test_means_over_tasks_err_seldom(seeds):
    """Four tasks, no difference, trainings that scatter more on one side; of 400 the error is 1.1 points."""
    random = np.random.default_rng(seeds)
    shown = 0
    for _ in range(400):
        parts = []
        for n in (60, 100, 200, 400):
            hard = random.normal(0, 1, n)
            sides = [
                hard + random.normal(0, spread, (seeds, 1)) + random.normal(0, 0.5, (seeds, n))
                for spread in (0.1, 0.3)
            ]
            parts.append(difference(*map(sums, sides)))
        shown += average_difference(parts, np.inf).is_shown
    assert shown / 400 <= 0.07
