"""Training a model to tag words: its data, its network, its scores.

Shape suffixes: T tokens of all sequences, C tags.
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
from modernbert.data.check import DataReport
from modernbert.data.own_sentences import token_task
from modernbert.data.sentences import Sentences, TokenTask, read_sentences
from modernbert.data.tagged_check import check_sentences
from modernbert.data.targets import resolve
from modernbert.data.tokens import TokenLengths, measure
from modernbert.data.word_tokens import NOWHERE, WordTokens, tokenize_words
from modernbert.evaluation.entities import (
    entities_of,
    entity_metrics,
    entity_rows,
    score_entities,
    truth_of,
)
from modernbert.evaluation.tags import decide_tags, tag_logits, unseen_notes
from modernbert.model.loading import (
    context_length,
    largest_difference,
    load_config,
    load_tokenizer,
    save_classifier,
)
from modernbert.model.locate import locate_model
from modernbert.model.packing import PackedBatch, pack
from modernbert.model.tagger import PackedTagger, load_tagger, load_trained_tagger, tag_logits_of
from modernbert.records.data import Data, Split, StoredReport
from modernbert.records.scores import SplitScores
from modernbert.runs import RunStore
from modernbert.settings.config import TokenTrainingConfig, TrainingConfig
from modernbert.training.inputs import Inputs, Job, Request, limited, require_context, trainable
from modernbert.training.objectives import IGNORED, PerExample, token_cross_entropy
from modernbert.training.reports import Evaluation
from modernbert.training.resolve import own_data
from modernbert.training.setup import set_up
from modernbert.training.signals import StopRequest
from modernbert.wording import counted, truncated_text

# Sentences on which the saved model is compared with the trained one.
COMPARED = 8


@dataclass(frozen=True)
class TaggedData:
    """Tokenised sentences, as the loop and the evaluation take them.

    `targets` holds, for each token of all sentences, its word's tag; `IGNORED` for all but words' first ones.
    """

    words: WordTokens
    sentences: Sentences
    targets: np.ndarray
    plan: BatchPlan

    def batch(self, indices: np.ndarray) -> tuple[PackedBatch, torch.Tensor]:
        """Return the sentences at `indices` and the targets of their tokens, shape (T,)."""
        starts = self.words.tokens.starts
        parts = [self.targets[starts[i] : starts[i + 1]] for i in indices]
        return pack(self.words.tokens, indices), torch.from_numpy(np.concatenate(parts))


@dataclass(frozen=True, kw_only=True)
class TaggingInputs(Inputs):
    """A request to train on tagged words."""

    task: TokenTask
    sentences: dict[str, Sentences]
    report: DataReport

    def facts(self) -> dict[str, str]:
        """Return sizes, where the data is from, and how long its sentences are."""
        splits = self.report.splits
        sizes = ", ".join(f"{s.split} {s.rows:,}" for s in splits)
        labels = ", ".join(f"{name} {count:,.0f}" for name, count in splits[0].labels.items())
        longest, cut = splits[0].tokens, splits[0].truncated or 0.0
        return {
            "data": f"{sizes} sentences  ({self.task.path.absolute()})",
            "entities": labels,
            "tokens per sentence": f"median {longest['p50']}, 95 % up to {longest['p95']}, "
            f"longest {longest['max']}; {truncated_text(cut, self.config.data.max_length, 'sentences')}",
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the look at the data found."""
        return self.report.warnings

    def data_record(self) -> Data:
        """Return columns, splits with fingerprints, and what the look at the data found."""
        splits = {name: split_record(self.task, name, len(part)) for name, part in self.sentences.items()}
        report = StoredReport.model_validate(self.report.as_dict())
        return Data(splits=splits, text=(self.task.text,), label=self.task.label, report=report)

    @property
    def job(self) -> str:
        """A tagger."""
        return "tagger"


def split_record(task: TokenTask, split: str, used: int) -> Split:
    """Return what a run keeps about a split of which so many rows are used."""
    rows = task.splits[split]
    return Split(
        rows=len(rows),
        found_in=str(task.path.absolute()),
        revision="fingerprint only",
        fingerprint=rows.fingerprint((task.text, task.label)),
        used=used,
    )


def is_tagging(request: Request) -> bool:
    """Does a request name tagged words?"""
    return resolve(request.target, kind=request.kind).form == "tagged"


def prepare_tagging(request: Request, store: RunStore) -> TaggingInputs:
    """Find and check everything a run needs. Raises an MbertError for the first thing that is wrong."""
    task, notes = token_task(own_data(request))
    data_dir = Path(request.data_dir) if request.data_dir else None
    source = locate_model(request.model, store=store, data_dir=data_dir)
    sentences = {name: read_sentences(rows, task.text, task.label) for name, rows in task.splits.items()}
    train = sentences["train"]
    if request.limit:
        train = sentences["train"] = train.take(limited(len(train), request.limit))
        notes.append(f"training on {counted(len(train), 'row')} only (--limit)")
    settings, more = set_up(
        request, task.name, source, store, train_rows=len(train), base=TokenTrainingConfig()
    )
    tokenizer = load_tokenizer(source)
    lengths = {name: measure(tokenizer, part.texts) for name, part in sentences.items()}
    config = _with_length(settings.config, lengths, context_length(load_config(source)))
    return TaggingInputs(
        request=request,
        task=task,
        source=source,
        start=settings.start,
        tokenizer=tokenizer,
        recipe=settings.recipe,
        config=config,
        sentences=sentences,
        report=check_sentences(
            task, sentences, lengths, max_length=config.data.max_length, tokenizer=tokenizer
        ),
        machine=settings.machine,
        notes=(*notes, *more),
    )


