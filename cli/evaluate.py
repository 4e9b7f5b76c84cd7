"""`mbert eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from modernbert.errors import BadOption

from . import options, output
from .finetune import _length


def evaluate(
    target: Annotated[str, typer.Argument(help="Task (glue/sst2), or a labelled file of your own.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Run, alias, folder, or Hub id.")],
    split: Annotated[
        str | None, typer.Option(help="Split to score; all with known labels by default.")
    ] = None,
    submit: Annotated[
        Path | None, typer.Option(help="Write the benchmark's submission files into this folder instead.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="Retrieval: mteb (title and text) or coir.")] = "mteb",
    analyser: Annotated[str, typer.Option(help="Retrieval: how BM25 reads, english or code.")] = "english",
    max_length: options.MaxLength = None,
    text_col: options.TextCol = None,
    label_col: options.LabelCol = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Score a model on held-out data, or on a collection for retrieval; the scores are kept as a run."""
    from modernbert.data.collection import is_collection
    from modernbert.data.own import is_own_data
    from modernbert.data.registry import find_task
    from modernbert.evaluation.evaluate import evaluate_model, write_submission
    from modernbert.evaluation.trained_task import task_of_file
    from modernbert.model.locate import locate_model
    from modernbert.runs import RunStore

    store = RunStore.at(runs_dir)
    if is_collection(Path(target)):
        source = locate_model(model, store=store, data_dir=data_dir)
        return _retrieval(
            Path(target),
            source,
            store,
            split=split or "test",
            protocol=protocol,
            analyser=analyser,
            max_length=_length(max_length) or 0,
            device=device,
            precision=precision,
            as_json=json,
        )
    own = is_own_data(target)
    task = None if own else find_task(target)
    source = locate_model(model, store=store, data_dir=data_dir)
    if task is None:
        if not store.has(source.name):
            raise BadOption("own files are scored with a run: only a run knows its labels and columns")
        record = store.read(source.name)
        task = task_of_file(record, Path(target), text=tuple(text_col or ()), label=label_col)
    common: dict[str, Any] = {"data_dir": data_dir, "device": device, "precision": precision}
    if submit:
        written = write_submission(task, source, store, submit, **common)
        if json:
            return output.print_json({"files": [str(path) for path in written]})
        return output.print_line("written: " + ", ".join(map(str, written)))
    result = evaluate_model(task, source, store, split=split, max_length=_length(max_length) or 0, **common)
    show_evaluation(result, as_json=json)


def _retrieval(
    folder: Path,
    source: Any,
    store: Any,
    *,
    split: str,
    protocol: str,
    analyser: str,
    max_length: int,
    device: str,
    precision: str,
    as_json: bool,
) -> None:
    from modernbert.data.collection import read_collection
    from modernbert.evaluation.embed import Embedder
    from modernbert.evaluation.retrieve import evaluate_retrieval, find_protocol

    chosen = find_protocol(protocol)
    collection = read_collection(folder, split)
    embedder = Embedder(
        source, max_length=max_length or chosen.max_length, device=device, precision=precision
    )
    with output.console(error=True).status("reading the model", spinner="dots") as status:
        result = evaluate_retrieval(
            collection,
            embedder,
            store,
            protocol=chosen,
            analyser=analyser,
            found_in=f"folder {folder}",
            on_progress=status.update,
        )
    show_retrieval(result, as_json=as_json)


def show_retrieval(result: Any, *, as_json: bool) -> None:
    """Print every system's scores: the main one with its interval, the others beside it."""
    if as_json:
        return output.print_json(result.as_dict())
    names = [score.metric for score in result.systems[0].ranking.scores]
    rows = []
    for system in result.systems:
        main, *others = system.ranking.scores
        rows.append(
            (
                system.system,
                f"{main.value:.4f}",
                f"{main.low:.4f} to {main.high:.4f}",
                *(f"{score.value:.4f}" for score in others),
                system.note,
            )
        )
    queries = result.systems[0].ranking.main.n
    title = f"{result.task} ({result.split}, {queries:,} queries, {result.protocol.name})  ({result.name})"
    columns = ("system", names[0], "95 % interval", *names[1:], "")
    output.print_table(title, columns, rows, right=names)
    for note in result.notes:
        output.print_warning(note)


def show_evaluation(result: Any, *, as_json: bool) -> None:
    """Print the scores of an evaluation."""
    if as_json:
        return output.print_json(result.as_dict())
    rows = [
        (s.split, v.metric, f"{v.value:.4f}", f"{v.low:.4f} to {v.high:.4f}", v.n, v.interval)
        for s in result.splits
        for v in s.scores
    ]
    columns = ("split", "metric", "score", "95 % interval", "n", "interval by")
    output.print_table(
        f"{result.model} on {result.task}  ({result.name})", columns, rows, right=("score", "n")
    )
    for note in (*result.notes, *(note for s in result.splits for note in s.notes)):
        output.print_warning(note)
