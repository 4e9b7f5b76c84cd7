"""A toy collection in BEIR's layout: each query's words stand in its relevant document."""

from __future__ import annotations

import json
from pathlib import Path

DOCUMENTS = {
    "d1": ("w1", "good fine w2 w3"),
    "d2": ("", "bad awful w4"),
    "d3": ("w5", "w6 w7 w8"),
    "d4": ("", ""),
}
QUERIES = {"q1": "good w2", "q2": "awful w4", "q3": "w7 w8", "unjudged": "w9"}
JUDGEMENTS = [("q1", "d1", 2), ("q1", "d3", 1), ("q2", "d2", 1), ("q3", "d3", 1), ("q3", "d1", 0)]


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_collection(folder: Path, judgements: list[tuple[str, str, int]] = JUDGEMENTS) -> Path:
    (folder / "qrels").mkdir(parents=True)
    write_lines(
        folder / "corpus.jsonl",
        [{"_id": name, "title": title, "text": text} for name, (title, text) in DOCUMENTS.items()],
    )
    write_lines(folder / "queries.jsonl", [{"_id": name, "text": text} for name, text in QUERIES.items()])
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in judgements)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines) + "\n")
    return folder
