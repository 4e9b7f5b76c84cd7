"""Tables in every format, the Pareto front, published scores."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess

import numpy as np
import pytest
from helpers import made_run

from modernbert.comparison import tables
from modernbert.comparison.compare import compare
from modernbert.comparison.published import published_scores
from modernbert.comparison.tables import comparison_tables, to_latex, write_tables
from modernbert.report.report import comparison_report


@pytest.fixture
def found(store):
    """Two seeds of a slow good model, and of a fast bad one, and a slow bad one."""
    random = np.random.default_rng(0)
    for seed in (1, 2):
        for model, share, speed in (("bert-base", 0.9, 10.0), ("fast_one", 0.7, 99.0), ("slow", 0.6, 5.0)):
            made_run(store, f"{model}-{seed}", model, random.random(300) < share, seed=seed, speed=speed)
    return compare(store, [], ["fast_one"])


def test_the_front_holds_what_nothing_beats(found):
    assert {m.model: m.on_front for m in found.tasks[0].models} == {
        "bert-base": True,
        "fast_one": True,
        "slow": False,
    }


def test_a_speed_that_is_a_few_per_cent_higher_is_no_speed(store):
    """The same model timed twice differs as much; half as fast again counts."""
    for model, share, speed in (("good", 0.9, 100.0), ("as_fast", 0.7, 108.0), ("faster", 0.6, 150.0)):
        made_run(store, model, model, np.arange(300) < 300 * share, speed=speed)
    models = compare(store, [], ["good"]).tasks[0].models
    assert {m.model: m.on_front for m in models} == {"good": True, "as_fast": False, "faster": True}


def test_csv_has_every_seed(found):
    rows = list(csv.DictReader(io.StringIO(write_tables(found, ".csv"))))
    assert len(rows) == 6
    first = next(row for row in rows if row["run"] == "bert-base-1")
    assert float(first["score"]) == found.tasks[0].models[0].by_seed["1"]


def test_every_format_says_when_a_model_was_trained_on_a_part(store):
    random = np.random.default_rng(0)
    for model in ("some", "every"):
        made_run(store, model, model, random.random(30) < 0.7)
    path = store.path("some") / "run.json"
    record = json.loads(path.read_text())
    record["data"]["splits"]["train"] |= {"rows": 2490, "used": 400}
    path.write_text(json.dumps(record))
    found = compare(store, [], ["every"])
    assert {m.model: m.rows for m in found.tasks[0].models} == {"some": "400 of 2490", "every": ""}
    for suffix in (".md", ".tex"):
        assert "rows trained on, where not all: some: 400 of 2490" in write_tables(found, suffix)
    rows = csv.DictReader(io.StringIO(write_tables(found, ".csv")))
    assert {row["model"]: row["rows trained on"] for row in rows} == {"some": "400 of 2490", "every": "all"}
    assert "400 of 2490" in comparison_report(found, store)


def test_markdown_and_latex_hold_every_cell(found):
    markdown, latex = write_tables(found, ".md", seeds=True), write_tables(found, ".tex")
    for table in comparison_tables(found):
        for row in table.rows:
            for cell in row:
                assert cell in markdown
                assert cell.replace("_", r"\_").replace("%", r"\%").replace("&", r"\&") in latex
    assert "1=0." in markdown
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}")


def test_a_tiny_probability_is_not_shown_as_zero(store):
    made_run(store, "a", "one", np.ones(300, bool))
    made_run(store, "b", "other", np.arange(300) % 2 == 0)
    compared = compare(store, [], ["other"])
    assert 0 < compared.tasks[0].contrasts[0].mcnemar < 1e-40
    assert "e-4" in write_tables(compared, ".md")


def test_what_could_have_been_shown_stands_beside_no_difference(found, store):
    """In tables (and so on the terminal and in every file), in the data, and in the report's sentence."""
    slow = next(c for c in found.tasks[0].contrasts if c.model == "slow")
    assert slow.verdict == "no difference shown"
    shown = f"{slow.difference.detectable:.4f}"
    table = next(t for t in comparison_tables(found) if t.title == "glue/sst2: differences")
    row = next(row for row in table.rows if row[0] == "slow")
    assert row[table.columns.index("detectable")] == shown
    assert shown in write_tables(found, ".md")
    assert found.as_dict()["tasks"][0]["contrasts"][1]["difference"]["detectable"] > 0
    assert f"no difference shown (one of {shown} would be" in comparison_report(found, store)


def test_calibration_stands_in_every_format(found):
    table = next(t for t in comparison_tables(found) if t.title == "glue/sst2: calibration")
    best = found.tasks[0].models[0]
    error, brier = best.calibration
    # Every answer has the same probability: its logits are 0 and 1, or 0 and -1.
    sure = 1 / (1 + np.exp(-1))
    assert error.value == pytest.approx(abs(best.mean - sure), abs=0.02)
    assert brier.value == pytest.approx(2 * (best.mean * (1 - sure) ** 2 + (1 - best.mean) * sure**2))
    assert table.rows[0][:2] == (best.model, f"{error.value:.4f}")
    assert "Naeini et al. 2015" in write_tables(found, ".md")
    assert found.as_dict()["tasks"][0]["models"][0]["calibration"][1]["metric"] == "brier"


def test_latex_escapes_what_latex_reads(found):
    table = comparison_tables(found)[0]
    hostile = type(table)("50 % & more_", ("a#b",), ((r"\x{y}^~$",),))
    text = to_latex([hostile])
    assert r"50 \% \& more\_" in text
    assert r"\textbackslash{}x\{y\}\textasciicircum{}\textasciitilde{}\$" in text


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no LaTeX here")
def test_latex_compiles(found, tmp_path):
    body = write_tables(found, ".tex")
    text = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + body + "\\end{document}"
    (tmp_path / "t.tex").write_text(text)
    subprocess.run(["pdflatex", "-interaction=nonstopmode", "t.tex"], cwd=tmp_path, check=True)


def test_published_scores_stand_beside_and_say_what_differs(found):
    (model,) = [m for m in found.tasks[0].models if m.model == "bert-base"]
    paper = next(p for p in model.published if p.source.startswith("arXiv:2412.13663"))
    assert paper.score == pytest.approx(0.931)
    assert paper.differs == "recipe"  # copied there from another paper
    shown = next(t for t in comparison_tables(found) if t.title == "glue/sst2: published")
    assert "never subtracted" in shown.notes[0]


def test_the_papers_own_recipe_differs_in_nothing_but_an_unnamed_metric():
    (own,) = [
        p for p in published_scores("modernbert-base", "glue/sst2", "accuracy", "paper") if not p.differs
    ]
    assert own.score == pytest.approx(0.96, abs=0.02)
    assert all("metric" in p.differs for p in published_scores("modernbert-base", "glue/mrpc", "f1", "paper"))
    assert published_scores("modernbert-base lora", "glue/sst2", "accuracy", "paper") == ()


def test_a_comparison_is_plain_data(found):
    again = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert again["tasks"][0]["models"][0]["model"] == "bert-base"


def test_a_p_value_is_never_zero():
    assert tables._probability(0.0) == "< 1e-300"
    assert tables._probability(1e-20) == "1.0e-20"
    assert tables._probability(0.25) == "0.2500"
