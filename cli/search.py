"""`mbert index` and `mbert search`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modernbert.errors import BadData, BadOption
from modernbert.index.paths import KINDS
from modernbert.model.catalogue import EMBEDDED, better_embedder
from modernbert.ranges import Range
from modernbert.wording import counted

from . import options, output, values
from .early import check_columns, check_model
from .embed import load_embedder
from .hits import show_hits
from .progress import watch, with_verbose
from .screen import one_line
from .together import shared_out

if TYPE_CHECKING:
    from modernbert.index.build import Indexed

# Heads in their help.
INDEX, SEARCH = "Index", "Search"
# What a score is.
COSINE = "cosine similarity of the texts' vectors, at most 1"
FUSED = (
    "cosine similarity and BM25, each standardised over its results, added up; 0 is an average result, and "
    "scores of two queries cannot be compared"
)
# Share of chunks longer than is read that is worth a line.
MUCH_CUT = 0.05
_EXCLUDE = "Leave out paths like this (as in .gitignore: '*.md', 'tests/'); may be repeated."


@with_verbose
def index(
    path: Annotated[
        Path, options.argument("PATH", values.place, "Folder of code or text, one file, or a table.")
    ],
    model: options.MaybeModel = None,
    to: Annotated[
        Path | None,
        options.option("--to", values.folder, "The index's folder; in or beside PATH by default.", INDEX),
    ] = None,
    store: Annotated[
        Any,
        options.option(
            "--store",
            values.database,
            "Put the index into this PostgreSQL database: postgresql://USER@HOST/DB.",
            INDEX,
        ),
    ] = None,
    exclude: Annotated[list[str] | None, options.option("--exclude", values.text, _EXCLUDE, INDEX)] = None,
    text_col: options.TextCol = None,
    rebuild: Annotated[
        bool, options.flag("--rebuild", "Rebuild the index, if need be with another model.", INDEX)
    ] = False,
    max_length: options.MaxLength = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    processes: options.Processes = 1,
    json: options.Json = False,
) -> None:
    """Index source code or text for `mbert search`. Later runs read only what has changed.

    A CSV, TSV, JSONL or Parquet file is indexed by rows. An index keeps its model, its length and what it
    excludes. A new one takes modernbert-nano, which comes with mbert, unless --model names another:
    gte-modernbert-base is larger and better.
    """
    if store and to:
        raise BadOption("--to names a folder and --store a database", fix="Leave one out.")
    check_model(model, runs_dir)
    check_columns(path, text_col or ())
    with watch(quiet=json), shared_out(processes):
        from modernbert.index.build import build_index
        from modernbert.index.build_postgres import build_in_postgres
        from modernbert.index.query_postgres import kept_model
        from modernbert.index.record import default_folder, model_of

        folder = to or default_folder(path)
        kept = kept_model(store, anew=rebuild) if store else None if rebuild else model_of(folder)
        if kept:
            model = model or kept[0]
            max_length = max_length or kept[1]
        embedder = load_embedder(model or EMBEDDED, max_length, data_dir, runs_dir, device, precision)
        how: dict[str, Any] = {"anew": rebuild, "exclude": exclude or None, "text": text_col or ()}
        if store:
            done = build_in_postgres(path, embedder, store, **how)
        else:
            done = build_index(path, embedder, folder, **how)
    if model is None:
        output.print_note(better_embedder())
    if json:
        return output.print_json(vars(done) | {"folder": str(done.folder)})
    output.print_line(
        f"{counted(done.files, 'file')}, {counted(done.chunks, 'chunk')} in {one_line(str(done.folder))}  "
        f"({done.new:,} new, {done.changed:,} changed, {done.removed:,} removed; {done.embedded:,} embedded)"
    )
    if done.table:
        named = one_line(done.table["id"] or "the row's number")
        output.print_line(f"text <- {one_line(' + '.join(done.table['text']))}, id <- {named}")
    _warn_of(done)
    if not embedder.settings.tuned:
        output.print_warning(f"{embedder.source.name} was not trained for retrieval: expect poor results")
    where = (
        f" --index '{store}'" if store else _index_option(path, folder, is_table=bool(done.table) and not to)
    )
    output.print_line(f"Next: mbert search 'what you look for'{where}")


def _index_option(path: Path, folder: Path, *, is_table: bool) -> str:
    """Return how a search names a folder's index; nothing where it finds it by itself."""
    from modernbert.index.record import FOLDER

    place = path if is_table else folder.parent if folder.name == FOLDER else folder
    inside = folder.name == FOLDER and Path.cwd().is_relative_to(folder.parent.resolve())
    return "" if inside else f" --index {quote(one_line(str(place)))}"


