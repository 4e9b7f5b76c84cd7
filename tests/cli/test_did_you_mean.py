"""What is mistyped is named as it is called: files, folders, tasks, models, runs, commands and options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from modernbert.cli.main import app

import modernbert
from modernbert.errors import did_you_mean
from modernbert.wording import one_line

ROOT = Path(modernbert.__file__).parents[1]
COMMANDS = typer.main.get_command(app).commands


@pytest.fixture
def here(reviews, tmp_path: Path, monkeypatch) -> Path:
    """A folder with reviews.csv, data/train.csv, model/ and notes.toml."""
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "my-model"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data/train.csv").write_text("text,label\na,b\n")
    (tmp_path / "notes.toml").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["finetune", "reviws.csv"], "reviews.csv"),
        (["finetune", "reviews"], "reviews.csv"),
        (["finetune", "data/trian.csv"], "data/train.csv"),
        (["finetune", "dta"], "data"),
        (["finetune", "reviews.csv", "--config", "note.toml"], "notes.toml"),
        (["finetune", "reviews.csv", "--test", "data/tran.csv"], "data/train.csv"),
        (["finetune", "glu/rte"], "glue/rte"),
        (["finetune", "glue/rt"], "glue/rte"),
        (["eval", "reviws.csv", "-m", "x"], "reviews.csv"),
        (["predict", "rewiews.csv", "-m", "x", "-o", "o.csv"], "reviews.csv"),
        (["predict", "reviews.csv", "-m", "mymodel", "-o", "o.csv"], "my-model"),
        (["predict", "reviews.csv", "-m", "minilmm", "-o", "o.csv"], "minilm"),
        (["embed", "reviewz.csv", "-o", "o.parquet"], "reviews.csv"),
        (["index", "dat"], "data"),
        (["pretrain", "datta"], "data"),
        (["report", "comparsion.json"], "comparison.json"),
        (["data", "check", "review.csv"], "reviews.csv"),
        (["data", "chek", "reviews.csv"], "check"),
        (["finetun", "reviews.csv"], "finetune"),
        (["help", "finetun"], "finetune"),
        (["runs", "shw"], "show"),
        (["finetune", "reviews.csv", "--epoch", "1"], "--epochs"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_nearest_name_is_offered(arguments, meant, here, mbert):
    (here / "comparison.json").write_text("{}")
    code, _, err = mbert(*arguments)
    assert code == 2
    assert f"Did you mean {meant}? " in one_line(err) + " ", err


@pytest.mark.parametrize(
    "arguments",
    [["nosuch"], ["finetune", "nosuch"], ["finetune", "reviews.csv", "--nosuch"], ["finetune", "zzz.csv"]],
    ids=" ".join,
)
def test_nothing_is_offered_where_nothing_is_alike(arguments, here, mbert):
    code, _, err = mbert(*arguments)
    assert code == 2 and "ossible" not in err and "Did you mean" not in err


def test_a_folder_that_is_not_there_is_named(here, mbert):
    assert "There is no folder dta either." in mbert("finetune", "dta/train.csv")[2]


@pytest.mark.parametrize("name", [name for name in COMMANDS if not hasattr(COMMANDS[name], "commands")])
def test_an_unknown_option_points_to_the_options_of_its_command(name, mbert):
    code, _, err = mbert(name, "--qqq")
    assert code == 2 and f"there is no option --qqq\nmbert {name} --help lists the options." in err


def test_what_is_missing_comes_with_an_example(mbert):
    assert "For example: mbert finetune " in mbert("finetune")[2]
    assert "mbert finetune --help lists the options." in mbert("finetune", "x.csv", "--epochs")[2]


def test_every_missing_path_is_told_in_one_place():
    """Whoever raises the error alone would leave the nearest name out."""
    said = re.compile(r'"there is no such (file|folder|bundle)')
    found = [
        str(path.relative_to(ROOT))
        for folder in ("modernbert", "cli")
        for path in (ROOT / folder).rglob("*.py")
        if said.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_a_name_far_behind_the_closest_is_not_offered():
    known = ["glue/rte", "glue/stsb", "glue/sst2", "codesearch"]
    assert did_you_mean("glue/rt", known) == "Did you mean glue/rte? "
    assert did_you_mean("glue/sst3", known) == "Did you mean glue/sst2? "
    assert did_you_mean("nosuch", known) == ""


@pytest.mark.parametrize(
    ("target", "typed", "meant", "others"),
    [
        ("text/bbc-news", "macro", "macro_f1", ("spearman", "roc_auc", "micro_f1")),
        ("glue/stsb", "spearmn", "spearman", ("accuracy", "f1")),
        ("glue/rte", "rocauc", "roc_auc", ("spearman", "micro_f1")),
    ],
)
def test_only_metrics_of_the_task_are_suggested(mbert, target, typed, meant, others):
    code, _, err = mbert("finetune", target, "--metric", typed)
    assert code == 2 and f"there is no metric called '{typed}'" in err
    assert meant in err and not any(f"{other}," in f"{err}," for other in others)
