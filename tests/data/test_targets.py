"""What a target is: the same for every command."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from modernbert.data.targets import expand_targets, resolve
from modernbert.data.task import own_name
from modernbert.errors import BadData, BadOption, MbertError, UnknownName

PAIR = {"query": "what is red", "positive": "red is a colour"}
ROW = {"text": "good", "label": "yes"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.jsonl").write_text(json.dumps(PAIR))
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW))
    (tmp_path / "folder").mkdir()
    (tmp_path / "collection").mkdir()
    (tmp_path / "collection" / "corpus.jsonl").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind", "form", "retrieval"),
    [
        ("rows.jsonl", None, "labelled", False),
        ("rows.jsonl", "retrieval", "pairs", True),
        ("pairs.jsonl", None, "pairs", True),
        ("pairs.jsonl", "retrieval", "pairs", True),
        ("pairs.jsonl", "single_label", "labelled", False),
        ("folder", None, "labelled", False),
        ("folder", "retrieval", "labelled", False),
        ("collection", None, "collection", True),
        ("glue/sst2", None, "tasks", False),
        ("glue", None, "tasks", False),
        ("retrieval/scifact", None, "tasks", True),
        ("codesearch", None, "tasks", True),
        ("stanfordnlp/imdb", None, "hub", False),
    ],
)
def test_each_kind_of_target(here, name, kind, form, retrieval):
    found = resolve(name, kind=kind)
    assert (found.form, found.is_retrieval) == (form, retrieval)
    assert found.is_own == (here / name).exists()


def test_a_folder_called_like_a_task_is_the_folder(here):
    shutil.copytree(here / "folder", here / "glue" / "sst2")
    assert resolve("glue/sst2").form == "labelled"


@pytest.mark.parametrize(
    ("name", "hub", "error", "message"),
    [
        ("missing.csv", True, BadData, "missing.csv: there is no such file"),
        ("glue/sst3", True, UnknownName, "glue/sst2"),
        ("stanfordnlp/imdb", False, UnknownName, "no task or file called 'stanfordnlp/imdb'"),
        ("glu", True, UnknownName, "glue"),
    ],
)
def test_what_is_nothing(here, name, hub, error, message):
    with pytest.raises(error) as told:
        resolve(name, hub=hub)
    assert message in f"{told.value.where}: {told.value.what}\n{told.value.fix}"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("glue", "glue stands for"),
        ("retrieval/scifact", "a retrieval task: it has no labels"),
        ("pairs.jsonl", "a file of pairs: it has no labels"),
        ("collection", "a collection: it has no labels"),
    ],
)
def test_what_has_no_labels(here, name, message):
    with pytest.raises(BadOption, match=message):
        resolve(name).labelled_task()


def test_one_task_is_found_by_its_name():
    assert resolve("glue/sst2").labelled_task().name == "glue/sst2"
    assert resolve("retrieval/scifact").one_task().name == "retrieval/scifact"


def test_families_are_expanded_and_data_is_not(here):
    names = expand_targets(["rows.jsonl", "glue", "glue/sst2", "owner/data"])
    assert names[:2] == ["rows.jsonl", "glue/mnli"]
    assert names[-1] == "owner/data"
    assert names.count("glue/sst2") == 1
    assert "glue/ax" not in names  # trains on another


def commands(target: str, model: str, runs):
    """Yield every command that takes a target, by name, as the function that does its work."""
    from modernbert.api import evaluate
    from modernbert.benchmark.bench import BenchRequest, bench
    from modernbert.data.own import OwnData
    from modernbert.data_check import data_report
    from modernbert.finetuning.study import plan_study
    from modernbert.runs import RunStore
    from modernbert.training.inputs import Request

    store = RunStore(runs)
    own = OwnData(path=target)
    yield "finetune", lambda: plan_study(Request(target=target, model=model), [target], 1, store)
    yield "check", lambda: data_report(own, model=None, max_length=0, data_dir=None, store=store)
    yield "eval", lambda: evaluate(target, model, runs_dir=runs)
    yield "bench", lambda: bench(BenchRequest(model=model, target=target, lengths=(8,), rounds=1), store)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("missing.csv", "there is no such file"),
        ("missing.jsonl", "there is no such file"),
        ("glue/sst3", "there is no task or file called 'glue/sst3'"),
        ("glu", "there is no task or file called 'glu'"),
    ],
)
def test_commands_tell_a_mistake_alike(here, tiny_bert, target, message):
    told = {}
    for name, work in commands(target, str(tiny_bert), here / "runs"):
        with pytest.raises(MbertError) as error:
            work()
        told[name] = (error.value.what, error.value.where, error.value.fix)
    assert len(set(told.values())) == 1, told
    assert message.removeprefix("there is ") in told["eval"][0]


def test_commands_that_take_one_task_say_so_of_a_family(here, tiny_bert):
    told = set()
    for name, work in commands("glue", str(tiny_bert), here / "runs"):
        if name != "finetune":  # which trains on each
            with pytest.raises(BadOption, match="glue stands for") as error:
                work()
            told.add(error.value.fix)
    assert told == {"Name one: glue/cola, glue/sst2, glue/mrpc, ..."}


def test_the_working_folder_gives_its_own_name(tmp_path, monkeypatch):
    folder = tmp_path / "reviews.v2"
    folder.mkdir()
    monkeypatch.chdir(folder)
    names = (".", "../reviews.v2", str(folder))
    assert {own_name(Path(name)) for name in names} == {"own/reviews.v2"}
    assert own_name(Path("reviews.csv")) == "own/reviews"
