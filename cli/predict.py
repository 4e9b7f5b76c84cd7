"""`mbert predict`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modernbert.errors import BadOption
from modernbert.ranges import Range
from modernbert.wording import counted

from . import options, output, values
from .early import check_columns, check_model
from .progress import watch, with_verbose

if TYPE_CHECKING:
    from modernbert.evaluation.evaluate import Scorer
    from modernbert.evaluation.predict_file import Predicted


@with_verbose
def predict(
    context: typer.Context,
    file: Annotated[
        Path | None,
        options.argument(
            "FILE",
            values.source_or_stdin,
            "CSV, TSV, JSONL or Parquet file; - for standard input: a text a line, or JSON lines.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        options.option(
            "--model -m",
            values.name,
            "A finished run, or the folder or Hub id of a classifier.",
            options.MODEL,
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        options.option(
            "--text -t", values.text, "A text to predict. Give it twice for a pair.", options.DATA
        ),
    ] = None,
    out: Annotated[
        Path | None,
        options.option(
            "--out -o",
            values.target(".jsonl", ".csv", ".parquet"),
            "Output file: .jsonl, .csv or .parquet; without it, JSON lines are printed.",
            options.OUTPUT,
        ),
    ] = None,
    top: Annotated[
        int,
        options.option(
            "--top",
            values.whole(Range(0, 100_000)),
            "Number of labels to name with their probabilities, the most probable first; 0 for all.",
            options.OUTPUT,
        ),
    ] = 0,
    calibrated: Annotated[
        bool,
        options.flag(
            "--calibrated",
            "Show probabilities with the temperature that the run fitted on its validation split.",
            options.OUTPUT,
        ),
    ] = False,
    text_col: options.TextCol = None,
    prefix: Annotated[
        str | None,
        options.option("--prefix", values.text, "Prefix of the new columns' names.", options.OUTPUT),
    ] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Predict every row of a file, lines of standard input, or one text. All input columns are kept."""
    _require_one(context, file, text, out, model)
    columns = tuple(text_col or ())
    replaced = out is not None and out.exists()
    check_model(model, runs_dir)
    check_columns(file, columns)
    with watch(quiet=json):
        from modernbert.evaluation.evaluate import Scorer, trained_length
        from modernbert.evaluation.predict_rows import task_of_texts
        from modernbert.evaluation.trained_task import task_to_predict
        from modernbert.model.locate import locate_model
        from modernbert.runs import RunStore

        assert model is not None
        source = locate_model(model, store=RunStore.at(runs_dir), data_dir=data_dir)
        if file is None or file == STDIN:
            task = task_of_texts(source, columns, number=len(text or ()) or 1)
        else:
            task = task_to_predict(source, file, columns)
        if calibrated:
            from modernbert.evaluation.temperature import require_temperature

            require_temperature(task, model)
        shown: dict[str, Any] = {"top": top, "calibrated": calibrated}
        scorer = Scorer(source, task, max_length=trained_length(source), device=device, precision=precision)
        if text:
            from modernbert.evaluation.predict_rows import predict_texts

            found = predict_texts(scorer, [tuple(text)], **shown)[0]
        elif out is None:
            _put_rows(scorer, file, text=columns, prefix=prefix or "", **shown)
        else:
            from modernbert.evaluation.predict_file import predict_file

            assert file is not None
            result = predict_file(scorer, file, out, text=columns, prefix=prefix or "", **shown)
    if text:
        _show_prediction(found, as_json=json)
    elif out is not None:
        _show_written(result, as_json=json, replaced=replaced)
    if scorer.truncated and not json:
        output.print_warning(_truncated(scorer))


STDIN = Path("-")


def _require_one(
    context: typer.Context, file: Path | None, text: list[str] | None, out: Path | None, model: str | None
) -> None:
    """Raise BadOption unless there is one input, and an output that it can have."""
    if model is None:
        fix = "Give --model: a run (`mbert runs`), a folder or a Hub id."
        raise BadOption("Missing option '--model'", fix=fix)
    if (file is None) == (not text):
        raise BadOption("give a file, - for standard input, or one --text",
                        fix="Next: mbert predict --help")  # fmt: skip
    if text:
        options.refuse(context, ("out", "text_col", "prefix"), "applies only to rows of a file or stdin")
    elif out is None:
        options.refuse(context, ("json",), "applies only with -o or --text: the rows are JSON lines already")
    elif file == STDIN:
        raise BadOption("standard input is read once, and a file needs its columns first",
                        fix="Redirect what is printed (> out.jsonl), or name a file.")  # fmt: skip


def _put_rows(scorer: Scorer, file: Path | None, **more: Any) -> None:
    """Print JSON lines as rows are predicted."""
    from modernbert.data.readers import iter_rows
    from modernbert.evaluation.predict_rows import STDIN as NAME
    from modernbert.evaluation.predict_rows import predict_rows, rows_of_stream

    if file is None or file == STDIN:
        predict_rows(scorer, rows_of_stream(sys.stdin.buffer, scorer.task), NAME, output.put_line, **more)
    else:
        predict_rows(scorer, iter_rows(file), str(file), output.put_line, **more)


def _show_prediction(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return output.print_json(found)
    answer = found["prediction"]
    output.print_line(", ".join(answer) if isinstance(answer, list) else str(answer), style="bold")
    shares = {best["label"]: best["probability"] for best in found.get("top", ())}
    shares = shares or dict(sorted(found.get("probabilities", {}).items(), key=lambda item: -item[1]))
    if shares:
        rows = [(name, f"{share:.4f}") for name, share in shares.items()]
        output.print_table("", ("label", "probability"), rows, right=("probability",))


def _show_written(result: Predicted, *, as_json: bool, replaced: bool) -> None:
    if as_json:
        told = {"output": str(result.output), "rows": result.rows, "text": result.text}
        return output.print_json({**told, "truncated": result.truncated, "kept": result.kept})
    rows, columns = counted(result.rows, "row"), " + ".join(result.text)
    output.print_line(f"{rows} -> {result.output}{', replaced' if replaced else ''}  (text <- {columns})")
    if result.kept:
        output.print_line(f"{result.kept:,} of them had been scored before the last stop")


def _truncated(scorer: Scorer) -> str:
    length = scorer.max_length or scorer.context
    return f"{counted(scorer.truncated, 'text')} longer than {length} tokens: truncated"
