"""Training a classifier (or a regression): its data, its network, its scores.

Shape suffixes: N texts, C outputs.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from modernbert.data.batching import BatchPlan
from modernbert.data.examples import Examples
from modernbert.data.tokens import PairTokens, Tokens
from modernbert.evaluation.multi_label import macro_average_precision
from modernbert.evaluation.predict import decide, predict_logits
from modernbert.evaluation.scoring import collapse_notes, example_rows, quick_metrics, score_split
from modernbert.evaluation.temperature import temperature_note, with_temperature
from modernbert.evaluation.thresholds import decision_note, with_thresholds
from modernbert.model.encoder import PackedClassifier
from modernbert.model.loading import (
    largest_difference,
    load_classifier,
    load_trained,
    logits_of,
    save_classifier,
)
from modernbert.model.packing import PackedBatch, pack
from modernbert.model.similarity import read_texts
from modernbert.records.scores import SplitScores
from modernbert.training.inputs import Job, trainable
from modernbert.training.labelled import LabelledInputs
from modernbert.training.objectives import LOSSES, PerExample, weighted_loss
from modernbert.training.reports import Evaluation
from modernbert.training.signals import StopRequest


@dataclass(frozen=True)
class Dataset:
    """Tokenised examples, as the loop and the evaluation take them; `targets` is what to learn of each."""

    tokens: Tokens | PairTokens
    examples: Examples
    targets: np.ndarray
    plan: BatchPlan

    def batch(self, indices: np.ndarray) -> tuple[PackedBatch, torch.Tensor]:
        """Return the examples at `indices` and what to learn of them."""
        return pack(self.tokens, indices), torch.from_numpy(self.targets[indices])


def make_dataset(inputs: LabelledInputs, split: str) -> Dataset:
    """Tokenise one split."""
    examples = inputs.examples[split]
    assert examples.labels is not None
    targets = inputs.scale.to_learn(examples.labels) if inputs.scale else examples.labels
    if inputs.teacher and split == inputs.task.train:
        targets = inputs.teacher.targets(examples.labels)
    tokens = read_texts(inputs.tokenizer, examples.texts, inputs.config.data.max_length, inputs.apart)
    plan = BatchPlan(tokens.lengths, inputs.config.optimizer.batch_size, inputs.config.run.seed)
    return Dataset(tokens, examples, targets, plan)


class ClassificationJob(Job):
    """A classifier on its device, with its tokenised splits."""

    def __init__(self, inputs: LabelledInputs, accelerator: Any, stop: StopRequest) -> None:
        """Load the model; its head is drawn from the current random state."""
        self.inputs, self.accelerator, self.stop = inputs, accelerator, stop
        self.task = replace(inputs.task, mean=inputs.target.mean if inputs.target else None)
        # What the network's output stands for until it is saved; then it is in the labels' own unit.
        self.scale = inputs.scale
        self._load()
        kind, weights = inputs.task.kind, torch.tensor(list(inputs.weights.values()))
        loss = weighted_loss(kind, weights) if inputs.weights else LOSSES[kind]
        self.objective = PerExample(inputs.teacher.loss(kind) if inputs.teacher else loss)
        self.splits = {split: make_dataset(inputs, split) for split in inputs.examples}
        self.data = self.splits[inputs.task.train]
        self.trained_texts = self.data.examples.texts

    def _load(self) -> None:
        """Load model and network."""
        loaded = load_classifier(self.inputs.start, self.inputs.task)
        if self.scale and not loaded.new_tensors:
            self.scale.take_out(loaded.model)
        self.model = trainable(loaded.model, self.inputs.config, head=True)
        self.network: nn.Module = PackedClassifier(self.model)
        self.new_tensors = loaded.new_tensors

    def evaluate(self, network: nn.Module) -> Evaluation:
        """Score the first validation split, without intervals.

        Several labels a text are judged by how well texts are ordered, unless the user names a metric: that
        needs no thresholds, which are tuned for each evaluation anew.
        """
        split = self.task.validation[0]
        logits, labels = self._logits(network, split), self.splits[split].examples.labels
        assert labels is not None
        task = with_thresholds(self.task, labels, logits)
        metrics = quick_metrics(task, labels, logits)
        main = task.metrics[0]
        if task.kind == "multi_label":
            metrics["macro_average_precision"] = macro_average_precision(labels, logits)
            main = self.inputs.config.evaluation.metric or "macro_average_precision"
        notes = collapse_notes(task, decide(logits, task.kind, task.thresholds))
        return Evaluation(metrics, metrics[main], notes)

    def _logits(self, network: nn.Module, split: str) -> np.ndarray:
        outputs = predict_logits(
            network,
            self.splits[split].tokens,
            max_tokens=self.inputs.config.memory.max_tokens,
            accelerator=self.accelerator,
            check_stop=self.stop.raise_if_requested,
        )
        return self.scale.to_labels(outputs) if self.scale else outputs

    def save(self, folder: Path) -> float:
        """Save, read back into a fresh object, and compare logits on a few texts."""
        inputs, model = self.inputs, self.model.to("cpu").eval()
        unit = self.scale.unit if self.scale else 1.0
        if self.scale:
            self.scale.fold_in(model)
            self.scale = None
        shutil.rmtree(folder, ignore_errors=True)  # of a resumed run that had come this far
        base = inputs.start if inputs.config.lora.enabled else None
        save_classifier(model, inputs.tokenizer, folder, base)
        source = replace(
            inputs.source,
            name=folder.parent.name,
            folder=folder,
            base=base,
            labels=inputs.task.labels,
        )
        tokens = self.splits[inputs.task.validation[0]].tokens
        batch = pack(tokens, range(min(8, len(tokens))))
        fresh = load_trained(source, inputs.task)
        difference = largest_difference(logits_of(model, batch), logits_of(fresh, batch))
        self.model.to(self.accelerator.device)
        return difference / unit

    def score(self) -> tuple[tuple[SplitScores, ...], list[dict[str, Any]]]:
        """Score every held-out split with known labels."""
        task, network = self.task, self.network.eval()
        results: list[SplitScores] = []
        rows: list[dict[str, Any]] = []
        began = time.perf_counter()
        outputs = {split: self._logits(network, split) for split in task.scored_splits}
        seconds = time.perf_counter() - began
        tokens = [self.splits[split].tokens.lengths for split in outputs]
        self.inference = {
            "examples_per_second": round(sum(map(len, tokens)) / seconds, 1),
            "tokens_per_second": round(sum(int(part.sum()) for part in tokens) / seconds, 1),
        }
        first = task.validation[0]
        chosen_on = self.splits[first].examples.labels, outputs[first]
        task = with_temperature(with_thresholds(task, *chosen_on), *chosen_on)
        thresholds = dict(zip(task.labels, task.thresholds, strict=False))
        self.decision = {"thresholds": thresholds, "temperature": task.temperature}
        self.notes = tuple(filter(None, [decision_note(task), temperature_note(task)]))
        for split, logits in outputs.items():
            examples = self.splits[split].examples
            results.append(score_split(task, split, examples, logits))
            rows += example_rows(task, split, examples, logits)
        return tuple(results), rows
