"""Runs are removed and renamed as a whole, and never while they are worked on."""

from __future__ import annotations

import pytest
from helpers import keep_run, record_of, running_record

from modernbert.errors import BadOption, BadRun, UnknownName
from modernbert.records.references import with_renamed
from modernbert.run_changes import remove_runs, rename_run, tag_run
from modernbert.runs import RunStore, lock


def test_removed_runs_are_gone_and_others_stay(store):
    for name in ("a", "b", "c"):
        keep_run(store, name, running_record())
    remove_runs(store, ["a", "b", "a"])
    assert store.names() == ["c"]
    assert sorted(path.name for path in store.root.iterdir()) == ["c"]


def test_one_wrong_name_removes_nothing(store):
    keep_run(store, "a", running_record())
    with pytest.raises(UnknownName):
        remove_runs(store, ["a", "b"])
    assert store.names() == ["a"]


def test_a_damaged_run_can_be_removed(store):
    (keep_run(store, "a", running_record()) / "run.json").write_text("{")
    remove_runs(store, ["a"])
    assert not store.names()


def test_a_run_that_is_worked_on_stays_as_it_is(store):
    with lock(keep_run(store, "a", running_record())):
        with pytest.raises(BadRun, match="another process"):
            remove_runs(store, ["a"])
        with pytest.raises(BadRun, match="another process"):
            rename_run(store, "a", "b")
    assert store.names() == ["a"]


def test_a_renamed_run_is_the_same_run(store):
    keep_run(store, "a", running_record())
    record = store.read("a")
    rename_run(store, "a", "b")
    assert store.names() == ["b"]
    assert store.read("b") == record.with_values(former_names=("a",))


@pytest.mark.parametrize(("new", "said"), [("b", "already"), ("../x", "cannot name")])
def test_no_run_is_overwritten_by_a_rename(store, new, said):
    for name in ("a", "b"):
        keep_run(store, name, running_record())
    with pytest.raises(BadOption, match=said):
        rename_run(store, "a", new)
    assert store.names() == ["a", "b"]


def test_what_a_killed_removal_left_is_swept(store):
    keep_run(store, "a", running_record())
    (store.root / ".0.mbert-tmp").mkdir()
    RunStore.at(store.root)
    assert sorted(path.name for path in store.root.iterdir()) == ["a"]


def test_tags_are_added_once_and_removed(store):
    keep_run(store, "a", running_record())
    before = store.read("a")
    assert tag_run(store, "a", ["first", "best", "first"]) == ["first", "best"]
    assert tag_run(store, "a", ["best", "last"]) == ["first", "best", "last"]
    assert tag_run(store, "a", ["first"], remove=True) == ["best", "last"]
    assert store.read("a") == before.with_values(tags=("best", "last"))


def test_a_tag_that_a_run_does_not_have_is_not_removed(store):
    keep_run(store, "a", running_record())
    tag_run(store, "a", ["best"])
    with pytest.raises(UnknownName, match=r"no tag of a called 'bst'\nDid you mean best\?"):
        tag_run(store, "a", ["best", "bst"], remove=True)
    with lock(store.path("a")), pytest.raises(BadRun, match="another process"):
        tag_run(store, "a", ["more"])
    assert store.read("a").tags == ("best",)


def names_in(value: object, name: str) -> list[str]:
    """Return the texts in plain data that hold a name, but for those of `former_names`."""
    if isinstance(value, dict):
        return [text for key, one in value.items() if key != "former_names" for text in names_in(one, name)]
    if isinstance(value, (list, tuple)):
        return [text for one in value for text in names_in(one, name)]
    return [value] if isinstance(value, str) and name in value else []


def test_a_record_names_another_run_anew_wherever_it_does():
    """A model trained from the run, adapters on it, its student, its evaluation and its folds."""
    found = {"name": "old", "found_in": "run runs/old", "revision": "old", "family": "nano"}
    record = running_record()
    record |= {"model": found | {"folder": "runs/old/model"}, "init": found}
    record["request"] |= {"model": "old", "init_from": "old", "settings": {"teacher": "old"}}
    record["config"]["distillation"] = {"teacher": "old"}
    made = with_renamed(record_of(record), "old", "new")
    assert not names_in(made.as_dict(), "old")
    assert made.model.folder == "runs/new/model" and made.model.found_in == "run runs/new"
    assert with_renamed(made, "new", "old") == record_of(record)


def test_a_record_that_names_a_like_thing_stays():
    """A folder, a model of the Hub or a task may be called as the run is."""
    record = running_record()
    record["model"] |= {"name": "old", "found_in": "folder old", "revision": "local folder"}
    record["request"]["model"] = "old"
    kept = record_of(record)
    assert with_renamed(kept, "old", "new") is kept


def test_a_former_name_leads_to_the_run_until_another_run_has_it(store):
    keep_run(store, "a", running_record())
    rename_run(store, "a", "b")
    rename_run(store, "b", "c")
    assert store.current_name("a") == store.current_name("b") == "c"
    with pytest.raises(UnknownName) as raised:
        store.read("a")
    assert raised.value.fix == "It is called c now."
    keep_run(store, "a", running_record())
    assert store.current_name("a") == "a"
    rename_run(store, "c", "b")
    assert store.read("b").former_names == ("a", "c")
