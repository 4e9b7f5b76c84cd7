"""A small encoder that learns a teacher's sentence vectors, and goes on guessing masked words.

The student's vector of a text is drawn towards the teacher's vector of it (Reimers and Gurevych 2020,
arXiv:2004.09813, with cosines instead of squared errors); no labels are needed.

Shape suffixes: N pieces, M masked tokens, D the student's vector size.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from modernbert.data.batching import BatchPlan, split_by_tokens
from modernbert.errors import Interrupted
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.metrics import mean_score
from modernbert.model.embedding import EmbeddingSettings, embedding_settings, load_embedder, save_embedder
from modernbert.model.encoder import mean_by_sequence, modernbert_hidden
from modernbert.model.locate import UNTRAINED
from modernbert.model.packing import PackedBatch
from modernbert.pretraining.inputs import PretrainingInputs
from modernbert.pretraining.job import QUICK_TOKENS, PretrainingData, PretrainingJob, joined
from modernbert.pretraining.masking import MaskedBatch
from modernbert.pretraining.network import PackedMaskedLM, padded_hidden
from modernbert.pretraining.teacher import Targets, teach
from modernbert.pretraining.vector_loss import NEIGHBOURS, losses
from modernbert.pretraining.words import start_from_words
from modernbert.records.scores import SplitScores
from modernbert.training.objectives import BatchLoss
from modernbert.training.reports import Evaluation
from modernbert.training.signals import StopRequest

# Of the parts of a batch, the share that is also read with tokens masked, and the weight of their loss:
# enough to keep the words. At weight 1 it is ten times the vectors' loss and drowns it.
MASKED_PARTS, MASKED_WEIGHT = 0.25, 0.1


class Student(PackedMaskedLM):
    """A masked-language model that also gives sentence vectors."""

    def __init__(self, model: Any, settings: EmbeddingSettings) -> None:
        """Wrap a model; its vectors are pooled as `settings` say."""
        super().__init__(model)
        self.settings = settings

    def forward(self, batch: MaskedBatch | PackedBatch) -> torch.Tensor:
        """Return logits of masked tokens, shape (M, V), or for whole texts their vectors, shape (N, D)."""
        if isinstance(batch, MaskedBatch):
            return super().forward(batch)
        if self.model.config.model_type == "modernbert":
            hidden_TD = modernbert_hidden(self.model.model, batch)
        else:
            hidden_TD = padded_hidden(self.model, self.model.base_model, batch)
        if self.settings.pooling == "cls":
            pooled_ND = hidden_TD.index_select(0, batch.starts_N1[:-1])
        else:
            pooled_ND = mean_by_sequence(hidden_TD, batch)
        return F.normalize(pooled_ND.float(), dim=1)


@dataclass(frozen=True)
class Lessons:
    """Rows of pieces with the teacher's vectors."""

    words: PretrainingData
    targets: Targets

    @property
    def plan(self) -> BatchPlan:
        """The order of the rows, and their lengths."""
        return self.words.plan

    def numbers(self, indices: np.ndarray) -> np.ndarray:
        """Return the numbers of the pieces in these rows."""
        return np.concatenate([self.words.rows[i] for i in indices])


@dataclass(frozen=True)
class Distillation:
    """The loss: what the texts' vectors lack to be the teacher's, a mean over texts; plus masked tokens'.

    What is reported is 1 minus the cosine alone: its size says something, and masked words, which are part
    of a quarter of the passes, do not make it jump.

    Attributes:
        masked: are tokens masked at all?
    """

    masked: bool

    def accumulate(
        self, network: nn.Module, data: Lessons, indices: np.ndarray, *, max_tokens: int, accelerator: Any
    ) -> BatchLoss:
        """Run each part forward and backward."""
        numbers, pieces = data.numbers(indices), data.words.pieces
        total, tokens = torch.zeros((), device=accelerator.device), 0
        for part in split_by_tokens(numbers, pieces.lengths, max_tokens, padded=False):
            batch = joined(pieces, part)
            with accelerator.autocast():
                vectors_ND = network(batch.to(accelerator.device))
            distance, others = losses(vectors_ND, data.targets.of(part).to(accelerator.device))
            accelerator.backward(distance + NEIGHBOURS * others)
            if self.masked and float(torch.rand(())) < MASKED_PARTS:
                words = self._of_words(network, batch, data, accelerator)
                words = words * (len(part) * MASKED_WEIGHT / MASKED_PARTS)
                accelerator.backward(words)
            total += distance.detach()
            tokens += batch.num_tokens
        return BatchLoss(total, len(numbers), tokens)

    def _of_words(
        self, network: nn.Module, batch: PackedBatch, data: Lessons, accelerator: Any
    ) -> torch.Tensor:
        """Return the mean loss of masked tokens."""
        masked, targets_M = data.words.masking.apply(batch)
        with accelerator.autocast():
            logits_MV = network(masked.to(accelerator.device))
        return F.cross_entropy(logits_MV.float(), targets_M.to(accelerator.device))


