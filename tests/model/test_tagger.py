"""Models that tag words: as transformers' own forward, saved in its layout, heads kept or drawn anew."""

from __future__ import annotations

import json

import pytest
import torch
from helpers import tokens_of_lengths
from transformers import AutoModelForTokenClassification

from modernbert.errors import BadModel
from modernbert.model.locate import locate_model
from modernbert.model.packing import pack
from modernbert.model.pretrained import quiet_transformers
from modernbert.model.tagger import (
    PackedTagger,
    is_tagger,
    load_tagger,
    load_trained_tagger,
    tag_logits_of,
    tags_in,
)

TAGS = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")


@pytest.fixture(params=["tiny_modernbert", "tiny_bert"])
def source(request, store):
    return locate_model(str(request.getfixturevalue(request.param)), store=store)


def saved(model, folder, store):
    with quiet_transformers():
        model.save_pretrained(folder)
    return locate_model(str(folder), store=store)


def test_every_token_has_the_logits_of_transformers(source):
    model = load_tagger(source, TAGS).model.eval()
    tokens = tokens_of_lengths([3, 17, 1, 9, 40])
    found_TC = tag_logits_of(model, pack(tokens, range(5)))
    alone = [
        model(input_ids=torch.tensor(tokens.ids[a:b])[None]).logits[0]
        for a, b in zip(tokens.starts, tokens.starts[1:], strict=False)
    ]
    assert found_TC.shape == (70, len(TAGS))
    torch.testing.assert_close(found_TC, torch.cat(alone), atol=1e-5, rtol=0)


def test_gradients_reach_every_parameter(source):
    model = load_tagger(source, TAGS).model.train()
    PackedTagger(model)(pack(tokens_of_lengths([5, 8]), range(2))).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_a_new_head_is_drawn_from_the_seed(source):
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        loaded = load_tagger(source, TAGS)
        assert {"classifier.weight", "classifier.bias"} <= {*loaded.new_tensors}
        drawn.append(loaded.model.classifier.weight.detach())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_saved_tagger_is_one_of_transformers(source, tmp_path, store):
    model = load_tagger(source, TAGS).model
    again = saved(model, tmp_path / "m", store)
    with quiet_transformers():
        theirs = AutoModelForTokenClassification.from_pretrained(tmp_path / "m")
    assert tuple(theirs.config.id2label.values()) == TAGS == tags_in(again)
    assert is_tagger(again) and not is_tagger(source)
    batch = pack(tokens_of_lengths([4, 6]), range(2))
    assert torch.equal(tag_logits_of(theirs, batch), tag_logits_of(load_trained_tagger(again), batch))


@pytest.mark.parametrize("tags", [TAGS[:3], ("O", "B-ORG", "I-ORG", "B-PER", "I-PER")])
def test_the_head_of_other_tags_is_not_kept(source, tmp_path, store, tags):
    model = load_tagger(source, TAGS).model
    again = saved(model, tmp_path / "m", store)
    kept = load_tagger(again, TAGS)
    assert kept.new_tensors == ()
    assert torch.equal(kept.model.classifier.weight, model.classifier.weight)
    other = load_tagger(again, tags)
    assert {*other.new_tensors} == {"classifier.weight", "classifier.bias"}
    assert other.model.classifier.out_features == len(tags)
    assert other.model.config.id2label == dict(enumerate(tags))
    assert not torch.equal(other.model.classifier.weight[: len(tags)], model.classifier.weight[: len(tags)])


def test_the_head_of_a_text_classifier_is_not_kept(tiny_modernbert, tmp_path, store):
    from transformers import AutoModelForSequenceClassification

    with quiet_transformers():
        texts = AutoModelForSequenceClassification.from_pretrained(tiny_modernbert, num_labels=len(TAGS))
    loaded = load_tagger(saved(texts, tmp_path / "m", store), TAGS)
    assert {*loaded.new_tensors} == {"classifier.weight", "classifier.bias"}
    assert not torch.equal(loaded.model.classifier.weight, texts.classifier.weight)


def test_what_tags_no_words_is_refused(source, tmp_path, store):
    with pytest.raises(BadModel, match="does not tag words"):
        load_trained_tagger(source)
    folder = tmp_path / "m"
    saved(load_tagger(source, TAGS).model, folder, store)
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {str(i): f"LABEL_{i}" for i in range(5)}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadModel, match="no tags of entities"):
        tags_in(locate_model(str(folder), store=store))