def _with_length(config: TrainingConfig, lengths: dict[str, TokenLengths], context: int) -> TrainingConfig:
    """Fill in an automatic maximum length: every sentence, if the model's context holds it."""
    require_context(config, context)
    return config.with_values({"max_length": config.data.max_length or longest_of(lengths, context)})


def longest_of(lengths: dict[str, TokenLengths], context: int) -> int:
    """Return the length of the longest sentence, rounded up to a multiple of 8; at most the context.

    What is cut off of a sentence has no tags: the 99th percentile would lose entities.
    """
    longest = max(int(found.lengths.max(initial=1)) for found in lengths.values())
    return min(context, -(-longest // 8) * 8)


def make_data(inputs: TaggingInputs, split: str) -> TaggedData:
    """Tokenise one split."""
    part, config = inputs.sentences[split], inputs.config
    words = tokenize_words(inputs.tokenizer, part.all, config.data.max_length)
    plan = BatchPlan(words.tokens.lengths, config.optimizer.batch_size, config.run.seed)
    return TaggedData(words, part, _targets(words, part, inputs.task.labels), plan)


def _targets(words: WordTokens, part: Sentences, tags: tuple[str, ...]) -> np.ndarray:
    """Return the place of each token's tag among `tags`; `IGNORED` where nothing is learnt."""
    place_of = {tag: place for place, tag in enumerate(tags)}
    targets = np.full(len(words.tokens.ids), IGNORED, np.int64)
    for start, first_W, sentence in zip(words.tokens.starts, words.first, part.all, strict=False):
        seen = first_W != NOWHERE
        wanted = np.array([place_of.get(tag, IGNORED) for tag in sentence.tags], np.int64)
        targets[start + first_W[seen]] = wanted[seen]
    return targets


class TaggingJob(Job):
    """A tagger on its device, with its tokenised splits."""

    def __init__(self, inputs: TaggingInputs, accelerator: Any, stop: StopRequest) -> None:
        """Load the model; its head is drawn from the current random state."""
        self.inputs, self.accelerator, self.stop = inputs, accelerator, stop
        loaded = load_tagger(inputs.start, inputs.task.labels)
        self.model = trainable(loaded.model, inputs.config, head=True)
        self.network = PackedTagger(self.model)
        self.new_tensors = loaded.new_tensors
        self.objective = PerExample(token_cross_entropy)
        self.splits = {split: make_data(inputs, split) for split in inputs.sentences}
        self.data = self.splits["train"]
        self.trained_texts = self.data.sentences.texts
        limit = inputs.config.data.max_length
        self.notes = tuple(n for split, d in self.splits.items() for n in unseen_notes(split, d.words, limit))

    def evaluate(self, network: nn.Module) -> Evaluation:
        """Score the validation split, or the fold that is held out, without intervals."""
        split = self.inputs.task.watched
        found = self._entities(network, split)
        metrics = entity_metrics(truth_of(self.splits[split].sentences), found)
        return Evaluation(metrics, metrics[self.inputs.task.metrics[0]])

    def _entities(self, network: nn.Module, split: str) -> list[Any]:
        data, tags = self.splits[split], self.inputs.task.labels
        logits = tag_logits(
            network,
            data.words,
            tags,
            max_tokens=self.inputs.config.memory.max_tokens,
            accelerator=self.accelerator,
            check_stop=self.stop.raise_if_requested,
        )
        return entities_of(data.sentences, decide_tags(logits, tags))

    def save(self, folder: Path) -> float:
        """Save, read back into a fresh object, and compare logits on a few sentences."""
        inputs, model = self.inputs, self.model.to("cpu").eval()
        shutil.rmtree(folder, ignore_errors=True)  # of a resumed run that had come this far
        base = inputs.start if inputs.config.lora.enabled else None
        save_classifier(model, inputs.tokenizer, folder, base)
        source = replace(inputs.source, name=folder.parent.name, folder=folder, base=base,
                         labels=inputs.task.labels, task=inputs.task.name)  # fmt: skip
        tokens = self.splits[inputs.task.watched].words.tokens
        batch = pack(tokens, range(min(COMPARED, len(tokens))))
        fresh = load_trained_tagger(source)
        difference = largest_difference(tag_logits_of(model, batch), tag_logits_of(fresh, batch))
        self.model.to(self.accelerator.device)
        return difference

    def score(self) -> tuple[tuple[SplitScores, ...], list[dict[str, Any]]]:
        """Score every held-out split."""
        network, task = self.network.eval(), self.inputs.task
        began = time.perf_counter()
        found = {split: self._entities(network, split) for split in task.scored}
        seconds = time.perf_counter() - began
        lengths = [self.splits[split].words.tokens.lengths for split in found]
        self.inference = {
            "examples_per_second": round(sum(map(len, lengths)) / seconds, 1),
            "tokens_per_second": round(sum(int(part.sum()) for part in lengths) / seconds, 1),
        }
        sentences = {split: self.splits[split].sentences for split in found}
        results = tuple(score_entities(task.metrics, n, truth_of(sentences[n]), found[n]) for n in found)
        return results, [row for n in found for row in entity_rows(n, sentences[n], found[n])]
