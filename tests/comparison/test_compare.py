"""Comparing runs: what is read, refused, paired and said."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from helpers import keep_run, made_run, request_of, toy_rows, write_csv
from modernbert.cli.main import app
from sklearn import metrics as sk
from typer.testing import CliRunner

from modernbert.comparison.compare import compare
from modernbert.comparison.outcomes import read_outcomes
from modernbert.comparison.tables import comparison_tables, task_tables
from modernbert.errors import BadOption, BadRun, UnknownName
from modernbert.evaluation.metrics import score
from modernbert.evaluation.statistics import wilson
from modernbert.finetuning.finetune import finetune
from modernbert.report.report import comparison_report
from modernbert.runs import write_run


@pytest.fixture
def two_models(store):
    """Three seeds of a good model and of a bad one on two tasks."""
    random = np.random.default_rng(0)
    for task in ("glue/sst2", "glue/rte"):
        for seed in (1, 2, 3):
            for model, share in (("good", 0.9), ("bad", 0.7)):
                right = random.random(400) < share
                made_run(store, f"{task[5:]}-{model}-{seed}", model, right, seed=seed, task=task)
    return store


def test_a_better_model_is_found(two_models):
    found = compare(two_models, [], ["bad"])
    assert [task.task for task in found.tasks] == ["glue/rte", "glue/sst2"]
    for task in found.tasks:
        (contrast,) = task.contrasts
        assert (contrast.model, contrast.baseline) == ("good", "bad")
        good, bad = task.models
        assert contrast.difference.value == pytest.approx(good.mean - bad.mean)
        assert contrast.difference.low > 0.1
        assert contrast.difference.p <= contrast.p_corrected < 0.01
        assert contrast.difference.seeds == (3, 3)
        assert contrast.mcnemar is None
        assert (good.cost.parameters, good.cost.minutes, good.cost.memory_mib) == (15, 2.0, 100.0)
        assert contrast.verdict == "better"
    assert found.averaged == ("glue/rte", "glue/sst2")
    good, bad = found.averages
    assert (good.model, bad.model) == ("good", "bad")
    assert good.mean == pytest.approx(np.mean([task.models[0].mean for task in found.tasks]))


def test_another_metric_is_computed_of_the_kept_answers(two_models):
    found = compare(two_models, [], ["bad"], tasks=["glue/rte"], metric="f1")
    (task,) = found.tasks
    expected = []
    for seed in (1, 2, 3):
        lines = (two_models.path(f"rte-good-{seed}") / "scores.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        expected.append(sk.f1_score([r["label"] for r in rows], [r["prediction"] for r in rows]))
    assert task.metric == "f1" and task.models[0].mean == pytest.approx(np.mean(expected))
    assert task.contrasts[0].difference.value == pytest.approx(task.models[0].mean - task.models[1].mean)
    assert "without its answers" not in comparison_report(found, two_models, texts=False)


def test_a_metric_that_a_task_has_not_is_refused(two_models):
    for metric, runs in itertools.product(("f2", "r2", "ndcg_at_10"), ([], ["rte-good-1", "rte-bad-1"])):
        with pytest.raises(UnknownName, match=f"the runs have no metric '{metric}'") as unknown:
            compare(two_models, runs, [] if runs else ["bad"], metric=metric)
        offered = unknown.value.fix.partition("Use ")[2].rstrip(".").split(", ")
        assert {"f1", "accuracy"} <= {*offered} and not {"spearman", "r2", "map", "micro_f1"} & {*offered}


def test_averages_are_over_tasks_that_all_have(two_models):
    made_run(two_models, "third", "third", np.ones(400, bool), task="glue/sst2")
    found = compare(two_models, [], ["bad"])
    assert found.averages == found.average_contrasts == ()
    assert found.averaged == ("glue/sst2",)


def test_examples_of_one_cluster_are_compared_as_one(store):
    """Eight examples of each cluster go the same way; an older run has kept no clusters."""
    random = np.random.default_rng(0)
    clusters = np.repeat(np.arange(40), 8)
    good, bad = ((random.random(40) < share)[clusters] for share in (0.85, 0.65))
    for seed in (1, 2):
        made_run(store, f"good-{seed}", "good", good, seed=seed, clusters=clusters)
    made_run(store, "old-2", "bad", bad, seed=2)
    found = compare(store, ["good-1", "good-2", "old-2"], ["bad"], allow=True)
    (contrast,) = found.tasks[0].contrasts
    assert (contrast.difference.n, contrast.difference.clusters) == (320, 40)
    assert contrast.mcnemar is None
    low, high = wilson(float(good.mean()), 40)
    best = found.tasks[0].models[0]
    assert best.high - best.low == pytest.approx(high - low, rel=0.15)


def test_the_same_answers_are_no_difference(store):
    right = np.random.default_rng(0).random(200) < 0.8
    for model in ("one", "other"):
        made_run(store, model, model, right)
    (contrast,) = compare(store, [], ["one"]).tasks[0].contrasts
    assert contrast.difference.value == 0
    assert not contrast.difference.is_shown
    assert contrast.mcnemar == 1.0


def test_lora_is_another_model(store):
    made_run(store, "full", "minilm", np.arange(100) < 90)
    made_run(store, "lora", "minilm", np.arange(100) < 50, lora=True)
    (contrast,) = compare(store, [], ["minilm"]).tasks[0].contrasts
    assert contrast.model == "minilm lora"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"recipe": "paper"}, "recipe: 'paper' and 'default'"),
        ({"settings": {"epochs": 9.0}}, "epochs: 9.0 and 1.0"),
    ],
)
def test_another_recipe_is_refused_unless_allowed(changes, field, store):
    made_run(store, "a", "one", np.arange(100) < 90)
    made_run(store, "b", "other", np.arange(100) < 60, **changes)
    with pytest.raises(BadRun, match="were not made alike") as caught:
        compare(store, [], ["one"])
    assert field in caught.value.what
    (contrast,) = compare(store, [], ["one"], allow=True).tasks[0].contrasts
    assert contrast.differing


def test_seeds_of_one_model_must_be_alike(store):
    """TF-IDF has no settings to differ from; the two runs that are averaged have."""
    made_run(store, "a", "one", np.arange(100) < 90, seed=1)
    made_run(store, "b", "one", np.arange(100) < 80, seed=2, settings={"epochs": 9.0})
    made_run(store, "c", "other", np.arange(100) < 50)
    with pytest.raises(BadRun, match=r"one \(b\) and one \(a\) .* not made alike"):
        compare(store, [], ["other"])
    (contrast,) = compare(store, ["a", "c"], ["other"]).tasks[0].contrasts
    assert not contrast.differing
    (contrast,) = compare(store, [], ["other"], allow=True).tasks[0].contrasts
    assert contrast.differing == {"epochs": (9.0, 1.0)}


@pytest.mark.parametrize("allow", [False, True])
def test_other_examples_are_never_compared(allow, store):
    made_run(store, "a", "one", np.arange(100) < 90)
    made_run(store, "b", "other", np.arange(100) < 60, fingerprint="w")
    with pytest.raises(BadRun, match="data: 'w' and 'v'"):
        compare(store, [], ["one"], allow=allow)


def test_the_newest_run_of_a_seed_counts(store):
    made_run(store, "a", "one", np.arange(100) < 90)
    made_run(store, "b", "one", np.arange(100) < 80, created="2026-02-01T00:00:00+00:00")
    made_run(store, "c", "other", np.arange(100) < 50)
    found = compare(store, [], ["other"])
    assert found.tasks[0].models[0].mean == pytest.approx(0.8)
    assert any("passed over: a, as b is newer" in note for note in found.notes)


def test_named_runs_meet_the_baselines_of_the_store(two_models):
    found = compare(two_models, ["sst2-good-1", "sst2-good-2"], ["bad"])
    (task,) = found.tasks
    assert task.contrasts[0].difference.seeds == (2, 3)


def test_rows_that_do_not_fit_the_record_are_refused(store):
    made_run(store, "a", "one", np.arange(100) < 90)
    path = store.path("a") / "scores.jsonl"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(BadRun, match="99 rows; the record says 100"):
        read_outcomes(store, "a")


def test_a_run_that_was_only_scored_is_compared(two_models):
    record = two_models.read("sst2-good-1").as_dict() | {"kind": "evaluate", "seed": None}
    record["model"] |= {"name": "scored"}
    record["config"] = {"max_length": 64}
    del record["request"], record["recipe"], record["training"]
    folder = keep_run(two_models, "scored", record)
    (folder / "scores.jsonl").write_bytes((two_models.path("sst2-good-1") / "scores.jsonl").read_bytes())
    (contrast,) = compare(two_models, ["scored", "sst2-bad-1"], ["bad"]).tasks[0].contrasts
    assert contrast.model == "scored (as it comes)"
    assert contrast.difference.low > 0.1
    assert contrast.verdict == "one training: examples only"


def test_one_training_is_never_better(two_models):
    """However many seeds the other side has. What has no seeds is no training."""
    made_run(two_models, "sure", "sure", np.ones(400, bool))
    made_run(two_models, "fixed", "fixed", np.zeros(400, bool), seed=None, kept_as="baseline")
    found = compare(two_models, [], ["sure", "fixed"], tasks=["glue/sst2"]).tasks[0]
    verdicts = {(c.model, c.baseline): c.verdict for c in found.contrasts}
    assert verdicts["good", "sure"] == verdicts["fixed", "sure"] == "one training: examples only"
    assert verdicts["good", "fixed"] == verdicts["bad", "fixed"] == "better"
    notes = [note for table in task_tables(found) for note in table.notes]
    assert any(note.startswith("one seed of sure: ") for note in notes)


def test_equivalence_is_said_where_a_margin_is_given(store):
    random = np.random.default_rng(0)
    for model in ("one", "other"):
        for seed in (1, 2, 3):
            right = random.random(1000) < 0.99
            made_run(store, f"{model}-{seed}", model, right, seed=seed)
    undecided = "no difference shown"
    for margin, verdict in [(0.0, undecided), (0.05, "equivalent"), (1e-4, undecided)]:
        found = compare(store, [], ["one"], margin=margin)
        (contrast,) = found.tasks[0].contrasts
        assert contrast.verdict == found.as_dict()["tasks"][0]["contrasts"][0]["verdict"] == verdict
        assert 0 < contrast.difference.detectable < 0.05
        columns = comparison_tables(found)[1].columns
        assert ("equivalence" in columns) == (margin > 0)
    with pytest.raises(BadOption, match="a margin of -1"):
        compare(store, [], ["one"], margin=-1)


def test_a_run_and_a_comparison_give_the_same_interval(store):
    """One made its own, and a reader saw two of the same score."""
    right = np.random.default_rng(0).random(60) < 0.97
    made_run(store, "a", "one", right)
    made_run(store, "b", "other", right[::-1])
    labels = np.arange(60) % 2
    alone = score("accuracy", labels, np.where(right, labels, 1 - labels))
    (beside,) = [m for m in compare(store, [], ["other"]).tasks[0].models if m.model == "one"]
    assert (alone.low, alone.high) == (beside.low, beside.high)
    assert (alone.low, alone.high) == pytest.approx(wilson(alone.value, 60))


def test_unfinished_runs_are_passed_over_or_refused_by_name(two_models):
    record = two_models.read("sst2-good-1")
    write_run(two_models.path("sst2-good-1"), record.with_values(status="interrupted"))
    found = compare(two_models, [], ["bad"])
    assert any("interrupted" in note for note in found.notes)
    with pytest.raises(BadRun, match="is interrupted: it has no scores yet"):
        compare(two_models, ["sst2-good-1", "sst2-bad-1"], ["bad"])


def test_an_unknown_baseline_names_what_there_is(two_models):
    with pytest.raises(UnknownName, match="Did you mean good"):
        compare(two_models, [], ["goood"])
    with pytest.raises(BadOption, match="one model alone"):
        compare(two_models, ["sst2-bad-1"], ["bad"])


def test_real_runs_compare_by_command(tmp_path, store, tiny_bert, tiny_modernbert):
    rows = write_csv(tmp_path / "reviews.csv", toy_rows(120))
    for model in (tiny_bert, tiny_modernbert):
        finetune(request_of(rows, model, epochs=1.0), store)
    done = CliRunner().invoke(app, ["compare", "--baseline", "tiny-bert", "--show-seeds"])
    assert done.exit_code == 0, done.output
    for shown in ("own/reviews", "tiny-modernbert", "95 % interval", "42="):
        assert shown in done.output
    listed = CliRunner().invoke(app, ["compare", "--baseline", "tiny-bert", "--json"])
    (task,) = json.loads(listed.output)["tasks"]
    assert task["n"] == task["contrasts"][0]["difference"]["n"]
    missing = CliRunner().invoke(app, ["compare"])
    assert missing.exit_code != 0


def test_a_run_is_not_compared_with_itself(store):
    made_run(store, "c1", "one", np.arange(100) < 90)
    with pytest.raises(BadOption, match="'c1' is named twice"):
        compare(store, ["c1", "c1"], [])


def test_intervals_that_are_less_sharp_than_they_look_are_told(store):
    """Two errors in a hundred, and two seeds."""
    for seed in (1, 2):
        made_run(store, f"near-1-{seed}", "near", np.arange(100) < 98, seed=seed)
        made_run(store, f"mid-{seed}", "middle", np.arange(100) < 70 + seed, seed=seed)
    made_run(store, "mid-3", "middle", np.arange(100) < 73, seed=3)
    notes = compare(store, [], ["middle"]).tasks[0].notes
    assert any(note.startswith("near: the score is fewer than 5 examples") for note in notes)
    assert any(note.startswith("near: two seeds hardly show") for note in notes)
    assert not any("middle" in note and ("fewer" in note or "two seeds" in note) for note in notes)
