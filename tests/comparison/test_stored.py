"""A comparison says the same in every format, and when it is read back."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from helpers import made_run
from modernbert.cli.main import app
from typer.testing import CliRunner

from modernbert.comparison.compare import compare
from modernbert.comparison.stored import read_comparison
from modernbert.comparison.tables import comparison_tables
from modernbert.errors import BadData


class Cells(HTMLParser):
    """Collects the cells of a page's tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.is_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.is_cell = tag in ("td", "th") or (self.is_cell and tag not in ("tr", "table"))
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        self.is_cell = self.is_cell and tag not in ("td", "th")

    def handle_data(self, data):
        if self.is_cell:
            self.cells[-1] += data


@pytest.fixture
def runs(store):
    """Three models of two seeds on two tasks."""
    random = np.random.default_rng(0)
    for task in ("glue/sst2", "glue/rte"):
        for seed in (1, 2):
            for model, share in (("good", 0.8), ("bad", 0.72), ("third", 0.7)):
                right = random.random(300) < share
                made_run(store, f"{task[5:]}-{model}-{seed}", model, right, seed=seed, task=task)
    return store


def invoke(*arguments):
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


def numbers_of(kept: dict) -> list[str]:
    """Return every number of a comparison's JSON as tables show it."""
    found = []
    models = [model for task in kept["tasks"] for model in task["models"]] + kept["averages"]
    contrasts = [contrast for task in kept["tasks"] for contrast in task["contrasts"]]
    for model in models:
        found += [f"{model['mean']:.4f}", f"{model['low']:.4f} to {model['high']:.4f}"]
    for contrast in contrasts + kept["average_contrasts"]:
        d = contrast["difference"]
        found += [f"{d['value']:+.4f}", f"{d['low']:+.4f} to {d['high']:+.4f}", contrast["verdict"]]
        found += [f"{p:.4f}" if p >= 5e-5 else f"{p:.1e}" for p in (d["p"], contrast["p_corrected"])]
    return found


def test_every_format_has_the_same_numbers(runs, tmp_path):
    for name in ("c.json", "c.md", "c.html", "c.tex"):
        invoke("compare", "-b", "bad", "--finished", "-o", name)
    kept = json.loads((tmp_path / "c.json").read_text())
    markdown = [cell.strip() for cell in re.split(r"[|\n]", (tmp_path / "c.md").read_text())]
    page = Cells((tmp_path / "c.html").read_text()).cells
    assert kept == json.loads(invoke("compare", "-b", "bad", "--finished", "--json"))
    numbers = numbers_of(kept)
    assert len(numbers) == 3 * (3 * 2 + 2 * 5)
    for number in numbers:
        assert number in markdown and number in [cell.strip() for cell in page]


def test_an_output_that_replaces_another_says_so(runs, tmp_path):
    line = ["compare", "-b", "bad", "--finished", "-o", "c.html"]
    first, second = (CliRunner().invoke(app, [*line, *more]).stderr for more in ([], ["--overwrite"]))
    assert "comparison -> c.html\n" in first and "replaced" not in first
    assert "comparison -> c.html, replaced\n" in second


def test_a_kept_comparison_is_reported_as_it_is(runs, tmp_path):
    """Of one task and one of two models: computed anew, other contrasts would correct each other."""
    invoke(
        "compare",
        "-b",
        "bad",
        "-m",
        "good",
        "-t",
        "glue/sst2",
        "--finished",
        "-o",
        "c.json",
        "--margin",
        "0.1",
    )
    before = comparison_tables(read_comparison(tmp_path / "c.json"))
    made_run(runs, "more", "good", np.ones(300, bool), seed=3, task="glue/sst2")
    invoke("report", "c.json", "-o", "c.html")
    page = [cell.strip() for cell in Cells((tmp_path / "c.html").read_text()).cells]
    assert all(cell.strip() in page for table in before for row in table.rows for cell in row)
    assert "equivalence" in page


def test_what_was_written_is_read_back(runs, tmp_path):
    found = compare(runs, [], ["bad"], margin=0.05)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(found.as_dict()))
    assert json.loads(json.dumps(read_comparison(path).as_dict())) == json.loads(path.read_text())


def test_runs_that_are_gone_or_others_leave_the_numbers(runs, tmp_path):
    import shutil

    invoke("compare", "-b", "bad", "-t", "glue/sst2", "--finished", "-o", "c.json")
    shutil.rmtree(runs.path("sst2-good-1"))
    shutil.rmtree(runs.path("sst2-third-1"))
    made_run(runs, "sst2-third-1", "third", np.ones(300, bool), seed=1, task="glue/sst2")
    invoke("report", "c.json", "-o", "c.html")
    text = (tmp_path / "c.html").read_text()
    kept = json.loads((tmp_path / "c.json").read_text())
    assert all(number in text for number in numbers_of(kept))
    assert "good on glue/sst2 without its answers: " in text
    assert "third on glue/sst2 without its answers: the run is not the one that was compared" in text


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: kept.pop("format"),
        lambda kept: kept.update(format=1),
        lambda kept: kept.update(tasks=[]),
        lambda kept: kept["tasks"][0].pop("models"),
        lambda kept: kept["tasks"][0]["models"][0].update(mean="high"),
        lambda kept: kept["tasks"][0]["contrasts"][0]["difference"].pop("p"),
        lambda kept: kept.update(tasks=3),
    ],
)
def test_an_old_or_damaged_comparison_is_told(damage, runs, tmp_path):
    kept = compare(runs, [], ["bad"]).as_dict()
    damage(kept)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(kept))
    with pytest.raises(BadData, match="no comparison that this version") as caught:
        read_comparison(path)
    assert "\n" not in caught.value.what
