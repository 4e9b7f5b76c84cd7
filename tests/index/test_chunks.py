"""Code is cut along its definitions, text along its paragraphs, and no line is lost."""

from __future__ import annotations

from pathlib import PurePath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.index import chunks
from modernbert.index.chunks import LARGEST, cut_file

LONG = "\n".join(f"        total += value_{i} * weight_{i}" for i in range(60))
PYTHON = f"""import os
import sys

# How to greet.
@cache
def greet(name):
    return f"hello {{name}}"


@dataclass
class Big:
    size = 1

    def first(self):
{LONG}

    def second(self):
        return 2
"""


def covered(found):
    return {number for chunk in found for number in range(chunk.start, chunk.end + 1)}


def test_python_functions_and_methods():
    found = cut_file(PurePath("a.py"), PYTHON)
    names = [chunk.name for chunk in found]
    assert names[:2] == ["", "greet"]
    assert "Big.first" in names
    assert "Big.second" in names
    greet = found[1]
    assert (greet.start, greet.end) == (4, 7), "the comment and the decorator belong to the function"
    assert greet.text.startswith("# How to greet.\n@cache\ndef greet")
    lines = PYTHON.splitlines()
    assert covered(found) >= {i for i, line in enumerate(lines, 1) if line.strip()}
    for chunk in found:
        assert chunk.text == "\n".join(lines[chunk.start - 1 : chunk.end])


@pytest.mark.parametrize(
    ("suffix", "text", "name"),
    [
        (".js", "export function add(a, b) {\n  return a + b\n}\n", "add"),
        (".ts", "class Store {\n  get(key: string): string { return key }\n}\n", "Store"),
        (".tsx", "function App() { return <b>hi</b> }\n", "App"),
        (".java", "class Main {\n  int one() { return 1; }\n}\n", "Main"),
        (".go", "package a\n\nfunc Add(a int, b int) int {\n\treturn a + b\n}\n", "Add"),
        (".rs", "fn add(a: i32) -> i32 {\n    a + 1\n}\n", "add"),
        (".c", "int add(int a, int b) {\n  return a + b;\n}\n", "add"),
        (".cpp", "namespace n {\nint add(int a) { return a; }\n}\n", "n"),
        (".rb", "def add(a)\n  a + 1\nend\n", "add"),
        (".php", "<?php\nfunction add($a) {\n  return $a;\n}\n", "add"),
        (".cs", "class Main {\n  int One() { return 1; }\n}\n", "Main"),
        (".sh", "add() {\n  echo $1\n}\n", "add"),
    ],
)
def test_every_language_names_its_definitions(suffix, text, name):
    assert name in [chunk.name for chunk in cut_file(PurePath(f"a{suffix}"), text)]


def test_text_by_paragraphs_and_headings():
    text = "# One\nfirst\n\nsecond " + "word " * 200 + "\n\n# Two\n" + "third " * 150 + "\n"
    found = cut_file(PurePath("a.md"), text)
    assert [chunk.start for chunk in found] == [1, 6]
    assert found[1].text.startswith("# Two\nthird")


def test_one_endless_line_is_cut_inside():
    found = cut_file(PurePath("a.txt"), "x" * 10_000)
    assert "".join(chunk.text for chunk in found) == "x" * 10_000
    assert {(chunk.start, chunk.end) for chunk in found} == {(1, 1)}


LINES = st.text("ab {}();:=\n\tdefclas#'\"é\r\f\v\x1c\x85\u2028\u200b\ufeff", max_size=60)


@given(st.lists(LINES, max_size=40), st.sampled_from((".py", ".js", ".sh", ".rb", ".cpp", ".md")))
@settings(max_examples=100, deadline=None)
def test_no_line_is_lost_whatever_the_file_holds(lines, suffix):
    text = "\n".join(lines)
    found = cut_file(PurePath(f"a{suffix}"), text)
    expected = text.split("\n")
    wanted = {i for i, line in enumerate(expected, 1) if line.strip()}
    assert covered(found) >= wanted
    assert all(len(chunk.text) <= 2 * LARGEST for chunk in found)
    for number in wanted:
        line = expected[number - 1].removesuffix("\r")
        own = "".join(chunk.text for chunk in found if chunk.start <= number <= chunk.end)
        assert line in own, "the text of a chunk is that of its lines"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("inside", ["\f", "\v", "\x1c", "\x85", "\u2028", "\r"])
def test_only_a_newline_ends_a_line(inside, end):
    text = f"def one():{end}    return 1{end}{inside}x{end}def two():{end}    return '{inside}'{end}"
    found = {chunk.name: chunk for chunk in cut_file(PurePath("a.py"), text)}
    assert (found["two"].start, found["two"].end) == (4, 5)
    assert found["two"].text == f"def two():\n    return '{inside}'"


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".py", "x = " + "[\n" * 3000 + "]\n" * 3000),
        (".py", "\n".join(" " * depth + "if x:" for depth in range(1000))),
        (".js", "a" + ".b(\n)" * 4000),
        (".c", "int x = " + "".join(f"c == {i} ? {i} :\n" for i in range(2000)) + "0;"),
        (".cpp", "{\n" * 5000),
        (".sh", "cat <<" + "A" * 5000 + "\nx\n" + "A" * 5000 + "\n"),
        (".rb", "x = " + ", ".join(f"<<A{i}" for i in range(300)) + "\n"),
    ],
)
def test_deep_and_broken_trees_are_cut(suffix, text):
    found = cut_file(PurePath(f"a{suffix}"), text)
    assert covered(found) >= {i for i, line in enumerate(text.split("\n"), 1) if line.strip()}


def test_a_name_is_one_short_line():
    deep = "".join(f"namespace quite_long_name_{depth} {{\n" for depth in range(100)) + "}\n" * 100
    pointers = cut_file(PurePath("a.c"), "int *\n*\nadd(int a) { return a; }")
    found = [*cut_file(PurePath("a.cpp"), deep), *pointers]
    names = [chunk.name for chunk in found]
    assert max(map(len, names)) == chunks.LONGEST_NAME
    assert not any("\n" in name for name in names)