class DistillationJob(PretrainingJob):
    """A model on its device, with its corpus and the teacher's vectors of it."""

    def __init__(self, inputs: PretrainingInputs, accelerator: Any, stop: StopRequest) -> None:
        """Load the model, or draw its weights; then have the teacher read the corpus, unless it has."""
        super().__init__(inputs, accelerator, stop)
        own = embedding_settings(inputs.source)
        settings = own if own.tuned else replace(own, max_length=inputs.config.data.max_length)
        self.settings = replace(settings, normalize=True, similarity="cosine", tuned=True)
        self.network = Student(self.model, self.settings)
        self.targets = self._taught()
        self.objective = Distillation(masked=inputs.config.masking.mask > 0)
        self.data = Lessons(self.words, self.targets["train"])

    def _taught(self) -> dict[str, Targets]:
        """Have the teacher read what it has not read yet."""
        inputs = self.inputs
        assert inputs.teacher is not None, "a teacher"
        teacher = Embedder(inputs.teacher, device=inputs.machine.device, precision=inputs.machine.precision)
        splits = {"train": self.words.pieces, "held_out": self.held_out}
        size = self.model.config.hidden_size
        try:
            stop, corpus = self.stop.raise_if_requested, inputs.folder.name
            targets = teach(teacher, splits, inputs.tokenizer, size, corpus, stop)
        except Interrupted as interrupted:
            interrupted.fix = "The teacher's vectors are kept: run the command again."
            raise
        if inputs.source.revision == UNTRAINED and self.model.config.model_type == "modernbert":
            taught = (self.words.pieces, targets["train"], corpus)
            device = self.accelerator.device
            start_from_words(self.model, teacher, inputs.tokenizer, *taught, stop, device)
            self.new_tensors = ("layers: random weights; token vectors: fitted to the teacher's",)
        return targets

    def evaluate(self, network: nn.Module) -> Evaluation:
        """Compare vectors of the first held-out pieces with the teacher's."""
        cosine = float(self._cosines(network, QUICK_TOKENS).mean())
        words = super().evaluate(network).metrics if self.inputs.config.masking.mask else {}
        return Evaluation({"teacher_cosine": cosine, **words}, cosine)

    def _cosines(self, network: nn.Module, limit: int | None) -> np.ndarray:
        """Return the cosine of each held-out piece's vector to the teacher's; shape (N,)."""
        parts = []
        with torch.inference_mode():
            for part in filter(len, self._passes(limit)):  # a long piece leaves the next pass empty
                self.stop.raise_if_requested()
                with self.accelerator.autocast():
                    vectors_ND = network(joined(self.held_out, part).to(self.accelerator.device)).cpu()
                parts.append((vectors_ND * self.targets["held_out"].of(part)).sum(dim=1).numpy())
        return np.concatenate(parts)

    def save(self, folder: Path) -> float:
        """Save model and tokenizer in sentence-transformers' layout, read back, compare vectors."""
        shutil.rmtree(folder, ignore_errors=True)  # of a resumed run that had come this far
        model = self.model.to("cpu").eval()
        save_embedder(model, self.inputs.tokenizer, self.settings, folder)
        fresh = load_embedder(replace(self.inputs.source, folder=folder))
        batch = joined(self.held_out, np.arange(min(16, len(self.held_out))))
        with torch.inference_mode():
            before, after = Student(model, self.settings).eval()(batch), fresh(batch)
        self.model.to(self.accelerator.device)
        return float((before - after).abs().nan_to_num(nan=float("inf")).max())

    def score(self) -> tuple[tuple[SplitScores, ...], list[dict[str, Any]]]:
        """Score all held-out text; a row for each piece."""
        cosines = self._cosines(self.network.eval(), None)
        rows = [{"id": f"held_out/{i}", "cosine": round(float(c), 5)} for i, c in enumerate(cosines)]
        scores = [mean_score("teacher_cosine", cosines)]
        if self.inputs.config.masking.mask:
            (words,), word_rows = super().score()
            scores += words.scores
            rows = [row | more for row, more in zip(word_rows, rows, strict=True)]
        return (SplitScores.of("held_out", tuple(scores), ()),), rows
