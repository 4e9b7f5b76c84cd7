"""Code, docs and tests by their names, and patterns that leave paths out."""

from __future__ import annotations

import pytest

from modernbert.errors import BadOption
from modernbert.index.paths import keeper, kind_of


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a.py", "code"),
        ("src/latest.py", "code"),
        ("src/contest.js", "code"),
        ("src/Contest.java", "code"),
        ("README.md", "docs"),
        ("docs/guide.rst", "docs"),
        ("docs/conf.py", "code"),
        ("config.toml", "code"),
        ("tests/data/README.md", "tests"),
        ("test_a.py", "tests"),
        ("conftest.py", "tests"),
        ("pkg/store_test.go", "tests"),
        ("src/Card.test.tsx", "tests"),
        ("src/card.spec.ts", "tests"),
        ("spec/card_spec.rb", "tests"),
        ("src/StoreTest.java", "tests"),
        ("a/__tests__/card.js", "tests"),
    ],
)
def test_kinds(path, kind):
    assert kind_of(path) == kind
    assert [only for only in ("code", "docs", "tests") if keeper(only)(path)] == [kind]


@pytest.mark.parametrize(
    ("pattern", "left_out", "kept"),
    [
        ("*.md", "a/b.md", "a/b.mdx"),
        ("old", "a/old/b.py", "older/b.py"),
        ("old/", "old/b.py", "old"),
        ("/old/", "old/b.py", "a/old/b.py"),
        ("a/**/c.py", "a/b/c.py", "b/c.py"),
        ("# no comment", "# no comment", "a.py"),
    ],
)
def test_patterns_are_those_of_gitignore(pattern, left_out, kept):
    keep = keeper(exclude=[pattern])
    assert keep(kept)
    assert keep(left_out) == pattern.startswith("#")


def test_a_negated_pattern_is_refused():
    with pytest.raises(BadOption, match="without the '!'"):
        keeper(exclude=["!a"])


def test_the_command_that_mends_an_index(tmp_path):
    from modernbert.index.record import index_command

    about = {"root": "../my code"}
    (tmp_path / "x").mkdir()
    assert index_command(tmp_path / ".mbert-index") == f"mbert index {tmp_path}"
    assert index_command(tmp_path / "a.csv.mbert-index") == f"mbert index {tmp_path}/a.csv"
    assert index_command(tmp_path / "x", about) == f"mbert index '{tmp_path}/my code' --to {tmp_path}/x"
