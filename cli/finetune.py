"""`mbert finetune` and `mbert resume`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from modernbert.ranges import Range
from modernbert.settings.config import FineTuningConfig

from . import complete, options, values
from .early import check_columns, check_model, check_run_name
from .progress import Training, watch, with_verbose
from .settings import with_settings
from .studies import show_study
from .together import follow_if_launched, led

if TYPE_CHECKING:
    from modernbert.finetuning.study import StudyResult
    from modernbert.training.inputs import Request

# How many seeds one command runs.
SEEDS = Range(1, 1_000)
FOLDS = Range(2, 100, zero=True)


@with_verbose
@with_settings(FineTuningConfig)
def finetune(
    targets: Annotated[
        list[str],
        options.argument(
            "TARGETS...",
            values.name,
            "Tasks (glue/sst2), families (glue), files, folders or Hub data sets.",
            options.TASKS,
        ),
    ],
    settings: dict[str, Any],
    model: options.Model = "modernbert-base",
    init_from: Annotated[
        str | None,
        options.option(
            "--init-from",
            values.name,
            "Run to start from, or task whose newest run to start from (mnli), or none.",
            options.MODEL,
            offers=[complete.trained, complete.tasks, complete.words("none")],
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
            "Maximum number of training rows; 0 for all.",
            options.DATA,
        ),
    ] = 0,
    data_dir: options.DataDir = None,
    name: Annotated[
        str | None,
        options.option(
            "--name", values.run_name, "Name of the run; of several runs, their prefix.", options.RUN
        ),
    ] = None,
    seeds: Annotated[
        int, options.option("--seeds", values.whole(SEEDS), "Number of seeds, one run each.", options.RUN)
    ] = 1,
    folds: Annotated[
        int,
        options.option(
            "--folds",
            values.whole(FOLDS),
            "Cross-validation of the training rows: number of folds, one run for each; 0 for none.",
            options.RUN,
        ),
    ] = 0,
    tag: options.Tags = None,
    recipe: Annotated[
        str,
        options.option(
            "--recipe",
            values.one_of("default", "paper"),
            "Recommended settings: default, or paper (those of the ModernBERT paper).",
            options.RUN,
        ),
    ] = "default",
    config: options.Config = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    processes: options.Processes = 1,
) -> None:
    """Fine-tune a model on a task or on your own data, score it and keep the run."""
    follow_if_launched()
    from modernbert.data.targets import expand_targets

    for target in expand_targets(targets):
        check_columns(target, (*(text_col or ()), label_col, cluster))
    check_model(model, runs_dir)
    check_run_name(name, runs_dir)
    with watch(quiet=json) as watched:
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
            tags=tuple(dict.fromkeys(tag or ())),
        )
        with led(processes):
            result = _run(request, targets, seeds, folds, runs_dir, Training(watched))
    show_study(result, as_json=json)


def _run(
    request: Request, targets: list[str], seeds: int, folds: int, runs_dir: Path | None, shown: Training
) -> StudyResult:
    from modernbert.finetuning.finetune import finetune as run
    from modernbert.finetuning.study import Study, plan_study, run_study, summarize
    from modernbert.runs import RunStore

    store = RunStore.at(runs_dir)
    study = plan_study(request, targets, seeds, store, folds=folds)
    if len(study.jobs()) > 1:
        return run_study(request, study, store, on_start=shown.start, observe=shown.observe)
    request = dataclasses.replace(request, target=study.targets[0])
    done = run(request, store, on_start=shown.start, observe=shown.observe)
    return summarize(Study(done.name, study.targets, study.seeds), [done])


@with_verbose
def resume(
    name: Annotated[
        str, options.argument("NAME", values.name, "An interrupted run or study.", [complete.unfinished])
    ],
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
    processes: options.Processes = 1,
) -> None:
    """Continue an interrupted run, or the study that it belongs to, where it stopped."""
    follow_if_launched()
    with watch(quiet=json) as watched:
        from modernbert.finetuning.study import resume_any
        from modernbert.runs import RunStore

        shown = Training(watched)
        store = RunStore.at(runs_dir)
        with led(processes):
            result = resume_any(name, store, on_start=shown.start, observe=shown.observe)
    show_study(result, as_json=json)


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path else None
