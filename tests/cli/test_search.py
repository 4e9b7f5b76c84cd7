"""`mbert index`, `mbert search`, `mbert embed`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from helpers import write_csv
from modernbert.cli.search import COSINE


def test_index_and_search(mbert, tiny_modernbert):
    Path("src").mkdir()
    Path("src/a.py").write_text("def good(w1):\n    return w1\n")
    Path("src/b.md").write_text("awful w9\n")
    code, out, err = mbert("index", "src", "-m", tiny_modernbert, "--precision", "fp32")
    assert code == 0, err
    assert "2 files, 2 chunks in src/.mbert-index" in out
    assert "was not trained for retrieval" in err
    assert "Next: mbert search 'what you look for' --index src" in out
    code, out, err = mbert("index", "src", "--precision", "fp32")  # keeps its model
    assert code == 0, err
    assert "0 embedded" in out
    code, out, err = mbert("search", "good w1", "--index", "src", "--precision", "fp32")
    assert code == 0, err
    assert "a.py:1-2  good" in out
    assert "     2      return w1" in out
    code, out, err = mbert("search", "awful", "--index", "src/.mbert-index", "--json", "--hybrid", "-k", 1)
    assert code == 0, err
    hit, *_ = json.loads(out)
    lines = {"start", "end", "best_start", "best_end"}
    assert set(hit) == {"path", "name", "score", "text", "stale", "row", "columns", *lines}
    code, out, _ = mbert("index", "src", "-m", tiny_modernbert, "--rebuild", "--max-length", 64, "--json")
    assert json.loads(out)["embedded"] == 2


def test_without_a_model_the_embedded_one_is_taken_and_a_better_one_named(mbert):
    Path("src").mkdir()
    Path("src/a.md").write_text("how retries are done\n")
    code, _, err = mbert("index", "src")
    assert code == 0, err
    assert err.count("Note") == 1 and "mbert download gte-modernbert-base --to bundle" in err
    assert mbert("index", "src")[2] == "", "an index keeps its model: nothing was left to choose"
    assert json.loads(Path("src/.mbert-index/mbert-index.json").read_text())["model"] == "modernbert-nano"
    write_csv(Path("in.csv"), [{"text": "good"}])
    code, out, err = mbert("embed", "in.csv", "-o", "out.parquet")
    assert code == 0 and "vectors of 256" in out
    assert err.count("Note") == 1 and "mbert download gte-modernbert-base --to bundle" in err
    assert (
        "Note" not in mbert("embed", "in.csv", "-o", "out.parquet", "-m", "modernbert-nano", "--overwrite")[2]
    )


@pytest.fixture
def indexed(mbert, tiny_modernbert):
    Path("src").mkdir()
    Path("src/a.py").write_text("def good(w1):\n    return w1\n")
    Path("src/b.md").write_text("awful w9\n")
    Path("src/c.md").write_text("awful w8\n")
    assert mbert("index", "src", "-m", tiny_modernbert)[0] == 0


def test_queries_are_read_line_by_line(mbert, indexed, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("good w1\n\nawful w9"))
    code, out, err = mbert("search", "--index", "src", "-k", 1)
    assert (code, err) == (0, f"score: {COSINE}\n")
    assert out.index("a.py:1-2  good") < out.index("b.md:1")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n")))
    code, _, err = mbert("search", "--index", "src")
    assert code == 2 and "standard input: a query that is not UTF-8" in err


def test_like_finds_what_is_like_a_line_but_not_that_line(mbert, indexed):
    code, out, err = mbert("search", "--like", "b.md:1", "--index", "src", "--json")
    assert code == 0, err
    hits = json.loads(out)
    assert {hit["path"] for hit in hits} == {"a.py", "c.md"}
    one = np.array([hit["score"] for hit in hits])
    assert (np.diff(one) <= 0).all() and (abs(one) <= 1.0001).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--like", "b.md:9"], "nothing at that line"),
        (["--like", "z.md:1"], "no such file"),
        (["--like", "b.md"], "FILE:LINE"),
        (["--like", "b.md:1", "--hybrid"], "cannot go with --hybrid"),
        (["good", "--like", "b.md:1"], "cannot go with a query"),
    ],
)
def test_like_says_what_it_cannot_find(mbert, indexed, given, said):
    code, _, err = mbert("search", "--index", "src", *given)
    assert code == 2 and said in err


TABLE = [
    {"id": "x1", "title": "good", "text": "w1 w2 w3", "year": "2001"},
    {"id": "x2", "title": "good", "text": "w1 w2 w4", "year": "2002"},
    {"id": "x3", "title": "bad", "text": "w9 w8 w7", "year": "2003"},
]


def test_a_table_answers_with_rows(mbert, tiny_modernbert):
    write_csv(Path("a.csv"), TABLE)
    code, out, err = mbert("index", "a.csv", "-m", tiny_modernbert)
    assert code == 0, err
    assert "text <- title + text, id <- id" in out
    assert "Next: mbert search 'what you look for' --index a.csv" in out
    code, out, err = mbert("search", "bad w9 w8", "--index", "a.csv", "-k", 1, "--hybrid")
    assert code == 0, err
    assert "a.csv, row 3  id x3" in out and "  title: bad\n  text: w9 w8 w7\n  year: 2003\n" in out
    code, out, err = mbert("search", "--like", "x1", "--index", "a.csv", "--json")
    assert code == 0, err
    hits = json.loads(out)
    assert {hit["name"] for hit in hits} == {"x2", "x3"}, "a row is not like itself"
    assert {hit["row"]: hit["columns"] for hit in hits} == {2: TABLE[1], 3: TABLE[2]}
    code, _, err = mbert("search", "--like", "1", "--index", "a.csv")
    assert code == 2 and "no row with this id" in err, "where rows have ids, a number is no row"
    code, _, err = mbert("search", "--like", "x9", "--index", "a.csv")
    assert code == 2 and "no row with this id" in err
    code, out, err = mbert("index", "a.csv", "--text-col", "title", "--json")
    assert code == 0, err
    assert json.loads(out)["table"] == {"text": ["title"], "id": "id"}


def test_what_is_too_long_to_be_read_whole_is_told(mbert, tiny_modernbert):
    Path("src").mkdir()
    for number in range(4):
        Path(f"src/{number}.md").write_text("good " * (8 + 30 * (number == 0)) + f"w{number}")
    code, _, err = mbert("index", "src", "-m", tiny_modernbert, "--max-length", 32)
    assert code == 0 and "25% of the new chunks are longer than the 32 tokens" in err
    code, out, err = mbert("index", "src", "-m", tiny_modernbert, "--max-length", 128, "--rebuild", "--json")
    assert json.loads(out)["cut"] == 0.0
    assert "longer" not in mbert("index", "src")[2], "nothing is new"


def test_what_is_left_out(mbert, tiny_modernbert):
    for name in ("a.py", "tests/test_a.py", "b.md", "old/c.py"):
        Path("src", name).parent.mkdir(parents=True, exist_ok=True)
        Path("src", name).write_text(f"good w1  # {name}\n")

    def found(*given):
        code, out, err = mbert("search", "good", "--index", "src", "--json", *given)
        assert code == 0, err
        return {hit["path"] for hit in json.loads(out)}

    assert mbert("index", "src", "-m", tiny_modernbert, "--exclude", "old/")[0] == 0
    assert found() == {"a.py", "tests/test_a.py", "b.md"}
    assert found("--only", "code") == found("--only", "code", "--hybrid") == {"a.py"}
    assert found("--only", "tests") == {"tests/test_a.py"}
    assert found("--only", "docs", "--exclude", "*.md") == set()
    assert found("--exclude", "tests", "--exclude", "*.md") == {"a.py"}
    assert mbert("index", "src")[0] == 0
    assert found() == {"a.py", "tests/test_a.py", "b.md"}, "what is excluded stays so"
    assert mbert("index", "src", "--exclude", "*.md")[0] == 0
    assert found() == {"a.py", "tests/test_a.py", "old/c.py"}
    code, _, err = mbert("search", "good", "--index", "src", "--exclude", "!a.py")
    assert code == 2 and "without the '!'" in err


def test_the_lines_that_answer_are_shown_and_named(mbert, tiny_modernbert):
    body = "\n".join(f"    w{number} = {number}" for number in range(30))
    Path("src").mkdir()
    Path("src/a.py").write_text(f"def bad(w1):\n{body}\n")
    assert mbert("index", "src", "-m", tiny_modernbert)[0] == 0
    _, out, _ = mbert("search", "w25", "--index", "src")
    assert out.startswith("a.py:24-31  bad") and "    27      w25 = 25\n" in out
    (hit,) = json.loads(mbert("search", "w25", "--index", "src", "--json")[1])
    assert (hit["start"], hit["end"], hit["best_start"], hit["best_end"]) == (1, 31, 24, 31)


def test_the_nearest_index_above_is_taken(mbert, tiny_modernbert, monkeypatch):
    Path("src/deep").mkdir(parents=True)
    Path("src/a.py").write_text("def good(w1):\n    return w1\n")
    mbert("index", "src", "-m", tiny_modernbert)
    monkeypatch.chdir("src/deep")
    code, out, err = mbert("search", "good")
    assert code == 0, err
    assert "a.py:1" in out


def test_a_terminal_is_told_nothing_by_what_is_indexed(mbert, tiny_modernbert):
    Path("src").mkdir()
    Path("src/a\x1b[2Jb.py").write_text("def good(w1):\n    return '\x1b]0;x\x07\x9b31m'\r\n\f    w1\n")
    Path("src/bad\x1b[2J.txt").write_bytes(b"\xff")
    code, out, err = mbert("index", "src", "-m", tiny_modernbert)
    assert code == 0, err
    assert r"left out: bad\x1b[2J.txt (not UTF-8)" in err
    code, found, err = mbert("search", "good w1", "--index", "src")
    assert code == 0, err
    assert r"a\x1b[2Jb.py:1-3  good" in found
    assert r"     3  \x0c    w1" in found
    assert not {"\x1b", "\x07", "\x9b", "\f"} & set(out + found + err)


def test_a_damaged_index_is_said_and_mended(mbert, tiny_modernbert):
    Path("src").mkdir()
    Path("src/a.py").write_text("def good(w1):\n    return w1\n")
    mbert("index", "src", "-m", tiny_modernbert)
    (chunks,) = Path("src/.mbert-index").glob("chunks.*.sqlite")
    chunks.write_bytes(chunks.read_bytes()[:-100])
    code, _, err = mbert("search", "good", "--index", "src")
    assert code == 2
    assert "the index is damaged" in err
    assert "Next: mbert index src" in err
    code, _, err = mbert("index", "src")
    assert code == 0, err
    assert "the index is damaged: it was rebuilt" in err
    assert mbert("search", "good", "--index", "src")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("index", ""), "PATH is empty"),
        (("index", "src", "--to", ""), "--to is empty"),
        (("index", "src", "--to", "file"), "a file, where a folder is expected"),
        (("index", "src", "--to", "file/x"), "cannot write here (Not a directory)"),
        (("index", "src", "--to", "/proc/x"), "cannot write here"),
        (("index", "nowhere"), "there is no such file or folder"),
        (("search", "x", "--index", "file"), "there is no index here"),
        (("search", "x"), "there is no index in"),
    ],
)
def test_index_and_search_mistakes(arguments, message, mbert, tiny_modernbert):
    Path("src").mkdir()
    Path("src/a.py").write_text("def good(w1):\n    return w1\n")
    Path("file").write_text("")
    model = ("-m", tiny_modernbert) if arguments[0] == "index" else ()
    code, _, err = mbert(*arguments, *model)
    assert code == 2
    assert message in err
    assert {path.name for path in Path().rglob("*")} == {"src", "a.py", "file"}


@pytest.mark.parametrize(
    ("head", "message"), [("tokens", "a vector for each token"), ("reranker", "--rerank")]
)
def test_a_model_without_one_vector_a_text_is_refused(head, message, mbert, tiny_modernbert):
    write_csv(Path("pairs.csv"), [{"query": f"w{i}", "positive": f"w{i + 20} good"} for i in range(20)])
    flags = ("--head", head, "--epochs", 1, "--batch-size", 4, "--precision", "fp32", "--name", "other")
    code, _, err = mbert("finetune", "pairs.csv", "--model", tiny_modernbert, *flags)
    assert code == 0, err
    Path("src").mkdir()
    Path("src/a.md").write_text("good w1\n")
    code, _, err = mbert("index", "src", "-m", "other")
    assert code == 2
    assert message in err
    assert not Path("src/.mbert-index/mbert-index.json").exists()


def test_embed_keeps_columns_and_order(mbert, tiny_modernbert, monkeypatch):
    from modernbert.evaluation import embed_file

    monkeypatch.setattr(embed_file, "CHUNK_ROWS", 3)
    rows = [{"id": str(i), "body": f"good w{i}"} for i in range(8)]
    write_csv(Path("in.csv"), rows)
    code, out, err = mbert(
        "embed", "in.csv", "-o", "out.parquet", "-m", tiny_modernbert, "--precision", "fp32"
    )
    assert code == 0, err
    assert "8 rows -> out.parquet  (text <- body, vectors of 32)" in out
    table = parquet.read_table("out.parquet")
    assert table.column_names == ["id", "body", "vector"]
    assert table["id"].to_pylist() == [str(i) for i in range(8)]
    vectors = np.array(table["vector"].to_pylist())
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert len(np.unique(vectors.round(4), axis=0)) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.csv", "-o", "x.parquet"), "there is no such file"),
        (("in.csv", "-o", "x.csv"), "cannot write '.csv' files"),
        (("in.csv", "-o", "x.parquet"), "no column with a usual name"),
        (("in.csv", "-o", "x.parquet", "--text-col", "b"), "row 2: the column 'b' is missing or no text"),
    ],
)
def test_embed_mistakes(arguments, message, mbert, tiny_modernbert):
    Path("in.csv").write_text('{"a": 1}\n')
    Path("in.jsonl").write_text('{"b": "good", "a": 1}\n{"a": 2}\n')
    name = arguments[0].replace("in.csv", "in.jsonl")
    if "usual" in message:
        Path("in.jsonl").write_text('{"a": "x"}\n')
    code, _, err = mbert("embed", name, *arguments[1:], "-m", tiny_modernbert)
    assert code == 2
    assert message in err
    assert not Path("x.parquet").exists()
