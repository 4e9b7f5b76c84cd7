"""Score a model that tags words on a file, and keep its scores and entities as a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.data.entities import OUTSIDE, as_iob2
from modernbert.data.own_sentences import columns_of
from modernbert.data.readers import read_rows
from modernbert.data.rows import Rows
from modernbert.data.sentences import Sentence, Sentences, TokenTask, labels_in, read_sentences
from modernbert.data.tagged_check import check_sentences
from modernbert.data.task import own_name
from modernbert.data.word_tokens import WordTokens, tokenize_words
from modernbert.errors import BadOption
from modernbert.evaluation.entities import Entities, entities_of, entity_rows, score_entities, truth_of
from modernbert.evaluation.evaluate import EvaluationResult
from modernbert.evaluation.seen import TRAINED_TEXTS, were_seen
from modernbert.evaluation.shown import interval_text
from modernbert.evaluation.tags import decide_tags, unseen_notes, word_logits
from modernbert.evaluation.workers import ready_runner
from modernbert.files import write_jsonl
from modernbert.model.device import Machine, describe_hardware
from modernbert.model.exported import machine_for
from modernbert.model.loading import context_length, load_config, load_tokenizer
from modernbert.model.locate import ModelSource, record_of
from modernbert.model.tagger import PackedTagger, load_trained_tagger, tags_in
from modernbert.records.data import Data, Split, StoredReport
from modernbert.records.record import EvaluateRecord, now
from modernbert.records.scores import SplitScores
from modernbert.records.settings import ScoringSettings
from modernbert.records.training import StoredMachine
from modernbert.runs import RunStore, write_run
from modernbert.version import versions
from modernbert.wording import TRAINED_ON

SPLIT = "test"
# The new column of a prediction; its cells are lists of these.
PREDICTION = "prediction"
Entity = dict[str, Any]


def _load(source: ModelSource) -> PackedTagger:
    return PackedTagger(load_trained_tagger(source))


class Tagger:
    """A model that tags words, with its tokenizer and device."""

    def __init__(
        self, source: ModelSource, *, max_length: int = 0, device: str = "auto", precision: str = "auto"
    ) -> None:
        """Load the model; `max_length` 0 is its context. Raises BadModel when it does not tag words."""
        self.source, self.tags = source, tags_in(source)
        self.tokenizer = load_tokenizer(source)
        context = context_length(load_config(source))
        if max_length > context:
            raise BadOption(f"max_length {max_length} exceeds the model's context of {context} tokens")
        # A sentence that is longer than those of the training is read whole: what is cut off has no tags.
        self.context = context
        self.max_length = max_length or context
        self.machine: Machine = machine_for(source, device, precision)
        self.truncated = 0
        self.runner, _ = ready_runner(source, self.machine, partial(_load, source))

    def tokenize(self, sentences: Sequence[Sentence]) -> WordTokens:
        """Return the sentences' tokens; `truncated` counts those that were cut."""
        words = tokenize_words(self.tokenizer, sentences, self.max_length)
        self.truncated += int((words.tokens.full.lengths > self.max_length).sum())
        return words

    def logits(self, words: WordTokens) -> list[np.ndarray]:
        """Return the logits of each sentence's words, shape (W, C)."""
        return word_logits(self.runner.begin(words.tokens), words, self.tags)

    def predict(self, texts: Sequence[str]) -> list[dict[str, list[Entity]]]:
        """Return the entities of each text: `{"prediction": [...]}`, see `entities`."""
        return self.tag(read_sentences(Rows.of({"text": list(texts)}, "the texts"), "text").all)

    def tag(self, sentences: Sequence[Sentence]) -> list[dict[str, list[Entity]]]:
        """Return the entities of each sentence."""
        logits = self.logits(self.tokenize(sentences)) if sentences else []
        return [{PREDICTION: self.entities(s, found)} for s, found in zip(sentences, logits, strict=True)]

    def entities(self, sentence: Sentence, logits_WC: np.ndarray) -> list[Entity]:
        """Return a sentence's entities as plain data, in order.

        Each has `start` and `end` in characters, `label`, its `text`, and `confidence`: the least
        probability of the tags of its words.
        """
        tags = as_iob2(decide_tags([logits_WC], self.tags)[0])[0]
        shares_W = _shares(logits_WC).max(axis=1, initial=0.0)
        found = []
        for start, end, label in sentence.spans(tags):
            inside = [i for i, (first, last) in enumerate(sentence.words) if start <= first and last <= end]
            least = round(float(shares_W[inside].min()), 6)
            found.append({"start": start, "end": end, "label": label, "text": sentence.text[start:end],
                          "confidence": least})  # fmt: skip
        return found