def _warn_of(done: Indexed) -> None:
    """Say what was repaired, and what is not in the index."""
    if done.repaired:
        output.print_warning(done.repaired)
    if done.cut > MUCH_CUT:
        output.print_warning(
            f"{done.cut:.0%} of the new chunks are longer than the {done.max_length} tokens that are read of "
            "each; search --hybrid counts all words, and index --rebuild --max-length NUMBER reads more"
        )
    for name, reason in list(done.left_out.items())[:5]:
        output.print_warning(f"left out: {one_line(name)} ({reason})")
    if len(done.left_out) > 5:
        output.print_warning(f"and {len(done.left_out) - 5} more files left out (--json lists them)")


@with_verbose
def search(
    context: typer.Context,
    query: Annotated[
        str | None,
        options.argument(
            "QUERY", values.text, "What to look for (default: queries from standard input, one per line)."
        ),
    ] = None,
    index: Annotated[
        Any,
        options.option(
            "--index",
            values.place_or_database,
            "Indexed folder, or postgresql://... (default: the nearest folder, from here upwards).",
            INDEX,
        ),
    ] = None,
    k: Annotated[
        int, options.option("-k", values.whole(Range(1, 10_000)), "Number of results.", SEARCH)
    ] = 10,
    hybrid: Annotated[
        bool, options.flag("--hybrid", "Fuse with BM25, which finds exact names.", SEARCH)
    ] = False,
    like: Annotated[
        str | None,
        options.option("--like", values.text, "Instead of a query: FILE:LINE, or a row's ID.", SEARCH),
    ] = None,
    only: Annotated[
        str | None,
        options.option(
            "--only", values.one_of(*KINDS), "Only code, docs or tests, judged by file names.", SEARCH
        ),
    ] = None,
    exclude: Annotated[list[str] | None, options.option("--exclude", values.text, _EXCLUDE, SEARCH)] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Search an index by meaning, with the model that built the index.

    Without a query, queries are read from standard input, and only the first waits for the model to load.
    """
    if like is not None and (query is not None or hybrid):
        other = "a query" if query is not None else "--hybrid"
        raise BadOption(f"--like compares vectors alone: it cannot go with {other}", fix="Leave one out.")
    with watch(quiet=json):
        from modernbert.index.hits import as_dict
        from modernbert.index.paths import keeper
        from modernbert.index.query import query_embedder
        from modernbert.index.query_postgres import find_any, open_any
        from modernbert.model.locate import locate_model
        from modernbert.runs import RunStore

        keep = keeper(only, exclude or ()) if only or exclude else None
        place, record = find_any(index)
        source = locate_model(record["model"], store=RunStore.at(runs_dir), data_dir=data_dir)
        if record["table"]:
            why = "applies only to an index of files, and this one is of the rows of a table"
            options.refuse(context, ("only", "exclude"), why)
        searcher = open_any(place, query_embedder(source, record, device, precision))
    if like is not None:
        show_hits(searcher.like(like, k, keep=keep), "", as_json=json)
    elif query is not None:
        show_hits(searcher.search(query, k, hybrid=hybrid, keep=keep), query, as_json=json)
    if not json:
        output.print_line(f"score: {FUSED if hybrid else COSINE}", style="dim", error=True)
    for line in _queries() if like is None and query is None else ():
        hits = searcher.search(line, k, hybrid=hybrid, keep=keep)
        if json:
            output.print_json({"query": line, "hits": as_dict(hits)})
        else:
            output.print_line(f"== {line}", style="bold")
            show_hits(hits, line, as_json=False)


def _queries() -> Iterator[str]:
    """Yield the queries that come on standard input, until it ends."""
    asks = sys.stdin.isatty()
    while True:
        if asks:
            output.print_line("search (Ctrl-D ends): ", style="bold", error=True)
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError:
            raise BadData("a query that is not UTF-8", where="standard input") from None
        if not line:
            return
        if line.strip():
            yield values.text(line.strip(), "the query")
