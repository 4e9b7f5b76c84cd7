"""`mbert pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import options
from .finetune import show_study


def pretrain(
    files: Annotated[
        list[Path], typer.Argument(help="Text and code files, tables with a column `text`, or folders.")
    ],
    model: options.Model = "modernbert-base",
    from_scratch: Annotated[
        str | None,
        typer.Option(help="Random weights: nano, bert-nano, base, large, or a path to a config.json."),
    ] = None,
    vocabulary: Annotated[
        int, typer.Option(help="With --from-scratch: learn a vocabulary of this size; 0 takes --model's.")
    ] = 0,
    recipe: Annotated[
        str,
        typer.Option(help="default, extension (8,192 tokens), paper, paper-extension or paper-decay."),
    ] = "default",
    config: Annotated[Path | None, typer.Option(help="TOML file of settings; flags override it.")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the corpus; 0.1 is a tenth.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows of --max-length tokens a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", "--lr", help="Peak rate.")] = None,
    max_length: Annotated[int | None, typer.Option(help="Tokens of a row.")] = None,
    max_tokens: Annotated[int | None, typer.Option(help="Tokens in memory at once.")] = None,
    rotary_base: Annotated[float | None, typer.Option(help="Theta of ModernBERT's global layers.")] = None,
    mask: Annotated[float | None, typer.Option(help="Share of tokens that are hidden.")] = None,
    held_out: Annotated[float | None, typer.Option(help="Share of texts kept for evaluation.")] = None,
    eval_every: Annotated[int | None, typer.Option(help="Steps between evaluations.")] = None,
    recompute: Annotated[
        bool | None, typer.Option("--recompute", help="Layers are computed again in the backward pass.")
    ] = None,
    checkpoint_minutes: Annotated[float | None, typer.Option(help="Time between checkpoints.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of weights, order and masks.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run.")] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Train a masked-language model on your own text and code: further, or from scratch."""
    from modernbert.pretraining.inputs import PretrainingRequest
    from modernbert.runs import RunStore
    from modernbert.training.config import PretrainingConfig, read_settings
    from modernbert.training.finetune import finetune
    from modernbert.training.study import Study, summarize

    from .progress import Progress

    settings = read_settings(config) if config else {}
    PretrainingConfig().with_values(settings, source=str(config))
    flags = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "max_length": max_length,
        "max_tokens": max_tokens,
        "rotary_base": rotary_base,
        "mask": mask,
        "held_out": held_out,
        "eval_every": eval_every,
        "recompute": recompute,
        "checkpoint_minutes": checkpoint_minutes,
        "seed": seed,
    }
    request = PretrainingRequest(
        target="pretraining",
        files=tuple(str(file.absolute()) for file in files),
        model=model,
        scratch=from_scratch,
        vocabulary=vocabulary,
        recipe=recipe,
        settings=settings | {key: value for key, value in flags.items() if value is not None},
        data_dir=str(data_dir.absolute()) if data_dir else None,
        device=device,
        precision=precision,
        name=name,
    )
    with Progress(quiet=json) as progress:
        done = finetune(request, RunStore.at(runs_dir), on_start=progress.start, observe=progress.observe)
    study = Study(done.name, ("pretraining",), (done.record["seed"],))
    show_study(summarize(study, [done]), as_json=json)
