"""The command table, and the one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from modernbert.connection import stay_offline
from modernbert.errors import BadOption, DiskFull, Interrupted, MbertError, Stopped, UnknownName
from modernbert.places import NO_SPACE, NOT_WRITABLE
from modernbert.signals import Ended, on_signals
from modernbert.version import __version__

from . import (
    bench,
    catalogue,
    compare,
    complete,
    data,
    demo,
    doctor,
    download,
    embed,
    evaluate,
    export,
    finetune,
    interrupted,
    migrate,
    mistakes,
    options,
    output,
    predict,
    pretrain,
    push,
    report,
    runs,
    screen,
    search,
    serve,
    values,
)
from .examples import EXAMPLES

# What a command line is wrong in: the parser is a package of its own, or a part of typer, by its version.
UsageError: Any = typer.BadParameter.__base__


class _Flags:
    """Help that names no type of Python beside an argument or a flag, and each argument as it is written."""

    def get_params(self, context: Any) -> list[Any]:
        parameters: list[Any] = super().get_params(context)  # type: ignore[misc]
        for parameter in parameters:
            if getattr(parameter, "is_flag", False):
                parameter.metavar = ""
            if parameter.param_type_name == "argument":
                parameter.display_type_rich = lambda ctx: None
                usage = parameter.metavar if parameter.required else f"[{parameter.metavar}]"
                parameter.get_usage_pieces = lambda ctx, usage=usage: [usage]
        return parameters


class _Command(_Flags, TyperCommand):
    pass


class _Group(_Flags, TyperGroup):
    pass


def _examples(name: str) -> str:
    return "\n\n".join(("[bold]Examples[/bold]", *EXAMPLES[name]))


app = typer.Typer(
    name="mbert",
    cls=_Group,
    epilog=_examples("mbert"),
    help="Fine-tune, evaluate and compare ModernBERT and its baselines.",
    no_args_is_help=True,
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
        options.flag("--version", "Show the version and exit.", callback=_show_version, is_eager=True),
    ] = False,
    offline: Annotated[bool, options.flag("--offline", "Never use the network.")] = False,
) -> None:
    stay_offline(offline)


TRAIN, MEASURE, USE, MACHINE = "Train", "Measure", "Use", "Data and machine"
COMMANDS: dict[str, dict[str, Callable[..., None] | typer.Typer]] = {
    TRAIN: {
        "demo": demo.demo,
        "finetune": finetune.finetune,
        "pretrain": pretrain.pretrain,
        "resume": finetune.resume,
    },
    MEASURE: {
        "eval": evaluate.evaluate,
        "compare": compare.compare,
        "report": report.report,
        "runs": runs.app,
        "bench": bench.bench,
        "migrate": migrate.migrate,
    },
    USE: {
        "predict": predict.predict,
        "export": export.export,
        "embed": embed.embed,
        "index": search.index,
        "search": search.search,
        "serve": serve.serve,
        "push": push.push,
    },
    MACHINE: {
        "tasks": catalogue.tasks,
        "models": catalogue.models,
        "data": data.app,
        "download": download.download,
        "doctor": doctor.doctor,
    },
}

for _panel, _commands in COMMANDS.items():
    for _name, _command in _commands.items():
        if isinstance(_command, typer.Typer):
            for _info in _command.registered_commands:
                _info.cls, _info.epilog = _Command, _examples(f"{_name} {_info.name}")
            app.add_typer(_command, name=_name, cls=_Group, epilog=_examples(_name), rich_help_panel=_panel)
        else:
            app.command(_name, cls=_Command, rich_help_panel=_panel, epilog=_examples(_name))(_command)


@app.command("help", cls=_Command, rich_help_panel=MACHINE, epilog=_examples("help"))
def help_(
    context: typer.Context,
    command: Annotated[
        str | None, options.argument("COMMAND", values.name, "A command's name.", [complete.commands])
    ] = None,
) -> None:
    """Show the help of a command, as `mbert COMMAND --help` does."""
    group: Any = context.find_root().command
    known = group.list_commands(context)
    if command and command not in known:
        raise UnknownName.among("command", command, known, fix="mbert --help lists them.")
    app([*([command] if command else []), "--help"], standalone_mode=False)


def main() -> None:
    """Run the command line. `MBERT_DEBUG=1` shows the traceback of a user's error too."""
    with screen.guarded() as stdout:
        code = _run()
        stdout.flush()
        if stdout.lost is not None:
            code = code or _tell_of_lost_output(stdout.lost)
    if code:
        sys.exit(code)


def _run() -> int:
    """Run the command, tell what ended it, and return the exit code."""
    try:
        with on_signals():
            return int(app(standalone_mode=False) or 0)
    except (MbertError, Ended, typer.Abort, UsageError, OSError) as error:
        told = _told(error)
        if told is None or os.environ.get("MBERT_DEBUG"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":  # its text was the help, which is shown
            return told.exit_code
        _tell(told)
        return told.exit_code


def _tell(error: MbertError) -> None:
    """Print an error for people on stderr; for programs that asked for JSON, on stdout too."""
    output.print_error(error)
    if wants_json(sys.argv[1:]):
        output.print_json_error(error)


def wants_json(arguments: Sequence[str]) -> bool:
    """Is JSON asked for? Where the arguments are wrong, they were not parsed: so they are searched."""
    return "--json" in itertools.takewhile(lambda argument: argument != "--", arguments)


def _told(error: Any) -> MbertError | None:
    """Return what is said of an error; None if it is no user's, nor the system's."""
    if isinstance(error, MbertError):
        return error
    if isinstance(error, Ended):
        return Interrupted(error.number, error.what, fix=error.fix or interrupted.what_was_kept(sys.argv[1:]))
    if isinstance(error, typer.Abort):
        return Stopped("no answer was given", fix="Nothing was started.")
    if isinstance(error, OSError):
        return _of_the_system(error)
    return mistakes.told(error, sys.argv[1:])


def _of_the_system(error: OSError) -> MbertError | None:
    """Return what is said of an error that nobody foresaw where it came up."""
    where = error.filename if isinstance(error.filename, str) else None
    if error.errno in NO_SPACE:
        fix = "What was saved before is intact. Free some space, or write elsewhere."
        return DiskFull(f"no more can be written ({error.strerror})", where=where, fix=fix)
    if error.errno not in NOT_WRITABLE or where is None:
        return None
    fix = "Use another path, or change what is there; MBERT_DEBUG=1 shows more."
    return BadOption(f"the system says: {error.strerror}", where=where, fix=fix)


def _tell_of_lost_output(error: OSError) -> int:
    """Return the exit code of a command whose output ended early: quietly if its reader has seen enough."""
    if error.errno == errno.EPIPE:
        return 128 + signal.SIGPIPE  # as a process that this signal ends
    fix = "The command itself finished, and its results were saved."
    output.print_error(Stopped(f"the output cannot be written ({error.strerror})", fix=fix))
    return 1
