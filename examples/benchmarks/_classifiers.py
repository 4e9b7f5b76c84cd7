"""The other tools of classification.py: scikit-learn's plain recipe, and transformers' Trainer."""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np
from _common import in_order, trainer_arguments
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier

STRENGTHS = (0.1, 1.0, 10.0, 100.0)


def by_sklearn(inputs: Any, split: str) -> np.ndarray:
    """Return outputs as a network gives them, shape (N, C)."""
    task, train = inputs.task, inputs.examples["train"]
    terms = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True) for _ in task.text]

    def features(texts, how):
        return sparse.hstack(
            [getattr(t, how)(s) for t, s in zip(terms, zip(*texts, strict=True), strict=True)]
        ).tocsr()

    model, strength = LogisticRegression(max_iter=1000), "C"
    if task.kind == "regression":
        model, strength = Ridge(), "alpha"
    elif task.kind == "multi_label":
        model, strength = OneVsRestClassifier(model), "estimator__C"
    scoring = {"average_precision": "average_precision"}.get(task.metrics[0])
    search = GridSearchCV(model, {strength: STRENGTHS}, cv=3, scoring=scoring)
    search.fit(features(train.texts, "fit_transform"), train.labels)
    asked = features(inputs.examples[split].texts, "transform")
    if task.kind == "regression":
        return search.predict(asked).reshape(-1, 1)
    odds = search.decision_function(asked)
    return odds if odds.ndim == 2 else np.stack([np.zeros(len(odds)), odds], axis=1)


def by_trainer(inputs: Any, split: str) -> np.ndarray:
    """Return a network's outputs after transformers' Trainer, shape (N, C)."""
    import torch
    from transformers import DataCollatorWithPadding, Trainer

    from modernbert.evaluation.scoring import quick_metrics
    from modernbert.model.loading import load_classifier
    from modernbert.model.pretrained import quiet_transformers
    from modernbert.training.classification import make_dataset

    task, config = inputs.task, inputs.config

    def rows(part):
        data = make_dataset(inputs, part)
        tokens = data.tokens
        for start, end, target in zip(tokens.starts, tokens.starts[1:], data.targets, strict=False):
            kinds = {} if tokens.type_ids is None else {"token_type_ids": tokens.type_ids[start:end].tolist()}
            ids = {"input_ids": tokens.ids[start:end].tolist(), "attention_mask": [1] * int(end - start)}
            yield {**ids, **kinds, "labels": target.tolist(), "length": int(end - start)}

    def metrics(prediction):
        logits = prediction.predictions.reshape(len(prediction.predictions), -1)
        return quick_metrics(task, prediction.label_ids, logits)

    torch.manual_seed(config.run.seed)
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        choosing = {
            "eval_strategy": "epoch",
            "save_strategy": "epoch",
            "save_total_limit": 1,
            "load_best_model_at_end": True,
            "metric_for_best_model": task.metrics[0],
            "greater_is_better": True,
        }
        last = {"eval_strategy": "no", "save_strategy": "no"}
        arguments = trainer_arguments(
            inputs, folder, logging_strategy="no", **(choosing if config.evaluation.keep == "best" else last)
        )
        trainer = Trainer(
            model=load_classifier(inputs.start, task).model,
            args=arguments,
            train_dataset=list(rows("train")),
            eval_dataset=list(rows(task.validation[0])),
            data_collator=DataCollatorWithPadding(inputs.tokenizer),
            compute_metrics=metrics,
        )
        trainer.train()
        outputs = in_order(trainer, list(rows(split)))
    outputs = outputs.reshape(len(outputs), -1)
    return inputs.scale.to_labels(outputs) if inputs.scale else outputs
