"""Outputs are whole or absent, also when the disk fills up."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from modernbert.errors import BadOption, DiskFull
from modernbert.files import (
    atomic_file,
    atomic_folder,
    replaced_folder,
    sha256,
    temporary_file,
    write_json,
    write_jsonl,
)
from modernbert.places import own_cache
from modernbert.temporary import held, is_held, sweep, try_lock


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_that_fails_half_way_leaves_the_old_one(tmp_path):
    write_json(tmp_path / "a.json", {"old": "é"})
    with pytest.raises(ValueError, match="half way"), atomic_file(tmp_path / "a.json") as file:
        file.write("new")
        raise ValueError("half way")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"old": "é"}
    assert names(tmp_path) == ["a.json"]


def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"a": 1}])
    message = r"the disk is full while writing .*a\.jsonl"
    with pytest.raises(DiskFull, match=message), atomic_file(tmp_path / "a.jsonl") as file:
        file.write("new")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (tmp_path / "a.jsonl").read_text() == '{"a": 1}\n'


def test_a_library_that_hides_a_full_disk_in_its_own_error_is_understood(tmp_path):
    with pytest.raises(DiskFull), atomic_folder(tmp_path / "model"):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 5056 vs 4950"),  # torch
        OSError("524288 requested and 16352 written"),  # numpy
        sqlite3.OperationalError("disk I/O error"),
    ],
)
@pytest.mark.parametrize(("limit", "message"), [(100, "no file as large as"), (-1, "the disk is full")])
def test_a_library_that_says_only_that_it_wrote_too_little_is_understood(
    tmp_path, monkeypatch, error, limit, message
):
    monkeypatch.setattr("resource.getrlimit", lambda what: (limit, limit))
    with pytest.raises(DiskFull, match=message), atomic_file(tmp_path / "weights", binary=True):
        raise error
    assert names(tmp_path) == []


@pytest.mark.parametrize("write", [atomic_file, atomic_folder, replaced_folder])
def test_a_signal_between_any_two_lines_leaves_nothing(tmp_path, monkeypatch, write):
    def interrupted(handle: int, path: Path) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr("modernbert.temporary._is_at", interrupted)
    with pytest.raises(KeyboardInterrupt), write(tmp_path / "a"):
        pass
    assert names(tmp_path) == []


def test_a_name_that_is_no_text_is_the_users_error(tmp_path):
    with pytest.raises(BadOption, match=r"the name 'own/x\udcff' is no UTF-8") as caught:
        write_json(tmp_path / "run.json", {"kind": "a", "name": "own/x\udcff"})
    assert caught.value.fix == "Rename it."


def test_another_error_stays_what_it_is(tmp_path):
    with pytest.raises(ConnectionError), atomic_file(tmp_path / "a"):
        raise ConnectionResetError(errno.ECONNRESET, "no")


def test_a_folder_that_cannot_be_written_is_the_users_error(tmp_path):
    with pytest.raises(BadOption, match=r"nowhere: cannot write here \(No such file or directory\)"):
        write_json(tmp_path / "nowhere" / "a.json", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOption, match="cannot write here"), atomic_folder(tmp_path / "file" / "model"):
        pass


def test_a_folder_appears_when_it_is_whole(tmp_path):
    with atomic_folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("w")
        assert not (tmp_path / "model").exists()
    assert names(tmp_path / "model") == ["weights"]
    with pytest.raises(ValueError, match="stop"), atomic_folder(tmp_path / "other") as folder:
        (folder / "weights").write_text("w")
        raise ValueError("stop")
    assert names(tmp_path) == ["model"]


def test_of_two_that_make_a_shared_folder_the_first_wins(tmp_path):
    with atomic_folder(tmp_path / "model", shared=True) as folder:
        (folder / "weights").write_text("second")
        (tmp_path / "model").mkdir()  # another process, meanwhile
        (tmp_path / "model" / "weights").write_text("first")
    assert (tmp_path / "model" / "weights").read_text() == "first"
    assert names(tmp_path) == ["model"]
    with pytest.raises(OSError, match="not empty"), atomic_folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("third")


def test_a_folder_is_replaced_only_by_a_whole_one(tmp_path):
    for text in ("old", "new"):
        with replaced_folder(tmp_path / "task") as folder:
            (folder / "rows").write_text(text)
    with pytest.raises(ValueError, match="stop"), replaced_folder(tmp_path / "task"):
        raise ValueError("stop")
    assert (tmp_path / "task/rows").read_text() == "new"
    assert names(tmp_path) == ["task"]


def test_sha256(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert sha256(tmp_path / "empty").startswith("e3b0c44298fc1c14")


# Writes a file, a folder and a replaced folder, and is killed inside the innermost block.
KILLED = """
import os, signal, sys
from pathlib import Path
from modernbert.files import atomic_file, atomic_folder, replaced_folder
with atomic_file(Path("a")), atomic_folder(Path("b")) as b, replaced_folder(Path("c")) as c:
    (b / "in").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_writer_and_nothing_else_is(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / ".mine.tmp").write_text("")
    done = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path)
    assert done.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 5
    with atomic_file(tmp_path / "held"):  # its own is held by a living process: this one
        sweep(tmp_path)
        assert len([name for name in names(tmp_path) if name.startswith(".held")]) == 1
    assert names(tmp_path) == [".mine.tmp", "c", "held"]


