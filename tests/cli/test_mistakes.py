"""A user's mistakes: one clear message with file and row, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import FAST, toy_rows, write_csv

from modernbert.wording import one_line


def refused(result: tuple[int, str, str], *parts: str) -> None:
    code, _, err = result
    shown = one_line(err)
    assert code == 2, shown
    assert "Traceback" not in shown
    for part in parts:
        assert part in shown, f"{part!r} is not in {shown}"


def nothing_written() -> bool:
    return not any(Path.cwd().glob("runs/*")) and not any(Path.cwd().glob("runs/.*"))


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["bad.csv", "empty"]),
        (b"text,label\n", ["bad.csv", "no rows"]),
        (b"text,label\ngood,1\nbad\n", ["bad.csv, row 2 (line 3)", "1 cell where the header has 2"]),
        (b"text,label\ngood,1\ncaf\xe9,0\n", ["bad.csv, line 3", "not UTF-8"]),
        (b"text,label\n" + b"good,a\nbad,b\n" * 20 + b"fine,\n", ["bad.csv, row 41", "label", "missing"]),
        (b"text,label\n" + b"good w1,a\n" * 20, ["1 different value;"]),
        (b"a,b\n1,2\n3,4\n", ["cannot tell which column is the label", "a, b", "--label-col"]),
    ],
    ids=["empty", "header only", "ragged", "encoding", "label missing", "one class", "no columns"],
)
def test_bad_files(mbert, tiny_bert, tmp_path, content, parts):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    refused(mbert("finetune", path, "-m", tiny_bert), *parts)
    assert nothing_written()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["glue/sst3"], ["no task or file called 'glue/sst3'", "glue/sst2"]),
        (["nosuch.csv"], ["nosuch.csv", "no such file"]),
        (["text/bbc"], ["text/bbc-news"]),
        (["reviews.csv", "-m", "modernbert-bas"], ["no model called 'modernbert-bas'", "modernbert-base"]),
        (["reviews.csv", "-m", "."], ["no config.json"]),
        (["reviews.csv", "--text-col", "txt"], ["no column 'txt'", "Did you mean 'text'?"]),
        (["reviews.csv", "--epochs", "0"], ["epochs", "greater than 0"]),
        (["reviews.csv", "--recipe", "best"], ["there is no recipe 'best'"]),
        (["reviews.csv", "--recipe", "paper"], ["no recipe for"]),
        (["reviews.csv", "--max-length", "500"], ["exceeds the model's context of 128"]),
        (["reviews.csv", "--max-length", "long"], ["--max-length cannot be 'long'"]),
        (["reviews.csv", "--kind", "ranking"], ["no kind 'ranking'"]),
        (["reviews.csv", "--device", "tpu"], ["no device 'tpu'", "cpu"]),
        (["reviews.csv", "--precision", "fp8"], ["no precision 'fp8'"]),
        (["reviews.csv", "--seeds", "0"], ["--seeds is '0'", "from 1 to 1,000"]),
        (["reviews.csv", "--config", "no.toml"], ["no.toml", "no such file"]),
        (["reviews.csv", "--lora", "--lora-targets", "nolayer"], ["LoRA targets do not fit"]),
        (["reviews.csv", "--data-dir", "nofolder"], ["nofolder", "no such bundle folder"]),
        (["reviews.csv", "--name", "../up"], ["cannot name a run"]),
        (["reviews.csv", "--runs-dir", "reviews.csv/runs"], ["reviews.csv/runs: cannot write here"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_options(mbert, reviews, tiny_bert, arguments, parts):
    model = [] if "-m" in arguments else ["-m", tiny_bert]
    refused(mbert("finetune", *arguments, *model), *parts)
    assert nothing_written()


def test_offline_names_every_place_and_the_command(mbert, tiny_bert, reviews):
    refused(
        mbert("finetune", "glue/sst2", "-m", tiny_bert),
        "glue/sst2 (train) is not on this machine",
        "bundle folder: none given",
        "cache:",
        "Hub: offline",
        "mbert download glue/sst2 --to bundle",
        "Without any network: mbert demo",
    )
    refused(
        mbert("finetune", "reviews.csv", "-m", "modernbert-base"),
        "modernbert-base",
        "mbert download modernbert-base --to bundle",
        "`mbert demo` shows it",
    )
    refused(mbert("finetune", "someone/their-data", "-m", tiny_bert), "someone/their-data", "Hub: offline")


def test_a_family_names_all_that_is_missing_at_once(mbert, tiny_bert, tmp_path):
    bundle = sst2_bundle(tmp_path / "bundle")
    result = mbert("finetune", "glue", "-m", tiny_bert, "--data-dir", bundle)
    refused(
        result, "8 of 9 tasks are not available: glue/mnli, glue/cola,", "mbert download glue/mnli glue/cola"
    )
    assert nothing_written()


def write_jsonl(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def sst2_bundle(folder: Path, bad_row: dict | None = None) -> Path:
    rows = [{"sentence": r["text"], "label": int(r["label"] == "positive")} for r in toy_rows(40)]
    write_jsonl(folder / "glue/sst2/train.jsonl", rows + ([bad_row] if bad_row else []))
    write_jsonl(folder / "glue/sst2/validation.jsonl", rows[:20])
    return folder


@pytest.mark.parametrize(
    ("row", "parts"),
    [
        ({"sentence": "good", "label": 2}, ["row 41", "label 2 is out of range 0 to 1 (negative, positive)"]),
        ({"sentence": "good", "label": -1}, ["row 41", "label is -1: it is hidden"]),
        ({"sentence": "good"}, ["row 41", "label", "missing"]),
        ({"label": 1}, ["row 41", "'sentence' holds nothing"]),
        ({"sentence": "good", "label": "great"}, ["row 41", "label 'great'"]),
    ],
)
def test_bad_rows_of_a_bundle(mbert, tiny_bert, tmp_path, row, parts):
    bundle = sst2_bundle(tmp_path / "bundle", row)
    refused(mbert("finetune", "glue/sst2", "-m", tiny_bert, "--data-dir", bundle), *parts)
    assert nothing_written()


def test_a_label_unseen_in_training_is_named(mbert, reviews, tiny_bert, tmp_path):
    other = write_csv(tmp_path / "dev.csv", [{"text": "good", "label": "neutral"}])
    result = mbert("finetune", reviews, "--validation", other, "-m", tiny_bert)
    refused(result, "dev.csv, row 1", "label 'neutral' does not occur in the training data")


def test_a_changed_bundle_is_refused(mbert, tiny_bert, tmp_path):
    source = sst2_bundle(tmp_path / "source")
    code, _, err = mbert("download", "glue/sst2", "--to", tmp_path / "bundle", "--data-dir", source)
    assert code == 0, err
    assert "test (labels hidden) is not available" in err
    path = tmp_path / "bundle/glue/sst2/train.jsonl"
    path.write_text(path.read_text().replace("good", "fine", 1))
    result = mbert("finetune", "glue/sst2", "-m", tiny_bert, "--data-dir", tmp_path / "bundle")
    refused(result, "train.jsonl", "its checksum differs", "mbert download")


def test_hidden_test_labels_are_refused_and_submission_files_written(mbert, tiny_bert, tmp_path):
    bundle = sst2_bundle(tmp_path / "bundle")
    write_jsonl(
        bundle / "glue/sst2/test.jsonl", [{"sentence": "good", "label": -1, "idx": i} for i in range(5)]
    )
    assert (
        mbert("finetune", "glue/sst2", "-m", tiny_bert, "--data-dir", bundle, *FAST, "--name", "toy")[0] == 0
    )
    common = ["eval", "glue/sst2", "-m", "toy", "--data-dir", bundle]
    refused(mbert(*common, "--split", "test"), "labels of glue/sst2 (test) are hidden", "--submit DIR")
    assert mbert(*common, "--submit", tmp_path / "send")[0] == 0
    lines = (tmp_path / "send/SST-2.tsv").read_text().splitlines()
    assert lines[0] == "index\tprediction"
    assert [line.split("\t")[0] for line in lines[1:]] == list("01234")
    assert {line.split("\t")[1] for line in lines[1:]} <= {"0", "1"}


def test_duplicates_across_splits_are_warned_of(mbert, tiny_bert, tmp_path):
    bundle = sst2_bundle(tmp_path / "bundle")
    code, _, err = mbert("finetune", "glue/sst2", "-m", tiny_bert, "--data-dir", bundle, *FAST)
    assert code == 0
    assert "20 of 20 rows are also in train" in err


def test_runs_that_are_unknown_damaged_or_of_another_version(mbert, trained):
    refused(mbert("runs", "show", "toi"), "no run called 'toi'", "Did you mean toy?")
    refused(mbert("resume", "toy"), "finished")
    path = Path("runs/toy/run.json")
    kept = path.read_text()
    path.write_text(kept.replace('"format": 2', '"format": 7'))
    refused(mbert("runs", "show", "toy"), "format 7", "reads formats 1 to 2")
    refused(mbert("eval", "reviews.csv", "-m", "toy"), "format 7")
    path.write_text(kept[: len(kept) // 2])
    refused(mbert("runs", "show", "toy"), "run.json: not valid JSON", "Restore it")


def test_a_bare_encoder_is_not_scored(mbert, tiny_bert, tmp_path):
    bundle = sst2_bundle(tmp_path / "bundle")
    result = mbert("eval", "glue/sst2", "-m", tiny_bert, "--data-dir", bundle)
    refused(result, "no head trained for labels", "mbert finetune glue/sst2")


def test_a_run_for_other_labels_is_not_scored(mbert, trained, tmp_path):
    rows = [{"sentence": "good", "label": 0}]
    write_jsonl(tmp_path / "bundle/glue/cola/validation.jsonl", rows)
    result = mbert("eval", "glue/cola", "-m", "toy", "--data-dir", tmp_path / "bundle")
    refused(result, "toy predicts negative, positive", "glue/cola has unacceptable, acceptable")


def test_predicting_without_a_run(mbert, reviews, tiny_bert):
    refused(
        mbert("predict", reviews, "-m", tiny_bert, "-o", "out.jsonl"),
        "no head trained for labels",
        "mbert finetune",
    )


def test_predicting_to_or_from_what_does_not_fit(mbert, trained, reviews):
    refused(mbert("predict", reviews, "-m", "toy", "-o", "out.xlsx"), "cannot write '.xlsx' files")
    refused(mbert("predict", reviews, "-m", "toy", "-o", "none/out.csv"), "none: cannot write here")
    refused(mbert("predict", "none.csv", "-m", "toy", "-o", "out.csv"), "none.csv", "no such file")
    refused(mbert("predict", reviews, "-m", "toy", "-o", "out.csv", "--text-col", "x"), "no column 'x'")


def test_downloading_what_does_not_exist(mbert, tmp_path):
    refused(mbert("download", "gleu", "--to", tmp_path / "b"), "no task or model called 'gleu'", "glue")


@pytest.mark.parametrize(
    "line",
    [
        ["finetune", "nosuch.csv"],
        ["finetune", "glue/sst3"],
        ["predict", "nosuch.csv", "-m", "x", "-o", "o.csv"],
        ["eval", "nosuch/task", "-m", "x"],
        ["embed", "nosuch.csv", "-o", "o.parquet"],
        ["search", "x", "--index", "nosuch"],
    ],
)
def test_a_wrong_name_is_told_before_torch_is_imported(line):
    told_before_torch(line)


@pytest.mark.parametrize("command", ["finetune", "pretrain"])
def test_a_taken_name_is_told_before_torch_is_imported(command, reviews, tmp_path):
    (tmp_path / "runs" / "toy").mkdir(parents=True)
    (tmp_path / "runs" / "toy" / "run.json").write_text("{}")
    line = [command, str(reviews), "--name", "toy", "--runs-dir", str(tmp_path / "runs")]
    assert "there is a run called 'toy' already" in told_before_torch(line)


def told_before_torch(line: list[str]) -> str:
    code = f"import sys; sys.argv = {['mbert', *line]!r}\nfrom modernbert.cli.main import main\ntry: main()\n"
    code += "except SystemExit as stop: assert stop.code == 2\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("name", ["modernbert-base", "glue/rte"])
def test_a_download_without_a_network_advises_what_works_without_one(mbert, monkeypatch, tmp_path, name):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    code, out, err = mbert("--offline", "download", name, "--to", tmp_path / "b")
    assert code == 2 and not out
    with_network, without = err.strip().splitlines()[-2:]
    assert with_network.startswith(f"On a machine with network: mbert download {name} --to bundle")
    assert without.startswith("Without any network: mbert demo, or ")
