"""Score a trained model on a task's held-out data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.data.check import check_data
from modernbert.data.examples import Examples, to_examples
from modernbert.data.rows import Rows
from modernbert.data.sources import LoadedSplit, load_split
from modernbert.data.task import FileData, Task
from modernbert.data.tokens import PairTokens, TokenLengths, Tokens, auto_max_length
from modernbert.errors import BadOption, BadRun
from modernbert.evaluation.predict import logits_of
from modernbert.evaluation.runner import Begun
from modernbert.evaluation.scoring import example_rows, score_split
from modernbert.evaluation.seen import TRAINED_TEXTS, seen_notes, were_seen
from modernbert.evaluation.thresholds import tuned_thresholds
from modernbert.evaluation.trained_task import as_trained
from modernbert.evaluation.workers import ready_runner
from modernbert.files import write_jsonl
from modernbert.model.device import Machine, describe_hardware
from modernbert.model.encoder import PackedClassifier
from modernbert.model.exported import machine_for
from modernbert.model.labels import label_notes, label_order
from modernbert.model.loading import context_length, load_config, load_tokenizer, load_trained
from modernbert.model.locate import ModelSource, record_of
from modernbert.model.similarity import (
    PackedSimilarity,
    apart_settings,
    count_tokens,
    is_similarity,
    load_similarity,
    read_texts,
)
from modernbert.reading import read_lines
from modernbert.records.data import Data, StoredReport
from modernbert.records.record import EvaluateRecord, RunRecord, TrainingRecord, now
from modernbert.records.scores import SplitScores
from modernbert.records.settings import ScoringSettings
from modernbert.records.training import StoredMachine
from modernbert.runs import RunStore, read_run, write_run
from modernbert.version import versions


@dataclass(frozen=True)
class EvaluationResult:
    """The scores of an evaluation, and the run that keeps them."""

    name: str
    task: str
    model: str
    splits: tuple[SplitScores, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "splits": [split.as_dict() for split in self.splits]}


class Scorer:
    """A trained model with its tokenizer, device and maximum length, ready to give logits."""

    def __init__(
        self,
        source: ModelSource,
        task: Task,
        *,
        max_length: int = 0,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        """Load the model. Raises BadModel when it has no head for the task; `max_length` 0 is automatic."""
        self.source, self.task = source, task
        self.order = label_order(source, task)
        self.tokenizer = load_tokenizer(source)
        self.apart = apart_settings(source) if is_similarity(source) else None
        self.context = context_length(load_config(source))
        if max_length > self.context:
            raise BadOption(f"max_length {max_length} exceeds the model's context of {self.context} tokens")
        self.max_length = max_length
        self.truncated = 0
        self.machine: Machine = machine_for(source, device, precision)
        self.runner, _ = ready_runner(source, self.machine, partial(_load, source, task))

    def logits(self, texts: list[tuple[str, ...]]) -> np.ndarray:
        """Return logits of shape (N, C), in the order of the task's labels.

        Texts are cut at `max_length`, or at the model's context.

        `truncated` counts the texts that were cut.
        """
        return self.finish(self.begin(texts))

    def begin(self, texts: list[tuple[str, ...]]) -> Begun:
        """Tokenise texts; other processes, if there are any, begin to run the model."""
        return self.runner.begin(self.tokens_of(texts))

    def finish(self, begun: Begun) -> np.ndarray:
        """Return the logits of texts that were begun, as `logits`."""
        self.truncated += int((begun.tokens.full.lengths > self.length).sum())
        return logits_of(begun)[:, self.order]

    @property
    def length(self) -> int:
        """How many tokens of a text are read."""
        return self.max_length or self.context

    def tokens_of(self, texts: list[tuple[str, ...]]) -> Tokens | PairTokens:
        """Return texts as the model reads them."""
        return read_texts(self.tokenizer, texts, self.length, self.apart)

    def run(self, tokens: Tokens | PairTokens) -> np.ndarray:
        """Return the logits of tokenised texts, shape (N, C), in the order of the task's labels."""
        return logits_of(self.runner.begin(tokens))[:, self.order]

    def lengths(self, texts: list[tuple[str, ...]]) -> TokenLengths:
        """Count the tokens of texts as the model reads them, without truncation."""
        return count_tokens(self.tokenizer, texts, self.apart)


def _load(source: ModelSource, task: Task) -> PackedClassifier | PackedSimilarity:
    return load_similarity(source) if is_similarity(source) else PackedClassifier(load_trained(source, task))


def splits_to_score(task: Task, asked: str | None) -> tuple[str, ...]:
    """Return the splits to score. Raises BadOption for hidden labels, saying what to do instead."""
    splits = (asked,) if asked else task.scored_splits
    hidden = [split for split in splits if split in task.hidden]
    if hidden or not splits:
        shown = hidden[0] if hidden else ", ".join(task.test)
        raise BadOption(
            f"the labels of {task.name} ({shown}) are hidden: only the benchmark's own server can score them",
            fix=("Score the validation split, or write" if task.scored_splits else "Write")
            + f" the files to send in: mbert eval {task.name} --model MODEL --submit DIR",
        )
    return splits


