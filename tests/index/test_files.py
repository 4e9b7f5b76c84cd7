"""Which files are searched, and which are left out and why."""

from __future__ import annotations

import os

import pytest

from modernbert.errors import BadData
from modernbert.index.files import scan


def test_what_cannot_be_searched_is_left_out_and_told(tree, tmp_path):
    os.mkfifo(tree / "pipe.py")
    (tree / "zero.py").symlink_to("/dev/zero")
    (tree / "loop.py").symlink_to("loop.py")
    (tree / "inside.py").symlink_to("a.py")
    (tmp_path / "secret.txt").write_text("secret")
    (tree / "outside.txt").symlink_to(tmp_path / "secret.txt")
    (tree / "line.txt").write_text("x" * (2**20 + 1))
    odd = tree / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    for file in (odd / "in.py", odd.with_name(f"{odd.name}.py")):
        file.write_text("x = 1\n")
    found = scan(tree)
    assert [file.path for file in found.files] == ["a.py", "inside.py", "sub/b.md"]
    assert found.left_out == {
        "broken.txt": "not UTF-8",
        "caf\\xe9.py": "its name is not UTF-8",
        "caf\\xe9/in.py": "its name is not UTF-8",
        "line.txt": "larger than 1 MiB",
        "loop.py": "Too many levels of symbolic links",
        "outside.txt": "a link that leaves the folder",
        "pipe.py": "the file cannot be read (it is no file)",
        "zero.py": "a link that leaves the folder",
    }
    for name in ("pipe.py", "zero.py"):
        with pytest.raises(BadData, match="nothing here can be searched"):
            scan(tree / name)


def test_a_repository_says_what_is_searched(tree):
    (tree / ".git").mkdir()
    (tree / ".gitignore").write_text("sub/\n")
    assert [file.path for file in scan(tree).files] == ["a.py"]
    assert [file.path for file in scan(tree / "sub").files] == ["b.md"], "named, so searched all the same"
    (tree / "node_modules").mkdir()
    (tree / "node_modules" / "x.js").write_text("1\n")
    assert "node_modules/x.js" in [file.path for file in scan(tree).files], "git was not told to ignore it"
