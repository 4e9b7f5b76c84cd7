"""The run store: names, records, locks; what is half-written is never taken for finished."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modernbert.errors import BadOption, BadRun, UnknownName
from modernbert.runs import is_locked, lock, read_run, write_run


def test_a_running_record_without_its_process_is_interrupted(store):
    folder = store.create("toy", {"status": "running"})
    assert store.read("toy")["status"] == "interrupted"
    with lock(folder):
        assert is_locked(folder)
        assert store.read("toy")["status"] == "running"


def test_two_processes_cannot_share_a_run(store):
    folder = store.create("toy", {"status": "running"})
    code = (
        f"from pathlib import Path\nfrom modernbert.runs import lock\nwith lock(Path({str(folder)!r})): pass"
    )
    with lock(folder):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another process is working on this run" in other.stderr
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_names_are_free_checked_and_listed(store):
    store.create("toy", {"status": "finished"})
    (store.root / "not-a-run").mkdir()
    assert store.names() == ["toy"]
    assert store.free_name("toy") == "toy-2"
    assert store.free_name("own/Meine Daten") == "own-Meine-Daten"
    long, other = store.free_name("n" * 300 + "-s42"), store.free_name("n" * 300 + "-s43")
    assert len(long) <= 160 and long != other and long.endswith("-s42")
    store.check_name(long)
    with pytest.raises(BadOption, match="at most 160 characters"):
        store.check_name("n" * 161)
    assert not store.has("n" * 5000)
    with pytest.raises(BadOption, match="there is a run called 'toy' already"):
        store.create("toy", {})
    with pytest.raises(BadOption, match="cannot name a run"):
        store.check_name("../toy")
    with pytest.raises(UnknownName, match="Did you mean toy"):
        store.read("tay")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "finished"}'])
def test_a_damaged_record_is_told(store, text):
    folder = store.create("toy", {"status": "finished"})
    (folder / "run.json").write_text(text)
    with pytest.raises(BadRun, match="record cannot be read"):
        read_run(folder)


def test_a_record_is_replaced_as_a_whole(store):
    folder = store.create("toy", {"status": "running", "a": 1})
    write_run(folder, {"status": "finished"})
    assert store.read("toy") == {"format": 1, "status": "finished"}
