"""What a classifier's outputs mean: the labels and the kind of task that its configuration names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from modernbert.data.task import Kind, Task
from modernbert.errors import BadModel
from modernbert.model.locate import ModelSource
from modernbert.model.pretrained import load_config
from modernbert.wording import one_line

# transformers' names for kinds of tasks.
PROBLEM_TYPES: dict[Kind, str] = {
    "single_label": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}
# What transformers calls labels that nobody named.
UNNAMED = re.compile(r"label[_ ]?\d+")


@dataclass(frozen=True)
class Head:
    """What a sequence classifier predicts; without labels, a number."""

    kind: Kind
    labels: tuple[str, ...]

    @property
    def is_named(self) -> bool:
        """Are the labels more than LABEL_0, LABEL_1?"""
        return not all(UNNAMED.fullmatch(label.lower()) for label in self.labels)

    def __str__(self) -> str:
        several = " (several a text)" if self.kind == "multi_label" else ""
        return ", ".join(self.labels) + several if self.labels else "a number"


def head_of(source: ModelSource, data: str = "DATA") -> Head:
    """Return what a classifier in transformers' layout predicts, from its `config.json`.

    Args:
        source: where it is.
        data: what it could be trained on if it is no classifier, for the message.

    Raises:
        BadModel: it is no sequence classifier, or its labels make no sense.
    """
    config = load_config(source.folder)
    made = ", ".join(config.architectures or ["nothing"])
    if not made.endswith("ForSequenceClassification"):
        fix = f"Train one: mbert finetune {data} --model {source.name}"
        raise BadModel(f"{source.name} has no head trained for labels: it is of kind {made}", fix=fix)
    kind = _kind(config, source)
    return Head(kind, () if kind == "regression" else _labels(config, source))


def _kind(config: Any, source: ModelSource) -> Kind:
    """Return the kind that the configuration names; without a name, one output is a number."""
    named = {name: kind for kind, name in PROBLEM_TYPES.items()}.get(config.problem_type)
    kind = named or ("regression" if config.num_labels == 1 else "single_label")
    if (kind == "regression") != (config.num_labels == 1) and kind != "multi_label":
        what = f"its config.json says {config.problem_type} with {config.num_labels} outputs"
        raise BadModel(what, where=str(source.folder), fix="mbert takes one number, or two classes and more.")
    return kind


def _labels(config: Any, source: ModelSource) -> tuple[str, ...]:
    labels = {int(number): str(name) for number, name in config.id2label.items()}
    if sorted(labels) != list(range(len(labels))) or len(set(labels.values())) < len(labels):
        what = "its config.json has an id2label that does not name each output once"
        raise BadModel(what, where=str(source.folder), fix="Mend id2label: 0 to one less than the outputs.")
    return tuple(labels[number] for number in range(len(labels)))


def label_order(source: ModelSource, task: Task) -> tuple[int, ...]:
    """Return the place of each of the task's labels among a model's outputs; labels go by their names.

    A model whose labels nobody named (LABEL_0, LABEL_1) has those of the task, in its order.

    Raises:
        BadModel: the model predicts something else.
    """
    head = head_of(source, task.name) if source.labels is None else Head(task.kind, source.labels)
    if not head.labels and not task.labels:
        return (0,)
    found = _order_of(head.labels, task.labels)
    if found is None and not head.is_named and len(head.labels) == len(task.labels):
        found = tuple(range(len(task.labels)))
    if found is None or head.kind != task.kind:
        raise BadModel(
            f"{source.name} predicts {head}, and {task.name} has {Head(task.kind, task.labels)}",
            fix=f"Train a model for it: mbert finetune {task.name} --model {source.name}",
        )
    return found


def has_labels_of(source: ModelSource, task: Task) -> bool:
    """Does a classifier predict a task's labels, in the task's order? Unnamed ones could be any."""
    return [*map(_folded, head_of(source).labels)] == [*map(_folded, task.labels)]


def label_notes(source: ModelSource, task: Task) -> tuple[str, ...]:
    """Say so where a model's outputs were taken to be the task's labels in its order."""
    if source.labels is not None or not task.labels or (head := head_of(source)).is_named:
        return ()
    return (f"the model's labels have no names ({head}): taken as {', '.join(task.labels)}, in this order",)


def spelt_as_in(head: Head, names: Collection[str]) -> tuple[str, ...]:
    """Return a model's labels in the spelling of a file's: `positive` for POSITIVE, 0 for LABEL_0."""
    if not head.is_named and all(name.isdecimal() and int(name) < len(head.labels) for name in names):
        return tuple(map(str, range(len(head.labels))))
    known = {_folded(name): name for name in names}
    spelt = tuple(name if name in names else known.get(_folded(name), name) for name in head.labels)
    return spelt if len(set(spelt)) == len(spelt) else head.labels


def _order_of(have: Sequence[str], wanted: Sequence[str]) -> tuple[int, ...] | None:
    """Return the place of each wanted label; None where the two do not hold the same names."""
    for key in (str, _folded):
        places = {key(name): place for place, name in enumerate(have)}
        found = [places[key(name)] for name in wanted if key(name) in places]
        if len(set(found)) == len(have) == len(wanted):
            return tuple(found)
    return None


def _folded(name: str) -> str:
    """Return a name without case, and with one blank for every `-`, `_` and run of blanks."""
    return one_line(re.sub(r"[-_]", " ", name)).casefold()
