"""Vectors of a batch that is too large for memory: made part by part, and again when gradients are known.

Shape suffixes: S texts of a batch, D vector size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from modernbert.training.state import random_state, set_random_state


@dataclass(frozen=True)
class Vectors:
    """A process's own vectors, part by part; and idle passes, whose vectors nobody needs.

    One part keeps its graph. Of several, none does: each is run again when its gradient is known. Without
    any, an idle pass tells how wide the vectors are.

    Attributes:
        embed: makes the vectors of some places.
        places: of each part.
        states: the random state from which each part was run: dropout must fall alike in both passes.
        parts: what each part gave; of an idle pass, no row.
        own: how many of the parts are no idle passes.
    """

    embed: Callable[[np.ndarray], torch.Tensor]
    places: list[np.ndarray]
    states: list[dict[str, Any]]
    parts: list[torch.Tensor]
    own: int

    @classmethod
    def of(
        cls, embed: Callable[[np.ndarray], torch.Tensor], own: list[np.ndarray], idle: list[np.ndarray]
    ) -> Vectors:
        """Run each part."""
        states, parts, places = [], [], own + idle
        for number, place in enumerate(places):
            states.append(random_state())
            with torch.set_grad_enabled(len(places) == 1):
                vectors_SD = embed(place)
            parts.append(vectors_SD if number < len(own) else vectors_SD[:0])
        return cls(embed, places, states, parts, len(own))

    def rows(self) -> torch.Tensor:
        """Return all vectors."""
        return torch.cat(self.parts)

    def backward(self, gradient: torch.Tensor, accelerator: Any) -> None:
        """Add the gradients of the parameters up, given that of the vectors."""
        if len(self.places) == 1:
            accelerator.backward(self.parts[0], gradient=gradient)
            return
        after = random_state()
        gradients = torch.split(gradient, [len(part) for part in self.parts])
        passes = zip(self.places, self.states, gradients, strict=True)
        for number, (place, state, part) in enumerate(passes):
            set_random_state(state)
            vectors_SD = self.embed(place)
            accelerator.backward(vectors_SD if number < self.own else vectors_SD[:0], gradient=part)
        set_random_state(after)
