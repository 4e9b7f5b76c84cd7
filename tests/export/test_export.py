"""Exports of every kind of model give the same answers as torch, and say so."""

from __future__ import annotations

import ast
import csv
import json
import re
import runpy
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import request_of, toy_rows, write_csv

from modernbert.errors import BadModel, BadOption
from modernbert.evaluation.evaluate import Scorer
from modernbert.evaluation.predict_rows import predict_texts, task_of_texts
from modernbert.model.locate import locate_model
from modernbert.model.pretrained import quiet_transformers
from modernbert.runs import RunStore

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
from modernbert.export.export import export_model  # noqa: E402 - needs both
from modernbert.export.subject import ExportRequest  # noqa: E402


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module")
def run(place, tiny_modernbert):
    """A store with the run `tiny`, trained on 120 reviews."""
    from modernbert.finetuning.finetune import finetune

    store = RunStore(place / "runs")
    reviews = write_csv(place / "reviews.csv", toy_rows(120))
    finetune(replace(request_of(reviews, tiny_modernbert, epochs=2.0), name="tiny"), store)
    return store


@pytest.fixture(scope="module")
def exported(place, run):
    return export_model(ExportRequest(model="tiny", output=place / "tiny-onnx"), run)


def test_a_runs_export_is_proven_on_the_rows_that_scored_the_run(exported, run):
    proof = exported.record.proof
    record = run.read("tiny")
    assert (proof.data, proof.split) == (record.task.name, record.results[-1].split)
    assert proof.outputs.agreement == 1
    assert proof.outputs.largest < 1e-4
    scored = {score.metric: score for score in record.results[-1].scores}
    for metric in proof.metrics:
        assert metric.torch == pytest.approx(scored[metric.metric].value)
        assert metric.low <= metric.export - metric.torch <= metric.high
    assert [text.tokens for text in proof.long] == [256], "as far as the context reaches"
    assert proof.long[0].largest < 1e-4
    assert {speed.engine for speed in proof.speed} >= {"torch fp32 (mbert)", "onnxruntime fp32"}


def test_local_attention_is_right_beyond_the_window(exported, run, tiny_tokenizer):
    """Against transformers' own forward pass; without windows the outputs would be others."""
    from transformers import ModernBertForSequenceClassification

    folder = run.path("tiny") / "model"
    ids_NL = torch.randint(5, 70, (2, 200), generator=torch.Generator().manual_seed(0))
    mask_NL = torch.ones_like(ids_NL)
    mask_NL[1, 90:] = 0
    session = ort.InferenceSession(exported.folder / exported.record.graph)
    found = session.run(None, {"input_ids": ids_NL.numpy(), "attention_mask": mask_NL.numpy()})[0]
    far = {}
    for name, change in {"own": {}, "without windows": {"local_attention": 1024}}.items():
        with quiet_transformers(), torch.no_grad():
            model = ModernBertForSequenceClassification.from_pretrained(folder, **change).eval()
            expected = model(input_ids=ids_NL, attention_mask=mask_NL).logits.numpy()
        far[name] = np.abs(found - expected).max()
    assert far["own"] < 1e-5
    assert far["without windows"] > 1e-3


def test_predictions_of_an_export_are_the_runs(exported, run):
    texts = [(row["text"],) for row in toy_rows(20, seed=3)]
    found = {}
    for name in ("tiny", str(exported.folder)):
        source = locate_model(name, store=run)
        scorer = Scorer(
            source, task_of_texts(source), device="cpu", precision="auto" if source.is_export else "fp32"
        )
        found[name] = predict_texts(scorer, texts)
    for own, export in zip(*found.values(), strict=True):
        assert own["prediction"] == export["prediction"]
        assert own["probabilities"] == pytest.approx(export["probabilities"], abs=1e-5)


def test_no_file_names_a_path_of_this_machine(exported, place):
    """Torch's exporter keeps the lines of Python that each node came from."""
    here = [str(place), str(Path(__file__).parents[2]), "site-packages"]
    files = [path for path in exported.folder.rglob("*") if path.is_file()]
    found = [(path.name, path_) for path in files for path_ in here if path_.encode() in path.read_bytes()]
    assert not found and len(files) > 3


def test_a_changed_graph_is_refused(exported, run, tmp_path):
    folder = shutil.copytree(exported.folder, tmp_path / "copy")
    graph = folder / exported.record.graph
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    source = locate_model(str(folder), store=run)
    with pytest.raises(BadModel, match="was changed"):
        Scorer(source, task_of_texts(source))


def test_an_export_is_not_trained_nor_exported_nor_run_elsewhere(exported, run, place):
    from modernbert.finetuning.finetune import finetune

    with pytest.raises(BadModel, match="never trained"):
        finetune(request_of(place / "reviews.csv", exported.folder), run)
    with pytest.raises(BadOption, match="is an export already"):
        export_model(ExportRequest(model=str(exported.folder)), run)
    source = locate_model(str(exported.folder), store=run)
    with pytest.raises(BadOption, match="on the CPU"):
        Scorer(source, task_of_texts(source), device="cuda")
    with pytest.raises(BadOption, match="fp32"):
        Scorer(source, task_of_texts(source), precision="bf16")


def test_a_folder_that_is_there_stays(exported, run):
    with pytest.raises(BadOption, match="there already"):
        export_model(ExportRequest(model="tiny", output=exported.folder), run)
    assert (exported.folder / "export.json").is_file()


