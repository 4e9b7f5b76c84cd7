"""Which model a result is of, and what a comparison calls it.

Two results are of one model, and may be seeds of each other, when their ids are equal. Names are for readers
alone: nothing is ever told from a printed name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from modernbert.records.settings import Settings
from modernbert.records.training import Model, TrainingFacts
from modernbert.settings.config import every_setting

# What a model is called whose training was not that of all weights of the checkpoint as it came.
LORA, RANDOM = "lora", "random"
LORA_SETTINGS = {s.name for s in every_setting().values() if s.section == "lora"}
TEACHER_SETTINGS = {s.name for s in every_setting().values() if s.section == "distillation"}
METHOD_SETTINGS = LORA_SETTINGS | TEACHER_SETTINGS | {"random_weights"}
# What an encoder that was trained to retrieve is called, by its head; as it came, it has its own name alone.
HEADS = {"tokens": "late interaction", "reranker": "reranker"}
TRAINED = "trained"
BM25 = "bm25"
T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class ModelId:
    """One model, or one system that a model is part of.

    Attributes:
        name: of the checkpoint: a short name, a Hub id, the last part of a folder, a run; `bm25 (english)`.
        weights: which weights the name stood for: a revision, a version or a checksum of the files.
        method: `lora`, `random` (weights drawn anew), or nothing; then `taught by` a teacher, if one was.
        head: what training made of an encoder that retrieves, or nothing.
        start: the training that came before its own, if one did: task, recipe and method.
        trained_on: the task, where it was trained on another than it was scored on.
        as_it_comes: a classifier that was scored as its checkpoint is, not trained here.
        passages: tokens of the passages that documents were cut into; 0 for whole documents.
        fused: the keyword search that its ranking was fused with, if any.
        reranker: what read its best documents again, if anything did.
        run: set where a run stands for itself, not for one seed of its model.
        under: conditions that it was measured under, where one comparison has it under several.
        folder: where the weights lay, for readers.
    """

    name: str
    weights: str = ""
    method: str = ""
    head: str = ""
    start: str = ""
    trained_on: str = ""
    as_it_comes: bool = False
    passages: int = 0
    fused: str = ""
    reranker: ModelId | None = None
    run: str = ""
    under: str = ""
    folder: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.called()

    def called(self, *details: str) -> str:
        """Return the name, with what must be told besides in brackets."""
        said = " ".join(filter(None, (self.name, self.head, self.method)))
        said += " + bm25" if self.fused else ""
        said += f" > {self.reranker}" if self.reranker else ""
        told = [
            *([f"trained on {self.trained_on}"] if self.trained_on else []),
            *(["as it comes"] if self.as_it_comes else []),
            *([f"passages of {self.passages}"] if self.passages else []),
            *filter(None, (self.run, self.under, *details)),
        ]
        return f"{said} ({', '.join(told)})" if told else said

    @property
    def as_published(self) -> str:
        """The name under which papers report it; empty for what was trained or put together otherwise."""
        plain = ModelId(self.name, self.weights, head=self.head, start=self.start, run=self.run)
        return self.name if self == plain and self.head in ("", TRAINED) else ""


def names_of(found: Collection[tuple[str, ModelId]]) -> dict[tuple[str, ModelId], str]:
    """Return what each (task, model) is called: short, and told apart from any other that is called alike.

    What a task brings with it (the training before its own, how its texts are read for keywords) is told only
    where one task has both: a model is the same one on all tasks. Runs of one model, and nothing else, are
    called by their own names.
    """
    if runs_of_one_model([one for _, one in found]):
        return {(task, one): one.run for task, one in found}
    alike: dict[str, list[ModelId]] = {}
    for one in dict.fromkeys(_on_any_task(one) for _, one in found):
        alike.setdefault(str(one), []).append(one)
    details = {one: told for group in alike.values() for one, told in tell_apart(group, EVERYWHERE).items()}
    names: dict[tuple[str, ModelId], str] = {}
    for task in {task for task, _ in found}:
        here: dict[ModelId, list[ModelId]] = {}
        for one in dict.fromkeys(one for other, one in found if other == task):
            here.setdefault(_on_any_task(one), []).append(one)
        for general, group in here.items():
            for one, told in tell_apart(group, ON_ONE_TASK).items():
                names[task, one] = one.called(*told, *details[general])
    return names


def runs_of_one_model(models: Collection[ModelId]) -> str:
    """Return the name of the model that all of these are runs of, and several; empty if they are not."""
    general = {replace(_on_any_task(one), run="") for one in models}
    several = len({one.run for one in models}) > 1 and all(one.run for one in models)
    return str(next(iter(general))) if len(general) == 1 and several else ""


def _on_any_task(one: ModelId) -> ModelId:
    return replace(one, start="", fused=one.fused and BM25)


def family_of(one: ModelId) -> ModelId:
    """Return what a model is on all tasks alike, whatever it is called there: BM25 is one by any analyser."""
    general = _on_any_task(one)
    return replace(general, name=BM25) if is_named(one.name, BM25) else general


# What two models of one name may differ in, the most telling first.
ON_ONE_TASK: tuple[Callable[[ModelId], str], ...] = (
    lambda one: f"from {one.start}" if one.start else "",
    lambda one: f"with {one.fused}" if one.fused else "",
)
EVERYWHERE: tuple[Callable[[ModelId], str], ...] = (
    lambda one: Path(one.folder).parent.name,
    lambda one: _shown_weights(one),
    lambda one: _shown_weights(one.reranker) if one.reranker else "",
    lambda one: f"method {one.method or 'full'}, head {one.head or 'none'}",
    lambda one: one.weights,
)


def tell_apart(group: Sequence[T], kinds: Sequence[Callable[[T], str]]) -> dict[T, tuple[str, ...]]:
    """Return as few details of each as tell the members of a group apart."""
    found: dict[T, tuple[str, ...]] = {one: () for one in group}
    for tell in kinds:
        tried = {one: (*told, tell(one)) for one, told in found.items()}
        if len(set(tried.values())) > len(set(found.values())):
            found = tried
    return found


def _shown_weights(one: ModelId) -> str:
    is_checksum = re.fullmatch("[0-9a-f]{16,}", one.weights)
    return f"revision {one.weights[:8] if is_checksum else one.weights}" if one.weights else ""


def is_named(model: str, name: str) -> bool:
    """Does `name` mean the model that is called `model`? `bm25` means `bm25 (english)` too."""
    return model == name or model.startswith(f"{name} (")


def known_as(model: Model) -> str:
    """Return what a record's model is called: of a folder, its last part."""
    name = model.name
    return Path(name).name if _is_folder(model) else name


