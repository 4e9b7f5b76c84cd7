"""What training on labelled texts needs before its first step: rows, labels, lengths, how pairs are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modernbert.data.check import DataReport, check_data
from modernbert.data.examples import Examples, to_examples
from modernbert.data.sources import LoadedSplit, bundle_folder, labelled_data
from modernbert.data.task import FileData, Task
from modernbert.errors import BadOption
from modernbert.model.embedding import EmbeddingSettings, embedding_settings
from modernbert.model.loading import context_length, load_config, load_tokenizer
from modernbert.model.locate import ModelSource, locate_model
from modernbert.model.similarity import apart_settings, count_tokens
from modernbert.records.data import Data, StoredReport
from modernbert.runs import RunStore
from modernbert.settings.config import TrainingConfig
from modernbert.training.class_weights import class_weights
from modernbert.training.inputs import Inputs, Request, limited, with_max_length
from modernbert.training.resolve import load_training_splits, resolve_task
from modernbert.training.scale import Scale
from modernbert.training.setup import Setup, set_up
from modernbert.training.soft_labels import Teacher, find_teacher
from modernbert.wording import counted, percent, truncated_text

# Labels whose weights are shown before training; a run keeps all.
SHOWN = 10
APART = (
    "a vector for each text; the number is fitted to their cosine (--pair-encoder cross reads both at once)"
)


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
        return self.target if self.task.standardised or self.apart else None

    @property
    def apart(self) -> EmbeddingSettings | None:
        """How each text of a pair becomes a vector of its own; None where a model reads both at once."""
        return apart_settings(self.start) if self.config.pair.encoder == "bi" else None

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
            **({"pairs": APART} if self.apart else {}),
            **({"teacher": str(self.teacher)} if self.teacher else {}),
            "tokens per text": f"median {longest['p50']}, 95 % up to {longest['p95']}, "
            f"longest {longest['max']}; {truncated_text(cut, self.config.data.max_length)}",
        }

    def _classes(self) -> dict[str, str]:
        """Return the positive class and the classes' weights, where there are such."""
        told = {}
        if self.task.is_binary:
            labels, name = self.examples[self.task.train].labels, self.task.labels[self.task.positive_index]
            assert labels is not None
            share = float((labels == self.task.positive_index).mean())
            told["positive class"] = f"{name}, {percent(share)} of the training rows (other: --positive)"
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
        """A classifier, which may be a regression; or what compares two vectors."""
        return "similarity" if self.apart else "classifier"


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
    settings, more = set_up(
        request, task.name, source, store, train_rows=len(train), bi_encoder=suits_vectors(task, source)
    )
    assert train.labels is not None
    apart = _apart(task, settings)
    more += _pair_notes(task, source, settings.config)
    weights = class_weights(task, settings.config.classes.weights, train.labels)
    teacher = find_teacher(task, settings.config.distillation, examples, request, store)
    tokenizer = load_tokenizer(source)
    lengths = {name: count_tokens(tokenizer, part.texts, apart) for name, part in examples.items()}
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


def suits_vectors(task: Task, source: ModelSource) -> bool:
    """Is it asked how alike two texts are, of a model whose vectors were made to say that?"""
    return task.similarity and _makes_vectors(source)


def _makes_vectors(source: ModelSource) -> bool:
    return source.labels is None and embedding_settings(source).tuned


def _pair_notes(task: Task, source: ModelSource, config: TrainingConfig) -> list[str]:
    """Name the other way to read a user's own pairs, where the model's vectors may say it better."""
    own = isinstance(task.source, FileData) and task.kind == "regression" and len(task.text) == 2
    if not own or config.pair.encoder == "bi" or not _makes_vectors(source):
        return []
    name = source.public_name
    return [
        f"if {task.label} says how alike two texts are, try --pair-encoder bi: {name} was made for vectors"
    ]


def _apart(task: Task, settings: Setup) -> EmbeddingSettings | None:
    """Return how texts of a pair become vectors, if they are to. Raises BadOption for other data."""
    if settings.config.pair.encoder == "cross":
        return None
    if task.kind != "regression" or len(task.text) != 2:
        raise BadOption(
            f"--pair-encoder bi applies only to pairs of texts that get a number; {task.name} has "
            f"{'pairs of texts that get a label' if len(task.text) == 2 else 'one text a row'}",
            fix="Leave it out.",
        )
    return apart_settings(settings.start)
