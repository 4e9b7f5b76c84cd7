"""What commands print at 60, 80 and 120 columns: no line is too wide, no word or number of a cell is lost."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace as Made

import pytest
from helpers import made_run
from modernbert.cli import bench, demo, evaluate, hits, output, runs, scores, studies
from modernbert.cli.screen import Screen

from modernbert.comparison.tables import CONTRAST_COLUMNS, MODEL_COLUMNS
from modernbert.records.scores import LabelScore, Score, SplitScores

METRICS = ("ndcg_at_10", "mrr_at_10", "map", "recall_at_10", "recall_at_100")


def score(metric, value, n=206, interval="Wilson 95 %, effective n"):
    return Score(metric=metric, value=value, low=value - 0.0123, high=value + 0.0123, n=n, interval=interval)


def label(name, n, precision):
    average = None if n < 9 else 0.4444
    figures = {"threshold": 0.1234, "precision": precision, "recall": 0.25, "f1": 0.3333}
    return LabelScore(label=name, n=n, **figures, average_precision=average)


def system(name, value, note=""):
    found = [Made(metric=metric, value=value, low=value - 0.02, high=value + 0.02) for metric in METRICS]
    return Made(system=name, ranking=Made(scores=found, main=Made(n=1234)), note=note)


def of_labels():
    shown = (
        SplitScores(split="validation", scores=(score("micro_f1", 0.8932), score("exact_match", 0.8794))),
        SplitScores(
            split="test",
            scores=(score("mean_absolute_error", 12345.8585, interval="bootstrap, 1,234 clusters"),),
            mean=(score("mean_absolute_error", 22345.1),),
            labels=(label("a label of several words", 123456, 0.5678), label("b", 3, 0.1111)),
        ),
    )
    scores.show_scores("news", shown)


def of_a_small_file():
    rough = "Wilson 95 %, effective n, Student's t, rough: few examples decide"
    one = score("calibration_error, with temperature", 0.5), score("average_precision", 0.4, interval=rough)
    scores.show_scores("news", [SplitScores(split="validation", scores=one)])


def of_retrieval():
    systems = [
        system("demo-2", 0.4567),
        system("BM25", 0.4321, "code analyser"),
        system("demo-2 + BM25", 0.51),
    ]
    named = {"task": "codesearch/stdlib", "split": "test", "name": "eval-stdlib-demo-3", "notes": []}
    evaluate.show_retrieval(Made(systems=systems, protocol=Made(name="mteb"), **named))


def of_the_demo():
    systems = [
        system("BM25", 0.42),
        system("modernbert-nano, before", 0.43, "not fine-tuned"),
        system("demo-2", 0.44),
    ]
    ranks = {"BM25": 1, "modernbert-nano, before": 0, "demo-2": 3}
    line = "def most_common(self, n=None, *, key: Callable[[str], int] | None = None) -> list:"
    asked = [f"turn a dataclass into a dictionary, way {number}" for number in range(57)]
    answers = [Made(question=question, found=line, ranks=ranks) for question in asked]
    demo.show_demo(Made(run="demo-2", queries=1234, documents=5678, systems=systems, answers=answers))


def of_a_study():
    seeds = dict.fromkeys(range(42, 47), 0.5432)
    one = Made(
        task="glue/rte", metric="accuracy", split="validation", mean=0.52, deviation=0.02, by_seed=seeds
    )
    other = Made(
        task="glue/cola", metric="matthews", split="test", mean=0.3, deviation=None, by_seed={42: 0.3}
    )
    study = {"name": "study", "average": 0.8123, "average_note": "GLUE average over 8 tasks"}
    studies.show_summaries(Made(summaries=[one, other], **study))


def of_a_comparison():
    values = (
        "0.4939 to 0.5939",
        "0.0116",
        "0.5307",
        "5",
        "22,713,986",
        "12.3",
        "1,234",
        "123,456",
        "987",
        "70.5%",
    )
    columns = ("model", "accuracy", *MODEL_COLUMNS, "front")
    rows = [
        ("minilm lora *", "0.5439", *values, "yes"),
        ("majority", "0.5271", "0.4683 to 0.5851", *[""] * 10),
    ]
    output.print_table("glue/rte (validation, n 277)", columns, rows, right=columns[1:])
    contrast = ("-0.0321 to +0.0657", "0.0801", "0.4912", "0.9824", "1.0000", "0.3211", "no difference shown")
    output.print_table("differences", CONTRAST_COLUMNS, [("minilm lora", "majority *", "+0.0168", *contrast)])


def of_a_search():
    code = "def retry(call, attempts: int = 3, delay_seconds: float = 0.5, *, on_error: Callable) -> None:"
    hit = {"best_start": 9, "best_end": 9, "start": 9, "text": code, "score": 0.51, "stale": False}
    hits.show_lines(Made(path="src/retrying.py", name="retry", **hit), "retry attempts")
    row = {"path": "articles.csv", "row": 17, "name": "", "score": 0.4, "stale": True}
    hits.show_row(Made(columns={"id": 17, "text": "some words of it " * 9}, **row), "words")


def of_a_bench():
    rates = {"mbert": 123_456.0, "transformers": 65_432.0, "transformers sorted": 76_543.0}
    speedup, memory = dict.fromkeys(rates, 1.23), dict.fromkeys(rates, 1_234.0)
    point = Made(
        work="8,192", texts=1_024, tokens_per_second=rates, speedup=speedup, share_of_ceiling=0.87,
        working_memory_mib=memory,
    )  # fmt: skip
    result = Made(points=[point], mode="inference", machine=Made(precision="bf16"))
    output.show(bench.picture(result, output.width()))


@pytest.fixture(params=[60, 80, 120])
def printed(request, monkeypatch):
    """Return what a function prints on a terminal of some columns."""
    shown = io.StringIO()
    settings = {"file": shown, "force_terminal": True, "width": request.param, "highlight": False}
    monkeypatch.setattr(output, "screen", lambda **_: Screen(no_color=True, **settings))

    def lines(show, *arguments):
        show(*arguments)
        found = re.sub("\x1b\\[[0-9;]*m", "", shown.getvalue()).splitlines()
        assert max(map(len, found)) <= request.param
        return found

    lines.width = request.param
    return lines


@pytest.mark.parametrize(
    ("show", "whole"),
    [
        (
            of_labels,
            ["12345.8585", "12345.8462 to 12345.8708", "exact_match", "123,456", "average_precision"],
        ),
        (of_a_small_file, ["0.3877 to 0.4123", "rough", "with", "rough: few examples decide"]),
        (of_retrieval, ["0.4567", "0.4367 to 0.4767", "recall_at_100", "demo-2 + BM25"]),
        (of_the_demo, ["0.4200", "0.4000 to 0.4400", "recall_at_100", "turn a dataclass"]),
        (of_a_study, ["42=0.5432", "46=0.5432", "glue/cola"]),
        (of_a_comparison, ["22,713,986", "0.4683 to 0.5851", "-0.0321 to +0.0657", "no difference shown"]),
        (of_a_bench, ["8,192", "1,024", "123,456", "1.23", "1,234", "87%", "tokens/s", "times", "ceiling"]),
        (of_a_search, ["articles.csv, row 17", "     9  def retry(call,", "on_error:"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_nothing_is_cut_or_broken(show, whole, printed):
    text = "\n".join(printed(show))
    for part in whole:
        assert part in text.replace("123456", "123,456"), part


def test_every_stacked_table_says_which_row_is_which(printed):
    """Split and metric stand in front of each part."""
    lines = printed(of_labels)
    heads = [line.split() for line in lines if line.startswith("split ")]
    assert all(head[:2] == ["split", "metric"] for head in heads)
    assert len(heads) == {60: 3, 80: 1, 120: 1}[printed.width]


def test_how_an_interval_was_made_is_shown_on_one_line_or_not_at_all(printed):
    lines = printed(of_a_small_file)
    method = [line for line in lines if "Wilson, effective n, Student's t" in line]
    assert len(method) == (printed.width == 120)
    assert any("too narrow for: interval by" in line for line in lines) == (printed.width < 120)
    assert len(lines) <= {60: 12, 80: 8, 120: 6}[printed.width], lines


def test_code_that_is_too_wide_goes_on_below_its_beginning(printed):
    lines = printed(of_a_search)
    after = lines[lines.index(next(line for line in lines if "def retry" in line)) + 1]
    assert after.startswith("        ") if printed.width < 100 else after == ""


def test_a_run_takes_one_line(printed, store):
    import numpy as np

    for name in ("finetune-news-minilm-2", "b"):
        made_run(store, name, "minilm", np.ones(9, bool))
    lines = printed(lambda: runs.list_runs(Made(invoked_subcommand=None), runs_dir=store.root))
    table, told, _ = "\n".join(lines).partition("Note: too narrow for: ")
    lines = table.splitlines()
    assert len(lines) == 3 and "accuracy 1.0000" in lines[1], lines
    assert bool(told) == (printed.width < 120), "columns that are left out are named"
