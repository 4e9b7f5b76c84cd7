"""`mbert index`, `mbert search` and `mbert embed`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from modernbert.errors import BadData, BadOption
from modernbert.ranges import Range

from . import options, output, values
from .evaluate import FOR_RETRIEVAL
from .progress import watch, with_verbose
from .screen import one_line, visible

# Lines of a hit that are shown.
SHOWN = 8


@with_verbose
def index(
    path: Annotated[Path, options.argument("PATH", values.place, "Folder of code or text, or one file.")],
    model: options.MaybeModel = None,
    to: Annotated[
        Path | None,
        options.option("--to", values.folder, "The index's folder; PATH/.mbert-index by default."),
    ] = None,
    rebuild: Annotated[
        bool, options.flag("--rebuild", "Build the index anew, perhaps with another model.")
    ] = False,
    max_length: options.MaxLength = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Index source code or text for `mbert search`; again, only what changed is read.

    An index keeps its model and length; a new one takes gte-modernbert-base unless told otherwise.
    """
    with watch(quiet=json):
        from modernbert.index.build import build_index, default_folder
        from modernbert.index.record import FOLDER, model_of

        folder = to or default_folder(path)
        if not rebuild and (kept := model_of(folder)):
            model = model or kept[0]
            max_length = max_length or kept[1]
        embedder = _embedder(model or FOR_RETRIEVAL, max_length, data_dir, runs_dir, device, precision)
        done = build_index(path, embedder, folder, anew=rebuild)
    if json:
        return output.print_json(vars(done) | {"folder": str(done.folder)})
    output.print_line(
        f"{done.files:,} files, {done.chunks:,} chunks in {one_line(str(done.folder))}  "
        f"({done.new:,} new, {done.changed:,} changed, {done.removed:,} removed; {done.embedded:,} embedded)"
    )
    _warn_of(done)
    if not embedder.settings.tuned:
        output.print_warning(f"{embedder.source.name} was not trained for retrieval: expect poor results")
    inside = folder.name == FOLDER and Path.cwd().is_relative_to(folder.parent.resolve())
    place = folder.parent if folder.name == FOLDER else folder
    output.print_line(
        f"search it: mbert search 'what you look for'{'' if inside else f' --index {one_line(str(place))}'}"
    )


def _warn_of(done: Any) -> None:
    """Say what was repaired, and what is not in the index."""
    if done.repaired:
        output.print_warning(done.repaired)
    for name, reason in list(done.left_out.items())[:5]:
        output.print_warning(f"left out: {one_line(name)} ({reason})")
    if len(done.left_out) > 5:
        output.print_warning(f"and {len(done.left_out) - 5} more files left out (--json lists them)")