def _is_folder(model: Model) -> bool:
    return Path(model.name).is_absolute() or model.found_in.startswith("folder ")


def method_of(config: Settings) -> str:
    """Return what of a training's settings makes another model of its checkpoint."""
    method = LORA if config.lora.enabled else RANDOM if config.model.random_weights else ""
    taught = f"taught by {Path(config.teacher).name}" if config.teacher else ""
    return " ".join(filter(None, (method, taught)))


def model_id(model: Model, training: TrainingFacts | None, task: str, start: str) -> ModelId:
    """Return the id of a record's model.

    Args:
        model: the record's entry of it.
        training: how it was trained, if it was .
        task: what it was scored on.
        start: what its training started from, where that was another training.
    """
    loaded = training.model if training else model
    folder = loaded.folder if _is_folder(loaded) else ""
    own = ModelId(known_as(loaded), _weights(loaded), folder=folder)
    if training is None:
        return own
    usual = TRAINED if training.kind == "retrieval" else ""
    return ModelId(
        own.name,
        own.weights,
        method=method_of(training.config),
        head=HEADS.get(training.config.head, usual),
        start=start,
        trained_on=training.task if training.task != task else "",
        folder=folder,
    )


def _weights(model: Model) -> str:
    """Return which weights were loaded; older records of a folder know its path alone."""
    if model.weights:
        return model.weights
    return model.folder or model.revision if model.revision == "local folder" else model.revision
