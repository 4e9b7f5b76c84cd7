"""`mbert bench`: figures, picture, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from helpers import toy_rows, write_csv

SMALL = ("--lengths", "8,64", "--rounds", "2")


@pytest.mark.parametrize(
    ("model", "mode"),
    [("tiny_modernbert", "inference"), ("tiny_modernbert", "lora"), ("tiny_bert", "training")],
)
def test_json_has_every_engine(mode, model, mbert, request):
    folder = request.getfixturevalue(model)
    code, out, err = mbert("bench", "-m", folder, *SMALL, "--mode", mode, "--json")
    assert code == 0, err
    result = json.loads(out)
    assert [point["work"] for point in result["points"]] == ["8", "64"]
    for point in result["points"]:
        assert set(point["seconds"]) == {"mbert", "transformers", "transformers sorted"}
        assert all(len(seconds) == 2 for seconds in point["seconds"].values())
        assert point["agrees"] is (True if mode == "inference" else None)
    assert result["attention"]["backend"] == ("blocked" if model == "tiny_modernbert" else "sdpa")


def test_own_texts_are_measured_and_the_picture_needs_no_network(mbert, tiny_modernbert, tmp_path):
    rows = write_csv(tmp_path / "mine.csv", toy_rows(40))
    arguments = ("bench", rows, "-m", tiny_modernbert, "--lengths", "16", "--rounds", 1, "--svg", "b.svg")
    code, out, err = mbert(*arguments)
    assert code == 0, err
    assert "mine.csv" in out
    assert "your texts  p50" in out
    assert "in blocks (on a CPU" in out
    svg = Path("b.svg").read_text()
    assert "mine.csv" in svg
    assert not re.findall(r"(?:href|src|url)\W+https?:", svg)
    assert "font-face" not in svg


def test_lengths_beyond_the_context_are_left_out_and_named(mbert, tiny_bert):
    code, out, _ = mbert("bench", "-m", tiny_bert, "--lengths", "8,100000", "--rounds", 1)
    assert code == 0
    assert "not measured at 100000" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mode", "fast"), "no mode 'fast'"),
        (("--lengths", "a,b"), "must be a whole number"),
        (("--lengths", "1"), "from 3 to"),
        (("--rounds", "0"), "from 1 to 1,000"),
        (("nowhere.csv",), "no such file"),
        (("glue/sst3",), "glue/sst2"),
    ],
)
def test_mistakes(arguments, message, mbert, tiny_bert):
    code, _, err = mbert("bench", "-m", tiny_bert, *arguments)
    assert code == 2
    assert message in err
