"""Help pages: readable on 80 columns, with examples; and the options that users' scripts rely on."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from modernbert.cli.main import app
from typer.testing import CliRunner

# Every option of every command: one that goes, or gets another name, breaks somebody's script.
FROZEN = Path(__file__).parent / "options.txt"


def pages(command, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], list[str]]:
    """Return the options of every command, by its words."""
    own = [
        name
        for parameter in command.params
        if parameter.param_type_name == "option" and "completion" not in parameter.name
        for name in (*parameter.opts, *parameter.secondary_opts)
    ]
    found = {words: sorted(own)}
    for name, child in getattr(command, "commands", {}).items():
        found |= pages(child, (*words, name))
    return found


PAGES = pages(typer.main.get_command(app))


def test_no_option_is_dropped_renamed_or_added_unseen():
    """A new option is added to `options.txt`; a line goes from there only after users were told."""
    lines = {f"mbert {' '.join((*words, name))}" for words, names in PAGES.items() for name in names}
    frozen = set(FROZEN.read_text().splitlines())
    assert sorted(frozen - lines) == [], "gone"
    assert sorted(lines - frozen) == [], "new"


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_page_is_whole_on_80_columns_and_ends_with_examples(words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in done.output, "a name is cropped"
    usage = " ".join(done.output.split()).partition("Usage: ")[2][:120].replace("[ARGS]...", "")
    assert not any(odd in usage for odd in "{}") and "]..." not in usage and "......" not in usage
    assert "<" not in done.output, "a type of Python stands where a reader expects a word"
    shown = [line.strip() for line in lines]
    assert any(line.startswith("mbert ") for line in shown[shown.index("Examples") :])


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_option_has_a_head(words, monkeypatch):
    """What stands under `Options` is --help, and what the program itself takes."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = CliRunner().invoke(app, [*words, "--help"]).output.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("╭─ Options"))
    last = next(i for i, line in enumerate(lines[first:], first) if line.startswith("╰"))
    names = [line.split()[1] for line in lines[first + 1 : last] if line.split()[1].startswith("-")]
    allowed = {"--help", "--version", "--offline", "--install-completion", "--show-completion", "--yes"}
    assert set(names) <= allowed
