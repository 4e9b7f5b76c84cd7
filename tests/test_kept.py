"""Folders in a cache: made once, checked whenever they are taken up, made again when they are damaged."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from damages import DAMAGES

from modernbert.errors import BadData
from modernbert.kept import CHECKSUMS, kept_array, kept_folder


class Maker:
    """Writes a file of numbers and one of text; counts how often."""

    def __init__(self):
        self.times, self.notes = 0, []

    def __call__(self, folder):
        self.times += 1
        np.save(folder / "numbers.npy", np.arange(100, dtype=np.int32))
        (folder / "found.json").write_text("{}")

    def keep(self, folder):
        kept_folder(folder, self, self.notes.append)
        np.testing.assert_array_equal(np.load(folder / "numbers.npy"), np.arange(100))
        assert sorted(path.name for path in folder.iterdir()) == [CHECKSUMS, "found.json", "numbers.npy"]
        return self.times


@pytest.mark.parametrize("damage", [d for name, d in DAMAGES.items() if name != "without checksum"])
def test_a_damaged_folder_is_made_again_and_said_so(damage, tmp_path):
    make = Maker()
    assert make.keep(tmp_path / "kept") == make.keep(tmp_path / "kept") == 1
    damage(tmp_path / "kept/numbers.npy")
    assert make.keep(tmp_path / "kept") == make.keep(tmp_path / "kept") == 2
    assert len(make.notes) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / CHECKSUMS).write_text("{}"),
        lambda folder: (folder / CHECKSUMS).write_bytes(b"\xff\xfe"),
        lambda folder: (folder / CHECKSUMS).write_text("[" * 100_000),
        lambda folder: (folder / CHECKSUMS).unlink(),
        lambda folder: (folder / "numbers.npy").unlink(),
        lambda folder: (folder / "more.npy").write_text(""),
        lambda folder: [shutil.rmtree(folder), folder.write_text("a file")],
        lambda folder: [shutil.rmtree(folder), folder.symlink_to("nowhere")],
    ],
)
def test_a_folder_with_other_files_is_made_again(damage, tmp_path):
    make = Maker()
    make.keep(tmp_path / "kept")
    damage(tmp_path / "kept")
    assert make.keep(tmp_path / "kept") == 2


def test_what_fails_leaves_nothing(tmp_path):
    def make(folder):
        (folder / "half").write_text("")
        raise BadData("no text")

    with pytest.raises(BadData):
        kept_folder(tmp_path / "kept", make)
    assert [path.name for path in tmp_path.iterdir()] == [".kept.lock"]


def test_an_array_is_made_once_and_again_where_it_was_damaged(tmp_path):
    made = []

    def make():
        made.append(1)
        return np.arange(6.0).reshape(2, 3)

    first = kept_array(tmp_path / "arrays", ["a", 1], make)
    assert np.array_equal(kept_array(tmp_path / "arrays", ["a", 1], make), first)
    assert len(made) == 1
    (file,) = (tmp_path / "arrays").rglob("*.npy")
    file.write_bytes(file.read_bytes()[:-4])
    assert np.array_equal(kept_array(tmp_path / "arrays", ["a", 1], make), first)
    kept_array(tmp_path / "arrays", ["a", 2], make)
    assert len(made) == 3
