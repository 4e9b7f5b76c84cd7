"""`mbert embed`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modernbert.model.catalogue import EMBEDDED, better_embedder
from modernbert.wording import counted

from . import options, output, values
from .early import check_columns, check_model
from .progress import watch, with_verbose
from .shards import ONE_MACHINE, model_on_nodes, one_output, run_shards, show_shards
from .together import shared_out

if TYPE_CHECKING:
    from modernbert.evaluation.embed import Embedder
    from modernbert.model.embedding import TextKind


def load_embedder(
    model: str,
    max_length: int | None,
    data_dir: Path | None,
    runs_dir: Path | None,
    device: str,
    precision: str,
) -> Embedder:
    """Return a loaded encoder that is called `model`."""
    from modernbert.evaluation.embed import Embedder
    from modernbert.model.locate import locate_model
    from modernbert.runs import RunStore

    source = locate_model(model, store=RunStore.at(runs_dir), data_dir=data_dir)
    return Embedder(source, max_length=max_length or 0, device=device, precision=precision)


@with_verbose
def embed(
    context: typer.Context,
    file: Annotated[
        str,
        options.argument(
            "FILE",
            values.source_or_shards,
            "CSV, TSV, JSONL or Parquet file; with --ray, a folder or pattern of Parquet files.",
        ),
    ],
    out: Annotated[
        str,
        options.output_file(
            "--out -o", (".parquet",), "Output file: .parquet; with --ray, a folder.", shards=True
        ),
    ],
    overwrite: options.Overwrite = False,
    model: options.MaybeModel = None,
    text_col: Annotated[
        str | None, options.option("--text-col", values.text, "Text column (default: guessed).", options.DATA)
    ] = None,
    queries: Annotated[
        bool, options.flag("--queries", "The texts are queries, not documents.", options.DATA)
    ] = False,
    max_length: options.MaxLength = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    processes: options.Processes = 1,
    ray: options.Ray = None,
    json: options.Json = False,
) -> None:
    """Embed every row of a file, in constant memory. All input columns are kept.

    Without --model it is modernbert-nano, which comes with mbert; gte-modernbert-base is larger and better.
    """
    check_model(model, runs_dir)
    kind: TextKind = "query" if queries else "document"
    if ray is not None:
        options.refuse(context, ("processes",), ONE_MACHINE)
        with watch(quiet=json):
            from modernbert.cluster.jobs import EmbedJob

            found = model_on_nodes(model or EMBEDDED, data_dir, runs_dir, device, precision)
            job = EmbedJob(found, overwrite, column=text_col, kind=kind, max_length=max_length or 0)
            shards = run_shards(job, file, out, ray)
        return show_shards(shards, as_json=json)
    path, target = values.source(file, "FILE"), one_output(out, ".parquet")
    replaced = ", replaced" if target.exists() else ""
    check_columns(path, (text_col,))
    with watch(quiet=json), shared_out(processes):
        from modernbert.evaluation.embed_file import embed_file

        embedder = load_embedder(model or EMBEDDED, max_length, data_dir, runs_dir, device, precision)
        done = embed_file(embedder, path, target, column=text_col, kind=kind)
    if model is None:
        output.print_note(better_embedder())
    if json:
        return output.print_json(vars(done) | {"output": str(done.output)})
    rows = counted(done.rows, "row")
    made = f"text <- {done.column}, vectors of {done.size}"
    output.print_line(f"{rows} -> {done.output}{replaced}  ({made})")
    if not embedder.settings.tuned:
        output.print_warning(f"{embedder.source.name} was not trained for embeddings: expect poor ones")
