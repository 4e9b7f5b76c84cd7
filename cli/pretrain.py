"""`mbert pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modernbert.ranges import Range
from modernbert.training.config import PretrainingConfig, read_settings

from . import options, values
from .options import setting
from .studies import show_study

RECIPES = ("default", "extension", "paper", "paper-extension", "paper-decay")
# Bytes, special tokens, and some words.
VOCABULARY = Range(512, 1_000_000, zero=True)


def pretrain(
    files: Annotated[
        list[Path],
        options.argument(
            "FILES...", values.place, "Text and code files, tables with a column `text`, or folders."
        ),
    ],
    model: options.Model = "modernbert-base",
    from_scratch: Annotated[
        str | None,
        options.option(
            "--from-scratch",
            values.name,
            "Random weights: nano, bert-nano, base, large, or a path to a config.json.",
        ),
    ] = None,
    vocabulary: Annotated[
        int,
        options.option(
            "--vocabulary",
            values.whole(VOCABULARY),
            "With --from-scratch: learn a vocabulary of this size; 0 takes --model's.",
        ),
    ] = 0,
    recipe: Annotated[
        str,
        options.option(
            "--recipe",
            values.one_of(*RECIPES),
            "default, extension (8,192 tokens), paper, paper-extension or paper-decay.",
        ),
    ] = RECIPES[0],
    config: options.Config = None,
    epochs: Annotated[
        float | None, setting("--epochs", "Passes over the corpus; 0.1 is a tenth.", PretrainingConfig)
    ] = None,
    batch_size: Annotated[int | None, setting("--batch-size", "Rows of --max-length tokens a step.")] = None,
    learning_rate: Annotated[float | None, setting("--learning-rate --lr", "Peak rate.")] = None,
    max_length: Annotated[int | None, setting("--max-length", "Tokens of a row.", PretrainingConfig)] = None,
    max_tokens: Annotated[int | None, setting("--max-tokens", "Tokens in memory at once.")] = None,
    rotary_base: Annotated[
        float | None, setting("--rotary-base", "Theta of ModernBERT's global layers.", PretrainingConfig)
    ] = None,
    mask: Annotated[
        float | None, setting("--mask", "Share of tokens that are hidden.", PretrainingConfig)
    ] = None,
    held_out: Annotated[
        float | None, setting("--held-out", "Share of texts kept for evaluation.", PretrainingConfig)
    ] = None,
    eval_every: Annotated[int | None, setting("--eval-every", "Steps between evaluations.")] = None,
    recompute: Annotated[
        bool | None, typer.Option("--recompute", help="Layers are computed again in the backward pass.")
    ] = None,
    checkpoint_minutes: Annotated[
        float | None, setting("--checkpoint-minutes", "Time between checkpoints.")
    ] = None,
    seed: Annotated[int | None, setting("--seed", "Of weights, order and masks.")] = None,
    name: Annotated[str | None, options.option("--name", values.run_name, "Name of the run.")] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Train a masked-language model on your own text and code: further, or from scratch."""
    from modernbert.pretraining.inputs import PretrainingRequest
    from modernbert.runs import RunStore
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
