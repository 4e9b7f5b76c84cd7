"""With --json an error is one JSON object on stdout: every command, whatever is wrong with its arguments."""

from __future__ import annotations

import json

import pytest
import typer
from commands import ALWAYS, NEEDED
from modernbert.cli.main import app, wants_json

from modernbert.wording import one_line


def commands(group, path=()):
    """Yield every command with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        if any("--json" in parameter.opts for parameter in command.params):
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))
FIELDS = ["kind", "message", "where", "fix"]


def error_of(result: tuple[int, str, str], code: int = 2) -> dict:
    found, out, err = result
    assert found == code, err
    told = json.loads(out)
    assert list(told) == ["error"] and list(told["error"]) == FIELDS
    assert told["error"]["message"] in one_line(err) or "\n" in told["error"]["message"]
    return told["error"]


def needed(words, command) -> list[str]:
    values = [NEEDED[p.metavar] for p in command.params if p.param_type_name == "argument" and p.required]
    return [*values, *ALWAYS.get(words[0], [])]


def test_the_commands_with_json_are_found():
    assert {("finetune",), ("runs", "show"), ("data", "check"), ("runs",), ("doctor",)} <= COMMANDS.keys()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_wrong_option(words, mbert):
    error = error_of(mbert(*words, *needed(words, COMMANDS[words]), "--json", "--nosuch"))
    assert error["kind"] == "BadOption" and "--nosuch" in error["message"]
    assert f"mbert {' '.join(words)} --help" in error["fix"]


WITH_RUNS = [
    words for words, command in COMMANDS.items() if "--runs-dir" in str([p.opts for p in command.params])
]


@pytest.mark.parametrize("words", WITH_RUNS, ids=" ".join)
def test_a_wrong_value(words, mbert, tmp_path):
    (tmp_path / "file").touch()
    error = error_of(mbert(*words, *needed(words, COMMANDS[words]), "--json", "--runs-dir", "file"))
    assert "file" in f"{error['where']} {error['message']}"


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if needed(words, COMMANDS[words])], ids=" ".join
)
def test_a_missing_argument(words, mbert):
    assert "Missing" in error_of(mbert(*words, "--json"))["message"]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["finetune", "glue/sst3"], "UnknownName"),
        (["eval", "nosuch.csv", "-m", "x"], "BadData"),
        (["runs", "show", "nosuch"], "UnknownName"),
        (["nosuch"], "UnknownName"),
        (["search", "x", "--index", "."], "BadData"),
    ],
)
def test_the_kind_is_named(arguments, kind, mbert):
    assert error_of(mbert(*arguments, "--json"))["kind"] == kind


def test_without_json_stdout_is_empty(mbert):
    assert mbert("runs", "show", "nosuch")[:2] == (2, "")


def test_what_follows_two_dashes_is_no_option():
    assert wants_json(["search", "x", "--json"])
    assert not wants_json(["search", "--", "--json"])


@pytest.mark.parametrize("words", [("finetune",), ("eval",), ("index",)], ids=" ".join)
def test_an_interruption_is_told_as_json_too(words, mbert, monkeypatch):
    from modernbert.cli import main

    from modernbert.signals import Ended

    def stopped(**_):
        raise Ended(2)

    monkeypatch.setattr(main, "app", stopped)
    error = error_of(mbert(*words, "x y", "--json"), 130)
    assert error["kind"] == "Interrupted"
    assert error["fix"].endswith(f"mbert {words[0]} 'x y' --json")
