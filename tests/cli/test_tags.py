"""Tags: given to a training, changed afterwards, and what runs are chosen by."""

from __future__ import annotations

import json

import pytest
from helpers import FAST, keep_run, running_record
from modernbert.cli import output
from modernbert.cli.screen import Screen

from modernbert.runs import RunStore
from modernbert.wording import one_line


def names(shown: str) -> list[str]:
    return [record["name"] for record in json.loads(shown)]


def test_a_training_is_tagged_and_found(mbert, reviews, tiny_bert):
    common = ["finetune", reviews, "-m", tiny_bert, *FAST, "--epochs", "1"]
    assert mbert(*common, "--name", "a", "--tag", "baseline", "--tag", "monday")[0] == 0
    keep_run(RunStore.at(None), "b", running_record())
    assert mbert("runs", "tag", "b", "monday")[1] == "b: monday\n"
    assert names(mbert("runs", "--tag", "monday", "--json")[1]) == ["b", "a"]
    assert names(mbert("runs", "--tag", "monday", "--tag", "baseline", "--json")[1]) == ["a"]
    assert "baseline, monday" in mbert("runs")[1]
    assert "baseline, monday" in mbert("runs", "show", "a")[1]
    assert mbert("runs", "tag", "a", "monday", "--remove")[1] == "a: baseline\n"
    assert mbert("runs", "tag", "a", "baseline", "--remove")[1] == "a: no tags\n"
    assert "no run matches" in mbert("runs", "--tag", "baseline")[1]
    assert "tags" not in mbert("runs", "show", "a")[1]


@pytest.mark.parametrize("tag", ["", "two words", "a,b", "x" * 51, "\x1b[31m"])
def test_what_is_no_tag(mbert, tag):
    for arguments in (
        ["runs", "--tag", tag],
        ["finetune", "glue/sst2", "--tag", tag],
        ["runs", "tag", "a", tag],
    ):
        code, _, err = mbert(*arguments)
        assert code == 2 and "must be a word of at most 50 characters" in one_line(err)


COLUMNS = ("run", "status", "score", "when", "tags")
ROWS = [("my-run", "finished", "accuracy 0.8932 (test, n 410)", "2026-01-01 00:00", "first")]


@pytest.mark.parametrize(("width", "left_out"), [(120, []), (54, ["tags"]), (46, ["tags", "when"])])
def test_optional_columns_are_left_out_where_they_do_not_fit(monkeypatch, capsys, width, left_out):
    monkeypatch.setattr(output, "screen", lambda **_: Screen(width=width, highlight=False))
    output.print_table("", COLUMNS, ROWS, optional=("tags", "when"))
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == [name for name in COLUMNS if name not in left_out]
    assert max(map(len, [head, *rows])) <= width


def test_an_optional_column_without_content_is_left_out(monkeypatch, capsys):
    output.print_table("", COLUMNS, [(*ROWS[0][:4], "")], optional=("tags", "when"))
    assert capsys.readouterr().out.splitlines()[0].split() == list(COLUMNS[:4])
