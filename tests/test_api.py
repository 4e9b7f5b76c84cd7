"""The functions of `modernbert`: what the commands do, and what they return."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow.parquet as parquet
import pytest
from collections_toy import write_collection
from helpers import toy_rows, write_csv

import modernbert
from modernbert.errors import BadModel, BadOption, UnknownName
from modernbert.reading import read_lines


def test_the_names_are_listed_and_importing_them_costs_nothing():
    code = "import sys, modernbert; print(*dir(modernbert)); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(modernbert.__all__) <= set(done.stdout.split())
    for name in modernbert.__all__:
        assert getattr(modernbert, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'finetun'"):
        modernbert.finetun  # noqa: B018


@pytest.fixture
def run(reviews, tiny_bert):
    return modernbert.finetune(reviews, str(tiny_bert), epochs=1, batch_size=8, max_length=32, name="toy")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lora_rank": 8}, "--lora-rank applies only with --lora"),
        ({"lora": {"rank": 8}}, "--lora-rank applies only with --lora"),
        ({"lora": {"rnak": 8}}, r"unknown setting 'rnak' in \[lora\]"),
        ({"temperature": 0.1}, "--temperature applies only to retrieval"),
    ],
)
def test_settings_without_effect_are_refused_in_python_too(settings, message, reviews, tiny_bert):
    with pytest.raises(BadOption, match=message):
        modernbert.finetune(reviews, str(tiny_bert), **settings)


def test_fine_tune_score_predict_and_compare(run, tiny_bert, tmp_path):
    assert run.name == "toy" and run.record.config.schedule.epochs == 1
    other = write_csv(
        tmp_path / "other.csv", [{"text": f"new {r['text']}", "label": r["label"]} for r in toy_rows(40)]
    )
    scored = modernbert.evaluate(other, "toy")
    (split,) = scored.splits
    done = modernbert.predict(other, tmp_path / "o.jsonl", "toy")
    assert done.rows == 40
    rows = [row for _, row in read_lines(tmp_path / "o.jsonl")]
    right = np.mean([row["prediction"] == row["label"] for row in rows])
    assert split.main.value == pytest.approx(right)
    with pytest.raises(BadOption, match="there already") as raised:
        modernbert.predict(other, tmp_path / "o.jsonl", "toy")
    assert raised.value.fix and "overwrite=True" in raised.value.fix
    assert modernbert.predict(other, tmp_path / "o.jsonl", "toy", overwrite=True).rows == 40
    again = modernbert.load("toy").predict([row["text"] for row in rows])
    assert [a["prediction"] for a in again] == [row["prediction"] for row in rows]
    modernbert.finetune(
        tmp_path / "reviews.csv", str(tiny_bert), epochs=1, batch_size=8, max_length=32, lora=True
    )
    compared = modernbert.compare(baselines="tiny-bert", margin=0.5)
    ((contrast,),) = (task.contrasts for task in compared.tasks if task.contrasts)
    assert contrast.verdict == "one training: examples only"


def test_vectors_in_memory_and_in_a_file_are_the_same(tiny_modernbert, reviews, tmp_path):
    done = modernbert.embed(reviews, tmp_path / "o.parquet", str(tiny_modernbert), precision="fp32")
    with pytest.raises(BadOption, match="there already"):
        modernbert.embed(reviews, tmp_path / "o.parquet", str(tiny_modernbert))
    table = parquet.read_table(tmp_path / "o.parquet")
    embedder = modernbert.load(str(tiny_modernbert), precision="fp32", max_length=0)
    vectors_ND = embedder.encode(table["text"].to_pylist())
    assert vectors_ND.shape == (done.rows, done.size)
    np.testing.assert_allclose(np.stack(table["vector"].to_numpy()), vectors_ND, atol=1e-6)


def test_a_collection_is_searched(tiny_modernbert, tmp_path):
    (found,) = modernbert.evaluate(write_collection(tmp_path / "toy"), str(tiny_modernbert))
    assert [system.system.split(" ")[0] for system in found.systems][1] == "bm25"


def test_mistakes_are_told(tiny_bert, reviews, tmp_path):
    with pytest.raises(UnknownName):
        modernbert.load("no-such-model")
    with pytest.raises(BadModel, match="no head"):
        modernbert.predict(reviews, tmp_path / "o.jsonl", str(tiny_bert))
    with pytest.raises(BadOption, match="epoch"):
        modernbert.finetune(reviews, str(tiny_bert), epoch=2)
    with pytest.raises(BadOption, match="is searched"):
        modernbert.evaluate(write_collection(tmp_path / "toy"), str(tiny_bert), label="label")
    with pytest.raises(BadOption, match="has columns of its own"):
        modernbert.evaluate("glue/sst2", str(tiny_bert), label="label")
