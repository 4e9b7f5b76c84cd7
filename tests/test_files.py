"""Outputs are whole or absent, also when the disk fills up."""

from __future__ import annotations

import errno
import json

import pytest

from modernbert.errors import BadOption, DiskFull
from modernbert.files import atomic_file, atomic_folder, replaced_folder, sha256, write_json, write_jsonl


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
