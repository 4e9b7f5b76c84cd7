"""`mbert export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modernbert.evaluation.shown import interval_text
from modernbert.ranges import Range
from modernbert.wording import counted

from . import options, output, values
from .early import check_columns, check_model
from .progress import watch, with_verbose

if TYPE_CHECKING:
    from modernbert.export.export import Exported

PROOF = "Proof"


@with_verbose
def export(
    context: typer.Context,
    model: Annotated[
        str,
        options.argument(
            "MODEL", values.name, "A finished run, or a folder or Hub id of a model.", options.MODELS
        ),
    ],
    to: Annotated[
        str, options.option("--to", values.one_of("onnx"), "Format: onnx.", options.OUTPUT)
    ] = "onnx",
    out: Annotated[
        Path | None,
        options.option(
            "--out -o", values.folder, "Folder to make (default: MODEL-onnx here).", options.OUTPUT
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    int8: Annotated[
        bool, options.flag("--int8", "Round the weights to 8 bits: smaller, and faster on most CPUs.", PROOF)
    ] = False,
    tolerance: Annotated[
        float,
        options.option(
            "--tolerance",
            values.number(Range(0, 1)),
            "Largest fall of the main metric with --int8; of an error, its largest rise as a share.",
            PROOF,
        ),
    ] = 0.01,
    on: Annotated[
        str | None,
        options.option(
            "--on",
            values.name,
            "Labelled file, collection or task to prove it on (default: what scored the run).",
            PROOF,
            offers=options.TASKS,
        ),
    ] = None,
    rows: Annotated[
        int,
        options.option(
            "--rows", values.whole(Range(2, 1_000_000)), "Number of rows to compare at most.", PROOF
        ),
    ] = 2000,
    all_lengths: Annotated[
        bool,
        options.flag(
            "--all-lengths", "Compare texts up to the context, even where each takes minutes.", PROOF
        ),
    ] = False,
    text_col: options.TextCol = None,
    label_col: options.LabelCol = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Export a model to ONNX, and prove on real rows that it gives the same answers."""
    from modernbert.data.targets import resolve

    if not int8:
        options.refuse(context, ("tolerance",), "applies only with --int8")
    if on is None:
        options.refuse(context, ("text_col", "label_col"), "names columns of --on FILE")
    if on is not None:
        resolve(on, hub=False)
    check_model(model, runs_dir)
    check_columns(on, (*(text_col or ()), label_col))
    with watch(quiet=json):
        from modernbert.export.export import export_model
        from modernbert.export.subject import ExportRequest
        from modernbert.runs import RunStore

        request = ExportRequest(
            model=model,
            output=out,
            int8=int8,
            tolerance=tolerance,
            on=on,
            rows=rows,
            text=tuple(text_col or ()),
            label=label_col,
            data_dir=data_dir,
            overwrite=overwrite,
            all_lengths=all_lengths,
        )
        made = export_model(request, RunStore.at(runs_dir))
    show_export(made, as_json=json)


def show_export(made: Exported, *, as_json: bool) -> None:
    """Print the proof of an export, and how to use it."""
    if as_json:
        return output.print_json(made.as_dict())
    proof: Any = made.record.proof
    same = proof.outputs
    output.print_line(f"{made.folder}: {made.record.kind}, {made.record.precision}, {made.megabytes:,.1f} MB")
    is_share = same.agreement_is == "same answer"
    facts: dict[str, object] = {
        "proven on": f"{proof.data} ({proof.split}), {counted(same.rows, 'row')}",
        same.agreement_is: f"{same.agreement:.2%}" if is_share else f"{same.agreement:.6f}",
        "difference": f"at most {same.largest:.2g}, on average {same.mean:.2g}",
    }
    if proof.long:
        facts["long texts"] = ", ".join(f"{text.tokens:,} tokens {text.largest:.1g}" for text in proof.long)
    output.print_facts("outputs beside torch's in fp32", facts)
    if proof.metrics:
        columns = ("metric", "torch", "export", "difference", "95 % interval", "n")
        output.print_table("", columns, map(_metric, proof.metrics), right=columns[1:])
    columns = ("engine", "p50 ms", "p95 ms", "p99 ms", "texts/s", "tokens/s")
    title = f"\nspeed, {counted(proof.speed[0].threads, 'thread')}: one text alone, and many at once"
    output.print_table(title, columns, map(_speed, proof.speed), right=columns[1:])
    for note in proof.notes:
        output.print_note(note)
    verb = "embed FILE -o OUT.parquet" if made.record.kind == "embedder" else "predict FILE -o OUT.jsonl"
    if made.record.kind != "reranker":
        output.print_line(f"Next: mbert {verb} --model {made.folder}")


def _metric(metric: Any) -> tuple[str, ...]:
    low, high = metric.low, metric.high
    return (
        metric.metric,
        f"{metric.torch:.4f}",
        f"{metric.export:.4f}",
        f"{metric.export - metric.torch:+.4f}",
        interval_text(low, high, "+.4f"),
        f"{metric.n:,}",
    )


def _speed(speed: Any) -> tuple[str, ...]:
    waits = (f"{wait:.1f}" for wait in (speed.p50_ms, speed.p95_ms, speed.p99_ms))
    return speed.engine, *waits, f"{speed.texts_per_second:,.1f}", f"{speed.tokens_per_second:,.0f}"
