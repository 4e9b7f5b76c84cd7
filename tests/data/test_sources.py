"""Where rows are found: bundle, cache, Hub, in that order; and what is said when they are nowhere."""

from __future__ import annotations

import json
import time

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from modernbert import hub as door
from modernbert.connection import Connection
from modernbert.data.registry import all_tasks, find_task, find_tasks
from modernbert.data.sources import load_split
from modernbert.errors import BadData, NotAvailable, UnknownName

TASK = find_task("glue/rte")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A Hub that holds one Parquet file; records what it is asked for."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    rows = [{"sentence1": "a", "sentence2": "b", "label": 1, "idx": 0}]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "file.parquet")
    asked = []

    def download(repo, file, **given):
        asked.append((repo, file, given))
        if given.get("local_files_only"):
            raise LocalEntryNotFoundError("not in the cache")
        return str(tmp_path / "file.parquet")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(door, "connection", lambda: Connection(True, "answers"))
    return asked


def test_the_bundle_comes_first(hub, tmp_path):
    folder = tmp_path / "bundle/glue/rte"
    folder.mkdir(parents=True)
    row = {"sentence1": "x", "sentence2": "y", "label": 0}
    (folder / "train.jsonl").write_text(json.dumps(row))
    found = load_split(TASK, "train", tmp_path / "bundle")
    assert found.rows.columns["sentence1"] == ["x"]
    assert found.revision == "no checksums"
    assert not hub


def test_then_the_cache_then_the_hub_at_the_pinned_revision(hub):
    found = load_split(TASK, "validation")
    assert found.rows.columns["label"] == [1]
    assert found.rows.where(0) == "nyu-mll/glue rte/validation, row 1"
    assert found.revision == TASK.source.revision
    assert ["local_files_only" in asked[2] for asked in hub] == [True, False]
    repo, file, given = hub[0]
    assert (repo, file) == ("nyu-mll/glue", "rte/validation-00000-of-00001.parquet")
    assert len(given["revision"]) == 40


def test_without_a_network_every_place_and_the_command_are_named(monkeypatch):
    monkeypatch.setenv("MBERT_OFFLINE", "1")
    started = time.monotonic()
    with pytest.raises(NotAvailable) as caught:
        load_split(TASK, "train")
    assert time.monotonic() - started < 3
    for part in ("bundle folder: none given", "cache:", "Hub:", "mbert download glue/rte --to bundle"):
        assert part in str(caught.value), part


def test_a_bundle_folder_that_does_not_exist(tmp_path, monkeypatch):
    monkeypatch.setenv("MBERT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(BadData, match="no such bundle folder"):
        load_split(TASK, "train")


def test_tasks_are_found_by_name_and_the_closest_is_named():
    assert [task.short_name for task in find_tasks("glue")][:3] == ["cola", "sst2", "mrpc"]
    assert len({task.name for task in all_tasks()}) == len(all_tasks()) >= 11
    with pytest.raises(UnknownName, match="Did you mean glue/sst2"):
        find_task("glue/sst-2")


def test_task_names_are_family_and_key():
    for task in all_tasks():
        assert find_task(task.name) is task
        assert task.name.split("/")[0] in ("codesearch", "glue", "retrieval", "text")
