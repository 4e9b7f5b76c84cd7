"""`mbert predict`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modernbert.errors import BadOption
from modernbert.ranges import Range
from modernbert.wording import counted

from . import complete, options, output, values
from .early import check_columns, check_model
from .progress import watch, with_verbose
from .shards import ONE_MACHINE, model_on_nodes, one_output, run_shards, show_shards
from .together import shared_out

if TYPE_CHECKING:
    from modernbert.data.readers import Record
    from modernbert.evaluation.evaluate import Scorer
    from modernbert.evaluation.predict_file import Predicted
    from modernbert.evaluation.tagging import Tagger
    from modernbert.model.locate import ModelSource


FORMS = (".jsonl", ".csv", ".parquet")


@with_verbose
def predict(
    context: typer.Context,
    file: Annotated[
        str | None,
        options.argument(
            "FILE",
            values.source_or_shards,
            "CSV, TSV, JSONL or Parquet file; - for standard input: a text a line, or JSON lines. With "
            "--ray, a folder or pattern of Parquet files.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        options.option(
            "--model -m",
            values.name,
            "A finished run, or the folder or Hub id of a classifier (required).",
            options.MODEL,
            offers=[complete.trained],
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        options.option(
            "--text -t", values.text, "A text to predict. Give it twice for a pair.", options.DATA
        ),
    ] = None,
    out: Annotated[
        str | None,
        options.output_file(
            "--out -o",
            FORMS,
            "Output file: .jsonl, .csv or .parquet; without it, JSON lines are printed. --ray: a folder.",
            shards=True,
        ),
    ] = None,
    overwrite: options.Overwrite = False,
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
    processes: options.Processes = 1,
    ray: options.Ray = None,
    json: options.Json = False,
) -> None:
    """Predict every row of a file, lines of standard input, or one text. All input columns are kept."""
    columns = tuple(text_col or ())
    if ray is not None:
        options.refuse(context, ("processes",), ONE_MACHINE)
        options.refuse(context, ("text",), "is for one machine")
        if file is None or file == "-" or out is None or model is None:
            raise BadOption("--ray needs a folder of Parquet files, --model, and a folder to write: -o")
        check_model(model, runs_dir)
        with watch(quiet=json):
            from modernbert.cluster.jobs import PredictJob

            nodes = model_on_nodes(model, data_dir, runs_dir, device, precision)
            job = PredictJob(nodes, overwrite, columns, prefix or "", top, calibrated)
            shards = run_shards(job, file, out, ray)
        return show_shards(shards, as_json=json)
    path = None if file is None else values.source_or_stdin(file, "FILE")
    target = None if out is None else one_output(out, *FORMS)
    _require_one(context, path, text, target, model)
    options.require_output(overwrite, "--out", target)
    replaced = target is not None and target.exists()
    check_model(model, runs_dir)
    check_columns(path, columns)
    with watch(quiet=json), shared_out(processes):
        from modernbert.model.locate import locate_model
        from modernbert.model.tagger import is_tagger
        from modernbert.runs import RunStore

        assert model is not None
        source = locate_model(model, store=RunStore.at(runs_dir), data_dir=data_dir)
        given = _Given(path, text, target, columns, prefix or "", {"device": device, "precision": precision})
        if is_tagger(source):
            why = "applies only to labels of whole texts, and this model tags words"
            options.refuse(context, ("top", "calibrated"), why)
            scorer: Scorer | Tagger
            scorer, found = _tag(source, given)
        else:
            scorer, found = _classify(source, given, top=top, calibrated=calibrated)
    if text:
        _show_prediction(found, as_json=json)
    elif target is not None:
        _show_written(found, as_json=json, replaced=replaced)
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
        options.refuse(
            context, ("out", "text_col", "prefix", "processes"), "applies only to rows of a file or stdin"
        )
    elif out is None:
        options.refuse(context, ("json",), "applies only with -o or --text: the rows are JSON lines already")
    elif file == STDIN:
        raise BadOption("standard input is read once, and a file needs its columns first",
                        fix="Redirect what is printed (> out.jsonl), or name a file.")  # fmt: skip


@dataclass(frozen=True)
class _Given:
    """What is predicted, and where to."""

    file: Path | None
    text: list[str] | None
    out: Path | None
    columns: tuple[str, ...]
    prefix: str
    machine: dict[str, Any]


def _classify(source: ModelSource, given: _Given, *, top: int, calibrated: bool) -> tuple[Scorer, Any]:
    """Predict labels of texts; return the loaded model, and the prediction or what was written."""
    from modernbert.evaluation.evaluate import Scorer, trained_length
    from modernbert.evaluation.predict_file import predict_file
    from modernbert.evaluation.predict_rows import predict_rows, predict_texts, task_of_texts
    from modernbert.evaluation.temperature import require_temperature
    from modernbert.evaluation.trained_task import task_to_predict

    file, columns = given.file, given.columns
    if file is None or file == STDIN:
        task = task_of_texts(source, columns, number=len(given.text or ()) or 1)
    else:
        task = task_to_predict(source, file, columns)
    if calibrated:
        require_temperature(task, source.name)
    shown: dict[str, Any] = {"top": top, "calibrated": calibrated}
    scorer = Scorer(source, task, max_length=trained_length(source), **given.machine)
    if given.text:
        return scorer, predict_texts(scorer, [tuple(given.text)], **shown)[0]
    shown |= {"text": columns, "prefix": given.prefix}
    if given.out is None:
        return scorer, predict_rows(scorer, *_rows(file, task.text), output.put_line, **shown)
    assert file is not None
    return scorer, predict_file(scorer, file, given.out, **shown)


def _tag(source: ModelSource, given: _Given) -> tuple[Tagger, Any]:
    """Find entities in texts; return as `_classify`."""
    from modernbert.evaluation.tag_file import tag_file, tag_rows
    from modernbert.evaluation.tagging import Tagger

    if len(given.columns) > 1 or len(given.text or ()) > 1:
        raise BadOption(f"{source.name} tags the words of one text at a time", fix="Name one text.")
    tagger = Tagger(source, **given.machine)
    if given.text:
        return tagger, tagger.predict(given.text)[0]
    shown: dict[str, Any] = {"text": next(iter(given.columns), None), "prefix": given.prefix}
    if given.out is None:
        return tagger, tag_rows(tagger, *_rows(given.file, ("text",)), output.put_line, **shown)
    assert given.file is not None
    return tagger, tag_file(tagger, given.file, given.out, **shown)


def _rows(file: Path | None, text: tuple[str, ...]) -> tuple[Iterator[Record], str]:
    """Return the rows of a file or of standard input, and what they are called in messages."""
    from modernbert.data.readers import iter_rows
    from modernbert.evaluation.predict_rows import STDIN as NAME
    from modernbert.evaluation.predict_rows import rows_of_stream

    if file is None or file == STDIN:
        return rows_of_stream(sys.stdin.buffer, text), NAME
    return iter_rows(file), str(file)


def _show_prediction(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        return output.print_json(found)
    answer = found["prediction"]
    if isinstance(answer, list) and all(isinstance(one, dict) for one in answer):
        return _show_entities(answer)
    output.print_line(", ".join(answer) if isinstance(answer, list) else str(answer), style="bold")
    shares = {best["label"]: best["probability"] for best in found.get("top", ())}
    shares = shares or dict(sorted(found.get("probabilities", {}).items(), key=lambda item: -item[1]))
    if shares:
        rows = [(name, f"{share:.4f}") for name, share in shares.items()]
        output.print_table("", ("label", "probability"), rows, right=("probability",))


def _show_entities(entities: list[dict[str, Any]]) -> None:
    if not entities:
        return output.print_line("no entities")
    columns = ("text", "label", "start", "end", "confidence")
    rows = [(*(one[name] for name in columns[:4]), f"{one['confidence']:.4f}") for one in entities]
    output.print_table("", columns, rows, right=("start", "end", "confidence"))


def _show_written(result: Predicted, *, as_json: bool, replaced: bool) -> None:
    if as_json:
        told = {"output": str(result.output), "rows": result.rows, "text": result.text}
        return output.print_json({**told, "truncated": result.truncated, "kept": result.kept})
    rows, columns = counted(result.rows, "row"), " + ".join(result.text)
    output.print_line(f"{rows} -> {result.output}{', replaced' if replaced else ''}  (text <- {columns})")
    if result.kept:
        output.print_line(f"{result.kept:,} of them had been scored before the last stop")


def _truncated(scorer: Scorer | Tagger) -> str:
    length = scorer.max_length or scorer.context
    return f"{counted(scorer.truncated, 'text')} longer than {length} tokens: truncated"
