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
from modernbert.data.check import DataReport, check_data
from modernbert.data.examples import Examples, to_examples
from modernbert.data.sources import LoadedSplit, bundle_folder, labelled_data
from modernbert.data.task import Task
from modernbert.data.tokens import Tokens, measure, tokenize
from modernbert.evaluation.multi_label import macro_average_precision
from modernbert.evaluation.predict import decide, predict_logits
from modernbert.evaluation.scoring import collapse_notes, example_rows, quick_metrics, score_split
from modernbert.evaluation.temperature import temperature_note, with_temperature
from modernbert.evaluation.thresholds import decision_note, with_thresholds
from modernbert.model.encoder import PackedClassifier
from modernbert.model.loading import (
    context_length,
    largest_difference,
    load_classifier,
    load_config,
    load_tokenizer,
    load_trained,
    logits_of,
    save_classifier,
)
from modernbert.model.locate import locate_model
from modernbert.model.packing import PackedBatch, pack
from modernbert.records.data import Data, StoredReport
from modernbert.records.scores import SplitScores
from modernbert.runs import RunStore
from modernbert.training.class_weights import class_weights
from modernbert.training.inputs import Inputs, Job, Request, limited, trainable, with_max_length
from modernbert.training.objectives import LOSSES, PerExample, weighted_loss
from modernbert.training.reports import Evaluation
from modernbert.training.resolve import load_training_splits, resolve_task
from modernbert.training.scale import Scale
from modernbert.training.setup import set_up
from modernbert.training.signals import StopRequest
from modernbert.training.soft_labels import Teacher, find_teacher
from modernbert.wording import counted

# Labels whose weights are shown before training; a run keeps all.
SHOWN = 10


@dataclass(frozen=True)
class Dataset:
    """Tokenised examples, as the loop and the evaluation take them; `targets` is what to learn of each."""

    tokens: Tokens
    examples: Examples
    targets: np.ndarray
    plan: BatchPlan

    def batch(self, indices: np.ndarray) -> tuple[PackedBatch, torch.Tensor]:
        """Return the examples at `indices` and what to learn of them."""
        return pack(self.tokens, indices), torch.from_numpy(self.targets[indices])


