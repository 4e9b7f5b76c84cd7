"""The documents say what is so: commands parse, tables are the benchmarks', links lead somewhere."""

from __future__ import annotations

import contextlib
import re
import runpy
import shlex
from pathlib import Path

import pytest
from helpers import parse_command
from modernbert.cli.docs import page
from modernbert.cli.examples import EXAMPLES

from modernbert.errors import BadData

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for folder in ("", "cli", "tasks", "examples", "modernbert")
    for path in (ROOT / folder).glob("**/*.md" if folder else "*.md")
    if path.name != "model_card.md"  # a template
)


def text_of(document: Path) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def commands() -> list[tuple[Path, str]]:
    """Every `mbert ...` line in a code block, with its document."""
    found = []
    for document in DOCUMENTS:
        text = text_of(document)
        lines = re.findall(r"^    (mbert .*)$", text, re.MULTILINE) + re.findall(r"bin/(mbert [^`\n]*)", text)
        for block in re.findall(r"^```(?:bash|sh)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            lines += re.findall(r"^(mbert .*)$", block.replace("\\\n", " "), re.MULTILINE)
        found += [(document, line) for line in lines]
    return found


def parses(line: str) -> None:
    """Options and arguments exist, which is seen before their files are looked for; nothing is run."""
    with contextlib.suppress(BadData):
        parse_command(shlex.split(line, comments=True)[1:])


def test_there_are_commands():
    assert len({document for document, _ in commands()}) >= 4


@pytest.mark.parametrize(("document", "line"), commands(), ids=str)
def test_commands_parse(document, line):
    parses(line)


def test_the_python_example_runs(tmp_path, monkeypatch, capsys, reviews):
    (code,) = re.findall(r"^```python\n(.*?)^```", text_of(Path("README.md")), re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"^accuracy 0\.\d{4} \(0\.\d{4} to 0\.\d{4}\), n \d+$", printed, re.MULTILINE)
    assert "prediction" in printed


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_help_parse(name):
    for line in EXAMPLES[name]:
        parses(line)


TABLE = re.compile(r"<!-- (some )?results: (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)
TABLES = [(document, *found) for document in DOCUMENTS for found in TABLE.findall(text_of(document))]


@pytest.mark.filterwarnings("ignore")  # of what a benchmark imports
@pytest.mark.parametrize(
    ("document", "some", "name", "shown"), TABLES, ids=[f"{d}-{n}" for d, _, n, _ in TABLES]
)
def test_a_table_is_made_from_its_benchmarks_records(document, some, name, shown, monkeypatch):
    """The whole table, or with `some` its head and rows of it."""
    monkeypatch.syspath_prepend(ROOT / "examples/benchmarks")
    benchmark = runpy.run_path(str(ROOT / f"examples/benchmarks/{name}.py"))
    made, lines = benchmark["table"](benchmark["read"]()).strip(), shown.strip().splitlines()
    if some:
        assert lines[:2] == made.splitlines()[:2] and set(lines) < set(made.splitlines())
    else:
        assert lines == made.splitlines()


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_to_files_lead_somewhere(document):
    for target in re.findall(r"\]\((?!http|#)([^)#]+)", text_of(document)):
        assert (ROOT / document.parent / target).exists(), target


def without_typers_own(text: str) -> list[str]:
    """The lines of a page without those that typer words, and its other versions word otherwise."""
    return [line for line in text.splitlines() if not line.startswith("$ ") and "completion" not in line]


def test_the_page_of_options_is_current():
    """Made anew by: python -m modernbert.cli.docs > cli/OPTIONS.md."""
    assert without_typers_own(text_of(Path("cli/OPTIONS.md"))) == without_typers_own(page())
