"""`mbert export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modernbert.evaluation.shown import interval_text
from modernbert.places import require_new
from modernbert.ranges import Range
from modernbert.wording import counted

from . import options, output, values
from .early import check_columns, check_model
from .progress import watch, with_verbose

if TYPE_CHECKING:
    from modernbert.export.classic import Converted
    from modernbert.export.export import Exported
    from modernbert.records.export import Proof, ProvenMetric, Speed

PROOF = "Proof"
FOR_OLDER = "for transformers 4.48 and later"


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
        str,
        options.option(
            "--to",
            values.one_of("onnx", "openvino", "hf"),
            "Format: onnx, openvino, or hf: transformers 4.48 and later.",
            options.OUTPUT,
        ),
    ] = "onnx",
    out: Annotated[
        Path | None,
        options.option(
            "--out -o",
            values.folder,
            "Folder to make (default: MODEL-FORMAT here).",
            options.OUTPUT,
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
    """Export a model to ONNX, OpenVINO or older transformers; prove on real rows that it answers the same."""
    from modernbert.data.targets import resolve

    if to == "hf":
        options.refuse(context, ("int8",), "applies only with --to onnx and openvino")
    if not int8:
        options.refuse(context, ("tolerance",), "applies only with --int8")
    if on is None:
        options.refuse(context, ("text_col", "label_col"), "names columns of --on FILE")
    if on is not None:
        resolve(on, hub=False)
    check_model(model, runs_dir)
    if out is not None:
        require_new(out, overwrite=overwrite)
    check_columns(on, (*(text_col or ()), label_col))
    with watch(quiet=json):
        from modernbert.export.classic import export_classic
        from modernbert.export.export import export_model
        from modernbert.export.subject import ExportRequest
        from modernbert.runs import RunStore

        request = ExportRequest(
            model=model,
            to="openvino" if to == "openvino" else "onnx",
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
        store = RunStore.at(runs_dir)
        made = export_classic(request, store) if to == "hf" else export_model(request, store)
    show_export(made, as_json=json)


def show_export(made: Exported | Converted, *, as_json: bool) -> None:
    """Print the proof of an export, and how to use it."""
    if as_json:
        return output.print_json(made.as_dict())
    # What was converted is the model itself; a graph has a record of its own.
    kind, precision, proof, notes = _parts(made)
    output.print_line(f"{made.folder}: {kind}, {precision}, {made.megabytes:,.1f} MB")
    _show_proof(proof)
    for note in notes:
        output.print_note(note)
    if precision == FOR_OLDER:
        return output.print_line(f"Next: mbert push {made.folder} OWNER/NAME")
    verb = "embed FILE -o OUT.parquet" if kind == "embedder" else "predict FILE -o OUT.jsonl"
    if kind != "reranker":
        output.print_line(f"Next: mbert {verb} --model {made.folder}")


def _parts(made: Exported | Converted) -> tuple[str, str, Proof, tuple[str, ...]]:
    from modernbert.export.classic import Converted

    if isinstance(made, Converted):
        return made.kind, FOR_OLDER, made.proof, made.notes
    proof = made.record.proof
    assert proof is not None, "an export is kept once it is proven"
    return made.record.kind, made.record.precision, proof, proof.notes


def _show_proof(proof: Proof) -> None:
    same = proof.outputs
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
    if proof.speed:
        columns = ("engine", "p50 ms", "p95 ms", "p99 ms", "texts/s", "tokens/s")
        title = f"\nspeed, {counted(proof.speed[0].threads, 'thread')}: one text alone, and many at once"
        output.print_table(title, columns, map(_speed, proof.speed), right=columns[1:])


def _metric(metric: ProvenMetric) -> tuple[str, ...]:
    low, high = metric.low, metric.high
    return (
        metric.metric,
        f"{metric.torch:.4f}",
        f"{metric.export:.4f}",
        f"{metric.export - metric.torch:+.4f}",
        interval_text(low, high, "+.4f"),
        f"{metric.n:,}",
    )


def _speed(speed: Speed) -> tuple[str, ...]:
    waits = (f"{wait:.1f}" for wait in (speed.p50_ms, speed.p95_ms, speed.p99_ms))
    return speed.engine, *waits, f"{speed.texts_per_second:,.1f}", f"{speed.tokens_per_second:,.0f}"