@with_verbose
def search(
    query: Annotated[
        str | None,
        options.argument(
            "QUERY", values.text, "What to look for; without it, queries are read line by line."
        ),
    ] = None,
    index: Annotated[
        Path | None,
        options.option("--index", values.place, "An indexed folder; the nearest one from here by default."),
    ] = None,
    k: Annotated[int, options.option("-k", values.whole(Range(1, 10_000)), "Number of results.")] = 10,
    hybrid: Annotated[
        bool, options.flag("--hybrid", "Fuse with BM25, so that exact names count as well.")
    ] = False,
    like: Annotated[
        str | None,
        options.option("--like", values.text, "Instead of a query: FILE:LINE; finds what is like that."),
    ] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Search an index by meaning; the model is the one that the index was built with.

    Without a query, queries are read line by line, and only the first one waits for the model to load.
    """
    if like is not None and (query is not None or hybrid):
        raise BadOption(f"--like has no effect beside {'a query' if query is not None else '--hybrid'}")
    place = _file_and_line(like) if like is not None else None
    with watch(quiet=json):
        from modernbert.index.query import Searcher, as_dict, find_index
        from modernbert.index.record import read_record

        folder = find_index(index)
        record = read_record(folder)
        length = int(record["key"]["max_length"])
        embedder = _embedder(record["model"], length, data_dir, runs_dir, device, precision)
        searcher = Searcher(folder, embedder)
    if place:
        return _show_hits(searcher.like(*place, k), "", as_json=json)
    if query is not None:
        return _show_hits(searcher.search(query, k, hybrid=hybrid), query, as_json=json)
    for line in _queries():
        hits = searcher.search(line, k, hybrid=hybrid)
        if json:
            output.print_json({"query": line, "hits": as_dict(hits)})
        else:
            output.print_line(f"== {line}", style="bold")
            _show_hits(hits, line, as_json=False)


def _file_and_line(like: str) -> tuple[str, int]:
    path, _, line = like.rpartition(":")
    if not path or not line.isascii() or not line.isdecimal() or len(line) > 9:
        raise BadOption(f"--like is '{values.shown(like)}'", fix="Give FILE:LINE, as results name them.")
    return path, int(line)


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


def _show_hits(hits: list[Any], query: str, *, as_json: bool) -> None:
    from modernbert.index.query import as_dict

    if as_json:
        return output.print_json(as_dict(hits))
    for hit in hits:
        _show(hit, query)
    if not hits:
        output.print_line("nothing found")


def _embedder(
    model: str,
    max_length: int | None,
    data_dir: Path | None,
    runs_dir: Path | None,
    device: str,
    precision: str,
) -> Any:
    from modernbert.evaluation.embed import Embedder
    from modernbert.model.locate import locate_model
    from modernbert.runs import RunStore

    source = locate_model(model, store=RunStore.at(runs_dir), data_dir=data_dir)
    return Embedder(source, max_length=max_length or 0, device=device, precision=precision)


def _show(hit: Any, query: str) -> None:
    """Print where a hit stands, and the lines around the one that holds most of the query's words."""
    from rich.syntax import Syntax
    from rich.text import Text

    from modernbert.index.query import best_line, query_words

    title = Text(one_line(f"{hit.path}:{hit.start}"), style="bold cyan")
    title.append(one_line(f"  {hit.name}") if hit.name else "", style="bold")
    title.append(f"  {hit.score:.4f}", style="dim")
    title.append("  (the file has changed since)" if hit.stale else "", style="yellow")
    lines = hit.text.split("\n")
    first = max(0, min(best_line(hit, query) - 2, len(lines) - SHOWN))
    shown = [visible(line) for line in lines[first : first + SHOWN]]
    code = Syntax("", Syntax.guess_lexer(hit.path), background_color="default").highlight("\n".join(shown))
    code.highlight_words(sorted(query_words(query)), "reverse", case_sensitive=False)
    numbered = enumerate(code.split("\n", allow_blank=True)[: len(shown)], hit.start + first)
    output.show(title, *(Text(f"{number:>6}  ", style="dim") + line for number, line in numbered), "")


@with_verbose
def embed(
    file: Annotated[Path, options.argument("FILE", values.source, "CSV, TSV, JSONL or Parquet file.")],
    out: Annotated[Path, options.option("--out -o", values.target(".parquet"), "Output file: .parquet.")],
    model: options.Model = FOR_RETRIEVAL,
    text_col: Annotated[
        str | None, options.option("--text-col", values.text, "Text column; guessed by default.")
    ] = None,
    queries: Annotated[bool, options.flag("--queries", "The texts are queries, not documents.")] = False,
    max_length: options.MaxLength = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    json: options.Json = False,
) -> None:
    """Embed every row of a file; input columns are kept, memory stays constant."""
    with watch(quiet=json):
        from modernbert.evaluation.embed_file import embed_file

        embedder = _embedder(model, max_length, data_dir, runs_dir, device, precision)
        done = embed_file(embedder, file, out, column=text_col, kind="query" if queries else "document")
    if json:
        return output.print_json(vars(done) | {"output": str(done.output)})
    output.print_line(f"{done.rows:,} rows -> {done.output}  (text <- {done.column}, vectors of {done.size})")
    if not embedder.settings.tuned:
        output.print_warning(f"{embedder.source.name} was not trained for embeddings: expect poor ones")
