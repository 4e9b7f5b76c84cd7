"""A masked-language model with its corpus: what the loop trains, evaluates and saves.

Shape suffixes: T tokens, M masked tokens, P pieces.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from modernbert import processes
from modernbert.data.batching import BatchPlan
from modernbert.evaluation.metrics import ratio_score
from modernbert.files import atomic_folder
from modernbert.model.packing import PackedBatch
from modernbert.model.pretrained import quiet_transformers
from modernbert.pretraining.inputs import PretrainingInputs
from modernbert.pretraining.masking import MaskedBatch, Masking
from modernbert.pretraining.network import PackedMaskedLM, load_masked_lm
from modernbert.pretraining.rows import pack_rows
from modernbert.pretraining.store import Pieces
from modernbert.records.scores import SplitScores
from modernbert.training.inputs import Job
from modernbert.training.objectives import Objective, PerExample, TrainingData, cross_entropy
from modernbert.training.reports import Evaluation
from modernbert.training.signals import StopRequest

# Tokens of one pass over held-out text: fixed, since the masks are drawn for each pass.
EVALUATED_AT_ONCE = 4096
# Tokens that an evaluation during training looks at; the final one takes all.
QUICK_TOKENS = 2**17


@dataclass(frozen=True)
class PretrainingData:
    """Rows of pieces. Masks are drawn anew in every step: for each row by itself, whoever it is beside."""

    pieces: Pieces
    rows: Sequence[np.ndarray]
    plan: BatchPlan
    masking: Masking
    step: int = 0

    def at(self, step: int) -> PretrainingData:
        """Return the same rows with the masks of another step."""
        return replace(self, step=step)

    def batch(self, indices: np.ndarray) -> tuple[MaskedBatch, torch.Tensor]:
        """Return rows with tokens masked, and the true ids of these, shape (M,)."""
        whole = joined(self.pieces, np.concatenate([self.rows[i] for i in indices]))
        hidden, places, targets, start = [], [], [], 0
        for index in indices.tolist():
            row = joined(self.pieces, self.rows[index])
            masked, true_M = self.masking.apply(row, self._generator(index))
            hidden.append(masked.batch.ids_T)
            places.append(masked.places_M + start)
            targets.append(true_M)
            start += row.num_tokens
        return MaskedBatch(whole.with_ids(torch.cat(hidden)), torch.cat(places)), torch.cat(targets)

    def _generator(self, row: int) -> torch.Generator:
        numbers = np.random.SeedSequence((self.plan.seed, self.step, row)).generate_state(1)
        return torch.Generator().manual_seed(int(numbers[0]))


def joined(pieces: Pieces, numbers: Sequence[int] | np.ndarray) -> PackedBatch:
    """Return pieces as sequences of one batch: none attends to another."""
    ids_T, lengths = pieces.take(np.asarray(numbers, np.int64))
    return PackedBatch.of_lengths(lengths.tolist()).with_ids(torch.from_numpy(ids_T))


@dataclass(frozen=True)
class Guesses:
    """What a model guessed of held-out pieces: sums over the masked tokens of each piece, shape (P,)."""

    losses: np.ndarray
    correct: np.ndarray
    masked: np.ndarray


class PretrainingJob(Job):
    """A model on its device, with its corpus."""

    def __init__(self, inputs: PretrainingInputs, accelerator: Any, stop: StopRequest) -> None:
        """Load the model, or draw its weights from the current random state."""
        self.inputs, self.accelerator, self.stop = inputs, accelerator, stop
        config = inputs.config
        self.model, self.new_tensors = load_masked_lm(inputs.start, config.model.rotary_base)
        self.network: nn.Module = PackedMaskedLM(self.model)
        self.objective: Objective = PerExample(cross_entropy)
        tokenizer = inputs.tokenizer
        special = tuple(sorted(tokenizer.all_special_ids))
        self.masking = Masking(config.masking.mask, tokenizer.mask_token_id, special, len(tokenizer))
        pieces = Pieces.open(inputs.folder, "train")
        sizes = pieces.lengths
        rows = pack_rows(sizes, config.data.max_length, config.run.seed)
        lengths = np.array([sizes[row].sum() for row in rows])
        plan = BatchPlan(lengths, config.optimizer.batch_size, config.run.seed, sort=False)
        self.words = PretrainingData(pieces, rows, plan, self.masking)
        self.data: TrainingData = self.words
        self.held_out = Pieces.open(inputs.folder, "held_out")

    def evaluate(self, network: nn.Module) -> Evaluation:
        """Guess masked tokens of the first held-out pieces (their order is that of a hash)."""
        guesses = self._guess(network, QUICK_TOKENS)
        masked = guesses.masked.sum()
        accuracy = float(guesses.correct.sum() / masked)
        return Evaluation(
            {"masked_accuracy": accuracy, "loss": float(guesses.losses.sum() / masked)}, accuracy
        )

    def _passes(self, limit: int | None) -> Iterator[np.ndarray]:
        """Yield the numbers of the held-out pieces of each pass, up to `limit` tokens in all."""
        order = np.random.default_rng(0).permutation(len(self.held_out))
        lengths = self.held_out.lengths[order]
        passes = (np.cumsum(lengths) - lengths) // EVALUATED_AT_ONCE
        last = passes[-1] if limit is None else min(passes[-1], limit // EVALUATED_AT_ONCE)
        for number in range(int(last) + 1):
            yield order[passes == number]

    def _parts(self, limit: int | None) -> Iterator[tuple[MaskedBatch, torch.Tensor]]:
        """Yield held-out text in passes, always with the same tokens masked."""
        for number, numbers in enumerate(self._passes(limit)):
            if len(numbers):
                generator = torch.Generator().manual_seed(number)
                yield self.masking.apply(joined(self.held_out, numbers), generator)

    def _guess(self, network: nn.Module, limit: int | None) -> Guesses:
        found, device = {}, self.accelerator.device
        with torch.inference_mode():
            for number, (masked, targets_M) in processes.own_share(enumerate(self._parts(limit))):
                self.stop.raise_if_requested()
                with self.accelerator.autocast():
                    logits_MV = network(masked.to(device))
                found[number] = _by_piece(masked, logits_MV.float().cpu(), targets_M)
        parts = [part for _, part in sorted(processes.put_together(found).items())]
        losses, correct, counts = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Guesses(losses, correct, counts)

    def save(self, folder: Path) -> float:
        """Save model and tokenizer in transformers' layout, read back, compare logits."""
        shutil.rmtree(folder, ignore_errors=True)  # of a resumed run that had come this far
        model = self.model.to("cpu").eval()
        with atomic_folder(folder) as temporary, quiet_transformers():
            model.save_pretrained(temporary)
            self.inputs.tokenizer.save_pretrained(temporary)
        fresh, _ = load_masked_lm(replace(self.inputs.source, folder=folder))
        masked, _ = next(self._parts(EVALUATED_AT_ONCE))
        with torch.inference_mode():
            before, after = (PackedMaskedLM(m).eval()(masked) for m in (model, fresh))
        self.model.to(self.accelerator.device)
        return float((before - after).abs().nan_to_num(nan=float("inf")).max())

    def score(self) -> tuple[tuple[SplitScores, ...], list[dict[str, Any]]]:
        """Score all held-out text; a row for each piece."""
        found = self._guess(self.network.eval(), None)
        scores = (
            ratio_score("masked_accuracy", found.correct, found.masked),
            ratio_score("loss", found.losses, found.masked),
        )
        rows = [
            {"id": f"held_out/{i}", "masked": int(m), "correct": int(c), "loss": round(float(loss), 5)}
            for i, (m, c, loss) in enumerate(zip(found.masked, found.correct, found.losses, strict=True))
        ]
        return (SplitScores.of("held_out", scores, ()),), rows


def _by_piece(
    masked: MaskedBatch, logits_MV: torch.Tensor, targets_M: torch.Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sums over each piece's masked tokens: loss, right guesses, count; shapes (P,)."""
    piece_M = masked.batch.sequence_T[masked.places_M]
    pieces = masked.batch.num_sequences
    losses_M = F.cross_entropy(logits_MV, targets_M, reduction="none").double()
    correct_M = (logits_MV.argmax(dim=1) == targets_M).double()
    columns = (torch.bincount(piece_M, weights, pieces) for weights in (losses_M, correct_M))
    losses, correct = (column.numpy() for column in columns)
    return losses, correct, torch.bincount(piece_M, minlength=pieces).numpy()
