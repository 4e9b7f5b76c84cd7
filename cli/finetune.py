"""`mbert finetune` and `mbert resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from modernbert.errors import BadOption
from modernbert.ranges import Range
from modernbert.training.config import RetrievalConfig, read_settings, without_effect

from . import options, values
from .options import setting
from .studies import show_study

# How many seeds one command runs.
SEEDS = Range(1, 1_000)


def finetune(
    targets: Annotated[
        list[str],
        options.argument(
            "TARGETS...", values.name, "Task (glue/sst2), family (glue), file, folder or Hub data set."
        ),
    ],
    model: options.Model = "modernbert-base",
    recipe: Annotated[
        str,
        options.option(
            "--recipe",
            values.one_of("default", "paper"),
            "default, or paper (the ModernBERT paper's settings).",
        ),
    ] = "default",
    config: options.Config = None,
    epochs: Annotated[float | None, setting("--epochs", "Passes over the training data.")] = None,
    batch_size: Annotated[int | None, setting("--batch-size", "Examples per optimiser step.")] = None,
    learning_rate: Annotated[float | None, setting("--learning-rate --lr", "Peak rate.")] = None,
    weight_decay: Annotated[float | None, setting("--weight-decay", "In torch's convention.")] = None,
    optimizer: Annotated[str | None, setting("--optimizer", "adamw or stable_adamw.")] = None,
    schedule: Annotated[str | None, setting("--schedule", "linear, cosine or trapezoidal.")] = None,
    warmup: Annotated[float | None, setting("--warmup", "Share of all steps.")] = None,
    clip: Annotated[float | None, setting("--clip", "Largest gradient norm; 0 for none.")] = None,
    max_length: options.MaxLength = None,
    max_tokens: Annotated[int | None, setting("--max-tokens", "Tokens in memory at once.")] = None,
    eval_every: Annotated[
        int | None, setting("--eval-every", "Steps between evaluations; 0 for each epoch.")
    ] = None,
    patience: Annotated[
        int | None, setting("--patience", "Stop after this many evaluations without a better score.")
    ] = None,
    keep: Annotated[str | None, setting("--keep", "Weights to keep: best or last.")] = None,
    recompute: Annotated[
        bool | None, typer.Option("--recompute", help="Layers are computed again in the backward pass.")
    ] = None,
    compile: Annotated[
        bool | None, typer.Option("--compile", help="Use torch.compile; where it fails, go on without.")
    ] = None,
    checkpoint_minutes: Annotated[
        float | None, setting("--checkpoint-minutes", "Time between checkpoints.")
    ] = None,
    random_weights: Annotated[
        bool | None,
        typer.Option("--random-weights", help="Draw all weights anew: what is pretraining worth?"),
    ] = None,
    lora: Annotated[bool | None, typer.Option("--lora", help="Train low-rank adapters only.")] = None,
    lora_rank: Annotated[int | None, setting("--lora-rank", "Rank of the adapters.")] = None,
    lora_alpha: Annotated[
        float | None, setting("--lora-alpha", "Scale of the adapters times their rank.")
    ] = None,
    lora_targets: Annotated[
        str | None,
        setting("--lora-targets", "Linear layers, with commas; the architecture's preset by default."),
    ] = None,
    head: Annotated[
        str | None,
        setting("--head", "Retrieval: vectors, tokens (late interaction) or reranker.", RetrievalConfig),
    ] = None,
    loss: Annotated[
        str | None, setting("--loss", "Retrieval: contrastive, kl or margin.", RetrievalConfig)
    ] = None,
    temperature: Annotated[
        float | None, setting("--temperature", "Retrieval: divides the cosines.", RetrievalConfig)
    ] = None,
    hard_negatives: Annotated[
        int | None, setting("--hard-negatives", "Retrieval: negatives of each query.", RetrievalConfig)
    ] = None,
    mine: Annotated[
        bool | None, typer.Option("--mine", help="Retrieval: look for hard negatives first.")
    ] = None,
    dims: Annotated[
        str | None, setting("--dims", "Retrieval: Matryoshka sizes, with commas.", RetrievalConfig)
    ] = None,
    pooling: Annotated[str | None, setting("--pooling", "Retrieval: mean or cls.", RetrievalConfig)] = None,
    query_prompt: Annotated[
        str | None, setting("--query-prompt", "Retrieval: put before every query.", RetrievalConfig)
    ] = None,
    document_prompt: Annotated[
        str | None, setting("--document-prompt", "Retrieval: put before every document.", RetrievalConfig)
    ] = None,
    seed: Annotated[int | None, setting("--seed", "First seed.")] = None,
    seeds: Annotated[
        int, options.option("--seeds", values.whole(SEEDS), "How many seeds to run, one after another.")
    ] = 1,
    init_from: Annotated[
        str | None,
        options.option(
            "--init-from", values.name, "Start from a run, or from the newest run of a task (mnli); or none."
        ),
    ] = None,
    validation: options.Validation = None,
    test: options.Test = None,
    text_col: options.TextCol = None,
    label_col: options.LabelCol = None,
    kind: options.Kind = None,
    limit: Annotated[
        int,
        options.option("--limit", values.whole(Range(0, 10**12)), "Train on this many rows only; 0 for all."),
    ] = 0,
    name: Annotated[
        str | None, options.option("--name", values.run_name, "Name of the run; several add to it.")
    ] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Fine-tune a model on a task or on your own data, score it and keep the run."""
    settings = _settings(
        config,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        optimizer=optimizer,
        schedule=schedule,
        warmup=warmup,
        clip=clip,
        max_length=max_length,
        max_tokens=max_tokens,
        eval_every=eval_every,
        patience=patience,
        keep=keep,
        recompute=recompute,
        compile=compile,
        checkpoint_minutes=checkpoint_minutes,
        random_weights=random_weights,
        lora=lora,
        lora_rank=lora_rank,
        lora_alpha=lora_alpha,
        lora_targets=lora_targets,
        head=head,
        loss=loss,
        temperature=temperature,
        hard_negatives=hard_negatives,
        mine=mine,
        dims=dims,
        pooling=pooling,
        query_prompt=query_prompt,
        document_prompt=document_prompt,
        seed=seed,
    )
    from modernbert.data.registry import expand_targets

    expand_targets(targets)  # a wrong name is told before torch is imported, which takes seconds
    from modernbert.training.inputs import Request

    request = Request(
        target=targets[0],
        model=model,
        recipe=recipe,
        settings=settings,
        init_from=init_from,
        data_dir=_absolute(data_dir),
        validation=_absolute(validation),
        test=_absolute(test),
        text=tuple(text_col or ()),
        label=label_col,
        kind=kind,  # type: ignore[arg-type]
        device=device,
        precision=precision,
        limit=limit,
        name=name,
    )
    _start(request, targets, seeds, runs_dir, as_json=json)


