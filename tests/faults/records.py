"""What the tests of damaged records share: a command in this process, and one value changed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from modernbert.cli.main import app
from typer.testing import CliRunner

from modernbert.errors import MbertError

REMOVED = object()
KINDS = ("toy", "reviews-tfidf", "eval-reviews-toy", "eval-coll-tiny-bert")


def collection(folder: Path) -> Path:
    """Write a collection of five documents, each with a query; ids may hold any Unicode line separator."""
    (folder / "qrels").mkdir(parents=True)
    ids = ["a", "b", "c", "d\u2028d", "e\x85e"]
    documents = [{"_id": i, "title": "", "text": f"good w{n} w{n + 9}"} for n, i in enumerate(ids)]
    queries = [{"_id": i, "text": f"w{n} w{n + 9}"} for n, i in enumerate(ids)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    judged = "".join(f"{i}\t{i}\t1\n" for i in ids)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}", encoding="utf-8")
    return folder


def command(*arguments: str) -> str:
    """Run a command in this process; return what it said. Anything but a result or a sentence fails."""
    done = CliRunner().invoke(app, list(arguments))
    if done.exception is None or isinstance(done.exception, SystemExit):
        assert done.exit_code in (0, 2), (arguments, done.output)
        return done.output
    assert isinstance(done.exception, MbertError), (arguments, done.exception)
    assert done.exception.exit_code == 2 and "Traceback" not in str(done.exception)
    return f"Error: {done.exception}"


def damaged(record: dict[str, Any], at: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return a record with one value replaced, or removed."""
    changed = part = copy.deepcopy(record)
    for key in at[:-1]:
        part = part[key]
    if value is REMOVED:
        del part[at[-1]]
    else:
        part[at[-1]] = value
    return changed
