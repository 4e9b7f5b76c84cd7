"""Ways to run a classifier over texts, each at its best settings; `run` is one pass over all of them.

Shape suffixes: N texts, C outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from modernbert.data.batching import split_by_tokens
from modernbert.data.tokens import Tokens
from modernbert.model.acceleration import accelerate
from modernbert.model.device import MAX_TOKENS, Machine
from modernbert.model.encoder import PackedClassifier, padded_logits, pads
from modernbert.model.inference import prepare_inference
from modernbert.model.packing import pack

BATCH = 32


@dataclass(frozen=True)
class Setting:
    """What all engines share: device and precision, and whether they train (AdamW, a step every 32 texts)."""

    machine: Machine
    training: bool

    @property
    def device(self) -> torch.device:
        """The device as torch names it."""
        return torch.device(self.machine.device)


class Engine:
    """A model and a way to batch texts; `name` is what the result calls it."""

    def __init__(self, name: str, model: Any, setting: Setting) -> None:
        self.name, self.setting = name, setting
        self.model = model.to(setting.device).train(setting.training)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=True) if setting.training else None

    def steps(self, tokens: Tokens) -> Iterator[list[np.ndarray]]:
        """Yield the parts of each optimiser step, as indices of texts."""
        raise NotImplementedError

    def logits(self, tokens: Tokens, part: np.ndarray) -> torch.Tensor:
        """Return logits of some texts, shape (N, C)."""
        raise NotImplementedError

    def run(self, tokens: Tokens) -> np.ndarray:
        """Run all texts once; return logits in their order, shape (N, C)."""
        found: dict[int, np.ndarray] = {}
        with torch.set_grad_enabled(self.setting.training):
            for step in self.steps(tokens):
                for part in step:
                    logits_NC = self.logits(tokens, part)
                    if self.optimizer:
                        logits_NC.float().square().sum().backward()  # type: ignore[no-untyped-call]
                    found.update(zip(part.tolist(), logits_NC.detach().float().cpu().numpy(), strict=True))
                if self.optimizer:
                    self.optimizer.step()
                    self.optimizer.zero_grad()
        return np.stack([found[i] for i in range(len(tokens))])


class Transformers(Engine):
    """transformers' own forward pass over batches of 32, padded to the longest, as they arrive or sorted."""

    def __init__(self, name: str, model: Any, setting: Setting, *, by_length: bool = False) -> None:
        rounded = setting.machine.precision == "bf16" and not setting.training
        super().__init__(name, model.bfloat16() if rounded else model, setting)
        self.by_length = by_length

    def steps(self, tokens: Tokens) -> Iterator[list[np.ndarray]]:
        """Yield batches of 32."""
        order = np.argsort(tokens.lengths, kind="stable") if self.by_length else np.arange(len(tokens))
        for start in range(0, len(order), BATCH):
            yield [order[start : start + BATCH]]

    def logits(self, tokens: Tokens, part: np.ndarray) -> torch.Tensor:
        """Run a padded batch."""
        mixed = self.setting.machine.precision == "bf16" and self.setting.training
        with torch.autocast(self.setting.device.type, torch.bfloat16, enabled=mixed):
            return padded_logits(self.model, pack(tokens, part).to(self.setting.device))


class Mbert(Engine):
    """Batches by token budget, ModernBERT packed, as mbert's own commands run."""

    def __init__(self, name: str, model: Any, setting: Setting) -> None:
        super().__init__(name, model, setting)
        if not setting.training:
            prepare_inference(self.model, setting.machine)
        self.classifier = PackedClassifier(self.model)

    def steps(self, tokens: Tokens) -> Iterator[list[np.ndarray]]:
        """Yield steps of 32 texts in training, everything at once otherwise, cut by token budget."""
        size = BATCH if self.setting.training else len(tokens)
        machine = self.setting.machine
        budget = MAX_TOKENS[machine.device] if self.setting.training else machine.inference_tokens
        for start in range(0, len(tokens), size):
            indices = np.arange(start, min(start + size, len(tokens)))
            yield list(split_by_tokens(indices, tokens.lengths, budget, padded=pads(self.classifier)))

    def logits(self, tokens: Tokens, part: np.ndarray) -> torch.Tensor:
        """Run a packed batch."""
        mixed = self.setting.machine.precision == "bf16"
        with torch.autocast(self.setting.device.type, torch.bfloat16, enabled=mixed):
            logits_NC: torch.Tensor = self.classifier(pack(tokens, part).to(self.setting.device))
        return logits_NC


def make_engines(model: Any, setting: Setting, *, accelerated: bool = False) -> list[Engine]:
    """Return the engines to compare, each with a model of its own (transformers' two share theirs)."""
    plain = copy.deepcopy(model)
    arrival = Transformers("transformers", plain, setting)
    by_length = copy.copy(arrival)
    by_length.name, by_length.by_length = "transformers sorted", True
    engines: list[Engine] = [arrival, by_length, Mbert("mbert", copy.deepcopy(model), setting)]
    if accelerated:
        faster = Transformers("accelerate", accelerate(copy.deepcopy(model)), setting)
        engines.insert(2, faster)
    return engines


def exact_logits(model: Any, tokens: Tokens) -> np.ndarray:
    """Return transformers' own logits in fp32 on the CPU, each text alone: nothing padded; (N, C)."""
    plain = Transformers("alone", model, Setting(CPU, training=False))
    return np.concatenate([plain.logits(tokens, np.array([i])).detach().numpy() for i in range(len(tokens))])


CPU = Machine("cpu", "", "fp32", "")