def _start(request: Any, targets: list[str], seeds: int, runs_dir: Path | None, *, as_json: bool) -> None:
    from modernbert.runs import RunStore
    from modernbert.training.finetune import finetune as run
    from modernbert.training.study import Study, plan_study, run_study, summarize

    from .progress import Progress

    store = RunStore.at(runs_dir)
    study = plan_study(request, targets, seeds, store)
    with Progress(quiet=as_json) as progress:
        if len(study.jobs()) > 1:
            result = run_study(request, study, store, on_start=progress.start, observe=progress.observe)
        else:
            import dataclasses

            request = dataclasses.replace(request, target=study.targets[0])
            done = run(request, store, on_start=progress.start, observe=progress.observe)
            result = summarize(Study(done.name, study.targets, study.seeds), [done])
    show_study(result, as_json=as_json)


def resume(
    name: Annotated[str, options.argument("NAME", values.name, "An interrupted run, or a study of several.")],
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Go on with an interrupted run (or all runs it belongs to) where it stopped."""
    from modernbert.runs import RunStore
    from modernbert.training.study import resume_any

    from .progress import Progress

    with Progress(quiet=json) as progress:
        store = RunStore.at(runs_dir)
        result = resume_any(name, store, on_start=progress.start, observe=progress.observe)
    show_study(result, as_json=json)


def _settings(config: Path | None, **flags: Any) -> dict[str, Any]:
    """Return the settings of the TOML file, then those of the flags that were given."""
    settings = read_settings(config) if config else {}
    RetrievalConfig().with_values(settings, source=str(config))
    given = {name: value for name, value in flags.items() if value is not None}
    if why := without_effect(settings | given, given):
        raise BadOption(f"--{why.replace('_', '-')}")
    return settings | given


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path else None
