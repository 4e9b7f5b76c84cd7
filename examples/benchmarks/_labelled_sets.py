"""The sets of classification.py, made of a bundle's real texts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

TOPICS = ("world", "sports", "business", "science")
# Of the rare class.
SHARE = 0.05


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_sets(bundle: Path, folder: Path, size: int) -> dict[str, Path]:
    """Write each set: `size` rows to train on, a third as many for validation, as many again for the test."""
    draw = np.random.default_rng(0)
    news = shuffled(draw, read_lines(bundle / "text" / "agnews" / "test.jsonl"))
    reviews = shuffled(draw, read_lines(bundle / "glue" / "sst2" / "train.jsonl"))
    likeness = shuffled(draw, read_lines(bundle / "glue" / "stsb" / "train.jsonl"))
    entailment = shuffled(draw, read_lines(bundle / "glue" / "rte" / "train.jsonl"))
    sets = {
        "price": [priced(draw, row) for row in news],
        "stsb": [
            {"sentence1": r["sentence1"], "sentence2": r["sentence2"], "score": r["label"]} for r in likeness
        ],
        "topics": [joined(draw, *pair) for pair in zip(news[::2], news[1::2], strict=False)],
        "rare": rare(draw, reviews, 3 * size),
    }
    for name, rows in sets.items():
        cuts = np.cumsum([size, size // 3, size])
        for split, (start, end) in zip(
            ("train", "validation", "test"), zip([0, *cuts], cuts, strict=False), strict=True
        ):
            write(folder / name / f"{split}.jsonl", rows[start:end])
    names = ("entailment", "not_entailment")
    write(folder / "rte.jsonl", [row | {"label": names[row["label"]]} for row in entailment[: size // 2]])
    return {name: folder / name for name in sets} | {"rte": folder / "rte.jsonl"}


def shuffled(draw: np.random.Generator, rows: list[dict]) -> list[dict]:
    return [rows[i] for i in draw.permutation(len(rows))]


def priced(draw: np.random.Generator, row: dict) -> dict:
    """Return an article with a price: length explains about a fifth of it, topic the rest but for noise."""
    effect = (-1.3, -0.4, 0.4, 1.3)[row["label"]] + 0.05 * (min(len(row["text"].split()), 90) - 38)
    return {"text": row["text"], "price": round(float(500 + 100 * (effect + draw.normal(0, 0.5))), 2)}


def joined(draw: np.random.Generator, first: dict, second: dict) -> dict:
    parts = [first, second] if draw.random() < 0.5 else [first]
    names = sorted({TOPICS[part["label"]] for part in parts})
    return {"text": " ".join(" ".join(part["text"].split()[:30]) for part in parts), "labels": names}


def rare(draw: np.random.Generator, rows: list[dict], size: int) -> list[dict]:
    positive = [row for row in rows if row["label"] == 1][: int(size * SHARE)]
    negative = [row for row in rows if row["label"] == 0][: size - len(positive)]
    kept = shuffled(draw, positive + negative)
    return [{"text": r["sentence"], "label": ("negative", "positive")[r["label"]]} for r in kept]
