"""Which texts a run was trained on, kept as hashes: scores on these say nothing of other texts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modernbert.data.examples import Examples
from modernbert.data.splits import text_key
from modernbert.data.task import Task
from modernbert.errors import BadRun
from modernbert.evaluation.scoring import score_split
from modernbert.evaluation.shown import interval_text
from modernbert.files import atomic_file
from modernbert.wording import TRAINED_ON

# Its name in a run's folder.
TRAINED_TEXTS = "trained_texts.npy"

Texts = Sequence[tuple[str, ...]]


def remember(path: Path, texts: Texts) -> None:
    """Write the hashes of the texts, eight bytes each. Raises DiskFull."""
    with atomic_file(path, binary=True) as file:
        np.save(file, np.unique(_hashes(texts)))


def were_seen(path: Path, texts: Texts) -> np.ndarray | None:
    """Return of each text whether it was remembered; None where nothing was.

    Raises:
        BadRun: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        known = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadRun(f"the hashes of the training texts are damaged ({error})", where=str(path)) from None
    return np.isin(_hashes(texts), known)


def seen_notes(
    path: Path, task: Task, split: str, examples: Examples, logits_NC: np.ndarray
) -> tuple[str, ...]:
    """Say how many texts of a split a run was trained on, and what the others score."""
    seen_N = were_seen(path, examples.texts)
    if seen_N is None or not seen_N.any():
        return ()
    told = f"{seen_N.sum()} of {len(seen_N)} texts were trained on"
    if seen_N.all():
        return (f"{TRAINED_ON}: {told}: this is no test",)
    others = np.flatnonzero(~seen_N)
    assert examples.labels is not None
    new = Examples(
        [examples.texts[i] for i in others], examples.labels[others], examples.rows.take(others.tolist())
    )
    main = score_split(task, split, new, logits_NC[others]).main
    shown = f"{main.metric} {main.value:.4f} ({interval_text(main.low, main.high)})"
    return (f"{TRAINED_ON}: {told}; the other {len(others)} score {shown}",)


def _hashes(texts: Texts) -> np.ndarray:
    """Return 64 bits of each text, letter case and spaces aside."""
    digests = (hashlib.sha256(text_key(parts).encode("utf-8", "surrogatepass")).digest() for parts in texts)
    return np.array([int.from_bytes(digest[:8], "little") for digest in digests], np.uint64)
