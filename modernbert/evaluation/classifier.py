"""A loaded classifier for texts in memory.

Shape suffixes: N texts, C outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modernbert.evaluation.evaluate import Scorer
from modernbert.evaluation.scoring import readable_prediction


@dataclass(frozen=True)
class Classifier:
    """A loaded classifier."""

    scorer: Scorer

    def predict(self, texts: Sequence[str | tuple[str, ...]]) -> list[dict[str, Any]]:
        """Return, for each text or pair of texts, the `prediction` and `probabilities` of the labels."""
        rows = [(text,) if isinstance(text, str) else tuple(text) for text in texts]
        found = self.scorer.logits(rows) if rows else ()
        return [readable_prediction(self.scorer.task, logits_C) for logits_C in found]

    def logits(self, texts: Sequence[str | tuple[str, ...]]) -> np.ndarray:
        """Return logits, fp32, shape (N, C), in the order of the task's labels."""
        return self.scorer.logits([(t,) if isinstance(t, str) else tuple(t) for t in texts])
