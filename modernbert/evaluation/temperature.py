"""One number that makes a classifier as sure as it is right: its logits are divided by it (Guo et al. 2017).

The order of the classes, and so the answers, stay as they are. arXiv:1706.04599, section 4.2.

Shape suffixes: N texts, C classes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import optimize, special

from modernbert.data.task import Task
from modernbert.errors import BadOption

# Outside of these, probabilities are those of a constant or of a model that is never wrong.
LEAST, MOST = 0.05, 20.0


def fit_temperature(labels_N: np.ndarray, logits_NC: np.ndarray) -> float | None:
    """Return the temperature with the least negative log-likelihood; None where there is none.

    The likelihood is concave in 1 / temperature: there is one best value. It has no end where every answer is
    right, and where the logits say nothing.
    """
    wide_NC = logits_NC.astype(np.float64)

    def loss(log_temperature: float) -> float:
        shares_NC = special.log_softmax(wide_NC / np.exp(log_temperature), axis=1)
        return -float(shares_NC[np.arange(len(labels_N)), labels_N].mean())

    ends = (np.log(LEAST), np.log(MOST))
    found = float(optimize.minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-6}).x)
    inside = ends[0] + 1e-3 < found < ends[1] - 1e-3
    return float(np.exp(found)) if inside else None


def with_temperature(task: Task, labels: np.ndarray | None, logits: np.ndarray) -> Task:
    """Return a task of one label a text with the temperature of its validation split; any other as it is.

    Args:
        labels, logits: of the validation split.
    """
    if task.kind != "single_label":
        return task
    assert labels is not None
    return replace(task, temperature=fit_temperature(labels, logits) or 1.0)


def temperature_note(task: Task) -> str:
    """Say what was fitted on what; nothing where nothing was."""
    if task.temperature == 1:
        return ""
    split = task.validation[0]
    return (
        f"temperature {task.temperature:.4f}, fitted on {split}, whose calibration with it is optimistic: "
        "mbert predict --calibrated divides the logits by it; the answers stay as they are"
    )


def require_temperature(task: Task, name: str) -> None:
    """Raise BadOption unless a temperature was fitted."""
    if task.temperature == 1:
        raise BadOption(
            f"{name} has no temperature: mbert finetune fits it on the validation split, with one label a "
            "text, where some answers are wrong",
            fix="Leave --calibrated out.",
        )