def _shares(logits_WC: np.ndarray) -> np.ndarray:
    wide = np.exp(logits_WC.astype(np.float64) - logits_WC.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(wide / wide.sum(axis=1, keepdims=True))


def evaluate_tagger(
    source: ModelSource,
    path: Path,
    store: RunStore,
    *,
    text: tuple[str, ...] = (),
    label: str | None = None,
    max_length: int = 0,
    device: str = "auto",
    precision: str = "auto",
) -> EvaluationResult:
    """Score a model on a file of tagged words and keep scores and entities as a run.

    Args:
        text, label: the columns; by default those of the training, or the usual ones.
        max_length: in tokens; 0 for the model's context.

    Raises:
        BadModel: the model does not tag words.
        MbertError: the file cannot be read.
    """
    task = task_of_words(source, path, text, label)
    tagger = Tagger(source, max_length=max_length, device=device, precision=precision)
    part = read_sentences(task.splits[SPLIT], task.text, task.label)
    words = tagger.tokenize(part.all)
    found = entities_of(part, decide_tags(tagger.logits(words), tagger.tags))
    scores = score_entities(task.metrics, SPLIT, truth_of(part), found)
    cut = unseen_notes(SPLIT, words, tagger.max_length)
    scores = scores.with_values(notes=(*scores.notes, *cut, *_seen_notes(source, task, part, found)))
    report = check_sentences(task, {SPLIT: part}, {SPLIT: words.tokens.full}, max_length=tagger.max_length)
    unknown = _unknown_labels(part, tagger.tags)
    with store.new_run(f"eval-{Path(task.name).name}-{Path(source.name).name}") as folder:
        write_jsonl(folder / "scores.jsonl", entity_rows(SPLIT, part, found))
        write_run(
            folder, _record(task, tagger, scores, StoredReport.model_validate(report.as_dict()), unknown)
        )
    return EvaluationResult(folder.name, task.name, source.name, (scores,), (*unknown, *part.notes))


def task_of_words(source: ModelSource, path: Path, text: tuple[str, ...], label: str | None) -> TokenTask:
    """Return the task of a file; its columns are the training's where the file has them."""
    rows, tags = read_rows(path), tags_in(source)
    record = record_of(source)
    kept = record.data if record else None
    if kept and not (text or label) and {*kept.text, kept.label} <= rows.columns.keys():
        columns = kept.text[0], kept.label
    else:
        columns = columns_of(rows, text, label)
    return TokenTask(
        name=own_name(path),
        summary=f"own data from {path}",
        text=columns[0],
        label=columns[1],
        labels=tags,
        splits={SPLIT: rows},
        path=path,
    )


def _unknown_labels(part: Sentences, tags: Sequence[str]) -> tuple[str, ...]:
    """Say which labels the model does not know: their entities are missed."""
    known = {tag.partition("-")[2] for tag in tags if tag != OUTSIDE}
    if missed := sorted(set(labels_in(part)) - known):
        return (f"the model does not know {', '.join(missed)}: such entities count as missed",)
    return ()


def _seen_notes(source: ModelSource, task: TokenTask, part: Sentences, found: Entities) -> tuple[str, ...]:
    """Say how many sentences a run was trained on, and what the others score."""
    seen_N = were_seen(source.run / TRAINED_TEXTS, part.texts) if source.run else None
    if seen_N is None or not seen_N.any():
        return ()
    told = f"{TRAINED_ON}: {seen_N.sum()} of {len(seen_N)} sentences were trained on"
    if seen_N.all():
        return (f"{told}: this is no test",)
    others = np.flatnonzero(~seen_N).tolist()
    truth = truth_of(part.take(others))
    new = score_entities(task.metrics, SPLIT, truth, [found[i] for i in others]).main
    return (f"{told}; the other {len(others)} have {new.metric} {new.value:.4f} "
            f"({interval_text(new.low, new.high)})",)  # fmt: skip


def _record(
    task: TokenTask, tagger: Tagger, scores: SplitScores, report: StoredReport, notes: tuple[str, ...]
) -> EvaluateRecord:
    source, rows = tagger.source, task.splits[SPLIT]
    split = Split(
        rows=len(rows),
        found_in=str(task.path.absolute()),
        revision="fingerprint only",
        fingerprint=rows.fingerprint((task.text, task.label)),
    )
    return EvaluateRecord(
        kind="evaluate",
        status="finished",
        created=now(),
        task=task.record(),
        model=source.record(),
        seed=source.training.seed if source.training else None,
        config=ScoringSettings(max_length=tagger.max_length),
        data=Data(splits={SPLIT: split}, text=(task.text,), label=task.label, report=report),
        machine=StoredMachine.model_validate(asdict(tagger.machine)),
        results=(scores,),
        notes=notes,
        hardware=describe_hardware(),
        versions=versions(),
    )
