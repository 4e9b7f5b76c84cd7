"""The same steps as transformers' Trainer takes: without dropout, and with the rows in the same order."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from helpers import FILLER, request_of, write_csv

from modernbert.finetuning.finetune import finetune
from modernbert.model.loading import load_classifier
from modernbert.training.classification import make_dataset
from modernbert.training.labelled import prepare_labelled

SEED = 3


def pairs(count: int, kind: str) -> list[dict[str, str]]:
    """Return pairs of texts; the label is how many words they share."""
    draw, rows = random.Random(0), []
    for _ in range(count):
        first, second = draw.choices(FILLER, k=draw.randint(3, 9)), draw.choices(FILLER, k=5)
        shared = len({*first} & {*second})
        label = repr(2.5 + 0.7 * shared) if kind == "regression" else ("alike" if shared > 1 else "other")
        rows.append({"first": " ".join(first), "second": " ".join(second), "label": label})
    return rows


@pytest.fixture
def plain_bert(tiny_bert, tmp_path):
    """The tiny BERT without dropout, and with weights so large that texts are told apart."""
    from modernbert.model.pretrained import quiet_transformers

    torch.manual_seed(0)
    with quiet_transformers():
        config = transformers.AutoConfig.from_pretrained(tiny_bert)
        config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
        config.initializer_range = 0.3
        transformers.BertModel(config).save_pretrained(tmp_path / "plain")
        transformers.AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(tmp_path / "plain")
    return tmp_path / "plain"


def by_trainer(inputs, folder) -> np.ndarray:
    """Train on the rows in mbert's order; return the outputs for the validation split, shape (N, C)."""

    def rows(split, order):
        data = make_dataset(inputs, split)
        starts, ids, kinds = data.tokens.starts, data.tokens.ids, data.tokens.type_ids
        for i in order(data):
            part = slice(starts[i], starts[i + 1])
            given = {} if kinds is None else {"token_type_ids": kinds[part].tolist()}
            yield {**given, "input_ids": ids[part].tolist(), "labels": data.targets[i].tolist()}

    config = inputs.config
    arguments = transformers.TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        per_device_train_batch_size=config.optimizer.batch_size,
        learning_rate=config.optimizer.learning_rate,
        weight_decay=config.optimizer.weight_decay,
        adam_beta1=config.optimizer.beta1,
        adam_beta2=config.optimizer.beta2,
        adam_epsilon=config.optimizer.epsilon,
        max_grad_norm=config.optimizer.clip,
        lr_scheduler_type="linear",
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
        save_strategy="no",
        dataloader_pin_memory=False,
    )
    torch.manual_seed(SEED)
    epochs = range(int(config.schedule.epochs))
    trainer = transformers.Trainer(
        model=load_classifier(inputs.start, inputs.task).model,
        args=arguments,
        train_dataset=list(
            rows("train", lambda data: np.concatenate([i for e in epochs for i in data.plan.epoch(e)]))
        ),
        data_collator=transformers.DataCollatorWithPadding(inputs.tokenizer),
    )
    trainer.train()
    return trainer.predict(list(rows("validation", lambda data: range(len(data.examples))))).predictions


@pytest.mark.parametrize("kind", ["regression", "single_label"])
@pytest.mark.parametrize("model", ["plain_bert", "tiny_modernbert"])
def test_mbert_learns_what_trainer_learns(model, kind, tmp_path, store, request):
    """Pairs, token types, loss, clipping, weight decay, schedule and the unit of numbers are all in it."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    write_csv(folder / "train.csv", pairs(48, kind))
    write_csv(folder / "validation.csv", pairs(80, kind)[48:])
    settings = {"epochs": 3.0, "batch_size": 16, "learning_rate": 2e-3, "warmup": 0.0, "keep": "last"}
    settings |= {"max_length": 32, "clip": 0.5, "weight_decay": 0.1, "seed": SEED, "pair_encoder": "cross"}
    asked = request_of(folder, request.getfixturevalue(model), **settings)
    asked = replace(asked, text=("first", "second"), label="label", kind=kind)
    run = finetune(asked, store, seed=SEED)
    kept = [json.loads(line) for line in (store.path(run.name) / "scores.jsonl").read_text().splitlines()]
    found = np.array([row["logits"] for row in kept])
    inputs = prepare_labelled(asked, store)
    theirs = by_trainer(inputs, tmp_path / "trainer").reshape(len(found), -1)
    theirs = inputs.scale.to_labels(theirs) if inputs.scale else theirs
    assert found.std() > 0.05, "texts are told apart"
    np.testing.assert_allclose(found, theirs, atol=2e-4)
