"""`mbert predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from modernbert.wording import counted

from . import options, output, values
from .progress import watch, with_verbose


@with_verbose
def predict(
    file: Annotated[Path, options.argument("FILE", values.source, "CSV, TSV, JSONL or Parquet file.")],
    model: Annotated[
        str,
        options.option(
            "--model -m",
            values.name,
            "A finished run, or the folder or Hub id of a classifier.",
            options.MODEL,
        ),
    ],
    out: Annotated[
        Path,
        options.option(
            "--out -o", values.target(".jsonl", ".csv"), "Output file: .jsonl or .csv.", options.OUTPUT
        ),
    ],
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
    """Predict every row of a file, in constant memory. All input columns are kept."""
    replaced = ", replaced" if out.exists() else ""
    with watch(quiet=json):
        from modernbert.evaluation.evaluate import Scorer, trained_length
        from modernbert.evaluation.stream import predict_file
        from modernbert.evaluation.trained_task import task_to_predict
        from modernbert.model.locate import locate_model
        from modernbert.runs import RunStore

        text = tuple(text_col or ())
        source = locate_model(model, store=RunStore.at(runs_dir), data_dir=data_dir)
        task = task_to_predict(source, file, text)
        scorer = Scorer(source, task, max_length=trained_length(source), device=device, precision=precision)
        result = predict_file(scorer, file, out, text=text, prefix=prefix or "")
    if json:
        return output.print_json(
            {
                "output": str(result.output),
                "rows": result.rows,
                "text": result.text,
                "truncated": result.truncated,
            }
        )
    rows = counted(result.rows, "row")
    output.print_line(f"{rows} -> {result.output}{replaced}  (text <- {' + '.join(result.text)})")
    if result.truncated:
        output.print_warning(
            f"{counted(result.truncated, 'text')} longer than {scorer.max_length} tokens: truncated"
        )
