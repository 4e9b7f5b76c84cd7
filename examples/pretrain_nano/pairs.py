"""Make pairs to learn search from: docstrings and code, titles of packages and what they do.

    python examples/pretrain_nano/pairs.py CORPUS --leave-out DATA_FOLDER

Reads CORPUS/train/package-descriptions.jsonl, which corpus.py makes. Writes CORPUS/pairs.jsonl and
CORPUS/pairs_held_out.jsonl (columns query and positive), and CORPUS/pairs_card.md. A package that is there
already is not fetched again. Left out: whatever shares 13 words in a row with an evaluation, asks what a
test query of `codesearch/stdlib` asks, or nearly repeats one of its documents (near-duplicates are merged
as that task merges its own).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
import tomllib
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

from corpus import Package, evaluated, overlaps, table
from modernbert.tasks.codesearch import stdlib
from registries import REGISTRIES, licence

from modernbert.data.docstrings import Snippet, snippets_of
from modernbert.data.splits import near_duplicates
from modernbert.files import atomic_file, sha256, write_json

HERE = Path(__file__).parent
# Of one package: variety teaches more than one author's habits.
MOST = 1000
HELD_OUT = 1000
TESTS = {"test", "tests", "testing"}
# One line that is no sentence.
TITLE = re.compile(r"[^\n]{12,80}(?<![.:])")


def collect(name: str, target: Path, left_out: set[int]) -> Package:
    """Fetch one package and write its pairs, in the order of a hash, so that a cut at `MOST` is spread."""
    with tempfile.TemporaryDirectory() as temporary:
        file = REGISTRIES["pypi"](name, Path(temporary))
        content = Path(temporary) / "content"
        sources = (path for path in sorted(content.rglob("*.py")) if not TESTS & set(path.parts))
        snippets = [snippet for path in sources for snippet in snippets_of(path, name)]
        snippets.sort(key=order)
        seen = [not left_out.isdisjoint(overlaps(f"{s.summary}\n{s.code}")) for s in snippets]
        kept = [snippet for snippet, known in zip(snippets, seen, strict=True) if not known][:MOST]
        write(target, kept)
        characters = sum(len(s.summary) + len(s.code) for s in kept)
        facts = (file.name, sha256(file), licence(content), len(kept), characters, sum(seen))
        return Package(name, "pypi", *facts)


def described(path: Path) -> list[Snippet]:
    """Return the titles of Debian's packages, each with the paragraph under it, no two alike."""
    pairs: dict[str, Snippet] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        blocks = [block.strip() for block in json.loads(line)["text"].split("\n\n")]
        for title, body in pairwise(blocks):
            if TITLE.fullmatch(title) and len(body) > 2 * len(title):
                body = " ".join(body.split())
                pairs.setdefault(body[:100], Snippet(path.stem, "", body, title))
    return list({snippet.summary.lower(): snippet for snippet in pairs.values()}.values())


def order(snippet: Snippet) -> bytes:
    """Return a key that sorts snippets alike everywhere, and in no order that means anything."""
    return hashlib.sha256((snippet.summary + snippet.code).encode()).digest()


def write(path: Path, snippets: list[Snippet]) -> None:
    """Write snippets as pairs."""
    with atomic_file(path) as out:
        for snippet in snippets:
            out.write(json.dumps({"query": snippet.summary, "positive": snippet.code}) + "\n")


def without_repeats(snippets: list[Snippet]) -> list[Snippet]:
    """Return the snippets that repeat no earlier one and nothing that `codesearch/stdlib` is scored on."""
    scored = [stdlib()[split] for split in ("validation", "test")]
    asked = {query.lower() for collection in scored for query in collection.queries.values()}
    documents = [text for collection in scored for text in collection.documents.texts]
    snippets = [snippet for snippet in snippets if snippet.summary.lower() not in asked]
    first = near_duplicates([*documents, *(snippet.code for snippet in snippets)])
    return [s for place, s in enumerate(snippets, start=len(documents)) if first[place] == place]


def read(path: Path) -> list[Snippet]:
    """Read one package's pairs."""
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [Snippet(path.stem, "", row["positive"], row["query"]) for row in rows]


def main() -> None:
    """Write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--leave-out", type=Path, nargs="*", default=[], help="folders of evaluation data")
    options = parser.parse_args()
    sources = tomllib.loads((HERE / "sources.toml").read_text())
    names = [name for kind in ("pypi", "pairs") for name in sources[kind]["packages"].split()]
    folder = options.corpus / "pairs"
    folder.mkdir(parents=True, exist_ok=True)
    left_out = evaluated(options.leave_out)
    packages, snippets = [], []
    for name in sorted(names):
        target, note = folder / f"{name}.jsonl", folder / f"{name}.json"
        if not note.is_file():
            write_json(note, asdict(collect(name, target, left_out)))
        packages.append(Package(**json.loads(note.read_text())))
        snippets += read(target)
        print(f"{name}: {packages[-1].texts:,} pairs", flush=True)
    kept = sorted(without_repeats(snippets), key=order)
    titles = described(options.corpus / "train" / "package-descriptions.jsonl")
    write(options.corpus / "pairs_held_out.jsonl", kept[:HELD_OUT])
    write(options.corpus / "pairs.jsonl", sorted(kept[HELD_OUT:] + titles, key=order))
    with atomic_file(options.corpus / "pairs_card.md") as card:
        card.write(
            f"{len(titles):,} pairs of a Debian package's title and the paragraph under it. "
            f"{len(kept):,} pairs of a docstring's first paragraph and the code under it; "
            f"{len(snippets) - len(kept):,} that repeat another are left out.\n\n{table(packages)}"
        )
    repeated = len(snippets) - len(kept)
    print(f"{len(titles):,} titles; {len(kept):,} docstrings; {repeated:,} repeat an earlier one or a test")


if __name__ == "__main__":
    main()
