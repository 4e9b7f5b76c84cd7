"""How fast models answer texts here: one text at a time, and many at once. Engines take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from modernbert.activity import phase, unwatched
from modernbert.records.export import Speed

Text = tuple[str, ...]
# Texts that are answered alone; fewer where that takes longer than so many seconds.
ALONE, FEWEST_ALONE, SECONDS = 100, 20, 20.0
# Tokens of the texts that are answered at once, and how often; fewer where it takes too long.
TOKENS, ROUNDS = 16_384, 3


@dataclass(frozen=True)
class TextEngine:
    """What turns texts into answers.

    Attributes:
        name: what the result calls it.
        run: answers texts.
        count: how many tokens each text has for it, shape (N,).
    """

    name: str
    run: Callable[[list[Text]], Any]
    count: Callable[[list[Text]], np.ndarray]


def measure_texts(
    engines: Sequence[TextEngine], texts: Sequence[Text], *, alone: int = ALONE
) -> tuple[Speed, ...]:
    """Measure each engine on a sample of texts, drawn with a fixed seed.

    Args:
        engines: run in turn on every text, so that a machine that slows down slows them all.
        texts: what is answered.
        alone: of how many texts latency is measured.
    """
    shuffled = [texts[i] for i in np.random.default_rng(0).permutation(len(texts))]
    many = shuffled[: 1 + int(np.searchsorted(np.cumsum(engines[0].count(shuffled)), TOKENS))]
    with phase("measuring the speed"), unwatched():
        for engine in engines:
            engine.run(many[:1])
        waits = _latencies(engines, shuffled[:alone])
        rates = _rates(engines, many)
    return tuple(_speed(e, w, r, many) for e, w, r in zip(engines, waits, rates, strict=True))


def _latencies(engines: Sequence[TextEngine], texts: list[Text]) -> list[list[float]]:
    """Return the seconds of each text alone, by engine."""
    found: list[list[float]] = [[] for _ in engines]
    started = time.perf_counter()
    for number, text in enumerate(texts):
        if number >= FEWEST_ALONE and time.perf_counter() - started > SECONDS:
            break
        for engine, seconds in zip(engines, found, strict=True):
            seconds.append(_seconds(engine, [text]))
    return found


def _rates(engines: Sequence[TextEngine], texts: list[Text]) -> list[float]:
    """Return the median seconds of all texts at once, by engine."""
    found = [[_seconds(engine, texts) for engine in engines] for _ in _rounds()]
    return [statistics.median(seconds) for seconds in zip(*found, strict=True)]


def _rounds() -> Iterator[int]:
    """Yield rounds while there is time, and one at least."""
    started = time.perf_counter()
    for number in range(ROUNDS):
        if number and time.perf_counter() - started > SECONDS:
            return
        yield number


def _seconds(engine: TextEngine, texts: list[Text]) -> float:
    started = time.perf_counter()
    engine.run(texts)
    return time.perf_counter() - started


def _speed(engine: TextEngine, waits: list[float], seconds: float, texts: list[Text]) -> Speed:
    p50, p95, p99 = (1000 * float(np.quantile(waits, share)) for share in (0.5, 0.95, 0.99))
    return Speed(
        engine=engine.name,
        texts=len(waits),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        texts_per_second=len(texts) / seconds,
        tokens_per_second=int(engine.count(texts).sum()) / seconds,
        threads=torch.get_num_threads(),
    )