def evaluate_model(
    task: Task,
    source: ModelSource,
    store: RunStore,
    *,
    split: str | None = None,
    data_dir: Path | None = None,
    max_length: int = 0,
    device: str = "auto",
    precision: str = "auto",
) -> EvaluationResult:
    """Score a model on the task's held-out splits and keep scores and per-example rows as a run.

    Raises:
        BadOption: the labels asked for are hidden.
        BadModel: the model has no head for this task.
        MbertError: the data cannot be had or read.
    """
    task = as_trained(task, source)
    wanted = splits_to_score(task, split)
    loaded = {name: load_split(task, name, data_dir) for name in wanted}
    examples = {name: to_examples(task, part.rows) for name, part in loaded.items()}
    scorer = Scorer(source, task, max_length=max_length, device=device, precision=precision)
    lengths = {name: scorer.lengths(part.texts) for name, part in examples.items()}
    if not scorer.max_length:
        scorer.max_length = trained_length(source) or auto_max_length(lengths[wanted[0]], scorer.context)
    report = check_data(task, examples, lengths=lengths, max_length=scorer.max_length)
    logits = {name: scorer.logits(part.texts) for name, part in examples.items()}
    splits = tuple(_scored(task, source, name, examples[name], logits[name]) for name in wanted)
    rows = (r for n in wanted for r in example_rows(task, n, examples[n], logits[n]))
    with store.new_run(f"eval-{task.short_name}-{Path(source.name).name}") as folder:
        write_jsonl(folder / "scores.jsonl", rows)
        write_run(folder, _record(task, scorer, loaded, splits, report.as_dict()))
    notes = (*label_notes(source, task), *_cluster_notes(source, task), *report.warnings)
    return EvaluationResult(folder.name, task.name, source.name, splits, notes)


def _scored(
    task: Task, source: ModelSource, split: str, examples: Examples, logits: np.ndarray
) -> SplitScores:
    """Score a split; say which of its texts a run was trained on, and whether they chose its step."""
    scores = score_split(task, split, examples, logits)
    if source.run is None:
        return scores
    told = seen_notes(source.run / TRAINED_TEXTS, task, split, examples, logits)
    return scores.with_values(notes=(*scores.notes, *told, *_chosen_notes(source, task, examples)))


def _chosen_notes(source: ModelSource, task: Task, examples: Examples) -> Iterator[str]:
    """Say so where a run chose its step, or its labels' thresholds, on these very examples.

    They may be those of a file that the run was not trained on: it held them out itself.
    """
    training, columns, rows = source.training, (*task.text, task.label), examples.rows
    if training is None or source.run is None:
        return
    seen_N = were_seen(source.run / TRAINED_TEXTS, examples.texts)
    held_out = rows if seen_N is None else rows.take(np.flatnonzero(~seen_N).tolist())
    record = read_run(source.run)
    first = _scored_by(source.run, record, rows)
    chose = [part for part in (rows, held_out, first) if part.fingerprint(columns) == training.chosen_on]
    if not chose:
        return
    are_all = len(chose[0]) == len(rows)
    thresholds = tuned_thresholds(record)
    chosen = ["the step that is kept"] if training.config.evaluation.keep == "best" else []
    chosen += [thresholds] if thresholds else []
    if chosen:
        others = "the others" if len(chose[0]) == len(held_out) else f"{len(chose[0])} of the others"
        which = "these very examples: the" if are_all else f"{others}, which it held out: their"
        yield f"the run chose {' and '.join(chosen)} on {which} scores are slightly optimistic"


def _scored_by(run: Path, record: RunRecord, rows: Rows) -> Rows:
    """Return the rows with the numbers of those that chose a run's step, which may be others' numbers."""
    path = run / "scores.jsonl"
    if not path.is_file():
        return rows
    split = record.results[0].split
    ids = {row["id"] for _, row in read_lines(path, BadRun, what="the run's scores")}
    return rows.take([i for i, number in enumerate(rows.numbers) if f"{split}/{number}" in ids])


def _cluster_notes(source: ModelSource, task: Task) -> Iterator[str]:
    """Say so where a run's rows belonged together and those of this file do not say whether they do."""
    record = record_of(source)
    column = record.data.cluster if record else ""
    if column and not task.cluster and isinstance(task.source, FileData):
        yield f"no column '{column}' here, by which the run was clustered: each row stands for itself"


def trained_length(source: ModelSource) -> int:
    """Return the maximum length that a run was trained with; 0 for other models."""
    record = record_of(source)
    return record.config.data.max_length if isinstance(record, TrainingRecord) else 0


def _record(
    task: Task, scorer: Scorer, loaded: dict[str, LoadedSplit], splits: tuple[SplitScores, ...], report: Any
) -> EvaluateRecord:
    training = scorer.source.training
    return EvaluateRecord(
        kind="evaluate",
        status="finished",
        created=now(),
        task=task.record(),
        model=scorer.source.record(),
        seed=training.seed if training else None,
        config=ScoringSettings(max_length=scorer.max_length),
        data=Data(
            cluster=task.cluster,
            splits={name: part.record(task) for name, part in loaded.items()},
            report=StoredReport.model_validate(report),
        ),
        thresholds=dict(zip(task.labels, task.thresholds, strict=False)),
        temperature=task.temperature,
        machine=StoredMachine.model_validate(asdict(scorer.machine)),
        results=splits,
        notes=tuple(label_notes(scorer.source, task)),
        hardware=describe_hardware(),
        versions=versions(),
    )
