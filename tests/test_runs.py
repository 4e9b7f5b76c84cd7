"""The run store: names, records, locks; what is half-written is never taken for finished."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import keep_run, made_run, record_of, running_record

from modernbert.errors import BadOption, BadRun, UnknownName
from modernbert.runs import RunStore, is_locked, lock, read_run, write_run


def test_a_running_record_without_its_process_is_interrupted(store):
    folder = keep_run(store, "toy", running_record())
    assert store.read("toy").status == "interrupted"
    with lock(folder):
        assert is_locked(folder)
        assert store.read("toy").status == "running"


def test_two_processes_cannot_share_a_run(store):
    folder = keep_run(store, "toy", running_record())
    code = (
        f"from pathlib import Path\nfrom modernbert.runs import lock\nwith lock(Path({str(folder)!r})): pass"
    )
    with lock(folder):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another process is working on this run" in other.stderr
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_names_are_free_checked_and_listed(store):
    keep_run(store, "toy", running_record())
    (store.root / "not-a-run").mkdir()
    (store.root / "not-a-run" / "notes.txt").write_text("mine")
    assert store.names() == ["toy"]
    assert store.free_name("toy") == "toy-2"
    assert store.free_name("toy", ["toy-2"]) == "toy-3"
    assert store.free_name("not-a-run") == "not-a-run-2"
    assert store.free_name("own/Meine Daten") == "own-Meine-Daten"
    long, other = store.free_name("n" * 300 + "-s42"), store.free_name("n" * 300 + "-s43")
    assert len(long) <= 160 and long != other and long.endswith("-s42")
    store.check_name(long)
    with pytest.raises(BadOption, match="at most 160"):
        store.check_name("n" * 161)
    assert not store.has("n" * 5000)
    with pytest.raises(BadOption, match="there is a run called 'toy' already"):
        keep_run(store, "toy", {})
    for name in ("../toy", "", "a b", "-a", "con", "a."):
        with pytest.raises(BadOption, match="cannot name a run"):
            store.check_name(name)
    with pytest.raises(UnknownName, match="Did you mean toy"):
        store.read("tay")
    for name in ("../runs/toy", ".", "", "a" * 300, "a\0b"):
        assert not store.has(name)


def test_a_name_is_reserved_while_it_is_held_and_given_back_without_a_record(store):
    with store.new_run("toy") as first, store.new_run("toy") as second:
        assert (first.name, second.name) == ("toy", "toy-2")
        with pytest.raises(BadOption, match="already"), store.new_run("toy", exact=True):
            pass
        write_run(second, record_of(running_record()))
    assert [folder.name for folder in store.root.iterdir()] == ["toy-2"]
    with store.new_run("toy", exact=True):
        pass


def test_a_mistake_leaves_no_folder_of_runs(store):
    with pytest.raises(ZeroDivisionError), store.new_run("toy"):
        raise ZeroDivisionError
    assert not store.root.exists()


def test_a_name_that_a_killed_process_held_is_free_again(store):
    code = (
        "import os; from pathlib import Path; from modernbert.runs import RunStore\n"
        f"with RunStore(Path({str(store.root)!r})).new_run('toy') as folder:\n"
        "    (folder / 'scores.jsonl').write_text('half')\n"
        "    os.kill(os.getpid(), 9)"
    )
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert [folder.name for folder in store.root.iterdir()] == ["toy"]
    assert store.names() == []
    store.check_name("toy")
    with store.new_run("other"):
        assert [folder.name for folder in store.root.iterdir()] == ["other"]


def test_a_sweep_takes_nothing_else(store):
    """Runs, folders of the user's, and what a living process holds stay."""
    folder = keep_run(store, "toy", running_record())
    (folder / "checkpoints").mkdir()
    lost = keep_run(store, "lost", running_record())
    (lost / "model").mkdir()
    (lost / "run.json").unlink()
    (store.root / "mine").mkdir()
    before = sorted(store.root.rglob("*"))
    with store.new_run("held") as held:
        store.sweep()
        assert sorted(store.root.rglob("*")) == sorted([*before, held, held / ".lock"])


def killed_at_its_very_end(store) -> Path:
    made_run(store, "toy", "tiny", np.array([True, False]))
    folder = store.path("toy")
    (folder / ".run.json.0123456789abcdef.mbert-tmp").touch()
    (folder / "checkpoints" / "best-00000001").mkdir(parents=True)
    (folder / "checkpoints" / "best-00000001" / "state.pt").touch()
    return folder


def test_whoever_opens_the_store_removes_what_a_killed_run_left(store, monkeypatch):
    folder = killed_at_its_very_end(store)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    RunStore.at(store.root)  # a folder that may only be read is opened all the same
    assert (folder / "checkpoints" / "best-00000001" / "state.pt").exists()
    monkeypatch.undo()
    RunStore.at(store.root)
    assert {path.name for path in folder.iterdir()} == {".lock", "run.json", "scores.jsonl"}


def refuse(path: Path) -> None:
    raise PermissionError(13, "Permission denied", str(path))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"status": "finished"}', '{"format": 1}', '{"format": NaN}']
)
def test_a_damaged_record_is_told(store, text):
    folder = keep_run(store, "toy", running_record())
    (folder / "run.json").write_text(text)
    with pytest.raises(BadRun) as caught:
        read_run(folder)
    assert "run.json" in str(caught.value) and caught.value.fix


def test_a_damaged_run_is_left_out_and_named(store):
    for name in ("good", "bad", "worse"):
        keep_run(store, name, running_record())
    (store.path("bad") / "run.json").write_text("{")
    (store.path("worse") / "run.json").unlink()
    (store.path("worse") / "run.json").mkdir()
    found = store.survey()
    assert list(found.records) == ["good"]
    assert list(found.damaged) == ["bad", "worse"]
    assert "bad/run.json" in found.notes()[0]
    assert "cannot be read" in found.notes()[1]


def test_a_record_is_replaced_as_a_whole(store):
    folder = keep_run(store, "toy", running_record() | {"more": 1})
    write_run(folder, record_of(running_record()))
    assert "more" not in json.loads((folder / "run.json").read_text())


def test_a_store_is_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOption, match="no folder of runs"):
        RunStore.at(tmp_path / "file")
    assert RunStore.at(tmp_path / "new").names() == []
    below = RunStore.at(tmp_path / "file" / "runs")
    assert below.names() == [] and below.free_name("toy") == "toy"
    with pytest.raises(BadOption, match="cannot write here"), below.new_run("toy"):
        pass
    (tmp_path / "toy").symlink_to("nowhere")
    assert RunStore(tmp_path).free_name("toy") == "toy-2"
    assert RunStore(tmp_path).free_name("file") == "file-2"
    assert RunStore.at(None).root == Path(tmp_path / "runs")
