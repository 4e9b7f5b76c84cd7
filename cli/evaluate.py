"""`mbert eval`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modernbert.errors import BadOption
from modernbert.evaluation.shown import interval_text
from modernbert.ranges import LENGTHS
from modernbert.wording import TRAINED_ON, counted

from . import complete, options, output, values
from .early import check_columns, check_model
from .progress import watch, with_verbose
from .scores import show_scores
from .together import shared_out

if TYPE_CHECKING:
    from modernbert.data.retrieval_task import RetrievalTask
    from modernbert.evaluation.embed import Estimate
    from modernbert.evaluation.evaluate import EvaluationResult
    from modernbert.evaluation.retrieval_record import RetrievalResult

# What retrieval is evaluated with when no model is named: the catalogue's ModernBERT that was made for it.
FOR_RETRIEVAL = "gte-modernbert-base"
# Seconds from which on it is said how long an evaluation will take.
WORTH_TELLING = 20
# What names columns: of own files alone.
OF_OWN_FILES = ("text_col", "label_col", "cluster")


@with_verbose
def evaluate(
    context: typer.Context,
    target: Annotated[
        str,
        options.argument(
            "TARGET",
            values.name,
            "Task (glue/sst2, codesearch), a labelled file, or a collection's folder.",
            options.TASKS,
        ),
    ],
    model: options.MaybeModel = None,
    split: Annotated[
        str | None,
        options.option(
            "--split",
            values.name,
            "Split to score (default: all with known labels).",
            options.DATA,
            offers=[complete.splits],
        ),
    ] = None,
    submit: Annotated[
        Path | None,
        options.option(
            "--submit",
            values.folder,
            "Write a submission to the GLUE server into this folder instead.",
            options.OUTPUT,
            applies_to=options.LABELS_ALONE,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    protocol: Annotated[
        str,
        options.option(
            "--protocol",
            values.one_of("mteb", "coir"),
            "Protocol: mteb (title and text), or coir (text alone, 512 tokens).",
            options.SEARCH,
            applies_to=options.RETRIEVAL_ALONE,
        ),
    ] = "mteb",
    analyser: Annotated[
        str | None,
        options.option(
            "--analyser",
            values.one_of("english", "code"),
            "How BM25 splits texts into words: english or code (default: recognised).",
            options.SEARCH,
            applies_to=options.RETRIEVAL_ALONE,
        ),
    ] = None,
    passages: Annotated[
        int,
        options.option(
            "--passages",
            values.whole(LENGTHS),
            "Split documents into passages of this many tokens and score the best; 0 for whole documents.",
            options.SEARCH,
            applies_to=options.RETRIEVAL_ALONE,
        ),
    ] = 0,
    rerank: Annotated[
        str | None,
        options.option(
            "--rerank",
            values.name,
            "Cross-encoder that reranks the best documents.",
            options.SEARCH,
            offers=options.MODELS,
            applies_to=options.RETRIEVAL_ALONE,
        ),
    ] = None,
    via: Annotated[
        str | None,
        options.option(
            "--via",
            values.one_of("mteb"),
            "Check the scores against the package mteb.",
            options.SEARCH,
            applies_to=options.RETRIEVAL_ALONE,
        ),
    ] = None,
    ignore_identical_ids: Annotated[
        bool,
        options.flag(
            "--ignore-identical-ids",
            "Leave out a document with the query's id (default: as the task says).",
            options.SEARCH,
            applies_to=options.RETRIEVAL_ALONE,
        ),
    ] = False,
    keep_identical_ids: Annotated[
        bool,
        options.flag(
            "--keep-identical-ids",
            "Rank a document with the query's id too.",
            options.SEARCH,
            applies_to=options.RETRIEVAL_ALONE,
        ),
    ] = False,
    no_cache: Annotated[
        bool,
        options.flag(
            "--no-cache",
            "Do not keep the vectors of the documents.",
            options.SEARCH,
            applies_to=options.RETRIEVAL_ALONE,
        ),
    ] = False,
    max_length: options.MaxLength = None,
    text_col: options.TextCol = None,
    label_col: options.LabelCol = None,
    cluster: options.Cluster = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    processes: options.Processes = 1,
    json: options.Json = False,
) -> None:
    """Score a model on held-out data, or on a collection for retrieval; the scores are kept as a run."""
    from modernbert.data.targets import resolve

    options.require_output(overwrite, "--submit", submit)
    named = resolve(target, hub=False)
    check_model(model, runs_dir)
    check_model(rerank if named.is_retrieval else None, runs_dir)
    check_columns(target, (*(text_col or ()), label_col, cluster))
    with watch(quiet=json), shared_out(processes):
        from modernbert.evaluation.evaluate import evaluate_model
        from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks, retrieval_tasks
        from modernbert.evaluation.submission import write_submission
        from modernbert.evaluation.tagging import evaluate_tagger
        from modernbert.evaluation.trained_task import task_to_score
        from modernbert.evaluation.vectors import VectorCache
        from modernbert.model.locate import locate_model
        from modernbert.model.tagger import is_tagger
        from modernbert.runs import RunStore

        store = RunStore.at(runs_dir)
        common: dict[str, Any] = {"data_dir": data_dir, "device": device, "precision": precision}
        length = max_length or 0
        show: Callable[[], None]
        if tasks := retrieval_tasks(target):
            options.require_applicable(context, evaluate, target, options.RETRIEVAL_ALONE)
            if passages and length:
                said = "--passages and --max-length exclude each other"
                raise BadOption(said, fix="Leave one of them out.")
            if ignore_identical_ids and keep_identical_ids:
                said = "--ignore-identical-ids and --keep-identical-ids exclude each other"
                raise BadOption(said, fix="Leave one of them out.")
            source = locate_model(model or FOR_RETRIEVAL, store=store, data_dir=data_dir)
            search = SearchOptions(
                protocol=protocol,
                analyser=analyser,
                max_length=length,
                passages=passages,
                cache=None if no_cache else VectorCache.default(),
                via_mteb=via == "mteb",
                ignore_identical=True if ignore_identical_ids else False if keep_identical_ids else None,
                rerank=locate_model(rerank, store=store, data_dir=data_dir) if rerank else None,
            )
            found = evaluate_tasks(tasks, source, store, search, on_start=_tell_time, split=split, **common)
            show = partial(show_retrievals, tasks, found, as_json=json)
        else:
            options.require_applicable(context, evaluate, target, options.LABELS_ALONE)
            task = None if named.is_own else named.labelled_task()
            if model is None:
                raise BadOption("which model? Give one that was fine-tuned", fix="Give --model RUN.")
            source = locate_model(model, store=store, data_dir=data_dir)
            if task is not None:
                why = f"applies only to your own files, and {target} has columns of its own"
                options.refuse(context, OF_OWN_FILES, why)
            columns: dict[str, Any] = {"text": tuple(text_col or ()), "label": label_col}
            if task is None and (named.form == "tagged" or is_tagger(source)):
                options.refuse(context, ("split", "submit", "cluster"), "has no effect on tagged words")
                columns |= {"device": device, "precision": precision, "max_length": length}
                result = evaluate_tagger(source, Path(target), store, **columns)
                return show_evaluation(result, as_json=json)
            if task is None:
                task = task_to_score(source, Path(target), cluster=cluster, **columns)
            if submit:
                options.refuse(context, ("split", "max_length"), "has no effect with --submit")
                written = write_submission(task, source, submit, overwrite=overwrite, **common)
                show = partial(_show_submission, written, as_json=json)
            else:
                result = evaluate_model(task, source, store, split=split, max_length=length, **common)
                show = partial(show_evaluation, result, as_json=json)
    show()


def _tell_time(task: str, estimate: Estimate) -> None:
    if estimate.seconds > WORTH_TELLING:
        output.print_line(f"{task}: {estimate}", error=True)


def _show_submission(written: Sequence[Path], *, as_json: bool) -> None:
    if as_json:
        return output.print_json({"files": [str(path) for path in written]})
    output.print_line("written: " + ", ".join(map(str, written)))


def show_retrievals(
    tasks: Sequence[RetrievalTask], results: Sequence[RetrievalResult], *, as_json: bool
) -> None:
    """Print the scores on every collection, and their means over a family."""
    from modernbert.evaluation.averages import averages

    means = averages(tasks, results)
    if as_json:
        found = {"results": [r.as_dict() for r in results], "averages": [vars(mean) for mean in means]}
        return output.print_json(found)
    for result in results:
        show_retrieval(result)
    for mean in means:
        for system, value in mean.by_system.items():
            output.print_line(f"{mean}, {system}: {value:.4f}", style="bold")


def show_retrieval(result: RetrievalResult) -> None:
    """Print every system's scores: the main one with its interval, the others beside it."""
    names = [score.metric for score in result.systems[0].ranking.scores]
    rows = []
    for system in result.systems:
        main, *others = system.ranking.scores
        rows.append(
            (
                system.system,
                f"{main.value:.4f}",
                interval_text(main.low, main.high),
                *(f"{score.value:.4f}" for score in others),
                system.note,
            )
        )
    queries = counted(result.systems[0].ranking.main.n, "query", "queries")
    title = f"{result.task} ({result.split}, {queries}, {result.protocol.name})  ({result.name})"
    columns = ("system", names[0], "95 % interval", *names[1:], "note")
    output.print_table(title, columns, rows, right=names, optional=("note",))
    for note in result.notes:
        output.print_note(note)


def show_evaluation(result: EvaluationResult, *, as_json: bool) -> None:
    """Print the scores of an evaluation."""
    if as_json:
        return output.print_json(result.as_dict())
    notes = (*result.notes, *(note for s in result.splits for note in s.notes))
    # What a score says nothing of is told before it is read.
    for note in (note for note in notes if TRAINED_ON in note):
        output.print_warning(note)
    show_scores(f"{result.model} on {result.task}  ({result.name})", result.splits)
    for note in (note for note in notes if TRAINED_ON not in note):
        output.print_note(note)