def test_int8_has_an_own_graph_and_an_own_proof(run, tmp_path):
    made = export_model(ExportRequest(model="tiny", output=tmp_path / "int8", int8=True, tolerance=1.0), run)
    assert made.record.precision == "int8"
    assert [path.name for path in (made.folder / "onnx").iterdir()] == ["model_quantized.onnx"]
    proof = made.record.proof
    assert 0 < proof.outputs.largest < 1, "rounded"
    assert {"onnxruntime fp32", "onnxruntime int8"} < {speed.engine for speed in proof.speed}
    source = locate_model(str(made.folder), store=run)
    assert Scorer(source, task_of_texts(source)).machine.precision == "int8"


def test_the_data_of_a_run_that_was_changed_is_no_proof(run, place, tmp_path):
    path, before = place / "reviews.csv", (place / "reviews.csv").read_text()
    try:
        path.write_text(before.replace("good", "bad"))
        with pytest.raises(BadOption, match="not as the run read it"):
            export_model(ExportRequest(model="tiny", output=tmp_path / "x"), run)
    finally:
        path.write_text(before)
    assert not (tmp_path / "x").exists()


def test_the_screen_shows_the_proof(exported, capsys):
    from modernbert.cli.export import show_export

    show_export(exported, as_json=False)
    shown = capsys.readouterr().out
    proof = exported.record.proof
    assert f"same answer  {proof.outputs.agreement:.2%}" in shown
    for metric in proof.metrics:
        assert f"{metric.torch:.4f}  {metric.export:.4f}" in " ".join(shown.split(" ")).replace("   ", "  ")
    assert "onnxruntime fp32" in shown
    show_export(exported, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["proof"]["outputs"]["rows"] == proof.outputs.rows
    assert "run" not in told


@pytest.fixture(scope="module")
def lora(run, place, tiny_modernbert):
    """The run `lora`, of adapters."""
    from modernbert.finetuning.finetune import finetune

    request = replace(
        request_of(place / "reviews.csv", tiny_modernbert, epochs=2.0, lora=True, lora_rank=4), name="lora"
    )
    finetune(request, run)


def test_adapters_are_part_of_the_graph(run, lora, tmp_path):
    made = export_model(ExportRequest(model="lora", output=tmp_path / "out"), run)
    assert made.record.proof.outputs.agreement == 1
    assert made.record.proof.outputs.largest < 1e-4
    assert not list(made.folder.glob("adapter*"))
    source = locate_model(str(made.folder), store=run)
    assert source.labels == run.read("lora").task.labels


def test_older_versions_get_the_merged_weights_and_a_card_that_says_so(run, lora, tmp_path):
    from modernbert.export.classic import export_classic

    made = export_classic(ExportRequest(model="lora", output=tmp_path / "out"), run)
    assert (made.proof.outputs.agreement, made.proof.outputs.largest) == (1, 0)
    assert not list(made.folder.glob("adapter*"))
    card = (made.folder / "README.md").read_text()
    assert "PeftModel" not in card and "AutoModelForSequenceClassification" in card
    assert "PeftModel" in (run.path("lora") / "model/README.md").read_text()


def test_the_script_compares_with_another_environment(run, lora, tmp_path, monkeypatch):
    """Here it is the same one: the folder's outputs are the run's."""
    from modernbert.export.classic import export_classic

    script = runpy.run_path(str(Path(__file__).parents[2] / "examples/older_transformers.py"))
    monkeypatch.setenv("MBERT_RUNS", str(run.root))
    made = export_classic(ExportRequest(model="lora", output=tmp_path / "out"), run)
    kind, own = script["of_the_run"]("lora")
    assert kind == "classifier"
    found = script["of_a_folder"](str(made.folder), kind)
    for one, other in zip(own, found, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_the_command_predicts(exported, run, tmp_path):
    from modernbert.cli.main import app
    from typer.testing import CliRunner

    write_csv(tmp_path / "new.csv", toy_rows(5, seed=9))
    runs = str(run.root)
    for model, out in (("tiny", "own.csv"), (str(exported.folder), "export.csv")):
        done = CliRunner().invoke(
            app,
            ["predict", "new.csv", "-o", out, "--model", model, "--runs-dir", runs],
            catch_exceptions=False,
        )
        assert done.exit_code == 0
    rows = [
        list(csv.DictReader((tmp_path / name).read_text().splitlines())) for name in ("own.csv", "export.csv")
    ]
    assert [row["prediction"] for row in rows[0]] == [row["prediction"] for row in rows[1]]
    json.loads((exported.folder / "export.json").read_text())


def test_the_page_runs_an_export_without_mbert(exported, run, tmp_path, monkeypatch, capsys):
    """The code of examples/export.md gives the labels that mbert gives."""
    page = (Path(__file__).parents[2] / "examples/export.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    texts = ["good great w1 lovely", "bad w2 awful dull w3 w4"]
    code = code.replace('["What a lovely film", "Dull, and far too long"]', repr(texts))
    (tmp_path / "my-run-onnx").symlink_to(exported.folder)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "export.md", "exec"), {})
    source = locate_model("tiny", store=run)
    scorer = Scorer(source, task_of_texts(source), device="cpu", precision="fp32")
    expected = [row["prediction"] for row in predict_texts(scorer, [(text,) for text in texts])]
    assert ast.literal_eval(capsys.readouterr().out) == expected
    assert len(set(expected)) == 2, "else this tests little"
