"""A second classifier reads what the first one answers; where they differ, the text is kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.errors import BadOption
from modernbert.evaluation.predict import decide, probabilities
from modernbert.serving.batcher import Batcher, Closed, QueueFull
from modernbert.serving.metrics import Metrics
from modernbert.serving.models import ServedClassifier, Text

# Seconds after which a text is no longer compared: the first model's answers go before.
PATIENCE = 60.0
# Requests that wait to be tokenised for it.
MOST_UNREAD = 1000


class Shadow:
    """Compares two classifiers' answers, and appends the texts on which they differ to a file.

    Nobody waits for it. Where the shadow cannot keep up, texts are left out and counted.
    """

    def __init__(
        self,
        served: ServedClassifier,
        shadow: ServedClassifier,
        batcher: Batcher,
        path: Path,
        metrics: Metrics,
    ) -> None:
        """Open the file, readable by its owner alone. Raises BadOption when it cannot be written."""
        self.served, self.shadow, self.batcher, self.metrics = served, shadow, batcher, metrics
        self.reader, self.unread = ThreadPoolExecutor(1, "shadow"), 0
        try:
            number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise BadOption(f"cannot write here ({error.strerror})", where=str(path)) from None
        self.file = os.fdopen(number, "ab", buffering=0)

    def watch(self, texts: Sequence[Text], logits: Sequence[np.ndarray]) -> None:
        """Have the shadow read texts whose answers are known, and return at once."""
        if self.batcher.is_full or self.unread >= MOST_UNREAD:
            self._count("left out", len(texts))
            return
        self.unread += 1
        self.reader.submit(self._read, texts, logits)

    def _read(self, texts: Sequence[Text], logits: Sequence[np.ndarray]) -> None:
        self.unread -= 1
        try:
            readings = self.shadow.read(texts)
            counts = [reading.count for reading in readings]
            future = self.batcher.submit(readings, counts, time.monotonic() + PATIENCE)
        except (QueueFull, Closed):
            self._count("left out", len(texts))
            return
        future.add_done_callback(partial(self._compare, texts, np.stack(list(logits))))

    def _compare(self, texts: Sequence[Text], logits_NC: np.ndarray, future: Future[list[Any]]) -> None:
        if future.cancelled() or future.exception() is not None:
            self._count("left out", len(texts))
            return
        first, second = self.served.task, self.shadow.task
        other_NC = np.stack(future.result())
        a_N = decide(logits_NC, first.kind, first.thresholds)
        b_N = decide(other_NC, second.kind, second.thresholds)
        flips = np.flatnonzero(a_N != b_N).tolist()
        self._count("same", len(texts) - len(flips))
        self._count("different", len(flips))
        shares_NC, shadow_NC = probabilities(logits_NC, first.kind), probabilities(other_NC, second.kind)
        for i in flips:
            a, b = int(a_N[i]), int(b_N[i])
            self._keep(
                dict(zip(first.text, texts[i], strict=True)) | {
                    "answered": first.labels[a], "answered_confidence": round(float(shares_NC[i, a]), 6),
                    "shadow": second.labels[b], "shadow_confidence": round(float(shadow_NC[i, b]), 6),
                }
            )  # fmt: skip

    def _keep(self, row: dict[str, Any]) -> None:
        """Add a line in one write, so that a killed server leaves no half of one."""
        try:
            self.file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
        except OSError:  # the disk is full, say: users are answered all the same
            self._count("not written", 1)

    def _count(self, outcome: str, number: int) -> None:
        if number:
            self.metrics.shadow.labels(outcome).inc(number)

    def close(self) -> None:
        """Compare what waits, and close the file."""
        self.reader.shutdown()
        self.batcher.close()
        self.file.close()


def require_shadow(served: Any) -> ServedClassifier:
    """Return the model if another can run in its shadow. Raises BadOption."""
    if isinstance(served, ServedClassifier) and served.task.kind == "single_label":
        return served
    raise BadOption(f"{served.name} is no classifier of one label a text: --shadow compares such alone")
