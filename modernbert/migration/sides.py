"""Both models with their labels in one order, and what they say of each text.

Shape suffixes: N texts, C labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from modernbert.data.task import Task
from modernbert.errors import BadModel
from modernbert.evaluation.evaluate import Scorer, trained_length
from modernbert.evaluation.predict import decide, probabilities
from modernbert.evaluation.predict_rows import task_of_texts
from modernbert.evaluation.scoring import require_numbers
from modernbert.model.labels import head_of, label_order
from modernbert.model.locate import ModelSource


@dataclass(frozen=True)
class Side:
    """One model's answers.

    Attributes:
        name: the model's.
        task: its labels in the common order, with its own thresholds.
        shares_NC: probabilities.
        answers_N: places of the labels that it gives.
        truncated: how many texts were longer than it reads.
        max_length: how many tokens it reads.
    """

    name: str
    task: Task
    shares_NC: np.ndarray
    answers_N: np.ndarray
    truncated: int
    max_length: int

    @property
    def confidence_N(self) -> np.ndarray:
        """The probability of each answer."""
        return np.asarray(self.shares_NC[np.arange(len(self.answers_N)), self.answers_N])


def common_tasks(old: ModelSource, new: ModelSource, columns: tuple[str, ...]) -> tuple[Task, Task]:
    """Return both models' tasks with OLD's labels in OLD's order (NEW's, where OLD's have no names).

    Raises:
        BadModel: they predict other labels, several a text, or numbers.
        BadOption: they read another number of texts.
    """
    tasks = [task_of_texts(source, columns) for source in (old, new)]
    for source, task in zip((old, new), tasks, strict=True):
        if task.kind != "single_label":
            raise BadModel(f"{source.name} is of kind {task.kind}: mbert migrate compares classifiers that "
                           "give one label a text", fix="Compare such runs with mbert compare.")  # fmt: skip
    named = [source.labels is not None or head_of(source).is_named for source in (old, new)]
    first = tasks[1] if named[1] and not named[0] else tasks[0]
    return _in_order(old, tasks[0], first), _in_order(new, tasks[1], first)


def _in_order(source: ModelSource, own: Task, common: Task) -> Task:
    """Return a model's task in the common order of labels, with its own thresholds and temperature."""
    order = label_order(source, replace(common, name=f"the other model ({common.name})"))
    thresholds = tuple(own.thresholds[i] for i in order) if own.thresholds else ()
    return replace(
        common, thresholds=thresholds, temperature=own.temperature, positive=common.positive, text=own.text
    )


def load_side(source: ModelSource, task: Task, *, device: str, precision: str) -> Scorer:
    """Load a model as it would run in production: it reads as much of a text as it was trained on."""
    return Scorer(source, task, max_length=trained_length(source), device=device, precision=precision)


def ask(scorer: Scorer, texts: list[tuple[str, ...]]) -> Side:
    """Return what a model says of texts. Raises BadModel where that is no number."""
    logits_NC = scorer.logits(texts)
    require_numbers(scorer.source.name, logits_NC)
    task = scorer.task
    return Side(
        name=scorer.source.name,
        task=task,
        shares_NC=probabilities(logits_NC, task.kind),
        answers_N=decide(logits_NC, task.kind, task.thresholds),
        truncated=scorer.truncated,
        max_length=scorer.max_length or scorer.context,
    )
