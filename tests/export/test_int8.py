"""On the command line: weights in 8 bits that cost too much of the metric are refused, in both runtimes."""

from __future__ import annotations

import re

import pytest
import torch
from helpers import tiny_modernbert_config, toy_rows, write_csv
from modernbert.cli.main import app
from typer.testing import CliRunner

from modernbert.errors import BadModel
from modernbert.model.pretrained import quiet_transformers

pytest.importorskip("onnxscript")
NEEDS = {"onnx": ["onnxruntime"], "openvino": ["openvino", "nncf"]}


@pytest.fixture(scope="module")
def doubtful(tmp_path_factory, tiny_tokenizer):
    """A classifier, and rows with its own answers as labels: those on which it is least sure."""
    from transformers import ModernBertForSequenceClassification

    torch.manual_seed(0)
    names = {"id2label": {0: "positive", 1: "negative"}, "label2id": {"positive": 0, "negative": 1}}
    model = ModernBertForSequenceClassification(tiny_modernbert_config(**names)).eval()
    texts = sorted({row["text"] for row in toy_rows(400)})
    with torch.no_grad():
        margins = torch.stack([_margin(model, tiny_tokenizer, text) for text in texts])
        model.classifier.bias[0] -= margins.median()
    margins -= margins.median()
    rows = [
        {"text": texts[i], "label": "positive" if margins[i] > 0 else "negative"}
        for i in margins.abs().argsort()[:60].tolist()
        if margins[i] != 0
    ]
    folder = tmp_path_factory.mktemp("doubtful")
    with quiet_transformers():
        model.save_pretrained(folder / "model")
        tiny_tokenizer.save_pretrained(folder / "model")
    write_csv(folder / "rows.csv", rows)
    return folder


def _margin(model, tokenizer, text):
    logits = model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits[0]
    return logits[0] - logits[1]


@pytest.mark.parametrize("to", ["onnx", pytest.param("openvino", marks=pytest.mark.slow)])
def test_int8_that_costs_too_much_is_refused_with_the_numbers(doubtful, tmp_path, to):
    for name in NEEDS[to]:
        pytest.importorskip(name)
    line = ["export", str(doubtful / "model"), "--to", to, "--int8", "--tolerance", "0"]
    line += ["--on", str(doubtful / "rows.csv"), "--out", str(tmp_path / "out")]
    failure = CliRunner().invoke(app, line).exception
    assert isinstance(failure, BadModel)
    said = r"int8 costs too much: accuracy is 0\.\d{4}, and 1\.0000 without it, on \d+ rows \(worse by 0\."
    assert re.search(said, str(failure)), failure
    assert not list(tmp_path.iterdir()), "nothing is left"
