"""The unit in which numbers are learnt: a network begins near 0 and learns best in steps of about 1."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from modernbert.model.output import change_unit


@dataclass(frozen=True)
class Scale:
    """What a network's output stands for: label = mean + deviation x output."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, labels_N: np.ndarray) -> Self:
        """Return the scale on which labels have mean 0 and deviation 1 (equal labels: only mean 0)."""
        wide_N = labels_N.astype(np.float64)
        return cls(float(wide_N.mean()), float(wide_N.std()) or 1.0)

    def to_learn(self, labels_N: np.ndarray) -> np.ndarray:
        """Return what the network is to give, fp32."""
        return ((labels_N.astype(np.float64) - self.mean) / self.deviation).astype(np.float32)

    def to_labels(self, outputs_N1: np.ndarray) -> np.ndarray:
        """Return the outputs in the labels' unit."""
        return (self.mean + self.deviation * outputs_N1.astype(np.float64)).astype(np.float32)

    def take_out(self, model: Any) -> None:
        """Make a model that predicts labels predict the same on this scale. Raises BadModel."""
        change_unit(model, scale=1 / self.deviation, shift=-self.mean / self.deviation)

    def fold_in(self, model: Any) -> None:
        """Make a model that predicts on this scale predict labels: whoever loads it needs nothing else."""
        change_unit(model, scale=self.deviation, shift=self.mean)

    @property
    def unit(self) -> float:
        """What counts as 1 when two outputs are compared: fp32 knows a number's first seven digits."""
        return max(self.deviation, abs(self.mean) / 100)

    def as_dict(self) -> dict[str, float]:
        """Return plain data."""
        return asdict(self)

    def __str__(self) -> str:
        return f"mean {self.mean:.4g}, standard deviation {self.deviation:.4g}"
