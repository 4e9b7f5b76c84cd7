"""The command table, and the one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from modernbert.errors import MbertError
from modernbert.network import offline_by_choice
from modernbert.version import __version__

from . import (
    bench,
    catalogue,
    compare,
    data,
    demo,
    doctor,
    download,
    evaluate,
    finetune,
    output,
    predict,
    pretrain,
    report,
    runs,
    search,
)

app = typer.Typer(
    name="mbert",
    help="Fine-tune, evaluate and compare ModernBERT and its baselines.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        output.print_line(f"mbert {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the network.")] = False,
) -> None:
    if offline:
        os.environ["MBERT_OFFLINE"] = "1"
    if offline_by_choice():
        os.environ["HF_HUB_OFFLINE"] = "1"  # read by the Hub's library when it is imported


app.command("demo")(demo.demo)
app.command("finetune")(finetune.finetune)
app.command("pretrain")(pretrain.pretrain)
app.command("eval")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("predict")(predict.predict)
app.command("index")(search.index)
app.command("search")(search.search)
app.command("embed")(search.embed)
app.command("resume")(finetune.resume)
app.add_typer(runs.app, name="runs")
app.command("tasks")(catalogue.tasks)
app.command("models")(catalogue.models)
app.add_typer(data.app, name="data")
app.command("download")(download.download)
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command line. `MBERT_DEBUG=1` shows the traceback of a user's error too."""
    try:
        app()
    except MbertError as error:
        if os.environ.get("MBERT_DEBUG"):
            raise
        output.print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        output.print_line("stopped", error=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader (such as `head`) has seen enough; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
