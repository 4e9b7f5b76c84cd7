"""The README says what is so: its commands parse, its table is the benchmark's, its links lead somewhere."""

from __future__ import annotations

import contextlib
import re
import runpy
import shlex
from pathlib import Path

import pytest
from helpers import parse_command

from modernbert.errors import BadData

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Every `mbert ...` line in a code block."""
    indented = re.findall(r"^    (mbert .*)$", README, re.MULTILINE)
    fenced = re.findall(r"bin/(mbert [^`\n]*)", README)
    return indented + fenced


def test_there_are_commands():
    assert len(commands()) >= 10


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line):
    """Options and arguments exist, which is seen before their files are looked for; nothing is run."""
    with contextlib.suppress(BadData):
        parse_command(shlex.split(line, comments=True)[1:])


TABLES = re.findall(r"<!-- results: (\w+) -->\n(.*?)<!-- end -->", README, re.DOTALL)


@pytest.mark.filterwarnings("ignore")  # of what a benchmark imports
@pytest.mark.parametrize(("name", "shown"), TABLES, ids=[name for name, _ in TABLES])
def test_a_table_is_made_from_its_benchmarks_records(name, shown):
    benchmark = runpy.run_path(str(ROOT / f"examples/benchmarks/{name}.py"))
    assert shown.strip() == benchmark["table"](benchmark["read"]()).strip()


def test_links_to_files_lead_somewhere():
    for target in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target
