"""The commands, end to end on a tiny model: what is shown, what is written, which exit code."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from helpers import FAST, toy_rows, write_csv


def test_finetune_shows_columns_settings_scores_and_interval(mbert, reviews, tiny_modernbert):
    code, out, err = mbert("finetune", reviews, "--model", tiny_modernbert, *FAST)
    warning, rough, temperature = err.splitlines()
    assert code == 0
    assert warning == "Warning: validation: fewer than 10 rows to score negative (5), positive (7)"
    assert rough == "Note: rough: few examples decide"
    assert temperature.startswith("Note: temperature ") and "fitted on validation" in temperature
    for part in (
        "text <- text, label <- label (2 classes)",
        "12 of 120 rows held out for validation",
        "learning_rate 0.003",
        ", all trained",
        "outputs agree to",
        "95 % interval",
        "accuracy",
    ):
        assert part in out, part


def test_json_is_json_and_nothing_else(mbert, reviews, tiny_bert):
    code, out, _ = mbert("finetune", reviews, "--model", tiny_bert, *FAST, "--seeds", 2, "--json")
    result = json.loads(out)
    assert code == 0
    assert set(result["summaries"][0]["by_seed"]) == {"42", "43"}
    assert result["summaries"][0]["deviation"] is not None


def test_runs_lists_and_shows(mbert, trained):
    assert "toy" in mbert("runs")[1]
    assert "finished" in mbert("runs")[1]
    shown = mbert("runs", "show", trained)[1]
    assert "learning_rate 0.003" in shown
    assert json.loads(mbert("runs", "show", trained, "--json")[1])["status"] == "finished"


def test_eval_of_a_labelled_file_with_the_runs_columns(mbert, trained, tmp_path):
    file = write_csv(tmp_path / "other.csv", toy_rows(40, seed=5))
    code, out, err = mbert("eval", file, "--model", trained, "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["splits"][0]["scores"][0]["n"] == 40
    assert len((Path("runs") / result["name"] / "scores.jsonl").read_text().splitlines()) == 40


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_predict_keeps_columns_and_order(mbert, trained, tmp_path, suffix):
    rows = [{"id": str(i), "text": row["text"]} for i, row in enumerate(toy_rows(30, seed=3))]
    out_file = tmp_path / f"out{suffix}"
    code, out, err = mbert("predict", write_csv(tmp_path / "in.csv", rows), "-m", trained, "-o", out_file)
    assert (code, err) == (0, "")
    assert "30 rows" in out and "replaced" not in out
    again = mbert("predict", tmp_path / "in.csv", "-m", trained, "-o", out_file, "--overwrite")[1]
    assert f"-> {out_file}, replaced  (" in again.replace("\n", "")
    with out_file.open(newline="") as file:
        found = [json.loads(line) for line in file] if suffix == ".jsonl" else list(csv.DictReader(file))
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    assert {row["prediction"] for row in found} <= {"positive", "negative"}
    shares = ["probabilities"] if suffix == ".jsonl" else ["probability_negative", "probability_positive"]
    assert list(found[0]) == ["id", "text", "prediction", "confidence", *shares]


def test_predict_refuses_to_overwrite_a_column(mbert, trained, tmp_path):
    file = write_csv(tmp_path / "in.csv", [{"text": "good", "prediction": "x"}])
    code, _, err = mbert("predict", file, "-m", trained, "-o", tmp_path / "out.jsonl")
    assert code == 2
    assert "--prefix" in err
    assert mbert("predict", file, "-m", trained, "-o", tmp_path / "out.jsonl", "--prefix", "my_")[0] == 0


def test_a_bad_row_in_predict_writes_nothing(mbert, trained, tmp_path):
    file = tmp_path / "in.csv"
    file.write_text("text,more\n" + "good,1\n" * 3000 + "one cell\n")
    code, _, err = mbert("predict", file, "-m", trained, "-o", tmp_path / "out.jsonl")
    assert code == 2
    assert "row 3001" in err
    assert not (tmp_path / "out.jsonl").exists()


def test_settings_come_from_recipe_then_file_then_flags(mbert, reviews, tiny_bert, tmp_path):
    file = tmp_path / "my.toml"
    file.write_text("epochs = 1\nlearning_rate = 0.5\nclip = 2.0\n")
    _, out, _ = mbert("finetune", reviews, "-m", tiny_bert, "--config", file, "--lr", "0.001", "--json")
    config = json.loads(out)["runs"][0]["config"]
    optimizer = config["optimizer"]
    assert (config["schedule"]["epochs"], optimizer["learning_rate"], optimizer["clip"]) == (1, 0.001, 2.0)
    assert optimizer["batch_size"] == 32  # the recipe's


def test_the_doctor_names_device_precision_attention_and_network(mbert):
    code, out, _ = mbert("doctor")
    assert code == 0
    for part in ("torch", "device", "precision", "attention", "offline, as MBERT_OFFLINE says"):
        assert part in out, part
    assert json.loads(mbert("doctor", "--json")[1])["facts"]["compute"]


def test_tasks_and_models_are_listed(mbert):
    assert "glue/sst2" in mbert("tasks")[1]
    assert "deberta-v3-base" in mbert("models")[1]
    assert len(json.loads(mbert("models", "--json")[1])) >= 18


def test_data_check_counts_tokens_and_warns(mbert, tmp_path, tiny_bert):
    train = write_csv(tmp_path / "train.csv", toy_rows(50))
    code, out, err = mbert(
        "data", "check", train, "--validation", train, "--model", tiny_bert, "--max-length", 8
    )
    assert code == 0
    assert "50 of 50 rows are also in train" in err
    assert "longer than 8 tokens" in err
    assert "tokens p50/p95/max" in out
