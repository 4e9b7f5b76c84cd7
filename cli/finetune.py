"""`mbert finetune` and `mbert resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from modernbert.ranges import Range
from modernbert.training.config import RetrievalConfig

from . import options, values
from .settings import with_settings
from .studies import show_study

# How many seeds one command runs.
SEEDS = Range(1, 1_000)


@with_settings(RetrievalConfig)
def finetune(
    targets: Annotated[
        list[str],
        options.argument(
            "TARGETS...", values.name, "Task (glue/sst2), family (glue), file, folder or Hub data set."
        ),
    ],
    settings: dict[str, Any],
    model: options.Model = "modernbert-base",
    init_from: Annotated[
        str | None,
        options.option(
            "--init-from",
            values.name,
            "Start from a run, or from the newest run of a task (mnli); or none.",
            options.MODEL,
        ),
    ] = None,
    validation: options.Validation = None,
    test: options.Test = None,
    text_col: options.TextCol = None,
    label_col: options.LabelCol = None,
    cluster: options.Cluster = None,
    kind: options.Kind = None,
    limit: Annotated[
        int,
        options.option(
            "--limit",
            values.whole(Range(0, 10**12)),
            "Train on this many rows only; 0 for all.",
            options.DATA,
        ),
    ] = 0,
    data_dir: options.DataDir = None,
    name: Annotated[
        str | None,
        options.option(
            "--name", values.run_name, "Name of the run, or prefix if there are several.", options.OUTPUT
        ),
    ] = None,
    seeds: Annotated[
        int, options.option("--seeds", values.whole(SEEDS), "Number of seeds to run.", options.OUTPUT)
    ] = 1,
    recipe: Annotated[
        str,
        options.option(
            "--recipe",
            values.one_of("default", "paper"),
            "default, or paper (the ModernBERT paper's settings).",
            options.OUTPUT,
        ),
    ] = "default",
    config: options.Config = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
) -> None:
    """Fine-tune a model on a task or on your own data, score it and keep the run."""
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
        cluster=cluster,
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


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path else None
