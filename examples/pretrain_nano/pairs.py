"""Make pairs to learn search from: docstrings and code, headings and text, sentences and their paragraphs.

    python examples/pretrain_nano/pairs.py CORPUS --leave-out DATA_FOLDER

Reads CORPUS/train, which corpus.py makes, and fetches packages for their docstrings. Writes
CORPUS/pairs.jsonl (columns query and positive), a thousand of each kind that are held out of it
(CORPUS/held_out/KIND.jsonl), and CORPUS/pairs_card.md. A package that is there already is not fetched again.
Left out: whatever shares 13 words in a row with an evaluation, asks what a test query of `codesearch/stdlib`
asks, or nearly repeats one of its documents (near-duplicates are merged as that task merges its own).
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
from units import BLANK_LINE, NOTE, SENTENCE_END, is_language

from modernbert.data.docstrings import Snippet, snippets_of
from modernbert.data.splits import near_duplicates
from modernbert.files import atomic_file, sha256, write_json

HERE = Path(__file__).parent
# Of one package: variety teaches more than one author's habits.
MOST = 1000
# Of one source of prose: headings, and sentences with the paragraph around them.
HEADINGS, SENTENCES = 2000, 3000
# Characters: a shorter one says too little by itself.
SHORTEST_SENTENCE = 40
HELD_OUT = 1000
TESTS = {"test", "tests", "testing"}
# What tells code from prose.
CODE = ("def ", "self.", "import ", " = ")
DESCRIPTIONS = "package-descriptions"
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
    """Return the lines that stand alone above a longer paragraph, each with it, no two alike."""
    pairs: dict[str, Snippet] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        blocks = [block.strip() for block in json.loads(line)["text"].split("\n\n")]
        for title, body in pairwise(blocks):
            if TITLE.fullmatch(title) and len(body) > 2 * len(title):
                body = " ".join(body.split())
                pairs.setdefault(body[:100], Snippet(path.stem, "", body, title))
    return list({snippet.summary.lower(): snippet for snippet in pairs.values()}.values())


def in_context(path: Path) -> list[Snippet]:
    """Return a sentence of each paragraph of three or more, with the rest of it (Lee et al. 2019,
    arXiv:1906.00300, section 4)."""
    pairs = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = json.loads(line)["text"]
        for block in BLANK_LINE.split(NOTE.sub("", text)) if "def " not in text else ():
            paragraph = " ".join(block.split())
            sentences = SENTENCE_END.split(paragraph)
            if len(sentences) < 3 or not is_language(paragraph):
                continue
            drawn = int.from_bytes(hashlib.sha256(paragraph.encode()).digest()[:4]) % len(sentences)
            query = sentences.pop(drawn)
            if len(query) >= SHORTEST_SENTENCE and is_language(query):
                pairs.append(Snippet(path.stem, "", " ".join(sentences), query))
    return list({snippet.summary.lower(): snippet for snippet in pairs}.values())


def of_prose(folder: Path) -> list[Snippet]:
    """Return the headings and the sentences of every source but the packages' descriptions."""
    found: list[Snippet] = []
    for path in sorted(folder.glob("*.jsonl")):
        if path.stem != DESCRIPTIONS:
            headings = filter(is_prose, described(path))
            found += sorted(headings, key=order)[:HEADINGS]
            found += sorted(in_context(path), key=order)[:SENTENCES]
    return found


def is_prose(heading: Snippet) -> bool:
    """Is it a heading of two words or more above prose, not a line of code above code?"""
    words = sum(word.isalpha() for word in heading.summary.split())
    code = any(mark in heading.code for mark in CODE)
    return words > 1 and not code and is_language(heading.summary) and is_language(heading.code)


def order(snippet: Snippet) -> bytes:
    """Return a key that sorts snippets alike everywhere, and in no order that means anything."""
    return hashlib.sha256((snippet.summary + snippet.code).encode()).digest()


def write(path: Path, snippets: list[Snippet]) -> None:
    """Write snippets as pairs."""
    with atomic_file(path) as out:
        for snippet in snippets:
            out.write(json.dumps({"query": snippet.summary, "positive": snippet.code}) + "\n")


def split(corpus: Path, kinds: dict[str, list[Snippet]]) -> None:
    """Write the pairs to train on, and those of each kind that are held out."""
    (corpus / "held_out").mkdir(exist_ok=True)
    trained: list[Snippet] = []
    for kind, snippets in kinds.items():
        ordered = sorted(snippets, key=order)
        write(corpus / "held_out" / f"{kind}.jsonl", ordered[:HELD_OUT])
        trained += ordered[HELD_OUT:]
    write(corpus / "pairs.jsonl", sorted(trained, key=order))


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
    titles = described(options.corpus / "train" / f"{DESCRIPTIONS}.jsonl")
    prose = of_prose(options.corpus / "train")
    split(options.corpus, {"docstrings": kept, "titles": titles, "prose": prose})
    with atomic_file(options.corpus / "pairs_card.md") as card:
        card.write(
            f"{len(titles):,} pairs of a Debian package's title and the paragraph under it. "
            f"{len(prose):,} pairs of the texts above: a heading and the paragraph under it, or a "
            "sentence and the rest of its paragraph. "
            f"{len(kept):,} pairs of a docstring's first paragraph and the code under it; "
            f"{len(snippets) - len(kept):,} that repeat another are left out.\n\n{table(packages)}"
        )
    repeated = len(snippets) - len(kept)
    print(f"{len(titles):,} titles; {len(prose):,} of prose; {len(kept):,} docstrings")
    print(f"{repeated:,} docstrings repeat an earlier one or a test, and are left out")


if __name__ == "__main__":
    main()
