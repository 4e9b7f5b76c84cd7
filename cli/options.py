"""Options that several commands share, each defined once, and how an option is made.

Every option and argument reads its value with a function of `values`, so that nothing wrong gets further.
The options of a training's settings are made in `settings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from modernbert.errors import BadOption
from modernbert.places import require_new
from modernbert.ranges import Range

from . import complete, values

Read = Callable[[str, str], Any]
# How help calls what the functions of `values` read.
KINDS_OF_VALUES = {
    "name": "NAME",
    "run_name": "NAME",
    "tag": "TAG",
    "metric": "METRIC",
    "one_of": "WORD",
    "words": "WORDS",
    "length": "TOKENS",
    "number": "NUMBER",
    "whole": "NUMBER",
    "word_or_number": "NUMBER",
    "word_or_file": "FILE",
    "whole_list": "NUMBERS",
    "source": "FILE",
    "source_or_stdin": "FILE",
    "target": "FILE",
    "source_or_shards": "FILE",
    "target_or_shards": "OUTPUT",
    "folder": "FOLDER",
    "place": "PATH",
    "place_or_database": "PATH",
    "database": "ADDRESS",
}


# Under which head help lists an option that is no setting.
DATA, MODEL, SEARCH, RUN, OUTPUT = "Data", "Model", "Retrieval", "Run", "Output"
FOLDERS, MACHINE = "Folders", "Machine"
# Kinds of task that an option may apply to alone.
LABELS_ALONE, RETRIEVAL_ALONE = "labelled texts", "retrieval"


def option(
    names: str,
    read: Read,
    help: str,
    panel: str | None = None,
    *,
    words: Iterable[str] = (),
    offers: Iterable[complete.Source] = (),
    applies_to: str = "",
    **more: Any,
) -> Any:
    """Describe an option, such as `--output -o`, whose value is read by a function of `values`.

    Args:
        names: the option's, with dashes.
        read: reads its value.
        help: a sentence.
        panel: under which head help lists it.
        words: what the value may be besides a number or a file.
        offers: name what the shell completes the value with, besides the words that it may be.
        applies_to: the kind of task that it applies to alone (see `require_applicable`).
        more: for typer.
    """
    first = names.split()[0]
    kind = KINDS_OF_VALUES.get(read.__qualname__.partition(".")[0], "TEXT")
    more |= {"parser": _parser(read, first), "metavar": "|".join([kind, *words])}
    more |= _completion(read, words, offers)
    return flag(names, help, panel, applies_to=applies_to, **more)


def flag(names: str, help: str, panel: str | None = None, *, applies_to: str = "", **more: Any) -> Any:
    """Describe an option without a value, such as `--yes -y`; `applies_to` as in `option`."""
    first, *others = names.split()
    described = typer.Option(first, *others, help=help, rich_help_panel=panel, **more)
    described.applies_to = applies_to
    return described


def output_file(names: str, suffixes: Iterable[str], help: str, *, shards: bool = False) -> Any:
    """Describe an option that names a file to write. What is there is replaced with `--overwrite` alone.

    A command with such an option has the parameter `overwrite: Overwrite`. Or a folder of `shards`.
    """
    read = (values.target_or_shards if shards else values.target)(*suffixes)
    described = option(names, read, help, OUTPUT, callback=_refuse_to_replace)
    described.output = names.split()[0], next(iter(suffixes))
    return described


def _refuse_to_replace(context: typer.Context, path: Path | str | None) -> Path | str | None:
    if path is not None and not Path(path).is_dir():
        require_new(Path(path), overwrite=context.params["overwrite"])
    return path


def require_output(overwrite: bool, names: str, *outputs: Path | None) -> None:
    """Raise BadOption for `--overwrite` without any of the outputs, whose options are `names`."""
    if overwrite and not any(outputs):
        raise BadOption(f"--overwrite applies only with {names}")


def argument(name: str, read: Read, help: str, offers: Iterable[complete.Source] = ()) -> Any:
    """Describe an argument whose value is read by a function of `values`; `offers` as in `option`."""
    completed = _completion(read, (), offers)
    return typer.Argument(help=help, parser=_parser(read, name.rstrip(".")), metavar=name, **completed)


def _completion(read: Read, words: Iterable[str], offers: Iterable[complete.Source]) -> dict[str, Any]:
    choices = (*words, *getattr(read, "choices", ()))
    sources = [*offers, *([complete.words(*choices)] if choices else [])]
    return {"autocompletion": complete.offer(*sources)} if sources else {}


def _parser(read: Read, name: str) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        return read(value, name) if isinstance(value, str) else value  # a default is what it is

    return parse


def refuse(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Raise BadOption for the first of these options that was given: here it would do nothing."""
    for name in names:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            option = next(p.opts[0] for p in context.command.params if p.name == name)
            raise BadOption(f"{option} {why}")


