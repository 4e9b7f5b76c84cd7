"""Late interaction: a vector for each token; a query's tokens each take their best match in a document.

ColBERT (Khattab and Zaharia 2020, arXiv:2004.12832), without its query expansion by masks. The score is the
mean over the query's tokens, which orders documents as their sum does.

Shape suffixes: T tokens of all texts, S texts, L longest text, D hidden size, d vector size, Q queries,
N documents, q and n their tokens.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import nn
from typing_extensions import TypedDict

from modernbert.errors import BadModel
from modernbert.files import atomic_folder, write_json
from modernbert.model.embedding import hidden_states
from modernbert.model.loading import load_encoder
from modernbert.model.locate import ModelSource
from modernbert.model.packing import PackedBatch
from modernbert.model.pretrained import damage_is_an_error, quiet_transformers
from modernbert.reading import checked, read_json

RECORD, WEIGHTS = "late_interaction.json", "projection.safetensors"
# Numbers of a token's vector: as in ColBERT.
SIZE = 128


class Record(TypedDict):
    """What a model's folder says of it: numbers of a token's vector, and tokens of a text that are read."""

    size: Annotated[int, Field(ge=1, le=2**16)]
    max_length: Annotated[int, Field(ge=1)]


class PackedTokenEmbedder(nn.Module):
    """A transformers encoder and a linear map that give a unit vector for each token of a `PackedBatch`."""

    def __init__(self, encoder: Any, size: int = SIZE) -> None:
        """Wrap an encoder; the map is drawn from the current random state."""
        super().__init__()
        self.model = encoder
        self.projection = nn.Linear(encoder.config.hidden_size, size, bias=False)

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        """Return unit vectors, fp32, shape (T, d)."""
        vectors_Td = self.projection(hidden_states(self.model, batch))
        return nn.functional.normalize(vectors_Td.float(), dim=1)


def pad_rows(rows_Td: torch.Tensor, lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Lay rows of several texts out as (S, L, d); also return where there is a token, (S, L)."""
    padded_SLd = nn.utils.rnn.pad_sequence(list(torch.split(rows_Td, lengths)), batch_first=True)
    places_L = torch.arange(padded_SLd.shape[1], device=rows_Td.device)
    return padded_SLd, places_L < torch.tensor(lengths, device=rows_Td.device)[:, None]


def max_sim(
    queries_Qqd: torch.Tensor, there_Qq: torch.Tensor, documents_Nnd: torch.Tensor, there_Nn: torch.Tensor
) -> torch.Tensor:
    """Return the mean, over a query's tokens, of the best cosine with a document's tokens; shape (Q, N).

    Padding never wins: it counts as minus infinity, not as zero.
    """
    rows = []
    for query_qd, there_q in zip(queries_Qqd, there_Qq, strict=True):
        # Queries are padded to the longest document's length: most of their rows would be work for nothing.
        cosines_qNn = torch.einsum("qd,Nnd->qNn", query_qd[there_q], documents_Nnd)
        rows.append(cosines_qNn.masked_fill(~there_Nn, float("-inf")).amax(dim=2).mean(dim=0))
    return torch.stack(rows)


def is_late_interaction(folder: Path) -> bool:
    """Does this folder hold a model with a vector for each token?"""
    return (folder / RECORD).is_file()


def load_token_embedder(source: ModelSource) -> PackedTokenEmbedder:
    """Load a model that `save_token_embedder` wrote, in evaluation mode. Raises BadModel if it is damaged."""
    model = PackedTokenEmbedder(load_encoder(source), _record(source.folder)["size"])
    with damage_is_an_error(source.folder):
        model.projection.load_state_dict(load_file(source.folder / WEIGHTS))
    return model.eval()


def save_token_embedder(model: PackedTokenEmbedder, tokenizer: Any, max_length: int, folder: Path) -> None:
    """Save encoder, map and tokenizer; the folder appears whole or not at all."""
    with atomic_folder(folder) as temporary, quiet_transformers():
        model.model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        save_file(model.projection.state_dict(), temporary / WEIGHTS)
        write_json(temporary / RECORD, {"size": model.projection.out_features, "max_length": max_length})


def recorded_length(folder: Path) -> int:
    """Return the length in tokens that a model was trained to read."""
    return _record(folder)["max_length"]


def _record(folder: Path) -> Record:
    path = folder / RECORD
    return checked(Record, read_json(path, BadModel), where=str(path), error=BadModel)
