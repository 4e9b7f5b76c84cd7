"""Options that several commands share, each defined once, and how an option is made.

Every option and argument reads its value with a function of `values`, so that nothing wrong gets further.
The options of a training's settings are made in `settings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from modernbert.errors import BadOption

from . import values

Read = Callable[[str, str], Any]
# How help calls what the functions of `values` read.
KINDS_OF_VALUES = {
    "name": "NAME",
    "run_name": "NAME",
    "one_of": "WORD",
    "words": "WORDS",
    "length": "TOKENS",
    "number": "NUMBER",
    "whole": "NUMBER",
    "whole_list": "NUMBERS",
    "source": "FILE",
    "target": "FILE",
    "folder": "FOLDER",
    "place": "PATH",
}


# Under which head help lists an option that is no setting.
DATA, MODEL, SEARCH, MACHINE, OUTPUT = "Data", "Model", "Retrieval", "Memory and speed", "Run"


def option(names: str, read: Read, help: str, panel: str | None = None, **more: Any) -> Any:
    """Describe an option, such as `--output -o`, whose value is read by a function of `values`."""
    first, *others = names.split()
    kind = KINDS_OF_VALUES.get(read.__qualname__.partition(".")[0], "TEXT")
    more |= {"help": help, "rich_help_panel": panel}
    return typer.Option(first, *others, parser=_parser(read, first), metavar=kind, **more)


def flag(names: str, help: str, panel: str | None = None, **more: Any) -> Any:
    """Describe an option without a value, such as `--yes -y`."""
    first, *others = names.split()
    return typer.Option(first, *others, help=help, rich_help_panel=panel, **more)


def argument(name: str, read: Read, help: str) -> Any:
    """Describe an argument whose value is read by a function of `values`."""
    return typer.Argument(help=help, parser=_parser(read, name.rstrip(".")), metavar=name)


def _parser(read: Read, name: str) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        return read(value, name) if isinstance(value, str) else value  # a default is what it is

    return parse


def refuse(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Raise BadOption for the first of these options that was given: here it would do nothing."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise BadOption(f"--{name.replace('_', '-')} {why}")


def _text_columns(value: list[str] | None) -> list[str]:
    if value:
        from modernbert.data.columns import check_text_columns  # and numpy with it

        check_text_columns(tuple(value))
    return value or []  # older releases of typer want a list from a callback


Json = Annotated[bool, flag("--json", "Print JSON instead of tables.", OUTPUT)]
DataDir = Annotated[
    Path | None, option("--data-dir", values.folder, "Bundle to look in first (or MBERT_DATA).", DATA)
]
RunsDir = Annotated[
    Path | None,
    option("--runs-dir", values.folder, "Folder of the runs (or MBERT_RUNS; ./runs by default).", OUTPUT),
]
Device = Annotated[
    str, option("--device", values.one_of("auto", "cpu", "cuda", "mps"), "auto, cpu, cuda or mps.", MACHINE)
]
Precision = Annotated[
    str, option("--precision", values.one_of("auto", "fp32", "bf16"), "auto, fp32 or bf16.", MACHINE)
]
TextCol = Annotated[
    list[str] | None,
    option("--text-col", values.text, "Text column; give it twice for a pair.", DATA, callback=_text_columns),
]
LabelCol = Annotated[
    str | None, option("--label-col", values.text, "Label column; a,b,c for one of 0 and 1 each.", DATA)
]
Cluster = Annotated[
    str | None,
    option(
        "--cluster", values.text, "Column whose equal values make rows belong together, for intervals.", DATA
    ),
]
_MODEL = option("--model -m", values.name, "Short name (`mbert models`), run, folder or Hub id.", MODEL)
Model = Annotated[str, _MODEL]
MaybeModel = Annotated[str | None, _MODEL]
Texts = Annotated[
    bool,
    flag("--texts/--no-texts", "In an HTML report: show the texts of examples, or only their ids.", OUTPUT),
]
MaxLength = Annotated[
    int | None,
    option("--max-length", values.length, "Longest text in tokens, or auto (the 99th percentile).", DATA),
]
Validation = Annotated[
    Path | None, option("--validation", values.source, "Validation file, for own data.", DATA)
]
Test = Annotated[Path | None, option("--test", values.source, "Test file, for own data.", DATA)]
KINDS = ("single_label", "multi_label", "regression", "retrieval")
Kind = Annotated[
    str | None, option("--kind", values.one_of(*KINDS), f"For own data: {', '.join(KINDS)}.", DATA)
]
Config = Annotated[
    Path | None, option("--config", values.source, "TOML file of settings; options override it.", OUTPUT)
]