def require_applicable(context: typer.Context, command: Callable[..., None], task: str, kind: str) -> None:
    """Raise BadOption for an option of the command that was given and applies to another kind of task.

    Args:
        task: its name, for the message.
        kind: `LABELS_ALONE` or `RETRIEVAL_ALONE`.
    """
    for name, hint in get_type_hints(command, include_extras=True).items():
        for described in getattr(hint, "__metadata__", ()):
            only = getattr(described, "applies_to", "")
            if only and only != kind:
                refuse(context, [name], f"applies only to {only}, and {task} is {kind}")


def _text_columns(value: list[str] | None) -> list[str]:
    if value:
        from modernbert.data.columns import check_text_columns  # and numpy with it

        check_text_columns(tuple(value))
    return value or []  # older releases of typer want a list from a callback


Json = Annotated[bool, flag("--json", "Print JSON instead of tables.", OUTPUT)]
# Eager: it is read before the outputs that it allows to replace.
Overwrite = Annotated[bool, flag("--overwrite", "Replace the output if it is there.", OUTPUT, is_eager=True)]
Verbose = Annotated[
    bool,
    flag("--verbose -v", "Explain device, precision and attention, and where the time goes.", OUTPUT),
]
DataDir = Annotated[
    Path | None, option("--data-dir", values.folder, "Bundle to search first (default: MBERT_DATA).", FOLDERS)
]
RunsDir = Annotated[
    Path | None,
    option("--runs-dir", values.folder, "Folder of the runs (default: MBERT_RUNS, else ./runs).", FOLDERS),
]
Device = Annotated[
    str,
    option(
        "--device", values.one_of("auto", "cpu", "cuda", "mps"), "Device: auto, cpu, cuda or mps.", MACHINE
    ),
]
Precision = Annotated[
    str,
    option("--precision", values.one_of("auto", "fp32", "bf16"), "Precision: auto, fp32 or bf16.", MACHINE),
]
Processes = Annotated[
    int,
    option(
        "--processes",
        values.whole(Range(1, 1_024)),
        "Number of processes on this machine that share the work, each with the model and a GPU of its own.",
        MACHINE,
    ),
]
Ray = Annotated[
    str | None,
    option(
        "--ray",
        values.text,
        "Work on the Parquet files of a folder, on a Ray cluster: its address, auto or local.",
        MACHINE,
    ),
]
TextCol = Annotated[
    list[str] | None,
    option(
        "--text-col",
        values.text,
        "Text column. Give it twice for text pairs.",
        DATA,
        callback=_text_columns,
        applies_to=LABELS_ALONE,
    ),
]
LabelCol = Annotated[
    str | None,
    option(
        "--label-col",
        values.text,
        "Label column, or several of 0 and 1: a,b,c.",
        DATA,
        applies_to=LABELS_ALONE,
    ),
]
Cluster = Annotated[
    str | None,
    option(
        "--cluster",
        values.text,
        "Column that tells which rows belong together, for intervals and splits.",
        DATA,
        applies_to=LABELS_ALONE,
    ),
]
# What names a model; what names what is trained or scored.
MODELS = (complete.trained, complete.models)
TASKS = (complete.tasks, complete.families)
_MODEL = option(
    "--model -m",
    values.name,
    "Model: a short name (`mbert models`), a run, a folder or a Hub id.",
    MODEL,
    offers=MODELS,
)
Model = Annotated[str, _MODEL]
MaybeModel = Annotated[str | None, _MODEL]
Tags = Annotated[
    list[str] | None,
    option(
        "--tag",
        values.tag,
        "Tag of the run (find it with `mbert runs --tag`); may be repeated.",
        OUTPUT,
        offers=[complete.tags],
    ),
]
Texts = Annotated[
    bool,
    flag("--texts/--no-texts", "Show the texts of examples in an HTML report, or only their ids.", OUTPUT),
]
MaxLength = Annotated[
    int | None,
    option(
        "--max-length",
        values.length,
        "Maximum text length in tokens, or auto: the model's own, else the 99th percentile.",
        DATA,
        words=["auto"],
    ),
]
Validation = Annotated[
    Path | None, option("--validation", values.source, "Validation file, for your own data.", DATA)
]
Test = Annotated[Path | None, option("--test", values.source, "Test file, for your own data.", DATA)]
KINDS = ("single_label", "multi_label", "regression", "retrieval", "tokens")
Kind = Annotated[
    str | None,
    option("--kind", values.one_of(*KINDS), f"Kind of task, for your own data: {', '.join(KINDS)}.", DATA),
]
Config = Annotated[
    Path | None, option("--config", values.source, "TOML file of settings. Options override it.", RUN)
]
