"""`mbert migrate`: labels of two models brought together, flips, the way through labelling, exit codes."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import request_of, toy_rows, write_csv
from modernbert.cli.main import app
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from modernbert.errors import BadData, BadModel
from modernbert.migration.agreement import Group
from modernbert.migration.change import Change
from modernbert.migration.migrate import MigrationRequest, migrate
from modernbert.migration.thresholds import Refit
from modernbert.migration.verdict import decide_verdict
from modernbert.records.export import Speed
from modernbert.runs import RunStore


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("migration")


@pytest.fixture(scope="module")
def runs(place, tiny_modernbert):
    """A store with a run that learnt something, `new`, and one that learnt less, `old`."""
    from modernbert.finetuning.finetune import finetune

    store = RunStore(place / "runs")
    reviews = write_csv(place / "reviews.csv", toy_rows(120))
    for name, epochs in (("old", 1.0), ("new", 4.0)):
        finetune(replace(request_of(reviews, tiny_modernbert, epochs=epochs), name=name), store)
    return store


@pytest.fixture
def texts(tmp_path):
    return write_csv(tmp_path / "texts.csv", [{"text": row["text"]} for row in toy_rows(60, seed=5)])


def renamed(folder, source, names, order):
    """Copy a classifier with its outputs in another order and under other names."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(i): names[i] for i in range(len(names))}
    config["label2id"] = {name: i for i, name in enumerate(names)}
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        weights[name] = weights[name][torch.tensor(order)].contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def of(runs, old, new, on, **more):
    request = MigrationRequest(old=str(old), new=str(new), on=on, device="cpu", precision="fp32", **more)
    return migrate(request, runs)


def test_flips_are_those_of_the_predictions(runs, texts, tmp_path):
    found = of(runs, "old", "new", texts)
    answers = []
    for name in ("old", "new"):
        out = tmp_path / f"{name}.csv"
        line = ["predict", str(texts), "-o", str(out), "-m", name, "--precision", "fp32", "--device", "cpu"]
        CliRunner().invoke(app, [*line, "--runs-dir", str(runs.root)], catch_exceptions=False)
        answers.append([row["prediction"] for row in csv.DictReader(out.read_text().splitlines())])
    flips = [i for i, (a, b) in enumerate(zip(*answers, strict=True), start=1) if a != b]
    assert flips, "else this tests nothing"
    assert sorted(found.label_first) == flips
    assert found.agreement.agreement == pytest.approx(1 - len(flips) / 60)
    assert sum(one.n for one in found.directions) == len(flips)
    by = {kind: sum(g.n for g in found.groups if g.by == kind) for kind in ("confidence of OLD", "tokens")}
    assert set(by.values()) == {60}, "every text is in one group of each kind"
    for flip in found.flips:
        assert (answers[0][flip.row - 1], answers[1][flip.row - 1]) == (flip.old, flip.new)
    surest = [flip.surest for flip in found.flips]
    assert surest == sorted(surest, reverse=True)


def test_labels_are_matched_by_name_whatever_their_order_and_spelling(runs, texts, tmp_path):
    own = runs.path("new") / "model"
    labels = runs.read("new").task.labels
    other = renamed(tmp_path / "other", own, [labels[1].upper(), labels[0].upper()], [1, 0])
    assert of(runs, "new", other, texts).agreement.agreement == 1
    assert of(runs, other, "new", texts).agreement.agreement == 1
    wrong = renamed(tmp_path / "wrong", own, [labels[1].upper(), labels[0].upper()], [0, 1])
    assert of(runs, "new", wrong, texts).agreement.agreement == 0


def test_other_labels_are_refused(runs, texts, tmp_path):
    other = renamed(tmp_path / "other", runs.path("new") / "model", ["spam", "ham"], [0, 1])
    with pytest.raises(BadModel, match="spam"):
        of(runs, "new", other, texts)


def test_unnamed_labels_are_taken_in_order_with_a_note(runs, texts, tmp_path):
    plain = renamed(tmp_path / "plain", runs.path("new") / "model", ["LABEL_0", "LABEL_1"], [0, 1])
    found = of(runs, plain, "new", texts)
    assert found.agreement.agreement == 1
    assert found.labels == runs.read("new").task.labels
    assert any("have no names" in note for note in found.notes)


def test_a_log_of_lines(runs, tmp_path):
    path = tmp_path / "texts.log"
    path.write_text("good w1 w2\n\nbad w3\n")
    found = of(runs, "old", "new", path)
    assert found.texts == 2
    assert set(found.label_first) <= {1, 3}, "numbers are those of the lines"


def test_a_label_that_no_model_has_is_named_with_its_row(runs, tmp_path):
    path = write_csv(tmp_path / "t.csv", [{"text": "w1", "truth": ""}, {"text": "w2", "truth": "great"}])
    with pytest.raises(BadData, match="'great'") as refused:
        of(runs, "old", "new", path, label="truth")
    assert refused.value.where.endswith("row 2")


