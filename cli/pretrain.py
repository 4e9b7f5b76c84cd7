"""`mbert pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from modernbert.ranges import Range
from modernbert.settings.config import PretrainingConfig

from . import complete, options, values
from .early import check_model, check_run_name
from .progress import Training, watch, with_verbose
from .settings import with_settings
from .studies import show_study
from .together import follow_if_launched, led

RECIPES = ("default", "extension", "paper", "paper-extension", "paper-decay")
# Bytes, special tokens, and some words.
VOCABULARY = Range(512, 1_000_000, zero=True)


@with_verbose
@with_settings(PretrainingConfig)
def pretrain(
    files: Annotated[
        list[Path],
        options.argument(
            "FILES...", values.place, "Text and code files, tables with a column `text`, or folders."
        ),
    ],
    settings: dict[str, Any],
    model: options.Model = "modernbert-base",
    from_scratch: Annotated[
        str | None,
        options.option(
            "--from-scratch",
            values.name,
            "Architecture to initialise randomly: nano, bert-nano, base, large, or a config.json.",
            options.MODEL,
            offers=[complete.words("nano", "bert-nano", "base", "large")],
        ),
    ] = None,
    vocabulary: Annotated[
        int,
        options.option(
            "--vocabulary",
            values.whole(VOCABULARY),
            "With --from-scratch: size of a new vocabulary; 0 for that of --model.",
            options.MODEL,
        ),
    ] = 0,
    teacher: Annotated[
        str | None,
        options.option(
            "--teacher",
            values.name,
            "Also learn the vectors that this sentence encoder gives the texts (distillation).",
            options.MODEL,
            offers=options.MODELS,
        ),
    ] = None,
    recipe: Annotated[
        str,
        options.option(
            "--recipe",
            values.one_of(*RECIPES),
            "Recommended settings: default, extension (8,192 tokens), paper, paper-extension or paper-decay.",
            options.RUN,
        ),
    ] = RECIPES[0],
    config: options.Config = None,
    name: Annotated[
        str | None, options.option("--name", values.run_name, "Name of the run.", options.RUN)
    ] = None,
    tag: options.Tags = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    processes: options.Processes = 1,
) -> None:
    """Train a masked-language model on your own text and code: further, or from scratch."""
    follow_if_launched()
    check_model(model, runs_dir)
    check_run_name(name, runs_dir)
    check_model(teacher, runs_dir)
    with watch(quiet=json) as watched:
        from modernbert.finetuning.finetune import finetune
        from modernbert.finetuning.study import Study, summarize
        from modernbert.pretraining.inputs import PretrainingRequest
        from modernbert.runs import RunStore

        request = PretrainingRequest(
            target="pretraining",
            files=tuple(str(file.absolute()) for file in files),
            model=model,
            scratch=from_scratch,
            vocabulary=vocabulary,
            teacher=teacher,
            recipe=recipe,
            settings=settings,
            data_dir=str(data_dir.absolute()) if data_dir else None,
            device=device,
            precision=precision,
            name=name,
            tags=tuple(dict.fromkeys(tag or ())),
        )
        shown = Training(watched)
        with led(processes):
            done = finetune(request, RunStore.at(runs_dir), on_start=shown.start, observe=shown.observe)
        study = Study(done.name, ("pretraining",), (done.record.seed,))
        result = summarize(study, [done])
    show_study(result, as_json=json)
