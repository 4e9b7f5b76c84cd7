"""What a training is carried out with: its settings after every override, its first weights, its machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modernbert.errors import BadOption
from modernbert.model.device import MAX_TOKENS, Machine, choose_machine
from modernbert.model.locate import ModelSource, locate_model
from modernbert.records.record import FinetuneRecord, RunRecord
from modernbert.runs import RunStore
from modernbert.settings.config import RetrievalTrainingConfig, TokenTrainingConfig, TrainingConfig
from modernbert.training.inputs import Request
from modernbert.training.recipes import Recipe, find_recipe

PLAIN = TrainingConfig()


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Recipe and settings after every override, and the checkpoint to start from."""

    recipe: Recipe
    config: TrainingConfig
    start: ModelSource
    machine: Machine


def set_up(
    request: Request,
    task: str,
    source: ModelSource,
    store: RunStore,
    *,
    train_rows: int,
    base: TrainingConfig = PLAIN,
    bi_encoder: bool = False,
) -> tuple[Setup, list[str]]:
    """Resolve a request's settings; also return what to tell about them."""
    recipe, config = resolve_settings(
        request, task, source, train_rows=train_rows, base=base, bi_encoder=bi_encoder
    )
    start, left_out = find_start(request, recipe, source, store)
    if config.model.random_weights and start is not source:
        raise BadOption(
            f"--random-weights cannot start from {start.name}",
            fix="Add --init-from none, or leave --random-weights out.",
        )
    if config.lora.enabled and start.base is not None:
        raise BadOption(
            f"--lora cannot start from {start.name}: it consists of LoRA adapters itself",
            fix="Start from a run that trained all weights, or leave --lora out.",
        )
    machine = choose_machine(request.device, request.precision)
    config = config.with_values({"max_tokens": config.memory.max_tokens or MAX_TOKENS[machine.device]})
    notes = [*left_out] if start is source else [f"starting from {start.found_in}", *left_out]
    return Setup(recipe=recipe, config=config, start=start, machine=machine), notes


def resolve_settings(
    request: Request,
    task: str,
    source: ModelSource,
    *,
    train_rows: int,
    base: TrainingConfig,
    bi_encoder: bool = False,
) -> tuple[Recipe, TrainingConfig]:
    """Return the recipe and the settings after every override."""
    recipe = find_recipe(
        request.recipe,
        task=task,
        model=source.base.name if source.base else source.name,
        family=source.family,
        lora=bool(request.settings.get("lora", False)),
        train_rows=train_rows,
        retrieval=isinstance(base, RetrievalTrainingConfig),
        tagging=isinstance(base, TokenTrainingConfig),
        bi_encoder=bi_encoder,
    )
    config = base.with_values(recipe.settings, source=f"recipe {recipe.name}")
    return recipe, config.with_values(request.settings, source=request.target)


def find_start(
    request: Request, recipe: Recipe, source: ModelSource, store: RunStore
) -> tuple[ModelSource, list[str]]:
    """Return the checkpoint to start from: the model itself, or the run that --init-from or the recipe names.

    Also return what to tell about it: damaged runs are left out.

    Raises BadOption when no finished run of that task with this model exists.
    """
    wanted = request.init_from or recipe.init_from
    data_dir = Path(request.data_dir) if request.data_dir else None
    if wanted is None or wanted == "none":
        return source, []
    if store.has(wanted):
        return locate_model(wanted, store=store, data_dir=data_dir), []
    task = wanted if "/" in wanted else f"glue/{wanted}"
    found = store.survey()
    matching = [name for name, run in found.records.items() if _is_run_of(run, task, request.model)]
    if not matching:
        fix = [
            f"Train one: mbert finetune {task} --model {request.model} --recipe {request.recipe}",
            "or start from the bare model: --init-from none (the score is then another protocol's)",
        ]
        raise BadOption(
            f"this starts from a model fine-tuned on {task}, "
            f"and no finished run of {request.model} on it exists",
            fix="\n".join([*fix, *found.notes()]),
        )
    seed, runs = request.settings.get("seed", 42), found.records
    newest = max(matching, key=lambda name: (runs[name].seed == seed, runs[name].created))
    return locate_model(newest, store=store, data_dir=data_dir), found.notes()


def _is_run_of(run: RunRecord, task: str, model: str) -> bool:
    if not isinstance(run, FinetuneRecord) or run.status != "finished":
        return False
    pretrained = not run.config.model.random_weights
    return (run.task.name, run.model.name) == (task, model) and pretrained
