"""The same graph in OpenVINO: converted, proven and run like the one of ONNX Runtime."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from helpers import tiny_modernbert_config, toy_rows, write_csv

from modernbert.errors import BadModel, NotAvailable
from modernbert.model.locate import locate_model
from modernbert.model.pretrained import quiet_transformers

openvino = pytest.importorskip("openvino")
pytest.importorskip("onnxscript")
from modernbert.export import graph  # noqa: E402
from modernbert.export.export import export_model  # noqa: E402 - needs both
from modernbert.export.subject import ExportRequest  # noqa: E402


@pytest.fixture(scope="module")
def classifier(tmp_path_factory, tiny_tokenizer):
    """A classifier with random weights, and rows for it."""
    from transformers import ModernBertForSequenceClassification

    torch.manual_seed(0)
    names = {"id2label": {0: "positive", 1: "negative"}, "label2id": {"positive": 0, "negative": 1}}
    folder = tmp_path_factory.mktemp("openvino")
    with quiet_transformers():
        ModernBertForSequenceClassification(tiny_modernbert_config(**names)).save_pretrained(folder / "model")
        tiny_tokenizer.save_pretrained(folder / "model")
    write_csv(folder / "rows.csv", toy_rows(20))
    return folder


def export(classifier, folder, store, **options):
    on = str(classifier / "rows.csv")
    request = ExportRequest(model=str(classifier / "model"), to="openvino", output=folder, on=on, **options)
    return export_model(request, store)


def test_an_export_is_proven_and_predicts(classifier, store, tmp_path, monkeypatch):
    from modernbert.cli.main import app
    from typer.testing import CliRunner

    monkeypatch.setattr(graph, "LARGEST_FILE", 0)  # weights beside torch's graph, as of a model of 2 GB
    made = export(classifier, tmp_path / "out", store)
    proof = made.record.proof
    assert proof.outputs.agreement == 1 and 0 < proof.outputs.largest < 1e-4
    assert [text.tokens for text in proof.long] == [256] and proof.long[0].largest < 1e-4
    assert proof.speed[0].engine == "torch fp32 (mbert)" and proof.speed[-1].engine == "openvino fp32"
    assert (made.record.runtime, made.record.graph) == ("openvino", "openvino/openvino_model.xml")
    assert {path.name for path in (made.folder / "openvino").iterdir()} == {
        "openvino_model.xml", "openvino_model.bin",
    }  # fmt: skip
    assert not (made.folder / "onnx").exists()
    network = (made.folder / made.record.graph).read_text()
    assert str(tmp_path) not in network and "site-packages" not in network
    found = []
    for model, more in ((classifier / "model", ["--precision", "fp32"]), (made.folder, [])):
        line = ["predict", "--text", "good w1 w2", "--model", str(model), "--device", "cpu", "--json", *more]
        found.append(json.loads(CliRunner().invoke(app, line, catch_exceptions=False).stdout))
    assert found[0]["probabilities"] == pytest.approx(found[1]["probabilities"], abs=1e-5)
    (made.folder / "openvino/openvino_model.bin").write_bytes(b"")
    with pytest.raises(BadModel, match="was changed"):
        export_of(made.folder, store)


def export_of(folder, store):
    from modernbert.model.exported import ExportedNetwork

    return ExportedNetwork(locate_model(str(folder), store=store))


def test_a_runtime_that_is_missing_is_named(classifier, store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(NotAvailable, match="needs the package 'openvino'") as error:
        export(classifier, tmp_path / "out", store)
    assert "mbert[openvino]" in str(error.value.fix)


def test_nothing_is_counted_elsewhere(monkeypatch):
    """OpenVINO's packages would tell their maker of each use, unless their counter cannot be imported."""
    from modernbert.model.runtimes import COUNTS_CALLS, no_counting

    monkeypatch.delitem(sys.modules, COUNTS_CALLS, raising=False)
    with no_counting(), pytest.raises(ImportError):
        __import__(COUNTS_CALLS)
    assert COUNTS_CALLS not in sys.modules


@pytest.mark.slow
def test_int8(classifier, store, tmp_path, capfd):
    pytest.importorskip("nncf")
    made = export(classifier, tmp_path / "int8", store, int8=True, tolerance=1.0)
    assert made.record.precision == "int8"
    assert {path.name for path in (made.folder / "openvino").iterdir()} == {
        "openvino_model_qint8_quantized.xml", "openvino_model_qint8_quantized.bin",
    }  # fmt: skip
    assert 0 < made.record.proof.outputs.largest < 1, "rounded"
    assert {"openvino fp32", "openvino int8"} < {speed.engine for speed in made.record.proof.speed}
    assert not capfd.readouterr().out, "of NNCF's tables nothing is shown"
