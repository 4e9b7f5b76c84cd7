"""Run a classifier over tokenised texts.

Shape suffixes: N texts, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from modernbert import processes
from modernbert.data.task import Kind
from modernbert.data.tokens import PairTokens, Tokens
from modernbert.evaluation.runner import Begun, Here, never_stop


def predict_logits(
    model: torch.nn.Module,
    tokens: Tokens | PairTokens,
    *,
    max_tokens: int,
    accelerator: Any,
    check_stop: Callable[[], None] = never_stop,
) -> np.ndarray:
    """Return logits in the order of the texts, fp32, shape (N, C).

    Of several processes of a training each runs some of the batches, which are those of one process; all
    get everything.

    Args:
        model: a packed network, on the accelerator's device, in evaluation mode.
        tokens: the texts; batches are cut by length, so little is padded.
        max_tokens: tokens in one batch.
        accelerator: device and precision.
        check_stop: called between batches; may raise.
    """
    return logits_of(Here(model, accelerator, max_tokens, check_stop).begin(tokens))


def logits_of(begun: Begun) -> np.ndarray:
    """Return logits, or vectors, in the order of the texts, fp32, shape (N, C)."""
    results: dict[int, np.ndarray] = {}
    for part, logits_NC in begun.results():
        results.update(zip(part.tolist(), logits_NC, strict=True))
    results = processes.put_together(results)
    return np.stack([results[i] for i in range(len(results))]) if results else np.zeros((0, 1), np.float32)


def decide(logits_NC: np.ndarray, kind: Kind, thresholds: tuple[float, ...] = ()) -> np.ndarray:
    """Return class indices (N,), zeros and ones (N, C), or numbers (N,).

    Args:
        logits_NC: what the network gives.
        kind: what that means.
        thresholds: of each label: it is given where its probability is greater; 0.5 when empty. Of one
            label a text, the one whose probability exceeds its threshold by most.
    """
    if kind == "single_label":
        above_NC = probabilities(logits_NC, kind) - np.array(thresholds) if thresholds else logits_NC
        return np.asarray(above_NC.argmax(axis=1))
    if kind == "multi_label":
        given_NC = probabilities(logits_NC, kind) > np.array(thresholds) if thresholds else logits_NC > 0
        return given_NC.astype(np.float32)
    return np.asarray(logits_NC[:, 0])


def probabilities(logits_NC: np.ndarray, kind: Kind) -> np.ndarray:
    """Return softmax (single-label) or sigmoid (multi-label) probabilities, shape (N, C)."""
    assert kind != "regression", "a number has no probability"
    wide = logits_NC.astype(np.float64)
    if kind == "multi_label":
        return np.asarray(1 / (1 + np.exp(-wide)))
    exponents = np.exp(wide - wide.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))
