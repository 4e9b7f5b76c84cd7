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
    max_length: options.MaxLength = None,
    text_col: options.TextCol = None,
    label_col: options.LabelCol = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Score a trained model on a task's held-out data, and keep the scores as a run."""
    from modernbert.data.own import is_own_data
    from modernbert.data.registry import find_task
    from modernbert.evaluation.evaluate import evaluate_model, write_submission
    from modernbert.evaluation.trained_task import task_of_file
    from modernbert.model.locate import locate_model
    from modernbert.runs import RunStore

    store = RunStore.at(runs_dir)
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
