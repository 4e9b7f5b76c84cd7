"""Rows that no text, number or date can be made of: every command that reads them names file and row."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from collections_toy import write_collection
from helpers import toy_rows

BAD = {
    "surrogate": ('{"text": "good \\ud83d", "label": "positive"}', "half of a character"),
    "surrogate elsewhere": ('{"text": "good", "label": "positive", "x": "\\udfff"}', "half of a character"),
    "surrogate key": ('{"text": "good", "label": "positive", "\\ud800": 1}', "half of a character"),
    "deep": ('{"text": "good", "label": "positive", "x": ' + "[" * 3000 + "]" * 3000 + "}", "nests too deep"),
    "long": ('{"text": "good", "label": "positive", "x": ' + "7" * 5000 + "}", "too many digits"),
    "nan": ('{"text": "good", "label": "positive", "x": NaN}', "NaN"),
}


NEW = ["prediction", "confidence", "probability_negative", "probability_positive"]


def read_csv(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, *more: str) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in toy_rows(40)) + "".join(f"{m}\n" for m in more))
    return path


@pytest.mark.parametrize("fault", BAD)
def test_every_command_names_the_row(mbert, trained, tiny_bert, tmp_path, fault):
    row, message = BAD[fault]
    path, good = write_rows(tmp_path / "bad.jsonl", row), write_rows(tmp_path / "good.jsonl")
    before = sorted(tmp_path.rglob("*"))
    for arguments in (
        ["data", "check", path],
        ["data", "check", good, "--validation", path],
        ["finetune", path, "-m", tiny_bert],
        ["predict", path, "-m", trained, "-o", "o.jsonl"],
        ["predict", path, "-m", trained, "-o", "o.csv"],
        ["embed", path, "-m", tiny_bert, "-o", "o.parquet"],
        ["eval", path, "-m", trained],
        ["bench", path, "-m", tiny_bert, "--lengths", "16"],
    ):
        code, _, err = mbert(*arguments)
        assert code == 2 and "Traceback" not in err, (arguments, err)
        assert "bad.jsonl, row 41" in err and message in err, (arguments, err)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_a_collection_with_half_a_character(mbert, tiny_bert, tmp_path, name):
    folder = write_collection(tmp_path / "toy")
    with (folder / name).open("a") as file:
        file.write('{"_id": "z", "text": "bad \\ud83d"}\n')
    for arguments in (["data", "check", folder], ["eval", folder, "-m", tiny_bert]):
        code, _, err = mbert(*arguments)
        assert code == 2 and name in err and "half of a character" in err, err


def test_a_prediction_never_takes_the_place_of_what_a_later_row_holds(mbert, trained, tmp_path):
    path = write_rows(tmp_path / "new.jsonl", '{"text": "good", "prediction": "mine"}')
    for out in ("o.jsonl", "o.csv"):
        code, _, err = mbert("predict", path, "-m", trained, "-o", out)
        assert code == 2 and "row 41: the file has a column 'prediction' already" in err, err
        assert not Path(out).exists()
    assert mbert("predict", path, "-m", trained, "-o", "o.jsonl", "--prefix", "new_")[0] == 0
    assert json.loads(Path("o.jsonl").read_text().splitlines()[-1])["prediction"] == "mine"


def test_rows_with_other_columns(mbert, trained, tmp_path):
    path = write_rows(tmp_path / "new.jsonl", '{"text": "good", "note": [1, "x"]}', '{"text": "bad"}')
    assert mbert("predict", path, "-m", trained, "-o", "o.jsonl")[0] == 0
    rows = [json.loads(line) for line in Path("o.jsonl").read_text().splitlines()]
    assert rows[40]["note"] == [1, "x"] and "note" not in rows[41]
    assert mbert("predict", path, "-m", trained, "-o", "o.csv")[0] == 0
    table = read_csv("o.csv")
    assert [row["note"] for row in table[39:]] == ["", '[1, "x"]', ""]
    assert list(table[0]) == ["text", "label", "note", *NEW]
    for row, cells in zip(rows, table, strict=True):
        assert row["prediction"] == cells["prediction"]
        for name, share in row["probabilities"].items():
            assert float(cells[f"probability_{name}"]) == share


def test_a_text_that_a_late_row_lacks_is_named(mbert, trained, tmp_path, monkeypatch):
    monkeypatch.setattr("modernbert.evaluation.predict_file.CHUNK_ROWS", 16)
    path = write_rows(tmp_path / "new.jsonl", *['{"body": "x"}'] * 10)
    code, _, err = mbert("predict", path, "-m", trained, "-o", "o.csv")
    assert code == 2 and "row 41" in err and "'text' holds nothing" in err, err


def test_what_parquet_holds_and_json_does_not(mbert, trained, tmp_path):
    import datetime

    import pyarrow
    from pyarrow import parquet

    day = datetime.date(2026, 1, 2)
    columns = {
        "text": ["good", "bad"],
        "x": [float("nan"), 0.5],
        "day": [day, None],
        "in": [[float("nan")], []],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "new.parquet")
    assert mbert("predict", "new.parquet", "-m", trained, "-o", "o.jsonl")[0] == 0

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is no JSON")

    lines = Path("o.jsonl").read_text().splitlines()
    first, second = (json.loads(line, parse_constant=refuse) for line in lines)
    assert (first["x"], first["day"], first["in"]) == (None, "2026-01-02", [None])
    assert (second["x"], second["day"]) == (0.5, None)
    assert mbert("predict", "new.parquet", "-m", trained, "-o", "o.csv")[0] == 0
    assert [row["x"] for row in read_csv("o.csv")] == ["", "0.5"]
    parquet.write_table(
        pyarrow.table({"text": ["good", "bad"], "x": [None, b"\xff"]}), tmp_path / "new.parquet"
    )
    for out in ("p.jsonl", "p.csv"):
        code, _, err = mbert("predict", "new.parquet", "-m", trained, "-o", out)
        assert code == 2 and "row 2: the column 'x' holds bytes" in err, err
        assert not Path(out).exists()


def test_csv_cells_hold_what_the_rows_held(mbert, trained, tmp_path):
    rows = [
        {"text": "good", "id": "007", "code": 7, "yes": True, "part": 0.5, "none": None},
        {"text": 'a, "b"\nc', "id": "008", "code": 2**64, "yes": False, "part": 1, "none": ""},
    ]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert mbert("predict", "new.jsonl", "-m", trained, "-o", "o.csv")[0] == 0
    first, second = read_csv("o.csv")
    assert [first[name] for name in ("id", "code", "yes", "part", "none")] == ["007", "7", "true", "0.5", ""]
    assert (second["text"], second["code"]) == (rows[1]["text"], str(2**64))
    assert mbert("predict", "new.jsonl", "-m", trained, "-o", "o.jsonl")[0] == 0
    kept = [json.loads(line) for line in Path("o.jsonl").read_text().splitlines()]
    assert [{name: row[name] for name in rows[0]} for row in kept] == rows


@pytest.mark.parametrize("name", [NEW[0], NEW[2]])
def test_a_new_column_of_a_csv_file_replaces_none_of_the_input(mbert, trained, tmp_path, name):
    path = write_rows(tmp_path / "new.jsonl", json.dumps({"text": "good", name: "mine"}))
    code, _, err = mbert("predict", path, "-m", trained, "-o", "o.csv")
    assert code == 2 and f"row 41: the file has a column '{name}' already" in err, err
    assert mbert("predict", path, "-m", trained, "-o", "o.csv", "--prefix", "new_")[0] == 0
    assert read_csv("o.csv")[-1][name] == "mine"


def test_a_file_that_grows_while_it_is_read_is_refused(mbert, trained, tmp_path, monkeypatch):
    """A row that the first reading did not see may have a column that nothing was made ready for."""
    from modernbert.evaluation import predict_file

    path = write_rows(tmp_path / "new.jsonl")
    first_reading = predict_file.find_columns

    def find_columns(*given):
        found = first_reading(*given)
        with path.open("a") as file:
            file.write('{"text": "good", "late": 1}\n')
        return found

    monkeypatch.setattr(predict_file, "find_columns", find_columns)
    code, _, err = mbert("predict", path, "-m", trained, "-o", "o.csv")
    assert code == 2 and "changed while it was read" in err, err
    assert not Path("o.csv").exists()
