"""A training without a language model: a bag of words, and texts whose class is in their tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from modernbert.data.batching import BatchPlan
from modernbert.model.accelerator import make_accelerator
from modernbert.model.device import choose_machine
from modernbert.model.packing import PackedBatch
from modernbert.settings.config import TrainingConfig
from modernbert.training.checkpoint import CheckpointStore
from modernbert.training.objectives import PerExample, cross_entropy
from modernbert.training.reports import Evaluation, StepReport
from modernbert.training.signals import StopRequest
from modernbert.training.state import TrainState


class Bag(nn.Module):
    """Classifies by the mean of embedded tokens, with dropout, so that the random state matters."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 8)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(8, 2)

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        sums = torch.zeros(batch.num_sequences, 8).index_add(0, batch.sequence_T, self.embedding(batch.ids_T))
        return self.out(self.drop(sums / batch.starts_N1.diff()[:, None]))


@dataclass
class Toy:
    """Texts of tokens 0-4 are class 0, of tokens 5-9 class 1."""

    plan: BatchPlan
    texts: list[np.ndarray]
    labels: np.ndarray

    @classmethod
    def make(cls, config: TrainingConfig, size: int = 64) -> Toy:
        draw = np.random.default_rng(0)
        labels = draw.integers(0, 2, size)
        texts = [draw.integers(0, 5, draw.integers(1, 12)) + 5 * label for label in labels]
        lengths = np.array([len(text) for text in texts])
        return cls(BatchPlan(lengths, config.optimizer.batch_size, config.run.seed), texts, labels)

    def batch(self, indices: np.ndarray) -> tuple[PackedBatch, torch.Tensor]:
        from helpers import tokens_of

        from modernbert.model.packing import pack

        tokens = tokens_of([self.texts[i].tolist() for i in indices])
        return pack(tokens, range(len(indices))), torch.from_numpy(self.labels[indices])


def config_of(**values) -> TrainingConfig:
    base = {"epochs": 3.0, "batch_size": 8, "learning_rate": 0.05, "max_tokens": 64, "log_every": 1}
    return TrainingConfig().with_values({**base, **values})


def state_of(folder, config=None, *, model=None, loss=cross_entropy, observe=None, stop=None) -> TrainState:
    config = config or config_of()
    data = Toy.make(config)
    torch.manual_seed(config.run.seed)

    def evaluate(model):
        with torch.no_grad():
            batch, labels = data.batch(np.arange(len(data.texts)))
            share = float((model(batch).argmax(1) == labels).float().mean())
        return Evaluation({"accuracy": share}, share)

    return TrainState(
        model=model or Bag(),
        objective=PerExample(loss),
        data=data,
        config=config,
        evaluate=evaluate,
        checkpoints=CheckpointStore(folder),
        accelerator=make_accelerator(choose_machine("cpu", "fp32")),
        stop=stop or StopRequest(),
        observe=observe or (lambda report: None),
    )


def weights(state: TrainState) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in state.trainable().items()}


def stop_at(step: int, stop: StopRequest):
    """Return an observer that asks to stop once `step` is done."""

    def observe(report):
        if isinstance(report, StepReport) and report.step == step:
            stop.signal_number = 15

    return observe
