"""What comes from outside is shown on a terminal, never obeyed by it."""

from __future__ import annotations

import ast
import io
import json
import unicodedata
from pathlib import Path

import pytest
from helpers import FAST, toy_rows, write_csv
from hypothesis import given
from hypothesis import strategies as st
from modernbert.cli import output
from modernbert.cli.screen import CONTROLS, Guarded, Screen, one_line, visible, visible_json
from rich.text import Text

CLI = Path(__file__).resolve().parents[2] / "cli"
EVIL = "x\x1b[31m\x1b]0;PWNED\x07\x9b2J\u202eEVIL\r\x08\x7f[red]:bug:\udcff"
TEXTS = st.text(st.characters(codec=None, exclude_categories=()))


def is_harmless(text: str) -> bool:
    kinds = {unicodedata.category(letter) for letter in text if letter not in "\n\t"}
    turning = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    return not kinds & {"Cc", "Cs", "Zl", "Zp"} and not turning & set(text)


@given(TEXTS)
def test_every_control_character_is_spelled_out(text):
    assert is_harmless(visible(text))
    assert not set("\n\t") & set(one_line(text))
    if not CONTROLS.search(text):
        assert visible(text) == text


@given(st.dictionaries(TEXTS, TEXTS))
def test_json_stays_the_same_value(value):
    shown = visible_json(json.dumps(value, indent=2, ensure_ascii=False))
    assert is_harmless(shown)
    assert json.loads(shown) == value


@given(TEXTS)
def test_a_screen_obeys_nothing(text):
    shown = io.StringIO()
    Screen(file=shown, width=60).print(Text(text))
    assert is_harmless(shown.getvalue())


def test_every_way_to_print_is_harmless(capsys):
    output.print_line(EVIL)
    output.print_warning(EVIL)
    output.print_note(EVIL)
    output.print_facts(EVIL, {"name": EVIL})
    output.print_table(EVIL, [EVIL], [[EVIL + "\nforged"]])
    output.print_json({EVIL: EVIL})
    output.show(Text(EVIL), error=True)
    output.print_error(output.MbertError(EVIL, where=EVIL + "\nforged", fix=EVIL))
    shown = "".join(capsys.readouterr())
    assert is_harmless(shown) and "\nforged" not in shown
    assert shown.count(r"\x1b[31m") >= 10 and shown.count("[red]:bug:") >= 10


def test_a_picture_obeys_nothing():
    assert is_harmless(output.svg(Text(EVIL), EVIL, 80))


def test_a_stream_writes_what_its_encoding_lacks():
    inner = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    stream = Guarded(inner)
    stream.write("é \udc80")
    stream.flush()
    assert inner.buffer.getvalue() == rb"\xe9 \udc80"


DIRECTLY = {"sys.stdout", "sys.stderr", "typer.echo", "typer.secho"}
PRINTING = {"Console", "print", "echo", "secho", "Progress", "Live", "status"}


@pytest.mark.parametrize("path", sorted(CLI.glob("*.py")), ids=lambda path: path.name)
def test_nothing_else_prints(path):
    """Only `output` and `screen` reach the screen: what they show is harmless."""
    if path.name in ("output.py", "screen.py"):
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
            names = {alias.name for alias in node.names}
            assert not names & PRINTING, f"line {node.lineno}: use output"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in PRINTING - {"Progress"}, f"line {node.lineno}: use output"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            whose = f"{node.value.id}.{node.attr}"
            assert whose not in {"sys.stdout", "sys.stderr", "typer.echo", "typer.secho"}, (
                f"line {node.lineno}"
            )


@pytest.fixture
def evil_rows(tmp_path: Path) -> Path:
    """A file whose name, labels and texts hold escape sequences."""
    rows = [row | {"label": row["label"] + "\x1b]0;PWNED\x07\n\x1b[2J"} for row in toy_rows(120)]
    rows = [row | {"text": row["text"] + " \x1b[31mEVIL"} for row in rows]
    return write_csv(tmp_path / "x\x1b[31mEVIL.csv", rows)


def harmless(result: tuple[int, str, str], code: int) -> str:
    found, out, err = result
    assert found == code, err
    assert is_harmless(out) and is_harmless(err)
    assert r"\x1b" in out + err
    return out


def test_commands_show_names_labels_and_texts_harmlessly(evil_rows, mbert, tiny_modernbert, tmp_path):
    harmless(mbert("data", "check", evil_rows), 0)
    json.loads(mbert("data", "check", evil_rows, "--json")[1])
    harmless(mbert("finetune", evil_rows, "--model", tiny_modernbert, *FAST, "--name", "toy"), 0)
    harmless(mbert("runs"), 0)
    harmless(mbert("runs", "show", "toy"), 0)
    other = write_csv(tmp_path / "o\x1b[31m.csv", [{"text": "good", "label": "\x1b[31mEVIL"}] * 2)
    harmless(mbert("eval", other, "--model", "toy"), 2)
    harmless(mbert("predict", evil_rows, "--model", "toy", "-o", tmp_path / "o\x1b[31m.jsonl"), 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "check", "no\x1b[31m.csv"],
        ["runs", "show", "no\x1b[31m"],
        ["finetune", "no\x1b[31m"],
        ["finetune", "no.csv", "--no\x1b[31m"],
        ["no\x1b[31m"],
        ["index", ".", "--model", "./no\x1b[31m"],
    ],
)
def test_errors_show_what_was_given_harmlessly(arguments, mbert):
    harmless(mbert(*arguments), 2)


def test_a_search_shows_texts_harmlessly(mbert, tiny_modernbert, tmp_path):
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "e\x1b[31m.py").write_text("def good(x):\n    '''good \x1b[31mEVIL \x9b2J'''\n    return 1\n")
    mbert("index", folder, "--model", tiny_modernbert)
    assert "good" in harmless(mbert("search", "good", "--index", folder), 0)
