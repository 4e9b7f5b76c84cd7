"""Options that several commands share, each defined once, and how an option is made.

Every option and argument reads its value with a function of `values`, so that nothing wrong gets further.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from modernbert.errors import BadOption
from modernbert.training.config import TrainingConfig

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


def option(names: str, read: Read, help: str, **more: Any) -> Any:
    """Describe an option, such as `--output -o`, whose value is read by a function of `values`."""
    first, *others = names.split()
    kind = KINDS_OF_VALUES.get(read.__qualname__.partition(".")[0], "TEXT")
    return typer.Option(first, *others, help=help, parser=_parser(read, first), metavar=kind, **more)


def argument(name: str, read: Read, help: str) -> Any:
    """Describe an argument whose value is read by a function of `values`."""
    return typer.Argument(help=help, parser=_parser(read, name.rstrip(".")), metavar=name)


def setting(names: str, help: str, config: type[TrainingConfig] = TrainingConfig) -> Any:
    """Describe the option of a setting, which is read as the setting's own type and limits say."""
    field = {"--lr": "learning_rate"}.get(names, names.split()[0].lstrip("-").replace("-", "_"))
    limits = config.__dataclass_fields__[field].metadata["limits"]
    return option(names, values.setting(field, config), f"{help[:-1]} ({limits})." if limits else help)


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


Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
DataDir = Annotated[
    Path | None, option("--data-dir", values.folder, "Bundle folder to look in first (or MBERT_DATA).")
]
RunsDir = Annotated[
    Path | None,
    option("--runs-dir", values.folder, "Where runs are kept (or MBERT_RUNS; default ./runs)."),
]
Device = Annotated[
    str, option("--device", values.one_of("auto", "cpu", "cuda", "mps"), "auto, cpu, cuda or mps.")
]
Precision = Annotated[
    str, option("--precision", values.one_of("auto", "fp32", "bf16"), "auto, fp32 or bf16.")
]
TextCol = Annotated[
    list[str] | None,
    option("--text-col", values.text, "Text column; give it twice for a pair.", callback=_text_columns),
]
LabelCol = Annotated[
    str | None, option("--label-col", values.text, "Label column; a,b,c for one of 0 and 1 each.")
]
_MODEL = option("--model -m", values.name, "Alias (see `mbert models`), run, folder, or Hub id.")
Model = Annotated[str, _MODEL]
MaybeModel = Annotated[str | None, _MODEL]
Texts = Annotated[
    bool, typer.Option("--texts/--no-texts", help="In an HTML report: show examples with their text, or ids.")
]
MaxLength = Annotated[
    int | None,
    option("--max-length", values.length, "Longest text in tokens, or auto (the 99th percentile)."),
]
Validation = Annotated[Path | None, option("--validation", values.source, "Validation file, for own data.")]
Test = Annotated[Path | None, option("--test", values.source, "Test file, for own data.")]
KINDS = ("single_label", "multi_label", "regression", "retrieval")
Kind = Annotated[str | None, option("--kind", values.one_of(*KINDS), f"For own data: {', '.join(KINDS)}.")]
Config = Annotated[Path | None, option("--config", values.source, "TOML file of settings; flags win.")]
