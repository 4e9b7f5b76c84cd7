"""`mbert predict`: one text, standard input, Parquet, the best labels; and what a stop leaves."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import shutil
import sys
from pathlib import Path

import pyarrow
import pytest
from helpers import request_of, toy_rows, write_csv
from pyarrow import parquet

import modernbert
from modernbert.evaluation import predict_file
from modernbert.evaluation.evaluate import Scorer
from modernbert.finetuning.finetune import finetune
from modernbert.runs import RunStore
from modernbert.wording import one_line


@pytest.fixture(scope="module")
def once(tmp_path_factory, tiny_modernbert) -> Path:
    """A folder with a run, a file of texts, and what that run predicts for them; made once."""
    folder = tmp_path_factory.mktemp("once")
    store = RunStore(folder / "runs")
    request = request_of(write_csv(folder / "train.csv", toy_rows(60)), tiny_modernbert, epochs=1.0)
    finetune(dataclasses.replace(request, name="toy"), store)
    rows = [{"id": i, "text": row["text"]} for i, row in enumerate(toy_rows(40, seed=3))]
    (folder / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    modernbert.predict(folder / "in.jsonl", folder / "out.jsonl", "toy", runs_dir=store.root)
    return folder


@pytest.fixture
def trained(once, tmp_path) -> str:
    """The name of the run, in this test's own folder."""
    shutil.copytree(once, tmp_path, dirs_exist_ok=True)
    return "toy"


@pytest.fixture
def expected(trained) -> list[dict]:
    """The rows of a file with their predictions, as a JSONL file has them."""
    return [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]


def typed(monkeypatch, text: str | bytes) -> None:
    """Let standard input hold this."""
    raw = text.encode() if isinstance(text, str) else text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8"))


def test_one_text_has_the_prediction_that_its_row_has(mbert, trained, expected):
    row = expected[7]
    code, out, err = mbert("predict", "-m", trained, "--text", row["text"], "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["prediction"] == row["prediction"]
    assert found["probabilities"] == pytest.approx(row["probabilities"], abs=1e-5)
    out = mbert("predict", "-m", trained, "--text", row["text"])[1]
    lines = out.splitlines()
    assert lines[0] == row["prediction"]
    share = max(row["probabilities"].values())
    assert lines[-2].split() == [max(row["probabilities"], key=row["probabilities"].get), f"{share:.4f}"]


@pytest.mark.parametrize("form", ["texts", "rows"])
def test_standard_input_becomes_json_lines(mbert, trained, expected, monkeypatch, form):
    lines = [row["text"] if form == "texts" else json.dumps({"id": row["id"], "text": row["text"]})
             for row in expected]  # fmt: skip
    typed(monkeypatch, "\n".join(lines))
    code, out, err = mbert("predict", "-", "-m", trained)
    assert code == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    assert [list(row) for row in found] == [["id", *list(expected[0])[1:]] if form == "rows"
                                            else list(expected[0])[1:]] * 40  # fmt: skip
    for row, wanted in zip(found, expected, strict=True):
        assert (row["text"], row["prediction"]) == (wanted["text"], wanted["prediction"])
        assert row["confidence"] == pytest.approx(wanted["confidence"], abs=1e-5)
    assert [json.loads(line) for line in mbert("predict", "in.jsonl", "-m", trained)[1].splitlines()] == [
        {
            **wanted,
            **{name: pytest.approx(wanted[name], abs=1e-5) for name in ("confidence", "probabilities")},
        }
        for wanted in expected
    ]


def test_an_empty_line_of_text_keeps_its_place(mbert, trained, monkeypatch):
    typed(monkeypatch, "good\n\nbad\n")
    out = mbert("predict", "-", "-m", trained)[1]
    assert [json.loads(line)["text"] for line in out.splitlines()] == ["good", "", "bad"]


@pytest.mark.parametrize(
    ("typed_in", "message"),
    [
        ("", "stdin: there are no rows"),
        (b"caf\xe9\n", "stdin, line 1: not UTF-8"),
        ('{"text": "good"}\nbad\n', "stdin, row 2 (line 2): not valid JSON"),
        ('{"words": "good"}\n', "there is no column 'text'"),
        ('{"text": "good", "prediction": 1}\n', "stdin, row 1: the row has a column 'prediction' already"),
    ],
)
def test_what_standard_input_cannot_hold(mbert, trained, monkeypatch, typed_in, message):
    typed(monkeypatch, typed_in)
    code, _, err = mbert("predict", "-", "-m", trained)
    assert code == 2 and message in one_line(err), err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in.jsonl", "--text", "good"], "give a file, - for standard input, or one --text"),
        ([], "give a file, - for standard input, or one --text"),
        (["--text", "good", "-o", "o.csv"], "--out applies only to rows"),
        (["--text", "good", "--text", "bad"], "reads one text"),
        (["-", "-o", "o.csv"], "standard input is read once"),
        (["in.jsonl", "--json"], "--json applies only with -o or --text"),
        (["in.jsonl", "--top", "3"], "--top is 3, and the model knows 2 labels"),
    ],
)
def test_inputs_and_outputs_that_do_not_go_together(mbert, trained, expected, arguments, message):
    code, _, err = mbert("predict", *arguments, "-m", trained)
    assert code == 2 and message in one_line(err), err


