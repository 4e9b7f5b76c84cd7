"""Options that fit neither the target nor the model: refused with one sentence, never ignored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import FAST, toy_rows, write_csv

from modernbert.wording import one_line


@pytest.fixture
def refused(mbert, tmp_path):
    """Run a command and see it refused: a sentence, exit code 2, and no new file."""

    def run(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        code, out, err = mbert(*arguments)
        assert code == 2 and not out, (arguments, out, err)
        assert "Traceback" not in err and len(err.strip().splitlines()) <= 3, err
        assert sorted(tmp_path.rglob("*")) == before, "nothing is written"
        return one_line(err)

    return run


@pytest.fixture
def pairs(tmp_path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"query": f"w{i} good", "positive": f"w{i} bad", "negative": "w1 w2"} for i in range(30)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    "options",
    [
        ["--text-col", "text"],
        ["--label-col", "label"],
        ["--kind", "single_label"],
        ["--validation", "reviews.csv"],
        ["--test", "reviews.csv"],
    ],
    ids=lambda options: options[0],
)
def test_a_collection_has_its_own_columns_and_splits(refused, toy, reviews, options, tiny_bert):
    assert f"{options[0]} has no effect" in refused("finetune", toy, "-m", tiny_bert, *options)
    assert f"{options[0]} has no effect" in refused("data", "check", toy, *options)
    assert f"{options[0]} has no effect" in refused("data", "check", "codesearch/stdlib", *options)


def test_evaluation_takes_the_options_of_its_kind_of_task(refused, toy, trained, tiny_bert):
    for options in (["--submit", "out"], ["--text-col", "text"], ["--label-col", "label"]):
        assert f"{options[0]} applies only to labelled texts" in refused(
            "eval", toy, "-m", tiny_bert, *options
        )
    for options in (
        ["--passages", "16"], ["--protocol", "mteb"], ["--rerank", "x"], ["--via", "mteb"], ["--no-cache"],
        ["--analyser", "code"], ["--ignore-identical-ids"], ["--keep-identical-ids"],
    ):  # fmt: skip
        assert f"{options[0]} applies only to retrieval" in refused(
            "eval", "reviews.csv", "-m", trained, *options
        )
    assert "exclude each" in refused("eval", toy, "-m", tiny_bert, "--passages", 16, "--max-length", 16)
    both = ["--ignore-identical-ids", "--keep-identical-ids"]
    assert "exclude each other" in refused("eval", toy, "-m", tiny_bert, *both)
    assert "applies only to your own files" in refused(
        "eval", "glue/sst2", "-m", trained, "--text-col", "text"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lora-rank", "8"], "--lora-rank applies only with --lora"),
        (["--head", "reranker", "--temperature", "0.1"], "applies only with --head vectors or tokens, and"),
        (["--head", "tokens", "--pooling", "cls"], "only with --head vectors, and --head is tokens"),
        (["--head", "tokens", "--mine"], "--mine applies only with --head vectors"),
        (["--head", "tokens", "--dims", "16"], "--dims applies only with --head vectors"),
        (["--temperature", "0.1"], "reviews.csv: --temperature applies only to retrieval"),
        (["--mine"], "reviews.csv: --mine applies only to retrieval"),
        (["--decay", "0.5"], "--decay applies only with --schedule trapezoidal, and --schedule is linear"),
        (["--text-col", "text", "--text-col", "text"], "named twice"),
        (["--text-col", "a", "--text-col", "b", "--text-col", "c"], "one column or a pair, and 3 were named"),
        (["--text-col", "label", "--label-col", "label"], "cannot be both text and label"),
    ],
)
def test_settings_that_do_nothing_and_columns_named_twice(refused, reviews, tiny_bert, options, message):
    assert message in refused("finetune", reviews, "-m", tiny_bert, *options)


def test_a_file_of_settings_is_checked_like_the_options(refused, reviews, tiny_bert):
    for text, message in {
        "epochs = inf": "epochs is inf; it must be greater than 0 and at most 10,000",
        "seed = -1": "seed is -1; it must be from 0 to",
        "learning_rate = nan": "learning_rate is nan",
        "batch_size = 1000000000000": "batch_size is 1000000000000",
        "dims = [64, true]": "dims is [64, True]; it must be a list of whole numbers",
        "[lora]\nrank = 8": "--lora-rank applies only with --lora",
        "[lora]\nrnak = 8": "x.toml: unknown setting 'rnak' in [lora] Did you mean 'rank'?",
        "rotary_base = 1.0": "x.toml: --rotary-base applies only to pretraining",
        f"seed = {'9' * 5000}": "too many digits",
        f"a = {'[' * 3000}": "x.toml",
    }.items():
        Path("x.toml").write_text(text)
        assert message in refused("finetune", reviews, "-m", tiny_bert, "--config", "x.toml"), text


def test_a_loss_needs_its_teacher_and_sizes_the_models_own(refused, pairs, tiny_modernbert):
    start = ["finetune", pairs, "-m", tiny_modernbert, "--epochs", "1"]
    for loss in ("kl", "margin"):
        assert f"--loss {loss} needs a teacher's scores" in refused(*start, "--loss", loss)
    for needs in (["--head", "reranker"], ["--mine"]):
        said = refused(*start, *needs, "--hard-negatives", "0")
        assert f"{needs[0]} {needs[-1]}".replace("--mine --mine", "--mine") in said and "needs hard" in said
    assert "--dims 33 is more than the 32 dimensions" in refused(*start, "--dims", "16,33")
    assert "pairs have no label" in refused(*start, "--label-col", "query")


def test_several_targets_are_refused_before_the_first_one_is_trained(refused, pairs, reviews, tiny_bert):
    said = refused("finetune", pairs, reviews, "-m", tiny_bert, "--temperature", "0.1")
    assert "reviews.csv: --temperature applies only to retrieval" in said


def test_lengths_beyond_the_models(refused, reviews, toy, tiny_bert):
    for path in (reviews, toy):
        message = refused("data", "check", path, "-m", tiny_bert, "--max-length", "129")
        assert "exceeds the model's context of 128" in message
    assert "--max-length applies only with --model" in refused("data", "check", reviews, "--max-length", "64")
    assert "no length fits" in refused("bench", "-m", tiny_bert, "--lengths", "1000000")


def test_predicting_what_the_run_cannot_read_or_over_its_own_input(refused, trained, reviews):
    start = ["predict", reviews, "-m", trained, "-o"]
    assert "reads one text" in refused(*start, "o.csv", "--text-col", "text", "--text-col", "label")
    assert "the output is the input" in refused(*start, reviews, "--overwrite")
    Path("again.csv").symlink_to(reviews)
    assert "the output is the input" in refused(*start, "again.csv", "--overwrite")
    both = ["--text-col", "label", "--label-col", "label"]
    assert "both text and label" in refused("eval", reviews, "-m", trained, *both)


def test_a_name_that_is_taken_is_refused_for_several_runs_too(mbert, refused, reviews, tiny_bert, tmp_path):
    write_csv(tmp_path / "more.csv", toy_rows(60, seed=1))
    many = ["finetune", reviews, "more.csv", "-m", tiny_bert, *FAST, "--name", "toy"]
    assert mbert(*many)[0] == 0
    assert "a study called 'toy' already" in refused(*many)
    taken = ["finetune", reviews, "more.csv", "-m", tiny_bert, *FAST, "--name", "toy-more-s42"]
    assert "a run called 'toy-more-s42' already" in refused(*taken)
