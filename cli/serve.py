"""`mbert serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modernbert.errors import BadOption, NotAvailable
from modernbert.ranges import Range

from . import options, output, values
from .early import check_model
from .progress import watch, with_verbose

LISTEN, LIMITS, SHADOW = "Address", "Limits", "Shadow"
INSTALL = "pip install 'mbert[serve]'"


@with_verbose
def serve(
    context: typer.Context,
    models: Annotated[
        list[str],
        options.argument(
            "MODELS...", values.name, "Finished runs, or folders or Hub ids of models.", options.MODELS
        ),
    ],
    index: Annotated[
        Path | None,
        options.option(
            "--index",
            values.place_or_database,
            "Indexed folder, table or database, for /search.",
            options.SEARCH,
        ),
    ] = None,
    host: Annotated[
        str, options.option("--host", values.text, "Address to listen on.", LISTEN)
    ] = "127.0.0.1",
    port: Annotated[
        int, options.option("--port", values.whole(Range(0, 65_535)), "Port; 0 for a free one.", LISTEN)
    ] = 8000,
    api_key_file: Annotated[
        Path | None,
        options.option(
            "--api-key-file", values.source, "File with the key to ask for (default: MBERT_API_KEY).", LISTEN
        ),
    ] = None,
    no_api_key: Annotated[
        bool, options.flag("--no-api-key", "Let other machines ask without a key.", LISTEN)
    ] = False,
    max_body: Annotated[
        int,
        options.option("--max-body", values.whole(Range(1024, 1 << 30)), "Largest request in bytes.", LIMITS),
    ] = 1 << 20,
    max_texts: Annotated[
        int,
        options.option("--max-texts", values.whole(Range(1, 100_000)), "Most texts in a request.", LIMITS),
    ] = 256,
    max_waiting: Annotated[
        int,
        options.option(
            "--max-waiting",
            values.whole(Range(1, 100_000_000)),
            "Most tokens that wait for a model; then requests are refused (429).",
            LIMITS,
        ),
    ] = 131_072,
    timeout: Annotated[
        float,
        options.option(
            "--timeout", values.number(Range(0.01, 3600)), "Seconds until an answer must be there.", LIMITS
        ),
    ] = 30.0,
    batch_tokens: Annotated[
        int,
        options.option(
            "--batch-tokens",
            values.whole(Range(0, 10_000_000)),
            "Tokens in a batch; 0 for what fills the device.",
            LIMITS,
        ),
    ] = 0,
    wait_ms: Annotated[
        float,
        options.option(
            "--wait-ms",
            values.number(Range(0, 1000)),
            "Milliseconds that a batch waits for more requests while they come together.",
            LIMITS,
        ),
    ] = 2.0,
    shadow: Annotated[
        str | None,
        options.option(
            "--shadow",
            values.name,
            "Classifier that reads what the first model answers; its own answers are kept, not given.",
            SHADOW,
            offers=options.MODELS,
        ),
    ] = None,
    shadow_file: Annotated[
        Path | None,
        options.option(
            "--shadow-file",
            values.target(".jsonl"),
            "File to which the texts on which both differ are added.",
            SHADOW,
        ),
    ] = None,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
) -> None:
    """Serve models over HTTP: labels, vectors, reranking, search, and OpenAI's embeddings.

    Texts of different requests run together in packed batches. Ctrl-C or SIGTERM answers what was taken, and
    then stops.
    """
    _require_server()
    if (shadow is None) != (shadow_file is None):
        raise BadOption("--shadow and --shadow-file go together", fix="Give both, or neither.")
    for model in (*models, *([shadow] if shadow else [])):
        check_model(model, runs_dir)
    with watch(quiet=not output.errors_are_seen()):
        from modernbert.runs import RunStore
        from modernbert.serving.limits import Limits
        from modernbert.serving.server import ServeRequest, open_server, read_key

        request = ServeRequest(
            models=tuple(models),
            index=index,
            shadow=shadow,
            shadow_file=shadow_file,
            host=host,
            port=port,
            key=read_key(api_key_file),
            without_key=no_api_key,
            limits=Limits(
                max_body=max_body,
                max_texts=max_texts,
                max_waiting=max_waiting,
                timeout=timeout,
                batch_tokens=batch_tokens,
                wait_ms=wait_ms,
            ),
            device=device,
            precision=precision,
            data_dir=data_dir,
        )
        server = open_server(request, RunStore.at(runs_dir))
    output.print_line(f"serving {', '.join(server.names)} at {server.url} (Ctrl-C stops)")
    server.run()


def _require_server() -> None:
    """Raise NotAvailable without the packages of the extra."""
    import importlib.util

    for name in ("fastapi", "uvicorn", "prometheus_client"):
        if importlib.util.find_spec(name) is None:
            raise NotAvailable(f"{name} is not installed, and mbert serve needs it", fix=f"Next: {INSTALL}")
