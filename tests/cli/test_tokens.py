"""Tagged words on the command line, from the file to the report."""

from __future__ import annotations

import io
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import FAST, request_of, toy_rows, toy_sentences, write_conll, write_csv

import modernbert
from modernbert.finetuning.finetune import finetune
from modernbert.runs import RunStore


@pytest.fixture(scope="module")
def once(tmp_path_factory, tiny_modernbert, tiny_bert) -> Path:
    """A folder with a file of tagged words and a run of two models on it; made once."""
    folder = tmp_path_factory.mktemp("once")
    path, store = write_conll(folder / "words.conll", toy_sentences(170)), RunStore(folder / "runs")
    for name, model in (("toy", tiny_modernbert), ("other", tiny_bert)):
        finetune(replace(request_of(path, model, epochs=8.0), name=name), store)
    return folder


@pytest.fixture
def runs(once, tmp_path) -> Path:
    """The runs, in this test's own folder."""
    shutil.copytree(once / "runs", tmp_path / "runs")
    return shutil.copy(once / "words.conll", tmp_path / "words.conll")


def test_a_training_shows_each_label(mbert, tmp_path, tiny_modernbert):
    path = write_conll(tmp_path / "words.conll", toy_sentences(60))
    code, out, err = mbert("finetune", path, "--model", tiny_modernbert, *FAST, "--name", "toy")
    assert code == 0, err
    assert "MINUS" in out and "macro average" in out and "threshold" not in out
    card = (tmp_path / "runs" / "toy" / "model" / "README.md").read_text()
    assert "pipeline_tag: token-classification" in card
    assert 'AutoModelForTokenClassification.from_pretrained("toy")' in card
    assert mbert("runs", "show", "toy")[0] == 0


def test_data_check_counts_entities(mbert, tmp_path):
    write_conll(tmp_path / "train.conll", toy_sentences(40))
    write_conll(tmp_path / "test.conll", [*toy_sentences(2), (["x"], ["B-NEW"])])
    code, out, err = mbert("data", "check", tmp_path, "--json")
    assert code == 0, err
    report = json.loads(out)
    train = report["splits"][0]
    tags = [tag for _, tags in toy_sentences(40) for tag in tags]
    held = report["splits"][1]
    assert train["labels"]["PLUS"] + held["labels"]["PLUS"] == tags.count("B-PLUS")
    told = " ".join(report["warnings"])
    assert "test: labels that training does not have count as missed: NEW (1)" in told
    assert "also in train" in told


def test_eval_keeps_a_run_that_compare_takes(mbert, runs):
    held = write_conll(Path("held.conll"), toy_sentences(50, seed=2))
    for name in ("toy", "other"):
        code, out, err = mbert("eval", held, "--model", name)
        assert code == 0, err
    assert "f1" in out
    code, out, err = mbert("compare", "eval-held-toy", "eval-held-other", "--allow", "--json")
    assert code == 0, err
    task = json.loads(out)["tasks"][0]
    assert (task["metric"], task["n"], len(task["contrasts"])) == ("f1", 50, 1)


def test_compare_pairs_sentences_and_reports(mbert, runs):
    code, _, err = mbert("compare", "toy", "other", "--json", "-o", "c.json", "-o", "c.html")
    assert code == 0, err
    page = Path("c.html").read_text()
    assert "tiny-bert" in page and "By label" in page and "Largest gains" in page


def test_compare_makes_the_baseline_of_words(mbert, runs):
    code, out, err = mbert("compare", "toy", "other", "--baseline", "unigram", "--yes", "--json")
    assert code == 0, err
    (task,) = json.loads(out)["tasks"]
    scores = {model["model"]: model["mean"] for model in task["models"]}
    # A toy word has one label; where an entity of two words begins, only its neighbours tell.
    assert 0.3 < scores["unigram"] < 1
    assert {contrast["baseline"] for contrast in task["contrasts"]} == {"unigram"}
    code, _, err = mbert("report", "words-unigram")
    assert code == 0, err


def test_compare_has_no_baseline_of_whole_texts(mbert, runs):
    code, _, err = mbert("compare", "--baseline", "tfidf", "--task", "words.conll", "--finished")
    assert code == 2
    assert "there is no compared model called 'tfidf'" in err


def test_a_report_shows_labels_and_worst_sentences(mbert, runs):
    code, _, err = mbert("report", "other")
    assert code == 0, err
    page = Path("other.html").read_text()
    assert "By label" in page and "Worst of tiny-bert" in page
    assert "(PLUS)" in page or "(MINUS)" in page


