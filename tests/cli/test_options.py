"""Every option of every command against values that make no sense, found by looking at the program itself."""

from __future__ import annotations

import functools
import typing

import pytest
import typer
from commands import ALWAYS, NEEDED
from helpers import toy_rows, write_csv
from modernbert.cli.main import app
from parameters import COMMANDS, parameters_of

from modernbert.errors import MbertError

LONG = "a" * 5_000
ESCAPE = "\x1b[31mred"
NO_NUMBERS = (
    "", " ", "inf", "-inf", "nan", "-1", "-0.5", "²", "१", "1e400", "1e300", "9" * 5_000, "1" + "0" * 20,
    "0x10", "1_000", "1,000,", "some", LONG, ESCAPE, "\udcff",
)  # fmt: skip
# By what help calls the value: what must be refused. A new kind of value has to be added here.
WRONG = {
    "NUMBER": NO_NUMBERS,
    "NUMBERS": (*NO_NUMBERS, "64,", "64,,32", "64,64", "64,-1", "64,²"),
    "TOKENS": (*NO_NUMBERS, "0", "1", "AUTO"),
    "WORD": ("", " ", "-1", "²", "nosuch", LONG, ESCAPE, "\udcff"),
    "WORDS": ("", " ", "a,,b", "a" * 20_000, "\udcff"),
    "TEXT": ("", " ", "a" * 20_000, "\udcff"),
    "METRIC": ("", " ", "F1", "a b", LONG, ESCAPE, "\udcff"),
    "TAG": ("", " ", "a b", "a,b", LONG, ESCAPE, "\udcff"),
    "NAME": ("", " ", LONG, "a/" * 3_000),
    "FILE": (
        "",
        " ",
        LONG,
        f"{ESCAPE}/x.csv",
        f"reviews.csv/{ESCAPE}.csv",
        "folder",
        "folder/",
        "folder/none/x.csv",
        "reviews.csv/x.csv",
    ),
    "OUTPUT": (
        "",
        " ",
        LONG,
        f"reviews.csv/{ESCAPE}",
        "reviews.csv/x",
        "folder/none/x.parquet",
        "reviews.csv/x.parquet",
        "x.nosuch",
    ),
    "FOLDER": ("", " ", LONG, f"reviews.csv/{ESCAPE}", "reviews.csv", "reviews.csv/x"),
    "ADDRESS": (
        "",
        " ",
        "nosuch",
        "s3://bucket",
        "postgresql://a@b@c/d",
        f"postgresql://{ESCAPE}/x",
        LONG,
        "\udcff",
    ),
    "PATH": ("", " ", LONG, ESCAPE, "nosuch", "reviews.csv/x"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_reads_its_value_with_a_function_of_values(command):
    for name, info, kind in parameters_of(COMMANDS[command].callback):
        if kind not in (bool, bool | None):
            assert info is not None and info.parser is not None, f"{command}: {name} is not checked"
            is_option = isinstance(info, typer.models.OptionInfo)
            assert not is_option or kind_of(info) in WRONG, f"{command}: {name} is a {info.metavar}"


def kind_of(info: typer.models.OptionInfo) -> str:
    """Return what help calls the value, without the words that it may be instead (`NUMBER|auto`)."""
    return info.metavar.partition("|")[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_every_word_that_may_stand_for_a_number_or_a_file(command):
    """Each word that any option takes is tried with all of them."""
    for name, info, _ in parameters_of(COMMANDS[command].callback):
        if not isinstance(info, typer.models.OptionInfo) or info.parser is None:
            continue
        kind, *words = info.metavar.split("|")
        if kind in ("NUMBER", "NUMBERS", "TOKENS", "FILE"):
            found = {
                word for word in ("auto", "none", "balanced", "all", "best", "mean") if reads(info, word)
            }
            assert found == set(words), f"{command}: {name} is {info.metavar}"


def reads(info: typer.models.OptionInfo, word: str) -> bool:
    """Does the option take this word, which is no file here?"""
    try:
        return info.parser(word) is not None
    except MbertError:
        return False


@functools.cache
def program() -> typing.Any:
    """Return the program with commands that do nothing."""
    with pytest.MonkeyPatch.context() as patch:
        for info in COMMANDS.values():
            patch.setattr(info, "callback", functools.wraps(info.callback)(lambda *args, **kwargs: None))
        return typer.main.get_command(app)


@pytest.fixture
def parsed(tmp_path):
    """Parse a command line. Return what was wrong with it, `usage` if the library said so, or nothing."""
    (tmp_path / "folder").mkdir()
    write_csv(tmp_path / "reviews.csv", toy_rows(4))

    def parse(*arguments: str) -> str:
        try:
            program().main(list(arguments), prog_name="mbert", standalone_mode=True)
        except MbertError as error:
            assert error.exit_code == 2
            return str(error)
        except SystemExit as stop:
            return "usage" if stop.code == 2 else ""
        raise AssertionError("the program always exits")

    return parse


def line_of(command: str) -> list[str]:
    """Return a command line that is right."""
    found = command.split()
    for _, info, _ in parameters_of(COMMANDS[command].callback):
        if isinstance(info, typer.models.ArgumentInfo) and info.metavar in NEEDED:
            found.append(NEEDED[info.metavar])
    return [*found, *ALWAYS.get(command, [])]


@pytest.mark.parametrize("command", COMMANDS)
def test_values_that_make_no_sense(command, parsed, tmp_path, capsys):
    assert parsed(*line_of(command)) == "", "the line is right without them"
    before = sorted(tmp_path.rglob("*"))
    for _, info, _ in parameters_of(COMMANDS[command].callback):
        if not isinstance(info, typer.models.OptionInfo) or info.parser is None:
            continue
        option = next(d for d in (info.default, *info.param_decls) if str(d).startswith("-"))
        for value in WRONG[kind_of(info)]:
            message = parsed(*line_of(command), option, value)
            shown = f"{command} {option} {value[:40]!r}: {message!r}"
            assert message and message != "usage", shown
            assert len(message) < 400 and len(message.splitlines()) <= 2 and "\x1b" not in message, shown
            assert option in message or "cannot" in message or "no such" in message, shown
    assert sorted(tmp_path.rglob("*")) == before
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [c for c in COMMANDS if any(
    isinstance(info, typer.models.ArgumentInfo) for _, info, _ in parameters_of(COMMANDS[c].callback)
)])  # fmt: skip
def test_arguments_that_make_no_sense(command, parsed):
    for value in ("", " ", LONG * 4):
        line = [value if part in NEEDED.values() else part for part in line_of(command)]
        if command == "compare":
            line.append(value)
        assert parsed(*line) not in ("", "usage"), (command, value[:40])


@pytest.mark.parametrize("name", ["CON", "nul.txt", "Com1", "../up", "a b", ".b", "a" * 201, "a\n", "x."])
def test_names_that_no_run_can_have(name, parsed):
    assert "name" in parsed("finetune", "reviews.csv", "--name", name)
