"""Who runs a network over batches of tokens: this process, or several (see `workers`).

The batches of some texts depend on their lengths alone, never on who runs them. So a text's output has the
same bits, on one kind of device, whatever the number of processes.

Shape suffixes: N texts, T tokens of a batch, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from modernbert import processes
from modernbert.activity import RUNNING, phase
from modernbert.data.batching import split_by_tokens
from modernbert.data.tokens import PairTokens, Tokens
from modernbert.model.encoder import pads
from modernbert.model.packing import pack


def never_stop() -> None:
    """Nobody asks to stop."""


@dataclass(frozen=True)
class Begun:
    """Batches that are run, now or when their outputs are asked for.

    Attributes:
        tokens: of all texts.
        parts: the batches, each the numbers of its texts.
        outputs: of each batch what the network gives, fp32: (N, C), or (T, C) where each token has an output.
    """

    tokens: Tokens | PairTokens
    parts: Sequence[np.ndarray]
    outputs: Iterator[np.ndarray]

    def results(self, unit: str = "texts") -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield each batch with its output, and tell how many texts are done."""
        with phase(RUNNING, sum(map(len, self.parts)), unit) as now:
            for part, output in zip(self.parts, self.outputs, strict=True):
                yield part, output
                now.advance(len(part))

    def results_by_text(self, unit: str = "texts") -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of each text with the outputs of its tokens, of shape (tokens, C)."""
        for part, output_TC in self.results(unit):
            ends = np.cumsum(self.tokens.lengths[part])[:-1]
            yield from zip(part.tolist(), np.split(output_TC, ends), strict=True)


class Runner(Protocol):
    """Runs a network over the batches of texts."""

    @property
    def size(self) -> int:
        """In how many processes."""

    def begin(self, tokens: Tokens | PairTokens) -> Begun:
        """Cut texts into batches, and begin to run them."""


@dataclass(frozen=True)
class Here:
    """This process. As one of several of a training, it runs its own share of the batches.

    Attributes:
        network: on the accelerator's device, in evaluation mode.
        accelerator: device and precision.
        max_tokens: tokens in one batch.
        check_stop: called between batches; may raise.
    """

    network: torch.nn.Module
    accelerator: Any
    max_tokens: int
    check_stop: Callable[[], None] = never_stop
    size: int = 1

    def begin(self, tokens: Tokens | PairTokens) -> Begun:
        """Cut texts into batches; each is run when its output is asked for."""
        assert not self.network.training, "evaluation mode"
        every = batches_of(tokens, self.max_tokens, padded=pads(self.network))
        parts = list(processes.own_share(every))
        return Begun(tokens, parts, (self.run(tokens, part) for part in parts))

    def run(self, tokens: Tokens | PairTokens, part: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return what the network gives for one batch, fp32."""
        self.check_stop()
        with torch.inference_mode():
            batch = pack(tokens, part).to(self.accelerator.device)
            with self.accelerator.autocast():
                output = self.network(batch)
            return np.asarray(output.float().cpu().numpy())


def batches_of(tokens: Tokens | PairTokens, max_tokens: int, *, padded: bool) -> Iterator[np.ndarray]:
    """Yield the batches of texts, the longest ones first; little is padded, as they are cut by length."""
    return split_by_tokens(np.arange(len(tokens)), tokens.lengths, max_tokens, padded=padded)
