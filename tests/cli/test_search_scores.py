"""What `mbert search` says of its scores, and what it refuses for a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import write_csv
from modernbert.cli.search import COSINE, FUSED


def test_a_score_is_explained_once(mbert, tiny_modernbert):
    Path("src").mkdir()
    Path("src/b.md").write_text("awful w9\n")
    assert mbert("index", "src", "-m", tiny_modernbert)[0] == 0
    for line, said in (["good"], COSINE), (["good", "--hybrid"], FUSED), (["--like", "b.md:1"], COSINE):
        assert mbert("search", *line, "--index", "src")[2] == f"score: {said}\n"
    assert not mbert("search", "good", "--index", "src", "--json")[2]


@pytest.mark.parametrize("option", [["--only", "code"], ["--exclude", "*.md"]], ids=lambda option: option[0])
def test_a_table_has_rows_and_no_kinds_of_files(mbert, tiny_modernbert, option):
    write_csv(Path("a.csv"), [{"id": "x1", "text": "w1 w2 w3"}, {"id": "x2", "text": "w9 w8"}])
    assert mbert("index", "a.csv", "-m", tiny_modernbert)[0] == 0
    code, out, err = mbert("search", "good", "--index", "a.csv", *option)
    assert (code, out) == (2, "") and f"{option[0]} applies only to an index of files" in err
