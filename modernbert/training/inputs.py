"""Everything a run needs before its first step: task, data, model, settings; checked, nothing written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modernbert.data.batching import BatchPlan
from modernbert.data.check import DataReport, check_data
from modernbert.data.examples import Examples, to_examples
from modernbert.data.own import OwnData, is_own_data, own_task
from modernbert.data.registry import find_task
from modernbert.data.sources import LoadedSplit, bundle_folder, load_split
from modernbert.data.task import Kind, Task
from modernbert.data.tokens import TokenLengths, Tokens, auto_max_length, measure, tokenize
from modernbert.errors import BadOption, UnknownName
from modernbert.model.device import MAX_TOKENS, Machine, choose_machine
from modernbert.model.loading import context_length, load_config, load_tokenizer
from modernbert.model.locate import ModelSource, locate_model
from modernbert.model.packing import PackedBatch, pack
from modernbert.runs import RunStore
from modernbert.training.config import TrainingConfig
from modernbert.training.recipes import Recipe, find_recipe


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user asked for; stored with the run, so that it can be resumed.

    Attributes:
        target: a task's name, a file, a folder, or a Hub data set.
        model: alias, run, folder or Hub id.
        recipe: `default` or `paper`.
        settings: values of `TrainingConfig` that override the recipe's.
        init_from: a run, or a task (`mnli`) whose newest finished run of this model to start from.
        data_dir: the bundle folder.
        limit: train on this many rows only (the first of a fixed shuffle); 0 for all.
    """

    target: str
    model: str
    recipe: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    init_from: str | None = None
    data_dir: str | None = None
    validation: str | None = None
    test: str | None = None
    text: tuple[str, ...] = ()
    label: str | None = None
    kind: Kind | None = None
    device: str = "auto"
    precision: str = "auto"
    limit: int = 0
    name: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain data; `from_dict` reads it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Request:
        """Read a stored request back."""
        return cls(**{**values, "text": tuple(values["text"])})


@dataclass(frozen=True)
class Dataset:
    """Tokenised examples, as the loop and the evaluation take them."""

    tokens: Tokens
    examples: Examples
    plan: BatchPlan

    def batch(self, indices: np.ndarray) -> tuple[PackedBatch, torch.Tensor]:
        """Return the examples at `indices` and their labels."""
        assert self.examples.labels is not None
        return pack(self.tokens, indices), torch.from_numpy(self.examples.labels[indices])


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A checked request, ready to train."""

    request: Request
    task: Task
    source: ModelSource
    start: ModelSource
    tokenizer: Any
    recipe: Recipe
    config: TrainingConfig
    loaded: dict[str, LoadedSplit]
    examples: dict[str, Examples]
    report: DataReport
    machine: Machine
    notes: tuple[str, ...]


def resolve_task(request: Request) -> tuple[Task, list[str]]:
    """Return the named task, or one made of the user's own data, and what to tell about it."""
    own = OwnData(
        path=request.target,
        validation=Path(request.validation) if request.validation else None,
        test=Path(request.test) if request.test else None,
        text=request.text,
        label=request.label,
        kind=request.kind,
    )
    if is_own_data(request.target):
        return own_task(own)
    try:
        task = find_task(request.target)
    except UnknownName:
        family = request.target.split("/")[0]
        if request.target.count("/") != 1 or _is_family(family):
            raise
        return own_task(own)
    given = [n for n in ("validation", "test", "text", "label", "kind") if getattr(request, n)]
    if given:
        raise BadOption(f"{task.name} fixes its own data; --{given[0]} is for files of your own")
    if task.trains_on:
        return find_task(task.trains_on), [f"{task.name} has no training data: training on {task.trains_on}"]
    return task, []


def _is_family(name: str) -> bool:
    from modernbert.data.registry import families

    return name in families()