def test_a_replacement_killed_between_its_two_renames_puts_the_old_folder_back(tmp_path):
    (tmp_path / ".task.v1.0123456789abcdef.mbert-old").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == ["task.v1"]
    (tmp_path / ".task.v1.0123456789abcdef.mbert-old").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == ["task.v1"]


def test_links_that_look_like_temporary_files_are_not_followed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("")
    (tmp_path / ".x.0.mbert-tmp").symlink_to(tmp_path / "precious")
    os.mkfifo(tmp_path / ".y.0.mbert-tmp")
    sweep(tmp_path)
    assert (tmp_path / "precious/file").exists()


def test_new_files_have_the_usual_permissions(tmp_path):
    write_json(tmp_path / "a", {})
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_a_name_that_is_too_long_and_a_read_only_folder_are_the_users_errors(tmp_path):
    with pytest.raises(BadOption, match="File name too long"):
        write_json(tmp_path / ("n" * 300), {})
    (tmp_path / "file").write_text("")
    with pytest.raises(BadOption, match="Not a directory"):
        write_json(tmp_path / "file" / "a", {})
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "in/a".replace("in/", "")):
        (tmp_path.parent / "elsewhere").read_text()  # not about what is written: as it is


def test_a_held_folder_is_busy_for_others(tmp_path):
    code = "from modernbert.temporary import held\nfrom modernbert.errors import BadRun\n"
    code += "from pathlib import Path\nwith held(Path('.'), BadRun('busy')): pass"
    with held(tmp_path):
        assert is_held(tmp_path)
        other = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
        assert "busy" in other.stderr
    assert not is_held(tmp_path)
    with held(tmp_path, BadOption("busy")):
        pass


def test_without_a_home_folder_the_cache_must_be_named(monkeypatch):
    monkeypatch.delenv("MBERT_CACHE")
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(BadOption, match="MBERT_CACHE"):
        own_cache()


def test_a_temporary_file_is_the_callers_to_rename_or_gone(tmp_path):
    with temporary_file(tmp_path / "a") as temporary:
        temporary.write_text("whole")
        temporary.replace(tmp_path / "b")
    with pytest.raises(ZeroDivisionError), temporary_file(tmp_path / "a") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("b", "whole")]
    with pytest.raises(BadOption, match="cannot write here"), temporary_file(tmp_path / "b" / "c"):
        pass


def test_one_who_only_looks_at_a_lock_stops_nobody(tmp_path, monkeypatch):
    """`is_held` has the lock for a moment; who wants it tries again."""
    looking = os.open(tmp_path / ".lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr("time.sleep", lambda pause: pause and fcntl.flock(looking, fcntl.LOCK_UN))
    with held(tmp_path, BadOption("busy")):
        assert is_held(tmp_path)
    assert not is_held(tmp_path)


def test_a_lock_in_a_folder_that_is_gone_is_no_lock(tmp_path):
    with pytest.raises(FileNotFoundError):
        try_lock(tmp_path / "gone" / ".lock")
    with pytest.raises(BadOption, match="cannot write here"), held(tmp_path / "gone"):
        pass


def test_an_error_under_a_lock_stays_what_it_is(tmp_path):
    with pytest.raises(FileNotFoundError), held(tmp_path):
        (tmp_path / "nothing").read_bytes()