def test_from_flips_to_labels_and_back(runs, tmp_path):
    """What --to-label writes, filled in with the truth, gives the true change of the accuracy."""
    rows = toy_rows(60, seed=5)
    path = write_csv(tmp_path / "texts.csv", [{"text": row["text"]} for row in rows])
    runner, common = CliRunner(), ["--runs-dir", str(runs.root), "--precision", "fp32", "--device", "cpu"]
    line = ["migrate", "old", "new", "--on", str(path), *common]
    sheet = tmp_path / "label.csv"
    done = runner.invoke(app, [*line, "--to-label", str(sheet), "--report", str(tmp_path / "r.html")])
    assert done.exit_code == 0, done.output
    assert "only flips can change the accuracy" in done.output
    assert "not shown" in done.output
    shown = " ".join(done.output.split())
    assert f"Next: fill in the column 'label' from the top, then mbert migrate old new --on {path}" in shown
    assert f"--labels {sheet}" in shown
    filled = list(csv.DictReader(sheet.read_text().splitlines()))
    for row in filled:
        row["label"] = rows[int(row["row"]) - 1]["label"]
    write_csv(sheet, filled)
    done = runner.invoke(app, [*line, "--labels", str(sheet), "--json"], catch_exceptions=False)
    found = json.loads(done.stdout)
    everything = write_csv(tmp_path / "all.csv", rows)
    known = of(runs, "old", "new", everything, label="label")
    assert not any("is not read" in note for note in known.notes)
    unread = of(runs, "old", "new", everything).notes
    assert "the column 'label' is not read; with true labels: --label-col label" in unread
    assert found["change"]["value"] == pytest.approx(known.new.accuracy - known.old.accuracy)
    page = (tmp_path / "r.html").read_text()
    assert "Verdict" in page
    assert filled[0]["text"] in page


def test_the_page_draws_the_agreement_of_every_group(runs, texts):
    from modernbert.migration.page import sections

    found = of(runs, "old", "new", texts)
    confidence, length = (str(plot) for plot in sections(found)[1].plots)
    assert "Agreement by OLD" in confidence and "Agreement by length" in length
    for plot, by in ((confidence, "confidence of OLD"), (length, "tokens")):
        groups = [group for group in found.groups if group.by == by]
        assert plot.count('class="sign"') == len(groups) > 1
        for group in groups:
            assert f"{group.name} (n {group.n:,}): {group.agreement:.4f} ({group.low:.4f}" in plot


def test_no_share_is_less_than_nothing():
    from modernbert.evaluation.shown import share_text
    from modernbert.migration.change import change_of_accuracy

    assert (share_text(-1e-9), share_text(0.9531), share_text(1)) == ("0.00%", "95.31%", "100.00%")
    answers = np.zeros(20, int)
    found = change_of_accuracy(answers, answers, answers, margin=0.01)
    assert str(found.value) == "0.0"


def test_exit_code_under_an_agreement(runs, texts):
    line = ["migrate", "old", "new", "--on", str(texts), "--runs-dir", str(runs.root)]
    runner = CliRunner()
    assert runner.invoke(app, [*line, "--fail-under-agreement", "0"]).exit_code == 0
    assert runner.invoke(app, [*line, "--fail-under-agreement", "1"]).exit_code == 1


SPEED = [
    Speed(
        engine=name, texts=1, p50_ms=1, p95_ms=1, p99_ms=1, texts_per_second=1, tokens_per_second=1, threads=1
    )
    for name in ("OLD", "NEW")
]  # fmt: skip


def change(low, high, value=0.0, **more):
    counts = {"flips": 50, "labelled": 10, "won": 5, "lost": 5, "needed": 20} | more
    return Change(value, low, high, margin=0.01, widths={}, **counts)


@pytest.mark.parametrize(
    ("counts", "step"),
    [
        ({"labelled": 0, "won": 0, "lost": 0}, "20 more labels of flips (--to-label)"),
        ({}, "10 more labels of flips (--to-label)"),
        ({"labelled": 30}, "label more of them (--to-label), or give more texts"),
        ({"labelled": 50}, "more texts would tell more"),
        ({"flips": 0, "labelled": 0, "needed": 0}, "more texts would tell more"),
    ],
)
def test_what_is_not_shown_has_a_next_step(counts, step):
    own = change(-0.03, 0.02, **counts)
    found = decide_verdict(Group("all", "", 100, 0.5, 0.4, 0.6), own, [], SPEED)
    assert found.word == "not shown" and any(step in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("own", "refitted", "word"),
    [
        (change(-0.005, 0.02), change(-0.1, 0.1), "switch"),
        (change(-0.03, 0.02), change(-0.1, 0.1), "not shown"),
        (change(-0.03, 0.02), change(-0.005, 0.1), "switch with these thresholds"),
        (change(-0.03, -0.02), change(-0.1, 0.1), "don't"),
        (change(-0.009, -0.001), change(-0.1, 0.1), "switch"),  # worse, by less than matters
    ],
)
def test_the_rule_of_the_verdict(own, refitted, word):
    agreement = Group("all", "", 100, 0.5, 0.4, 0.6)
    refit = Refit("the positive rate", 0.4, 0.5, 0.6)
    found = decide_verdict(agreement, own, [(refit, refitted)], SPEED)
    assert found.word == word
    assert (found.threshold == 0.4) == (word == "switch with these thresholds")
