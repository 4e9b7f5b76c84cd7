"""The card beside a model: read back by the Hub's own library, with the scores of the record."""

from __future__ import annotations

import pytest
from helpers import request_of, toy_rows, write_csv
from huggingface_hub import ModelCard

from modernbert.training.finetune import finetune


@pytest.mark.parametrize("lora", [False, True])
def test_a_trained_model_has_a_card_with_its_scores(lora, tmp_path, store, tiny_modernbert):
    rows = write_csv(tmp_path / "reviews.csv", toy_rows(120))
    done = finetune(request_of(rows, tiny_modernbert, epochs=1.0, lora=lora), store)
    card = ModelCard.load(store.path(done.name) / "model" / "README.md")
    score = done.record["results"][0]["scores"][0]
    (found,) = [r for r in card.data.eval_results if r.metric_type == score["metric"]]
    assert found.metric_value == pytest.approx(score["value"], abs=1e-6)
    assert (found.dataset_split, found.dataset_type) == ("validation", "own/reviews")
    assert card.data.pipeline_tag == "text-classification"
    assert ("lora" in card.data.tags) == lora
    assert f"{score['value']:.4f} | {score['low']:.4f} to {score['high']:.4f}" in card.text
    assert "README.md" not in done.record["model_files"], "its owner may edit it"


def test_a_model_from_random_weights_claims_no_base(reviews, store, tiny_bert):
    done = finetune(request_of(reviews, tiny_bert, epochs=0.1, random_weights=True), store)
    card = ModelCard.load(store.path(done.name) / "model" / "README.md")
    assert "from random weights" in card.text and "fine-tuned on" not in card.text


def test_a_catalogue_model_is_named_as_the_base():
    from modernbert.report.card import _base

    assert _base({"model": {"name": "bert-base"}}) == ("google-bert/bert-base-uncased", "apache-2.0")
    assert _base({"model": {"name": "elsewhere"}}) == (None, None)
