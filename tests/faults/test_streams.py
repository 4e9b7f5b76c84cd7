"""Standard streams that are full, closed or read by nobody: one sentence, and what was worked for is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import MBERT, finish, run, start
from helpers import toy_rows, write_csv

from modernbert.runs import RunStore

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
BROKEN_PIPE = 128 + signal.SIGPIPE


def shell(redirections: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run `mbert` with the shell's redirections; return exit code, stdout, stderr."""
    line = f'exec "$@" {redirections}'
    command = ["sh", "-c", line, "sh", *MBERT, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    return done.returncode, done.stdout, done.stderr


@needs_full
@pytest.mark.parametrize("arguments", [["tasks"], ["--help"], ["tasks", "--json"], ["finetune", "--help"]])
def test_a_full_output_is_one_sentence(arguments):
    code, _, err = shell(">/dev/full", *arguments)
    assert code == 1
    assert "Error: the output cannot be written (No space left on device)" in err
    assert "Traceback" not in err and "Exception ignored" not in err


@needs_full
def test_full_output_and_full_errors_are_still_an_exit_code():
    assert shell(">/dev/full 2>/dev/full", "tasks")[0] == 1
    assert shell(">/dev/full 2>/dev/full", "runs", "show", "nosuch")[0] == 2


@pytest.mark.parametrize(
    ("redirections", "arguments", "code"),
    [
        (">&-", ["tasks"], 0),
        (">&- 2>&- <&-", ["tasks"], 0),
        ("2>&-", ["runs", "show", "nosuch"], 2),
        ("<&-", ["runs", "show", "nosuch"], 2),
    ],
)
def test_closed_streams_are_empty_ones(redirections, arguments, code):
    found, _, err = shell(redirections, *arguments)
    assert found == code, err
    assert "Traceback" not in err


def test_a_reader_that_has_seen_enough_ends_a_command_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        code, _, err = run("tasks", stdout=nobody)
    assert (code, err) == (BROKEN_PIPE, "")


def test_text_that_the_streams_encoding_lacks_is_spelled_out():
    code, out, err = shell("", "demo", "--help", PYTHONIOENCODING="ascii")
    assert code == 0, err
    assert "Traceback" not in err and out.isascii()


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_no_arguments_show_the_help_and_no_error(arguments):
    code, out, err = run(*arguments)
    assert (code, err) == (2, "") and "Usage" in out


def test_what_nobody_foresaw_of_a_path_is_one_sentence():
    code, _, err = run("data", "check", "x" * 300 + ".csv")
    assert code == 2
    assert "Nothing has a name that long" in err and "Traceback" not in err


def test_a_full_disk_without_a_name_is_one_sentence(monkeypatch, capsys):
    import errno

    from modernbert.cli import main as command

    def full(**options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(command, "app", full)
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 1
    assert "no more can be written (No space left on device)" in capsys.readouterr().err


def test_a_mistake_of_ours_shows_its_traceback(monkeypatch):
    from modernbert.cli import main as command

    def wrong(**options: object) -> None:
        raise OSError("something of ours")

    monkeypatch.setattr(command, "app", wrong)
    with pytest.raises(OSError, match="something of ours"):
        command.main()


def test_a_training_goes_on_without_its_reader(tiny_modernbert, tmp_path):
    rows = write_csv(tmp_path / "rows.csv", toy_rows(400))
    flags = ["--epochs", "2", "--batch-size", "16", "--precision", "fp32", "--name", "mine"]
    process = start("finetune", rows, "--model", tiny_modernbert, *flags)
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    process.stdout = None
    code, _, err = finish(process)
    assert code == BROKEN_PIPE and "Traceback" not in err
    assert RunStore(Path("runs")).read("mine").status == "finished"


@needs_full
@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_training_is_kept_though_its_output_is_not(more, tiny_modernbert, tmp_path):
    rows = write_csv(tmp_path / "rows.csv", toy_rows(200))
    arguments = ["finetune", str(rows), "--model", str(tiny_modernbert), "--epochs", "1", "--name", "mine"]
    code, _, err = shell(">/dev/full", *arguments, *more)
    assert code == 1 and "what it saves is saved" in err and "Traceback" not in err
    assert RunStore(Path("runs")).read("mine").status == "finished"


@pytest.mark.slow
def test_a_comparison_whose_input_is_closed_asks_nothing(tiny_modernbert, tmp_path):
    rows = write_csv(tmp_path / "rows.csv", toy_rows(200))
    assert run("finetune", rows, "--model", tiny_modernbert, "--epochs", "1")[0] == 0
    code, _, err = shell("<&-", "compare", "--baseline", "tfidf")
    assert code == 2 and "--yes" in err and "Traceback" not in err


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_closed_streams_give_their_numbers_to_no_file_of_ours():
    script = (
        "from modernbert.cli.screen import guarded\nimport os\n"
        "with guarded():\n    found = [os.readlink(f'/proc/self/fd/{n}') for n in range(3)]\n"
        "open('found', 'w').write(' '.join(found))\n"
    )
    subprocess.run(["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, script], check=True)
    assert Path("found").read_text() == " ".join(["/dev/null"] * 3)