def test_the_most_probable_labels_come_first(mbert, trained, expected):
    for name in ("top.jsonl", "top.csv", "top.parquet"):
        assert mbert("predict", "in.jsonl", "-m", trained, "-o", name, "--top", "1")[0] == 0
    lines = [json.loads(line) for line in Path("top.jsonl").read_text().splitlines()]
    with Path("top.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    table = parquet.read_table("top.parquet").to_pylist()
    for i, row in enumerate(expected):
        label = max(row["probabilities"], key=row["probabilities"].get)
        assert lines[i]["top"] == [{"label": label, "probability": row["probabilities"][label]}]
        assert "probabilities" not in lines[i]
        assert (cells[i]["label_1"], float(cells[i]["probability_1"])) == (label, row["probabilities"][label])
        assert (table[i]["label_1"], table[i]["probability_1"]) == (label, row["probabilities"][label])


def test_parquet_keeps_types_and_adds_typed_columns(mbert, trained, expected, tmp_path):
    import datetime

    day = [datetime.date(2026, 1, 1 + row["id"] % 28) for row in expected]
    table = pyarrow.table(
        {
            "text": [row["text"] for row in expected],
            "small": pyarrow.array([row["id"] for row in expected], pyarrow.int8()),
            "day": day,
            "raw": [b"\xff" if row["id"] % 2 else None for row in expected],
            "part": [float("nan")] * 40,
        }
    )
    parquet.write_table(table, tmp_path / "in.parquet")
    assert mbert("predict", "in.parquet", "-m", trained, "-o", "out.parquet")[0] == 0
    found = parquet.read_table("out.parquet")
    kept = ["text", "small", "day", "raw"]  # not a number equals nothing
    assert found.select(kept).equals(table.select(kept))
    new = ["prediction", "confidence", "probability_negative", "probability_positive"]
    assert found.column_names == [*table.column_names, *new]
    assert [str(found.schema.field(name).type) for name in new] == ["string", "double", "double", "double"]
    assert found["prediction"].to_pylist() == [row["prediction"] for row in expected]
    shares = [row["probabilities"]["positive"] for row in expected]
    assert found["probability_positive"].to_pylist() == pytest.approx(shares, abs=1e-5)
    assert mbert("predict", "in.jsonl", "-m", trained, "-o", "other.parquet")[0] == 0
    assert parquet.read_table("other.parquet")["id"].to_pylist() == list(range(40))


class Torn(SystemExit):
    """What a signal raises."""


def stopped_at(monkeypatch, call: int) -> list[int]:
    """Let the model be stopped at its call number `call`; return the sizes of the calls that it answered."""
    answered: list[int] = []
    finish = Scorer.finish

    def counted(self, begun):
        if len(answered) == call:
            raise Torn(130)
        answered.append(len(begun.tokens))
        return finish(self, begun)

    monkeypatch.setattr(predict_file, "CHUNK_ROWS", 16)
    monkeypatch.setattr(Scorer, "finish", counted)
    return answered


@pytest.mark.parametrize("name", ["o.jsonl", "o.csv", "o.parquet"])
def test_a_stopped_prediction_goes_on_to_the_same_file(mbert, trained, expected, monkeypatch, name):
    with monkeypatch.context() as patch:
        stopped_at(patch, 99)
        assert mbert("predict", "in.jsonl", "-m", trained, "-o", f"whole-{name}")[0] == 0
    with monkeypatch.context() as patch:
        stopped_at(patch, 2)
        assert mbert("predict", "in.jsonl", "-m", trained, "-o", name)[0] == 130
    assert Path(f"{name}.partial").exists() and not Path(name).exists()
    with monkeypatch.context() as patch:
        answered = stopped_at(patch, 99)
        code, out, err = mbert("predict", "in.jsonl", "-m", trained, "-o", name)
    assert (code, answered) == (0, [8]), err
    assert "32 of them had been scored before" in out
    assert Path(name).read_bytes() == Path(f"whole-{name}").read_bytes()
    assert not Path(f"{name}.partial").exists()


@pytest.mark.parametrize("change", ["the file", "another file of the name", "a torn line", "a changed digit"])
def test_what_was_kept_is_used_only_for_the_same_rows_and_while_it_is_whole(
    mbert, trained, expected, monkeypatch, change
):
    with monkeypatch.context() as patch:
        stopped_at(patch, 2)
        mbert("predict", "in.jsonl", "-m", trained, "-o", "o.jsonl")
    kept = Path("o.jsonl.partial")
    first, second, third = kept.read_bytes().splitlines(keepends=True)
    answers = [16, 16, 8]
    if change == "the file":
        Path("in.jsonl").write_text("".join(f'{{"text": "bad {i}"}}\n' for i in range(40)))
    elif change == "another file of the name":
        kept.write_text("my own notes\n")
    elif change == "a torn line":
        kept.write_bytes(first + second + third[:-30])
        answers = [16, 8]
    else:
        kept.write_bytes(first + second[:-9] + second[-9:-8].swapcase() + second[-8:] + third)
    with monkeypatch.context() as patch:
        answered = stopped_at(patch, 99)
        assert mbert("predict", "in.jsonl", "-m", trained, "-o", "o.jsonl")[0] == 0
    assert answered == answers
    found = [json.loads(line) for line in Path("o.jsonl").read_text().splitlines()]
    if change != "the file":
        assert [row["prediction"] for row in found] == [row["prediction"] for row in expected]
    assert len(found) == 40 and not kept.exists()


def test_nothing_is_kept_of_a_prediction_that_was_refused(mbert, trained, tmp_path):
    path = write_csv(tmp_path / "in.csv", [{"text": "good", "prediction": "x"}])
    assert mbert("predict", path, "-m", trained, "-o", "o.jsonl")[0] == 2
    assert not list(tmp_path.glob("o.jsonl*"))


def test_two_predictions_of_one_output_are_refused(mbert, trained, expected, monkeypatch):
    from modernbert.temporary import try_lock

    with monkeypatch.context() as patch:
        stopped_at(patch, 1)
        mbert("predict", "in.jsonl", "-m", trained, "-o", "o.jsonl")
    handle = try_lock(Path("o.jsonl.partial"))
    assert handle is not None
    code, _, err = mbert("predict", "in.jsonl", "-m", trained, "-o", "o.jsonl")
    assert code == 2 and "another process is writing this output" in err


def test_calibrated_probabilities_are_those_of_the_divided_logits(mbert, trained, expected):
    path = Path("runs/toy/run.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"temperature": 2.0}))
    assert mbert("predict", "in.jsonl", "-m", trained, "-o", "sure.jsonl", "--calibrated")[0] == 0
    for row, before in zip(Path("sure.jsonl").read_text().splitlines(), expected, strict=True):
        found, share = json.loads(row), before["probabilities"]["positive"]
        # Half the log-odds: the square root of the odds.
        assert found["probabilities"]["positive"] == pytest.approx(
            1 / (1 + ((1 - share) / share) ** 0.5), abs=1e-5
        )
        assert found["prediction"] == before["prediction"]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"temperature": 1.0}))
    code, _, err = mbert("predict", "--text", "good", "-m", trained, "--calibrated")
    assert code == 2 and "toy has no temperature" in err
