"""How alike two texts are, as a number: their vectors' cosine through one linear layer.

Shape suffixes: N pairs, D vector size. Texts 2i and 2i + 1 of a batch are pair i.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from modernbert.data.tokens import (
    PairTokens,
    TokenLengths,
    Tokens,
    longer_of_pairs,
    measure,
    tokenize,
)
from modernbert.errors import BadModel
from modernbert.model.embedding import (
    EmbeddingSettings,
    PackedEmbedder,
    embedding_settings,
    save_embedder,
)
from modernbert.model.loading import load_encoder
from modernbert.model.locate import ModelSource
from modernbert.model.output import ExactLinear
from modernbert.model.packing import PackedBatch
from modernbert.model.pretrained import damage_is_an_error

# Beside an encoder in sentence-transformers' layout, which others read as what it is: a model for vectors.
FILE = "similarity.safetensors"


class PackedSimilarity(nn.Module):
    """An encoder that gives a number for each pair of texts: weight x cosine + bias."""

    def __init__(self, embedder: PackedEmbedder, output: nn.Linear | None = None) -> None:
        """Wrap an encoder; before a linear layer is fitted, the number is the cosine."""
        super().__init__()
        self.embedder = embedder
        self.output = output or _identity()

    @property
    def model(self) -> Any:
        """The encoder of transformers."""
        return self.embedder.model

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        """Return numbers, fp32, shape (N, 1)."""
        vectors_2ND = F.normalize(self.embedder(batch), dim=1)
        cosines_N1 = (vectors_2ND[::2] * vectors_2ND[1::2]).sum(dim=1, keepdim=True)
        numbers_N1: torch.Tensor = self.output(cosines_N1)
        return numbers_N1

    def fit(self, cosines_N: np.ndarray, numbers_N: np.ndarray) -> None:
        """Set weight and bias to the least squares of numbers over cosines; equal cosines: to the mean."""
        spread = float(cosines_N.var())
        slope = float(np.cov(cosines_N, numbers_N, ddof=0)[0, 1]) / spread if spread > 1e-12 else 0.0
        nn.init.constant_(self.output.weight, slope)
        nn.init.constant_(self.output.bias, float(numbers_N.mean() - slope * cosines_N.mean()))


def _identity() -> nn.Linear:
    layer = ExactLinear(1, 1)
    nn.init.ones_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def is_similarity(source: ModelSource) -> bool:
    """Does a model give a number for two texts that it reads apart?"""
    return (source.folder / FILE).is_file()


def load_similarity(source: ModelSource) -> PackedSimilarity:
    """Load what `save_similarity` wrote, in evaluation mode. Raises BadModel when it is damaged."""
    network = PackedSimilarity(PackedEmbedder(load_encoder(source), embedding_settings(source)))
    with damage_is_an_error(source.folder / FILE):
        network.output.load_state_dict(load_file(source.folder / FILE))
    if not all(tensor.isfinite().all() for tensor in network.output.state_dict().values()):
        raise BadModel("it holds numbers that are not finite", where=str(source.folder / FILE))
    return network.eval()


def save_similarity(network: PackedSimilarity, tokenizer: Any, folder: Path) -> None:
    """Save the encoder in sentence-transformers' layout, then the linear layer beside it."""
    save_embedder(network.model, tokenizer, network.embedder.settings, folder)
    save_file(network.output.state_dict(), folder / FILE)


def apart_settings(source: ModelSource) -> EmbeddingSettings:
    """Return how a model makes vectors whose cosine is taken."""
    return replace(embedding_settings(source), similarity="cosine", normalize=True, tuned=True)


def read_texts(
    tokenizer: Any, texts: Sequence[tuple[str, ...]], max_length: int, apart: EmbeddingSettings | None
) -> Tokens | PairTokens:
    """Turn texts or pairs into token ids, as a model reads them.

    Args:
        max_length: tokens of a text, of a pair, or of each text of a pair that is read apart.
        apart: how each text of a pair is read; None for a model that reads both at once.
    """
    if apart is None:
        return tokenize(tokenizer, texts, max_length)
    return PairTokens(tokenize(tokenizer, _single(texts, apart), max_length))


def count_tokens(
    tokenizer: Any, texts: Sequence[tuple[str, ...]], apart: EmbeddingSettings | None
) -> TokenLengths:
    """Count tokens without truncation: of each text or pair, or of the longer text of a pair read apart."""
    if apart is None:
        return measure(tokenizer, texts)
    return longer_of_pairs(measure(tokenizer, _single(texts, apart)))


def _single(pairs: Sequence[tuple[str, ...]], settings: EmbeddingSettings) -> list[tuple[str]]:
    return [(settings.read(text),) for pair in pairs for text in pair]
