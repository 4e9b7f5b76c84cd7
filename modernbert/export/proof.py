"""Is an export the same model? Its outputs beside torch's, its scores, its speed.

Shape suffixes: N rows, C outputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.data.clusters import row_clusters
from modernbert.data.tokens import tokenize
from modernbert.evaluation.metrics import METRICS, measured
from modernbert.evaluation.predict import decide
from modernbert.evaluation.statistics import difference
from modernbert.evaluation.sums import Sums, by_cluster, sums_of
from modernbert.export.rows import ProofRows
from modernbert.model.loading import context_length, load_config
from modernbert.records.export import Agreement, LongText, Outputs, ProvenMetric

Text = tuple[str, ...]
# Long texts are compared at these lengths in tokens, as far as the context reaches; up to the last of them
# also in one batch with a short text, so that it is padded.
LENGTHS, PADDED_UPTO = (256, 512, 1024, 2048, 4096, 8192), 2048
# Compared in any case, and from there on as long as the next length takes no more than so many seconds.
SURE, SECONDS = 1024, 120.0
# The runtimes hold whole attention matrices, of all heads, in fp32. So many at once: OpenVINO 2026.4 took 9.5
# at 4,096 tokens, and ONNX Runtime 1.32 took 6.1.
MATRICES = 10
# Outputs in fp32 may differ by the order of summation; relative to their size where that is above 1.
FP32_TOLERANCE = 1e-3
# Metrics of which less is better.
ERRORS = ("mean_absolute_error", "root_mean_squared_error")


def compare_outputs(rows: ProofRows, torch_NC: np.ndarray, export_NC: np.ndarray) -> Outputs:
    """Return how far two sets of logits are apart, and how many answers are the same."""
    task = rows.task
    if task.kind == "regression":
        agreement = float(np.corrcoef(torch_NC[:, 0], export_NC[:, 0])[0, 1])
        return outputs_of(torch_NC, export_NC, len(rows.examples), agreement, "correlation")
    answers = [decide(logits, task.kind, task.thresholds) for logits in (torch_NC, export_NC)]
    same_N = (answers[0] == answers[1]).reshape(len(torch_NC), -1).all(axis=1)
    return outputs_of(torch_NC, export_NC, len(rows.examples), float(same_N.mean()))


def outputs_of(
    own: np.ndarray, export: np.ndarray, rows: int, agreement: float, agreement_is: Agreement = "same answer"
) -> Outputs:
    """Return how far outputs are apart, with how the answers agree that come of them."""
    far = np.abs(own - export)
    return Outputs(
        rows=rows, largest=float(far.max()), mean=float(far.mean()), allowed=allowed(own),
        agreement=agreement, agreement_is=agreement_is,
    )  # fmt: skip


def allowed(outputs: np.ndarray) -> float:
    """Return how far fp32 outputs of this size may be apart."""
    return FP32_TOLERANCE * max(1.0, float(np.abs(outputs).max()))


def compare_metrics(rows: ProofRows, torch_NC: np.ndarray, export_NC: np.ndarray) -> tuple[ProvenMetric, ...]:
    """Return each metric of the task for both, with the paired interval of the difference."""
    return tuple(_metric(name, rows, torch_NC, export_NC) for name in rows.task.metrics)


def _metric(name: str, rows: ProofRows, torch_NC: np.ndarray, export_NC: np.ndarray) -> ProvenMetric:
    task, labels = rows.task, rows.examples.labels
    assert labels is not None, "rows to prove on are labelled"
    clusters = row_clusters(task, rows.examples.rows)
    pairs = [
        measured(name, labels, decide(logits, task.kind, task.thresholds), logits, task.positive_index)
        for logits in (torch_NC, export_NC)
    ]
    values = [float(METRICS[name](*pair)) for pair in pairs]
    first, second = (by_cluster(sums_of(name, *pair), clusters) for pair in pairs)
    return proven_metric(name, first, second, values)


def proven_metric(name: str, own: Sums, export: Sums, values: Sequence[float] = ()) -> ProvenMetric:
    """Return a metric of both with the paired interval of its difference.

    Args:
        own, export: the metric as sums, in the same order of examples.
        values: the metric as the task computes it; that of the sums if not given.
    """
    values = values or [own.measured, export.measured]
    found = difference([export], [own], trained=(False, False)) if own.n > 1 else None
    # Where no example differs, there is no variance to make an interval of.
    known = found is not None and np.isfinite([found.low, found.high]).all() and found.low < found.high
    return ProvenMetric(
        metric=name,
        torch=values[0],
        export=values[1],
        low=found.low if found and known else None,
        high=found.high if found and known else None,
        n=own.n,
    )


@dataclass
class Reading:
    """A loaded model as it is compared: texts to numbers.

    Attributes:
        run: texts to outputs, shape (N, C); of words, (W, C) for all words of all texts.
        tokenizer: of the model.
        context: the longest text that it can read, in tokens.
        get_length, set_length: how many tokens of a text are read.
        model: what was loaded.
    """

    run: Callable[[list[Text]], np.ndarray]
    tokenizer: Any
    context: int
    get_length: Callable[[], int]
    set_length: Callable[[int], None]
    model: Any

    @classmethod
    def of(cls, model: Any, run: Callable[[list[Text]], np.ndarray]) -> Reading:
        """Return a model that has `max_length` (0 for its context) and a tokenizer."""
        context = context_length(load_config(model.source))
        return cls(
            run, model.tokenizer, context, lambda: int(model.max_length),
            lambda length: setattr(model, "max_length", length), model,
        )  # fmt: skip

    @property
    def length(self) -> int:
        """How many tokens of a text are read."""
        return self.get_length() or self.context


@phase("comparing long texts")
def compare_long(
    own: Reading,
    export: Reading,
    texts: Sequence[Text],
    *,
    seconds: float = SECONDS,
    fits: Callable[[int], bool] = lambda length: True,
) -> tuple[LongText, ...]:
    """Compare two readings on texts that are joined until they are as long as the context.

    Args:
        own, export: of torch and of the export; they are left as they were.
        texts: the task's own; a pair's first part is made longer.
        seconds: longer texts are left out where the next would take more than this (attention's work grows
            with the square of the length).
        fits: is there memory for texts of so many tokens?
    """
    before = [reading.get_length() for reading in (own, export)]
    try:
        found, started = [], time.perf_counter()
        for length in (n for n in LENGTHS if n <= own.context):
            if not fits(length):
                break
            found.append(_long((own, export), texts, length))
            took, started = time.perf_counter() - started, time.perf_counter()
            if length >= SURE and 4 * took > seconds:
                break
        return tuple(found)
    finally:
        for reading, length in zip((own, export), before, strict=True):
            reading.set_length(length)


def memory_of_long(length: int, heads: int) -> float:
    """Return how many bytes a runtime takes at most to read a text of so many tokens, as it is compared."""
    texts = 2 if length <= PADDED_UPTO else 1
    return float(MATRICES * texts * heads * length**2 * np.dtype(np.float32).itemsize)


def _long(readings: tuple[Reading, Reading], texts: Sequence[Text], length: int) -> LongText:
    for reading in readings:
        reading.set_length(length)
    tokenizer = readings[0].tokenizer
    joined = long_text(texts, lambda text: int(tokenize(tokenizer, [text], length).lengths[0]), length)
    padded = length <= PADDED_UPTO
    batch = [joined, texts[0]] if padded else [joined]
    first, second = (reading.run(batch) for reading in readings)
    return LongText(tokens=length, largest=float(np.abs(first - second).max()), padded=padded)


def long_text(texts: Sequence[Text], count: Callable[[Text], int], length: int) -> Text:
    """Return texts joined until they have `length` tokens or more (or almost so, if texts are empty)."""
    size, joined = 1, texts[0]
    while count(joined) < length and size < 4 * length:
        size *= 2
        joined = (" ".join(texts[i % len(texts)][0] for i in range(size)), *texts[0][1:])
    return joined


def fall(metric: ProvenMetric) -> float:
    """Return by how much the export is worse; of an error, by how much it is larger."""
    return metric.export - metric.torch if metric.metric in ERRORS else metric.torch - metric.export


def allowed_fall(metric: ProvenMetric, tolerance: float) -> float:
    """Return how much worse is tolerated; an error has a unit, so that a share of it is meant."""
    return tolerance * metric.torch if metric.metric in ERRORS else tolerance
