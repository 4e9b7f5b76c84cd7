"""Learning from a teacher: its probabilities of the training texts beside their labels.

Shape suffixes: N texts, C labels, D what is learnt of a text: its label or labels, then C logits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from modernbert.activity import phase
from modernbert.data.cells import as_number
from modernbert.data.examples import Examples, require_columns
from modernbert.data.sources import bundle_folder
from modernbert.data.task import Kind, Task
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.evaluate import Scorer, trained_length
from modernbert.evaluation.kept_logits import KeptLogits
from modernbert.evaluation.predict import decide
from modernbert.evaluation.scoring import require_numbers
from modernbert.evaluation.seen import TRAINED_TEXTS, were_seen
from modernbert.evaluation.trained_task import task_of_run
from modernbert.kept import kept_folder
from modernbert.model.locate import ModelSource, locate_model
from modernbert.places import make_folder, own_cache
from modernbert.runs import RunStore, read_run
from modernbert.settings.distillation import DistillationConfig
from modernbert.training.inputs import Request
from modernbert.training.objectives import Count, Loss, binary_cross_entropy, cross_entropy
from modernbert.wording import counted, percent

# Instead of a teacher's name: its probabilities are columns of the file, named as `mbert predict` does.
COLUMNS, PREFIX = "columns", "probability_"
# Texts between two points where a stopped teacher goes on.
CHUNK = 512
# A probability of 0 has no logarithm.
LEAST = 1e-7
# How far from 1 a row's probabilities may sum to: they are written with six digits.
ROUNDING = 0.01


@dataclass(frozen=True)
class Teacher:
    """What a teacher says of the training texts.

    Attributes:
        about: which teacher it is, for the run's record.
        logits_NC: in the order of the task's labels.
        settings: how much it counts.
        agrees: the share of the training labels that are its answers too (of several labels, each counts).
        notes: what a reader of the scores should know.
    """

    about: Mapping[str, Any]
    logits_NC: np.ndarray
    settings: DistillationConfig
    agrees: float
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        share, temperature = self.settings.weight, self.settings.temperature
        return (
            f"{self.about['name']}, which gives {percent(self.agrees)} of the training labels; "
            f"{share:g} of the loss, at temperature {temperature:g}"
        )

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return each text's label (or labels) and then the teacher's logits, float32 of shape (N, D)."""
        own = labels.reshape(len(labels), -1)
        return np.concatenate([own, self.logits_NC], axis=1).astype(np.float32)

    def loss(self, kind: Kind) -> Loss:
        """Return the loss of such targets."""
        return distillation_loss(kind, self.settings.weight, self.settings.temperature)


def distillation_loss(kind: Kind, weight: float, temperature: float) -> Loss:
    """Return (1 - w) * hard + w * T^2 * KL(teacher at T, student at T), as Hinton et al. 2015 have it.

    The hard loss is that of the labels alone. T^2 keeps the gradients of the soft one as large at any T. Of
    several labels a text, each is a distribution over yes and no.

    Args:
        kind: one label a text, or several.
        weight: w, above 0 and at most 1.
        temperature: T, what both sides' logits are divided by.
    """

    def single(logits_NC: torch.Tensor, targets_ND: torch.Tensor) -> tuple[torch.Tensor, Count]:
        student_NC, teacher_NC = logits_NC.float() / temperature, targets_ND[:, 1:] / temperature
        hard, count = cross_entropy(logits_NC, targets_ND[:, 0].long())
        soft = F.kl_div(
            student_NC.log_softmax(1), teacher_NC.log_softmax(1), reduction="sum", log_target=True
        )
        return (1 - weight) * hard + weight * temperature**2 * soft, count

    def several(logits_NC: torch.Tensor, targets_ND: torch.Tensor) -> tuple[torch.Tensor, Count]:
        labels_NC, teacher_NC = targets_ND.chunk(2, dim=1)
        hard, count = binary_cross_entropy(logits_NC, labels_NC)
        share_NC = (teacher_NC / temperature).sigmoid()
        cross, _ = binary_cross_entropy(logits_NC.float() / temperature, share_NC)
        entropy, _ = binary_cross_entropy(teacher_NC / temperature, share_NC)
        return (1 - weight) * hard + weight * temperature**2 * (cross - entropy), count

    assert kind != "regression", "numbers have no probabilities"
    return single if kind == "single_label" else several