def test_one_text(mbert, runs):
    code, out, err = mbert("predict", "--model", "toy", "--text", "w1 good great w2", "--json")
    assert code == 0, err
    (entity,) = json.loads(out)["prediction"]
    assert (entity["start"], entity["end"], entity["label"], entity["text"]) == (3, 13, "PLUS", "good great")
    assert 0 < entity["confidence"] <= 1
    assert "good great" in mbert("predict", "--model", "toy", "--text", "w1 good great w2")[1]
    assert "no entities" in mbert("predict", "--model", "toy", "--text", "w1 w2 w3")[1]


def test_a_file_of_words_and_one_of_texts_are_tagged_alike(mbert, runs):
    words = [words for words, _ in toy_sentences(30, seed=3)]
    texts = [{"id": i, "text": " ".join(w)} for i, w in enumerate(words)]
    Path("texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    write_conll(Path("new.conll"), toy_sentences(30, seed=3))
    for file in ("texts.jsonl", "new.conll"):
        code, _, err = mbert("predict", "--model", "toy", file, "-o", f"{file}.out.jsonl")
        assert code == 0, err
    first, second = (
        [json.loads(line) for line in Path(f"{file}.out.jsonl").read_text().splitlines()]
        for file in ("texts.jsonl", "new.conll")
    )
    assert [row["prediction"] for row in first] == [row["prediction"] for row in second]
    assert [row["id"] for row in first] == list(range(30))
    assert [row["tokens"] for row in second] == words
    assert sum(len(row["prediction"]) for row in first) > 30
    for row in first:
        assert all(row["text"][e["start"] : e["end"]] == e["text"] for e in row["prediction"])


def test_standard_input_is_tagged_line_by_line(mbert, runs, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"w1 good w2\nw1 w2\n")))
    code, out, err = mbert("predict", "--model", "toy", "-")
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert [[e["text"] for e in row["prediction"]] for row in rows] == [["good"], []]


def test_a_stopped_prediction_goes_on(mbert, runs, monkeypatch):
    from modernbert.evaluation import tag_file

    monkeypatch.setattr(tag_file, "CHUNK_ROWS", 50)
    mbert("predict", "--model", "toy", "words.conll", "-o", "whole.jsonl")
    modernbert_logits, calls = tag_file.Tagger.logits, []

    def stop_at_the_second(self, words):
        calls.append(len(words))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return modernbert_logits(self, words)

    monkeypatch.setattr(tag_file.Tagger, "logits", stop_at_the_second)
    mbert("predict", "--model", "toy", "words.conll", "-o", "o.jsonl")
    assert not Path("o.jsonl").exists()
    code, out, err = mbert("predict", "--model", "toy", "words.conll", "-o", "o.jsonl")
    assert code == 0, err
    assert "50 of them had been scored before" in out
    assert calls == [50, 50, 50, 50, 20]
    assert Path("o.jsonl").read_text() == Path("whole.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "-m", "toy", "words.conll", "-o", "o.csv"], "a list of entities fits no cell"),
        (["predict", "-m", "toy", "-t", "a", "-t", "b"], "one text at a time"),
        (["predict", "-m", "toy", "-t", "a", "--top", "3"], "--top applies only to labels of whole texts"),
        (["predict", "-m", "toy", "numbers.jsonl", "-o", "o.jsonl"], "no column of words or text"),
        (["eval", "words.conll", "-m", "modernbert-nano"], "does not tag words"),
        (["eval", "words.conll", "-m", "toy", "--split", "test"], "--split has no effect on tagged words"),
        (["eval", "reviews.csv", "-m", "toy"], "no columns of tagged words"),
        (["finetune", "words.conll", "--class-weights", "balanced"], "--class-weights applies only to"),
        (["data", "check", "words.conll", "--label-errors", "auto"], "words.conll is none"),
    ],
)
def test_what_does_not_fit_is_refused(mbert, runs, arguments, said):
    write_csv(Path("reviews.csv"), [{"review": row["text"], "label": row["label"]} for row in toy_rows(20)])
    Path("numbers.jsonl").write_text('{"a": 1}\n')
    code, _, err = mbert(*arguments)
    assert code == 2
    assert said in " ".join(err.split())


def test_python_functions_do_the_same(runs):
    loaded = modernbert.load("toy")
    assert [e["text"] for e in loaded.predict(["w1 good"])[0]["prediction"]] == ["good"]
    written = modernbert.predict("words.conll", "o.jsonl", "toy")
    assert written.rows == 170
    assert modernbert.evaluate("words.conll", "toy").splits[0].main.metric == "f1"
