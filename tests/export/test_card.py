"""The card in an export's folder: its numbers are the proof's, and its code runs without mbert."""

from __future__ import annotations

import ast
import re
from dataclasses import replace

import pytest
from helpers import request_of, toy_rows, write_csv
from hub_uploads import reached
from huggingface_hub import ModelCard

from modernbert.evaluation.evaluate import Scorer
from modernbert.evaluation.predict_rows import predict_texts, task_of_texts
from modernbert.model.locate import locate_model
from modernbert.push import PushRequest, push
from modernbert.runs import RunStore

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
from modernbert.export.export import export_model
from modernbert.export.subject import ExportRequest

TEXTS = ["good great w1 lovely", "bad w2 awful dull w3 w4"]
FORMATS = ("onnx", pytest.param("openvino", marks=pytest.mark.slow))


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_modernbert):
    """A store with the run `tiny`, trained on 120 reviews."""
    from modernbert.finetuning.finetune import finetune

    place = tmp_path_factory.mktemp("cards")
    store = RunStore(place / "runs")
    reviews = write_csv(place / "reviews.csv", toy_rows(120))
    finetune(replace(request_of(reviews, tiny_modernbert, epochs=2.0), name="tiny"), store)
    return store


@pytest.fixture(scope="module", params=FORMATS)
def exported(run, request, tmp_path_factory):
    pytest.importorskip({"onnx": "onnxruntime"}.get(request.param, request.param))
    folder = tmp_path_factory.mktemp("exported") / f"tiny-{request.param}"
    return export_model(ExportRequest(model="tiny", to=request.param, output=folder), run)


def test_the_card_tells_the_proof(exported):
    card = ModelCard.load(exported.folder / "README.md")
    proof = exported.record.proof
    assert card.data.library_name == ("openvino" if exported.record.runtime == "openvino" else "onnx")
    assert card.data.pipeline_tag == "text-classification"
    assert f"{proof.outputs.rows} rows of {proof.data}" in card.text
    assert f"differ by {proof.outputs.largest:.2g} at most" in card.text
    for metric in proof.metrics:
        assert f"| {metric.metric} | {metric.torch:.4f} | {metric.export:.4f} |" in card.text
    scores = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert scores == {metric.metric: round(metric.export, 6) for metric in proof.metrics}


def test_its_code_gives_the_labels_that_mbert_gives(exported, run, monkeypatch, capsys):
    card = (exported.folder / "README.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", card, re.MULTILINE | re.DOTALL)
    assert "mbert" not in code
    monkeypatch.chdir(exported.folder)
    exec(
        compile(
            code.replace('["What a lovely film", "Dull, and far too long"]', repr(TEXTS)), "card", "exec"
        ),
        {},
    )
    source = locate_model("tiny", store=run)
    scorer = Scorer(source, task_of_texts(source), device="cpu", precision="fp32")
    expected = [row["prediction"] for row in predict_texts(scorer, [(text,) for text in TEXTS])]
    assert ast.literal_eval(capsys.readouterr().out) == expected
    assert len(set(expected)) == 2, "else this tests little"


def test_an_export_is_pushed_with_its_graph_and_card(exported, run, monkeypatch):
    with reached(monkeypatch) as hub:
        done = push(PushRequest(model=str(exported.folder), repo="someone/toy"), run)
        there = hub.repos["someone/toy"].files()
    graph = exported.folder / exported.record.graph
    assert there[exported.record.graph] == graph.read_bytes()
    assert set(exported.record.files) | {"README.md", "export.json", "config.json"} < there.keys()
    assert done.left_out == ()
    assert ModelCard(there["README.md"].decode()).data.tags[0] == "mbert"