def find_teacher(
    task: Task,
    settings: DistillationConfig,
    examples: Mapping[str, Examples],
    request: Request,
    store: RunStore,
) -> Teacher | None:
    """Return what a teacher says of the training texts; None where none was asked for.

    What a model says is kept in mbert's cache, so that seeds and resumed runs ask it once.

    Args:
        examples: of each split; the teacher reads the training one.
        request: says where models are looked for, and on what the teacher runs.

    Raises:
        BadOption: numbers are predicted; or the model reads another number of texts.
        BadModel: the model has other labels.
        BadData: the columns are missing or hold no probabilities.
    """
    if not settings.teacher:
        return None
    if task.kind == "regression":
        raise BadOption(f"--teacher needs labels with probabilities, and {task.name} predicts numbers")
    train = examples[task.train]
    if settings.teacher == COLUMNS:
        logits_NC = logits_of_columns(task, train)
        digest = hashlib.sha256(logits_NC.tobytes()).hexdigest()
        about: dict[str, Any] = {"name": f"columns {PREFIX}...", "logits": digest}
        return Teacher(about, logits_NC, settings, _agreement(task, train, logits_NC))
    data_dir = bundle_folder(Path(request.data_dir) if request.data_dir else None)
    source = locate_model(settings.teacher, store=store, data_dir=data_dir)
    _require_texts(task, source)
    machine = {"device": request.device, "precision": request.precision}
    scorer = Scorer(source, task, max_length=trained_length(source), **machine)
    logits_NC = _kept_logits(scorer, train)
    about = {"name": source.name, "weights": _weights(source)}
    notes = tuple(_leaks(task, source, examples))
    return Teacher(about, logits_NC, settings, _agreement(task, train, logits_NC), notes)


def logits_of_columns(task: Task, examples: Examples) -> np.ndarray:
    """Return logits that give the probabilities in a file's columns, shape (N, C).

    Raises:
        BadData: a label has no column, or a cell is no probability, or a text's do not sum to 1.
    """
    rows, names = examples.rows, [PREFIX + label for label in task.labels]
    require_columns(rows, names)
    shares_NC = np.zeros((len(rows), len(names)))
    for c, name in enumerate(names):
        for i, cell in enumerate(rows.columns[name]):
            share = as_number(cell)
            if share is None or not 0 <= share <= 1:
                raise BadData(f"column '{name}' holds {str(cell)[:40]!r} where a probability is expected",
                              where=rows.where(i))  # fmt: skip
            shares_NC[i, c] = share
    if task.kind == "multi_label":
        shares_NC = shares_NC.clip(LEAST, 1 - LEAST)
        return np.asarray(np.log(shares_NC / (1 - shares_NC)), np.float32)
    sums_N = shares_NC.sum(axis=1)
    if (wrong_N := abs(sums_N - 1) > ROUNDING).any():
        i = int(wrong_N.argmax())
        raise BadData(f"the teacher's probabilities sum to {sums_N[i]:.3f}, not to 1", where=rows.where(i))
    return np.asarray(np.log(shares_NC.clip(LEAST)), np.float32)


def _require_texts(task: Task, source: ModelSource) -> None:
    """Raise BadOption when a run reads pairs where the task has single texts, or the reverse."""
    if source.run and len(task_of_run(read_run(source.run)).text) != len(task.text):
        kinds = {1: "one text", 2: "pairs of texts"}
        other = kinds[3 - len(task.text)]
        raise BadOption(
            f"the teacher {source.name} reads {other}, and {task.name} has {kinds[len(task.text)]}"
        )


def _weights(source: ModelSource) -> list[str]:
    """Return what says which weights answer: of adapters, also those that they lie on."""
    return [source.weights, *([source.base.weights] if source.base else [])]


def _kept_logits(scorer: Scorer, examples: Examples) -> np.ndarray:
    """Return a model's logits of the texts, from the cache where it has read them before."""
    texts = hashlib.sha256(json.dumps(examples.texts).encode()).hexdigest()
    machine = scorer.machine
    made_from = {
        "weights": _weights(scorer.source),
        "labels": scorer.task.labels,
        "order": scorer.order,
        "max_length": scorer.max_length,
        "machine": [machine.device, machine.precision],
        "texts": texts,
    }
    key = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:32]
    folder = own_cache() / "teachers" / key
    make_folder(folder.parent)

    def make(temporary: Path) -> None:
        reading = phase("the teacher reads the training texts", len(examples), "texts")
        with reading as now, KeptLogits(folder, made_from) as kept:
            parts = []
            for start in range(0, len(examples), CHUNK):
                chunk = examples.texts[start : start + CHUNK]
                parts.append(_logits(scorer, chunk, kept))
                now.advance(len(chunk))
            np.save(temporary / "logits.npy", np.concatenate(parts))

    kept_folder(folder, make)
    return np.asarray(np.load(folder / "logits.npy", allow_pickle=False))


def _logits(scorer: Scorer, texts: list[tuple[str, ...]], kept: KeptLogits) -> np.ndarray:
    if (found := kept.next(len(texts))) is not None:
        return found[0]
    logits_NC = scorer.logits(texts)
    require_numbers("the teacher's answers", logits_NC)
    kept.add(logits_NC, 0)
    return logits_NC


def _agreement(task: Task, examples: Examples, logits_NC: np.ndarray) -> float:
    assert examples.labels is not None
    return float((decide(logits_NC, task.kind) == examples.labels).mean())


def _leaks(task: Task, source: ModelSource, examples: Mapping[str, Examples]) -> Iterator[str]:
    """Say so where the teacher was trained on texts that the student is scored on."""
    for split in task.scored_splits:
        texts = examples[split].texts
        seen_N = were_seen(source.run / TRAINED_TEXTS, texts) if source.run else None
        if seen_N is not None and seen_N.any():
            of = f"{seen_N.sum():,} of {counted(len(texts), 'text')} of '{split}'"
            known = "what it knows of their labels may reach the scores"
            yield f"the teacher {source.name} was trained on {of}: {known}"
