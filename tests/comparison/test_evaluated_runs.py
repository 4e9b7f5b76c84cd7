"""A run that is evaluated on other data stays one seed of its model."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil

import pytest
from collections_toy import write_collection
from helpers import keep_run, request_of, toy_rows, write_csv
from modernbert.cli.main import app
from typer.testing import CliRunner

from modernbert.comparison.collect import collect
from modernbert.comparison.compare import compare
from modernbert.comparison.outcomes import read_outcomes
from modernbert.errors import BadRun
from modernbert.finetuning.finetune import finetune
from modernbert.model.locate import locate_model


def invoke(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output


@pytest.fixture
def two_seeds(tmp_path, store, tiny_bert, tiny_modernbert):
    """Two seeds of two models, trained on one file and evaluated on another."""
    rows, more = (
        write_csv(tmp_path / "one.csv", toy_rows(90)),
        write_csv(tmp_path / "two.csv", toy_rows(90, 1)),
    )
    for model in (tiny_bert, tiny_modernbert):
        for seed in (1, 2):
            finetune(request_of(rows, model, epochs=1.0, seed=seed), store)
    for name in store.names():
        invoke("eval", more, "--model", name, "--precision", "fp32")
    return store


def test_seeds_evaluated_on_another_file_are_seeds_of_one_model(two_seeds):
    (task,) = compare(two_seeds, [], ["tiny-bert"], tasks=["own/two"]).tasks
    assert {m.model: sorted(m.by_seed) for m in task.models} == {
        "tiny-bert (trained on own/one)": ["1", "2"],
        "tiny-modernbert (trained on own/one)": ["1", "2"],
    }
    (contrast,) = task.contrasts
    assert contrast.difference.seeds == (2, 2)
    assert not contrast.differing and not contrast.difference.one_training


def test_an_evaluation_of_the_runs_own_data_is_no_second_result(store, reviews, tiny_bert):
    finetune(request_of(reviews, tiny_bert, epochs=1.0), store)
    (name,) = store.names()
    record = store.read(name)
    assert len(record.model.weights) == 64
    kept = locate_model(name, store=store).record().as_dict()
    again = {"kind": "evaluate", "model": kept, "created": "2030-01-01T00:00:00+00:00"}
    again["config"] = {"max_length": record.config.data.max_length}
    folder = keep_run(store, "again", record.as_dict() | again)
    (folder / "scores.jsonl").write_bytes((store.path(name) / "scores.jsonl").read_bytes())
    (own,), notes = collect(store, [])
    assert (own.run, own.model) == (name, "tiny-bert")
    assert len(notes) == 1 and notes[0].startswith("passed over: again, ")


def test_a_start_is_known_by_its_task_when_its_run_is_gone(store, reviews, tiny_bert, tmp_path):
    rows = write_csv(tmp_path / "second.csv", toy_rows(90))
    first = finetune(request_of(reviews, tiny_bert, epochs=1.0), store).name
    request = dataclasses.replace(request_of(rows, tiny_bert, epochs=1.0), init_from=first)
    second = finetune(request, store).name
    shutil.rmtree(store.path(first))
    (outcome,) = read_outcomes(store, second)
    assert (outcome.model, outcome.id.start) == ("tiny-bert", "own/reviews default")


def test_trained_encoders_stay_seeds_on_another_collection(tmp_path, store, tiny_modernbert, tiny_bert):
    pairs = write_csv(tmp_path / "pairs.csv", [{"anchor": f"good w{i}", "positive": f"fine w{i} w{i + 1}"}
                                               for i in range(40)])  # fmt: skip
    for seed in (1, 2):
        finetune(request_of(pairs, tiny_modernbert, epochs=1.0, seed=seed), store)
    judge = finetune(request_of(pairs, tiny_bert, epochs=1.0, head="reranker"), store).name
    encoders = [name for name in store.names() if name != judge]
    toy = write_collection(tmp_path / "toy")
    for name in (*encoders, tiny_modernbert):
        invoke("eval", toy, "--model", name, "--precision", "fp32", "--rerank", judge)
    found, notes = collect(store, [], tasks=["own/toy"])
    assert notes == []
    trained = "tiny-modernbert trained"
    seeds = {name: sorted(str(o.seed) for o in found if o.model == name) for name in {o.model for o in found}}
    told = "(trained on own/pairs)"
    judged = f"> tiny-bert reranker {told}"
    assert seeds == {
        f"{trained} {told}": ["1", "2"],
        f"{trained} + bm25 {told}": ["1", "2"],
        f"{trained} > tiny-bert reranker (trained on own/pairs, seed 42) {told}": ["1", "2"],
        "tiny-modernbert": ["None"],
        "tiny-modernbert + bm25": ["None"],
        f"tiny-modernbert {judged}": ["42"],
        "bm25 (english)": ["None"],
    }
    compared = compare(store, [], ["bm25"], tasks=["own/toy"]).tasks[0]
    one_training = {c.model: c.difference.one_training for c in compared.contrasts}
    assert not one_training[f"{trained} {told}"]
    assert one_training[f"tiny-modernbert {judged}"]
    assert not one_training["tiny-modernbert"]


def test_damaged_facts_of_a_training_are_told(two_seeds):
    (name, *_) = (name for name in two_seeds.names() if two_seeds.read(name).kind == "evaluate")
    path = two_seeds.path(name) / "run.json"
    whole = json.loads(path.read_text())
    for change in ({"config": {}}, {"init": {"x": 1}}, {"seed": "one"}, {"task": ""}, {"settings": []}):
        damaged = copy.deepcopy(whole)
        damaged["model"]["training"] |= change
        path.write_text(json.dumps(damaged))
        with pytest.raises(BadRun, match=f"model.training.{next(iter(change))}"):
            read_outcomes(two_seeds, name)