@dataclass(frozen=True, kw_only=True)
class LabelledInputs(Inputs):
    """A request to train on labelled texts."""

    task: Task
    loaded: dict[str, LoadedSplit]
    examples: dict[str, Examples]
    report: DataReport
    weights: dict[str, float]
    teacher: Teacher | None

    @property
    def target(self) -> Scale | None:
        """Mean and deviation of the training labels, if they are numbers."""
        labels = self.examples[self.task.train].labels
        assert labels is not None
        return Scale.of(labels) if self.task.kind == "regression" else None

    @property
    def scale(self) -> Scale | None:
        """The scale on which numbers are learnt; None for labels as they are."""
        return self.target if self.task.standardised else None

    def facts(self) -> dict[str, str]:
        """Return sizes, where the data is from, and how long its texts are."""
        splits = self.report.splits
        sizes = ", ".join(f"{s.split} {s.rows:,}" for s in splits)
        longest, cut = splits[0].tokens, splits[0].truncated or 0.0
        learnt = "learnt on that scale, predicted in their own unit" if self.scale else "learnt as they are"
        target = {"labels": f"{self.target}; {learnt}"} if self.target else {}
        return {
            "data": f"{sizes}  ({next(iter(self.loaded.values())).found_in})",
            **target,
            **self._classes(),
            **({"teacher": str(self.teacher)} if self.teacher else {}),
            "tokens per text": f"median {longest['p50']}, 95 % up to {longest['p95']}, "
            f"longest {longest['max']}; {cut:.1%} truncated at {self.config.data.max_length}",
        }

    def _classes(self) -> dict[str, str]:
        """Return the positive class and the classes' weights, where there are such."""
        told = {}
        if self.task.is_binary:
            labels, name = self.examples[self.task.train].labels, self.task.labels[self.task.positive_index]
            assert labels is not None
            share = float((labels == self.task.positive_index).mean())
            told["positive class"] = f"{name}, {share:.1%} of the training rows (--positive names the other)"
        if self.weights:
            shown = [f"{name} {weight:.4g}" for name, weight in self.weights.items()]
            told["class weights"] = ", ".join(shown[:SHOWN]) + (" ..." if len(shown) > SHOWN else "")
        return told

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the look at the data found."""
        return self.report.warnings

    def data_record(self) -> Data:
        """Return columns, splits with fingerprints, and what the look at the data found."""
        report = StoredReport.model_validate(self.report.as_dict())
        splits = {n: split.record(self.task, len(self.examples[n])) for n, split in self.loaded.items()}
        kept = labelled_data(self.task, splits).with_values(report=report)
        if self.target:
            kept = kept.with_values(target=self.target.as_dict())
        if self.teacher:
            kept = kept.with_values(teacher=dict(self.teacher.about))
        return kept.with_values(class_weights=dict(self.weights)) if self.weights else kept

    @property
    def job(self) -> str:
        """A classifier, which may be a regression."""
        return "classifier"


def prepare_labelled(request: Request, store: RunStore) -> LabelledInputs:
    """Find and check everything a run needs. Raises an MbertError for the first thing that is wrong."""
    data_dir = bundle_folder(Path(request.data_dir) if request.data_dir else None)
    task, notes = resolve_task(request)
    source = locate_model(request.model, store=store, data_dir=data_dir)
    loaded = load_training_splits(task, data_dir)
    examples = {name: to_examples(task, split.rows) for name, split in loaded.items()}
    train = examples[task.train]
    if request.limit:
        train = to_examples(task, train.rows.take(limited(len(train), request.limit)))
        examples[task.train] = train
        notes.append(f"training on {counted(len(train), 'row')} only (--limit)")
    settings, more = set_up(request, task.name, source, store, train_rows=len(train))
    assert train.labels is not None
    weights = class_weights(task, settings.config.classes.weights, train.labels)
    teacher = find_teacher(task, settings.config.distillation, examples, request, store)
    tokenizer = load_tokenizer(source)
    lengths = {name: measure(tokenizer, part.texts) for name, part in examples.items()}
    config = with_max_length(settings.config, lengths[task.train], context_length(load_config(source)))
    return LabelledInputs(
        request=request,
        task=task,
        source=source,
        start=settings.start,
        tokenizer=tokenizer,
        recipe=settings.recipe,
        config=config,
        loaded=loaded,
        examples=examples,
        weights=weights,
        teacher=teacher,
        report=check_data(
            task, examples, lengths=lengths, max_length=config.data.max_length, tokenizer=tokenizer
        ),
        machine=settings.machine,
        notes=(*notes, *more, *(teacher.notes if teacher else ())),
    )


def make_dataset(inputs: LabelledInputs, split: str) -> Dataset:
    """Tokenise one split."""
    examples = inputs.examples[split]
    assert examples.labels is not None
    targets = inputs.scale.to_learn(examples.labels) if inputs.scale else examples.labels
    if inputs.teacher and split == inputs.task.train:
        targets = inputs.teacher.targets(examples.labels)
    tokens = tokenize(inputs.tokenizer, examples.texts, inputs.config.data.max_length)
    plan = BatchPlan(tokens.lengths, inputs.config.optimizer.batch_size, inputs.config.run.seed)
    return Dataset(tokens, examples, targets, plan)


class ClassificationJob(Job):
    """A classifier on its device, with its tokenised splits."""

    def __init__(self, inputs: LabelledInputs, accelerator: Any, stop: StopRequest) -> None:
        """Load the model; its head is drawn from the current random state."""
        loaded = load_classifier(inputs.start, inputs.task)
        self.inputs, self.accelerator, self.stop = inputs, accelerator, stop
        self.task = replace(inputs.task, mean=inputs.target.mean if inputs.target else None)
        # What the network's output stands for until it is saved; then it is in the labels' own unit.
        self.scale = inputs.scale
        if self.scale and not loaded.new_tensors:
            self.scale.take_out(loaded.model)
        self.model = trainable(loaded.model, inputs.config, head=True)
        self.network = PackedClassifier(self.model)
        self.new_tensors = loaded.new_tensors
        kind, weights = inputs.task.kind, torch.tensor(list(inputs.weights.values()))
        loss = weighted_loss(kind, weights) if inputs.weights else LOSSES[kind]
        self.objective = PerExample(inputs.teacher.loss(kind) if inputs.teacher else loss)
        self.splits = {split: make_dataset(inputs, split) for split in inputs.examples}
        self.data = self.splits[inputs.task.train]
        self.trained_texts = self.data.examples.texts

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