def prepare(request: Request, store: RunStore) -> Inputs:
    """Find and check everything a run needs. Raises an MbertError for the first thing that is wrong."""
    data_dir = bundle_folder(Path(request.data_dir) if request.data_dir else None)
    task, notes = resolve_task(request)
    source = locate_model(request.model, store=store, data_dir=data_dir)
    loaded = load_training_splits(task, data_dir)
    examples = {name: to_examples(task, split.rows) for name, split in loaded.items()}
    if request.limit:
        examples[task.train] = _limited(task, examples[task.train], request.limit)
        notes.append(f"training on {len(examples[task.train])} rows only (--limit)")
    recipe, config = resolve_settings(request, task, source, train_rows=len(examples[task.train]))
    start = find_start(request, recipe, source, store)
    if start is not source:
        notes.append(f"starting from {start.found_in}")
    tokenizer = load_tokenizer(source)
    lengths = {name: measure(tokenizer, part.texts) for name, part in examples.items()}
    config = with_max_length(config, lengths[task.train], context_length(load_config(source)))
    machine = choose_machine(request.device, request.precision)
    config = dataclasses.replace(config, max_tokens=config.max_tokens or MAX_TOKENS[machine.device])
    report = check_data(task, examples, lengths=lengths, max_length=config.max_length)
    return Inputs(
        request=request,
        task=task,
        source=source,
        start=start,
        tokenizer=tokenizer,
        recipe=recipe,
        config=config,
        loaded=loaded,
        examples=examples,
        report=report,
        machine=machine,
        notes=tuple(notes),
    )


def load_training_splits(task: Task, data_dir: Path | None) -> dict[str, LoadedSplit]:
    """Load the training split and every held-out split whose labels are known."""
    return {name: load_split(task, name, data_dir) for name in (task.train, *task.scored_splits)}


def _limited(task: Task, examples: Examples, limit: int) -> Examples:
    order = np.random.default_rng(0).permutation(len(examples))[:limit]
    return to_examples(task, examples.rows.take(sorted(order.tolist())))


def resolve_settings(
    request: Request, task: Task, source: ModelSource, *, train_rows: int
) -> tuple[Recipe, TrainingConfig]:
    """Return the recipe and the settings after every override."""
    recipe = find_recipe(
        request.recipe,
        task=task.name,
        model=source.base.name if source.base else source.name,
        family=source.family,
        lora=bool(request.settings.get("lora", False)),
        train_rows=train_rows,
    )
    config = TrainingConfig().with_values(recipe.settings, source=f"recipe {recipe.name}")
    return recipe, config.with_values(request.settings, source="settings")


def find_start(request: Request, recipe: Recipe, source: ModelSource, store: RunStore) -> ModelSource:
    """Return the checkpoint to start from: the model itself, or the run that --init-from or the recipe names.

    Raises:
        BadOption: no finished run of that task with this model exists.
    """
    wanted = request.init_from or recipe.init_from
    data_dir = Path(request.data_dir) if request.data_dir else None
    if wanted is None or wanted == "none":
        return source
    if store.has(wanted):
        return locate_model(wanted, store=store, data_dir=data_dir)
    task = wanted if "/" in wanted else f"glue/{wanted}"
    matching = [name for name in store.names() if _is_run_of(store, name, task, request.model)]
    if not matching:
        raise BadOption(
            f"this starts from a model fine-tuned on {task}, "
            f"and no finished run of {request.model} on it exists",
            fix=f"Train one: mbert finetune {task} --model {request.model} --recipe {request.recipe}\n"
            "or start from the bare model: --init-from none (the score is then another protocol's)",
        )
    seed = request.settings.get("seed", 42)
    newest = max(matching, key=lambda name: (store.read(name)["seed"] == seed, store.read(name)["created"]))
    return locate_model(newest, store=store, data_dir=data_dir)


def _is_run_of(store: RunStore, name: str, task: str, model: str) -> bool:
    run = store.read(name)
    same = run["task"]["name"] == task and run["model"]["name"] == model
    return bool(same and run["status"] == "finished" and run["kind"] == "finetune")


def with_max_length(config: TrainingConfig, lengths: TokenLengths, context: int) -> TrainingConfig:
    """Fill in an automatic maximum length. Raises BadOption when it exceeds the model's context."""
    if config.max_length > context:
        raise BadOption(
            f"max_length {config.max_length} exceeds the model's context of {context} tokens",
            fix="Use --max-length auto, or a model with a longer context (`mbert models`).",
        )
    if config.max_length:
        return config
    return dataclasses.replace(config, max_length=auto_max_length(lengths, context))


def make_dataset(inputs: Inputs, split: str) -> Dataset:
    """Tokenise one split."""
    examples = inputs.examples[split]
    tokens = tokenize(inputs.tokenizer, examples.texts, inputs.config.max_length)
    plan = BatchPlan(tokens.lengths, inputs.config.batch_size, inputs.config.seed)
    return Dataset(tokens, examples, plan)
