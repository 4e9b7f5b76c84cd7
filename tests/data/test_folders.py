"""Which files of a folder count; what the folder says about git runs nothing and cannot hang."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from modernbert.data.folders import files_in, list_files
from modernbert.errors import BadData

PATTERNS = (
    "a", "b/", "*.py", "!x.py", "/a", "a/b", "**/b", "a/**", "!a/b/", "*", "!*/", "!*.md", "a/*", "[xy].py",
    "?", "#a", "!a", "b/**/a", "/*", "!/a", "a*", "*b", "[z-a]", "!", "//", "",
)  # fmt: skip
# What git runs on its own when it lists files, or for a setting that a folder's own configuration makes.
CONFIGURATION = """[core]
    fsmonitor = touch {mark}; false
    hooksPath = hooks
    pager = touch {mark}
    editor = touch {mark}
    sshCommand = touch {mark}
    attributesFile = attributes
[filter "run"]
    clean = touch {mark}
    smudge = touch {mark}
    process = touch {mark}
[diff "run"]
    textconv = touch {mark}
[alias]
    ls-files = !touch {mark}
[include]
    path = more
"""


def make(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(root: Path, *suffixes: str) -> list[str]:
    return [path.relative_to(root).as_posix() for path in files_in(root, suffixes or (".py",))]


def test_nothing_that_a_repository_configures_is_run(tmp_path, monkeypatch):
    mark, root, planted = tmp_path / "ran", tmp_path / "repository", tmp_path / "programs"
    make(
        root, **{"a.py": "", ".gitattributes": "* filter=run diff=run\n", ".git/HEAD": "ref: refs/heads/main"}
    )
    settings = CONFIGURATION.format(mark=mark)
    make(root / ".git", config=settings, more=settings, **{"objects/x": "", "refs/x": ""})
    for program in (
        root / ".git/hooks/post-index-change",
        root / ".git/hooks/query-watchman",
        planted / "git",
    ):
        make(program.parent, **{program.name: f"#!/bin/sh\ntouch {mark}\n"})
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{planted}:{os.environ['PATH']}")
    monkeypatch.chdir(root)
    assert names(root) == ["a.py"]
    assert names(Path()) == ["a.py"]
    assert not mark.exists()


@pytest.mark.skipif(not shutil.which("git"), reason="compares with git")
def test_the_files_are_those_that_git_does_not_ignore(tmp_path):
    draw = random.Random(0)
    for number in range(40):
        root = tmp_path / str(number)
        subprocess.run(["git", "init", "-q", root], check=True)
        for _ in range(14):
            folder = root.joinpath(*draw.choices("abc", k=draw.randint(0, 3)))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / draw.choice(("x.py", "y.py", "a.py", "z.md"))).write_text("")
        for folder in draw.sample([path for path in (root, *root.glob("[abc]")) if path.is_dir()], 1):
            (folder / ".gitignore").write_text("\n".join(draw.choices(PATTERNS, k=4)))
        (root / ".git/info/exclude").write_text(draw.choice(PATTERNS) + "\n")
        listed = ["git", "-C", root, "ls-files", "--others", "--exclude-standard"]
        shown = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
        expected = sorted(name for name in shown if name.endswith((".py", ".md")))
        assert sorted(names(root, ".py", ".md")) == expected, number


def test_a_submodule_is_searched_by_its_own_rules(tmp_path):
    make(tmp_path, **{".git/HEAD": "", ".gitignore": "*.tmp.py\n", "a.py": "", "a.tmp.py": ""})
    make(tmp_path / "lib", **{".git": "gitdir: ../.git/modules/lib", ".gitignore": "/out\n"})
    make(tmp_path / "lib", **{"b.py": "", "b.tmp.py": "", "out/c.py": ""})
    assert names(tmp_path) == ["a.py", "lib/b.py", "lib/b.tmp.py"]


def test_a_repository_below_a_plain_folder_keeps_its_rules(tmp_path):
    make(
        tmp_path, **{"one/.git/HEAD": "", "one/.gitignore": "no.py\n", "one/no.py": "", "one/build/a.py": ""}
    )
    make(tmp_path, **{"two/build/a.py": "", "two/.hidden/a.py": "", "two/a.py": ""})
    assert names(tmp_path) == ["one/build/a.py", "two/a.py"]


def test_a_folder_that_is_ignored_is_listed_when_it_is_named(tmp_path):
    make(tmp_path, **{".git/HEAD": "", ".gitignore": "out/\n", "out/deep/a.py": "", "out/build/b.py": ""})
    assert names(tmp_path) == []
    assert names(tmp_path / "out") == ["deep/a.py"]
    assert names(tmp_path / "out" / "deep") == ["a.py"]


def test_links_neither_hang_nor_list_a_folder_twice(tmp_path):
    make(tmp_path, **{"deep/a.py": ""})
    (tmp_path / "deep" / "up").symlink_to("..")
    (tmp_path / "folder.py").symlink_to("deep")
    (tmp_path / "self.py").symlink_to("self.py")
    (tmp_path / "link.py").symlink_to("deep/a.py")
    assert names(tmp_path) == ["deep/a.py", "link.py"]
    assert tmp_path / "self.py" in list_files(tmp_path, {".py"}).files, "for the caller to say so"


def test_what_cannot_be_read_is_told(tmp_path):
    make(tmp_path, **{".git/HEAD": "", "good/a.py": "", "bad/b.py": "", "stars/c.py": ""})
    os.mkfifo(tmp_path / "bad" / ".gitignore")
    make(tmp_path, **{"stars/.gitignore": "*a*a*a*a*a*a*a*a*a*a*a*a*b\n"})
    listing = list_files(tmp_path, {".py"})
    assert [path.name for path in listing.files] == ["a.py"]
    assert {path.name for path in listing.unread} == {"bad", "stars"}
    assert "more than 6 stars" in listing.unread[tmp_path / "stars"]
    with pytest.raises(BadData, match="bad: the folder cannot be read"):
        files_in(tmp_path, {".py"})
