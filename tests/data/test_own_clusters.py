"""`--cluster`: rows of a user's own data that belong together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import record_of, request_of, running_record, toy_rows, write_csv
from modernbert.cli.main import app
from typer.testing import CliRunner

from modernbert.comparison.baselines import run_baseline
from modernbert.comparison.compare import compare
from modernbert.data.own import OwnData, own_task
from modernbert.data.splits import joined_keys
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.metrics import score
from modernbert.evaluation.trained_task import task_of_file
from modernbert.training.inputs import Request


def authored(count: int, authors: int):
    """Return toy rows of a few authors each."""
    return [row | {"author": f"a{n % authors}"} for n, row in enumerate(toy_rows(count))]


@pytest.fixture
def file(tmp_path):
    return write_csv(tmp_path / "reviews.csv", authored(300, 60))


def test_no_author_is_on_both_sides(file):
    task, notes = own_task(OwnData(path=str(file), cluster="author"))
    authors = {name: set(rows.columns["author"]) for name, rows in task.source.splits.items()}
    assert authors["train"].isdisjoint(authors["validation"])
    assert len(authors["train"] | authors["validation"]) == 60
    assert len(authors["validation"]) >= 4
    assert any("rows with the same author stay together" in note for note in notes)
    alone, _ = own_task(OwnData(path=str(file)))
    sides = [set(rows.columns["author"]) for rows in alone.source.splits.values()]
    assert not sides[0].isdisjoint(sides[1])


@pytest.mark.parametrize(
    ("texts", "clusters", "groups"),
    [
        ("abcd", "wxyz", [[0], [1], [2], [3]]),
        ("abad", "wxyz", [[0, 2], [1], [3]]),
        ("abcd", "wxww", [[0, 2, 3], [1]]),
        ("abab", "wxyx", [[0, 2], [1, 3]]),
        ("abbc", "wwxx", [[0, 1, 2, 3]]),  # linked through others
        ("aba", "bab", [[0, 2], [1]]),  # a text that is called like a cluster is no link
    ],
)
def test_what_shares_a_text_or_a_cluster_stays_together(texts, clusters, groups):
    keys = joined_keys(list(texts), list(clusters))
    found = [[i for i, key in enumerate(keys) if key == one] for one in dict.fromkeys(keys)]
    assert sorted(found) == groups


def test_scores_intervals_and_comparisons_are_by_cluster(file, store):
    request = Request(target=str(file), model="tfidf", cluster="author")
    for name in ("tfidf", "majority"):
        run_baseline(name, request, store)
    record = store.read("reviews-tfidf")
    assert record.data.cells.form
    assert record.data.cluster == "author"
    rows = [
        json.loads(line) for line in (store.path("reviews-tfidf") / "scores.jsonl").read_text().splitlines()
    ]
    clusters = [row["cluster"] for row in rows]
    expected = score(
        "accuracy", *(np.array([row[key] for row in rows]) for key in ("label", "prediction")), clusters
    )
    found = record.results[0].scores[0]
    assert (found.low, found.high) == (expected.low, expected.high)
    assert f"{len(set(clusters))} clusters" in found.interval
    (task,) = compare(store, [], ["majority"]).tasks
    assert (task.clusters, task.contrasts[0].difference.clusters) == (len(set(clusters)),) * 2


def test_an_evaluation_takes_the_runs_column_where_the_file_has_it(file, tmp_path):
    labels = {
        "name": "own/x",
        "kind": "single_label",
        "labels": ["negative", "positive"],
        "metrics": ["accuracy"],
    }
    plain = running_record()
    record = record_of(plain | {"task": labels, "data": plain["data"] | {"cluster": "author"}})
    bare = write_csv(tmp_path / "bare.csv", toy_rows(9))
    assert task_of_file(record, file).cluster == "author"
    assert task_of_file(record, bare).cluster == ""
    assert task_of_file(record, file, cluster="text").cluster == "text"
    with pytest.raises(BadData, match="no column 'author'"):
        task_of_file(record, bare, cluster="author")


def test_every_row_needs_a_cluster(tmp_path):
    rows = authored(40, 10)
    rows[6]["author"] = " "
    path = write_csv(tmp_path / "r.csv", rows)
    with pytest.raises(BadData, match="missing") as caught:
        own_task(OwnData(path=str(path), cluster="author"))
    assert caught.value.where.endswith("r.csv, row 7")
    with pytest.raises(BadData, match="no column 'writer'; the columns are"):
        own_task(OwnData(path=str(path), cluster="writer"))
    with pytest.raises(BadOption, match="both label and cluster"):
        own_task(OwnData(path=str(path), cluster="label"))


@pytest.mark.parametrize("target", ["glue/sst2", "codesearch/stdlib"])
def test_named_tasks_know_their_own_clusters(target, store):
    done = CliRunner().invoke(app, ["finetune", target, "--cluster", "author", "--runs-dir", str(store.root)])
    assert done.exit_code != 0
    assert "cluster" in str(done.exception)


def test_by_command(file, store, tiny_modernbert, tmp_path):
    """Trained, then scored on a file with the column and on one without."""
    from modernbert.finetuning.finetune import finetune

    request = request_of(file, tiny_modernbert, epochs=0.1)
    finetune(Request(**{**request.as_dict(), "cluster": "author", "name": "run"}), store)
    assert store.read("run").results[0].scores[0].interval.count(" clusters") == 1
    other = write_csv(tmp_path / "other.csv", authored(60, 20))
    bare = write_csv(tmp_path / "bare.csv", toy_rows(30))
    for path, clustered in ((other, True), (bare, False)):
        done = CliRunner().invoke(
            app, ["eval", str(path), "--model", "run", "--runs-dir", str(store.root), "--json"]
        )
        assert done.exit_code == 0, done.output
        found = json.loads(done.stdout)
        assert ("20 clusters" in found["splits"][0]["scores"][0]["interval"]) is clustered
        assert any("no column 'author'" in note for note in found["notes"]) is not clustered
