"""A file that is there is replaced only with `--overwrite`, whichever command would write it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from commands import ALWAYS, NEEDED
from helpers import parse_command
from modernbert.cli import main
from parameters import COMMANDS, parameters_of

# Command, option and what its files are called.
OUTPUTS = [
    (command, *described.output)
    for command, info in COMMANDS.items()
    for _, described, _ in parameters_of(info.callback)
    if hasattr(described, "output")
]


def line_of(command: str, option: str, path: Path) -> list[str]:
    """Return a command line with an output, and what the command needs besides."""
    needed = [
        NEEDED[described.metavar]
        for _, described, _ in parameters_of(COMMANDS[command].callback)
        if type(described).__name__ == "ArgumentInfo" and described.metavar in NEEDED
    ]
    always = [] if option == "--out" else ALWAYS.get(command, [])
    return [*command.split(), *needed, *always, option, str(path)]


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text("text,label\ngood,yes\n")
    return tmp_path


def test_every_command_that_writes_a_file_is_here():
    found = {command for command, *_ in OUTPUTS}
    assert found == {"bench", "compare", "data check", "embed", "migrate", "predict", "report"}
    source = "".join(path.read_text() for path in Path(main.__file__).parent.glob("*.py"))
    # The other one is serve's --shadow-file, to which lines are added.
    assert len(re.findall(r"values\.target\(", source)) == 2, "an output is made by options.output_file"


@pytest.mark.parametrize(("command", "option", "suffix"), OUTPUTS)
def test_what_is_there_stays_unless_it_may_be_replaced(files, mbert, command, option, suffix):
    there = files / f"there{suffix}"
    there.write_text("mine")
    line = line_of(command, option, there)
    code, out, err = mbert(*line)
    assert (code, out, there.read_text()) == (2, "", "mine")
    assert "the file is there already\nAdd --overwrite to replace it" in err
    parse_command([*line, "--overwrite"])
    parse_command([*line[:-2], "--overwrite", *line[-2:]])
    there.unlink()
    parse_command(line)


def test_overwrite_without_an_output_is_refused(files, mbert):
    code, _, err = mbert("predict", "-m", "toy", "--text", "good", "--overwrite")
    assert code == 2 and "--overwrite applies only with --out" in err
