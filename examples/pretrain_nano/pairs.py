"""Make pairs to learn code search from: docstrings of the corpus's Python packages and the code under them.

    python examples/pretrain_nano/pairs.py CORPUS

Writes CORPUS/pairs.jsonl (columns query and positive). The corpus holds nothing of what `codesearch/stdlib`
validates and tests on (see corpus.py); near-duplicates are merged as that task merges its own.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from pathlib import Path

from modernbert.data.docstrings import Snippet, snippets_in
from modernbert.data.splits import near_duplicates
from modernbert.files import atomic_file

HERE = Path(__file__).parent


def collect(corpus: Path) -> tuple[list[Snippet], int]:
    """Return the snippets of all Python packages, and how many texts could not be parsed as Python."""
    packages = tomllib.loads((HERE / "sources.toml").read_text())["pypi"]["packages"].split()
    snippets: list[Snippet] = []
    unread = 0
    for package in packages:
        with (corpus / "train" / f"{package}.jsonl").open(encoding="utf-8") as rows:
            for row in rows:
                found = snippets_in(json.loads(row)["text"], package)
                unread += not found
                snippets += found
    return snippets, unread


def main() -> None:
    """Write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path)
    corpus = parser.parse_args().corpus
    snippets, unread = collect(corpus)
    first = near_duplicates([snippet.code for snippet in snippets])
    kept = [snippet for number, snippet in enumerate(snippets) if first[number] == number]
    with atomic_file(corpus / "pairs.jsonl") as out:
        for snippet in kept:
            out.write(json.dumps({"query": snippet.summary, "positive": snippet.code}) + "\n")
    print(
        f"{len(kept):,} pairs; {len(snippets) - len(kept):,} near-duplicates merged, "
        f"{unread:,} texts without a documented definition, or no whole Python file"
    )


if __name__ == "__main__":
    main()
