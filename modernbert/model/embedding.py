"""Encoders that turn a text into one vector: how to pool, how long a text may be, what to put before it.

Shape suffixes: T tokens of all texts, N texts, L longest text, D hidden size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

import torch
from pydantic import Field
from torch import nn
from typing_extensions import TypedDict

from modernbert.errors import BadModel
from modernbert.files import atomic_folder, write_json
from modernbert.model.catalogue import EMBEDDER
from modernbert.model.encoder import (
    base_of,
    is_modernbert,
    mean_by_sequence,
    modernbert_hidden,
    padded_inputs,
)
from modernbert.model.loading import context_length, load_config, load_encoder
from modernbert.model.locate import ModelSource
from modernbert.model.packing import PackedBatch
from modernbert.model.pretrained import quiet_transformers
from modernbert.reading import checked, read_json

Pooling = Literal["mean", "cls"]
TextKind = Literal["query", "document"]


class Module(TypedDict):
    """An entry of sentence-transformers' `modules.json`."""

    type: str
    path: str


class Prompts(TypedDict):
    """What mbert reads of `config_sentence_transformers.json`."""

    prompts: NotRequired[dict[str, str] | None]
    similarity_fn_name: NotRequired[str | None]
    model_type: NotRequired[str | None]


class Length(TypedDict):
    """What mbert reads of `sentence_bert_config.json`."""

    max_seq_length: NotRequired[Annotated[int, Field(ge=3)] | None]
    do_lower_case: NotRequired[bool]


@dataclass(frozen=True)
class EmbeddingSettings:
    """How a model makes vectors.

    Attributes:
        pooling: the mean of all tokens, or the first token.
        normalize: scale vectors to length 1.
        similarity: how two vectors are compared: `cosine`, or `dot` (their product as they are).
        max_length: tokens of a text that are read.
        query_prompt, document_prompt: put before every text.
        lower_case: are texts read in lower case?
        tuned: was the model made for embeddings? If not, its vectors mean little.
    """

    pooling: Pooling = "mean"
    normalize: bool = True
    similarity: Literal["cosine", "dot"] = "cosine"
    max_length: int = 512
    query_prompt: str = ""
    document_prompt: str = ""
    lower_case: bool = False
    tuned: bool = False

    def read(self, text: str, kind: TextKind = "document") -> str:
        """Return what the tokenizer gets to see of a text, as sentence-transformers does it."""
        whole = (self.query_prompt if kind == "query" else self.document_prompt) + text
        return whole.lower() if self.lower_case else whole


def embedding_settings(source: ModelSource) -> EmbeddingSettings:
    """Return what a sentence-transformers folder says of itself; for any other encoder, mean pooling.

    Raises:
        BadModel: the folder asks for a module or a pooling that mbert does not have, or is that of another
            program's late-interaction model.
    """
    folder, context = source.folder, context_length(load_config(source))
    path = folder / "modules.json"
    if sign := _sign_of_token_vectors(folder, load_config(source).architectures or ()):
        raise BadModel(
            f"a late-interaction model ({sign}): it has a vector for each token, not one for each text",
            where=str(folder),
            fix="mbert reads late interaction that it trained itself (--head tokens) alone. "
            f"A model with one vector for each text is {EMBEDDER}.",
        )
    if not path.is_file():
        return EmbeddingSettings(max_length=context)
    kinds = _modules(folder)
    if unknown := set(kinds) - {"Transformer", "Pooling", "Normalize"}:
        raise BadModel(f"the model has modules that mbert does not know: {', '.join(sorted(unknown))}",
                       where=str(path))  # fmt: skip
    said: Prompts = _read(folder / "config_sentence_transformers.json", Prompts)
    prompts = said.get("prompts") or {}
    similarity = said.get("similarity_fn_name") or "cosine"
    if similarity not in ("cosine", "dot"):
        raise BadModel(f"mbert does not know the similarity '{similarity}'", where=str(folder))
    length: Length = _read(folder / "sentence_bert_config.json", Length)
    pooling = folder / kinds.get("Pooling", "1_Pooling") / "config.json"
    if any(prompts.values()) and _read(pooling, dict[str, Any]).get("include_prompt") is False:
        raise BadModel("mbert does not leave a prompt's tokens out of the mean (include_prompt)",
                       where=str(pooling))  # fmt: skip
    return replace(
        EmbeddingSettings(tuned=True),
        pooling=_pooling(pooling),
        normalize="Normalize" in kinds,
        similarity="dot" if similarity == "dot" else "cosine",
        max_length=min(length.get("max_seq_length") or context, context),
        query_prompt=prompts.get("query", ""),
        document_prompt=prompts.get("document", prompts.get("passage", "")),
        lower_case=length.get("do_lower_case", False),
    )


def _sign_of_token_vectors(folder: Path, architectures: Sequence[str]) -> str:
    """Return by what a folder tells that its model has a vector for each token; nothing if it does not.

    As sentence-transformers tells it: PyLate's and its own folders name the kind of model or the similarity,
    or have no pooling; Stanford's ColBERT has an architecture and a file of settings of its own.
    """
    said: Prompts = _read(folder / "config_sentence_transformers.json", Prompts)
    if (kind := said.get("model_type")) in ("ColBERT", "MultiVectorEncoder"):
        return f"model_type {kind}"
    if (similarity := said.get("similarity_fn_name") or "").lower() in ("maxsim", "meanmaxsim"):
        return f"similarity {similarity}"
    if own := [name for name in architectures if name == "HF_ColBERT" or name.endswith("ForRetrieval")]:
        return f"architecture {own[0]}"
    if (folder / "artifact.metadata").exists():
        return "artifact.metadata"
    kinds = _modules(folder)
    return "no pooling in modules.json" if kinds and "Pooling" not in kinds else ""


def _modules(folder: Path) -> dict[str, str]:
    """Return the modules of a sentence-transformers folder, each with its own; none for any other folder."""
    path = folder / "modules.json"
    rows = read_json(path, BadModel) if path.is_file() else []
    modules = checked(list[Module], rows, where=str(path), error=BadModel)
    return {module["type"].rsplit(".", 1)[-1]: module["path"] for module in modules}


def _read(path: Path, kind: Any) -> Any:
    """Return what a configuration says, checked; nothing when there is no such file."""
    return checked(kind, read_json(path, BadModel) if path.exists() else {}, where=str(path), error=BadModel)


def _pooling(path: Path) -> Pooling:
    config: dict[str, Any] = _read(path, dict[str, Any])
    chosen = {
        name.removeprefix("pooling_mode_")
        for name, on in config.items()
        if name.startswith("pooling_mode_") and on is True
    } or {str(config.get("pooling_mode", "mean_tokens"))}
    known: dict[str, Pooling] = {
        "mean_tokens": "mean", "mean": "mean", "cls_token": "cls", "cls": "cls",
    }  # fmt: skip
    if len(chosen) != 1 or not chosen <= set(known):
        raise BadModel(f"mbert does not know the pooling {', '.join(sorted(chosen))}", where=str(path))
    return known[chosen.pop()]


class PackedEmbedder(nn.Module):
    """A transformers encoder that gives one vector for each text of a `PackedBatch`."""

    def __init__(self, encoder: Any, settings: EmbeddingSettings) -> None:
        """Wrap an encoder without a head."""
        super().__init__()
        self.model = encoder
        self.settings = settings

    def forward(self, batch: PackedBatch) -> torch.Tensor:
        """Return vectors, fp32, shape (N, D)."""
        hidden_TD = hidden_states(self.model, batch)
        if self.settings.pooling == "cls":
            pooled_ND = hidden_TD.index_select(0, batch.starts_N1[:-1])
        else:
            pooled_ND = mean_by_sequence(hidden_TD, batch)
        pooled_ND = pooled_ND.float()
        return nn.functional.normalize(pooled_ND, dim=1) if self.settings.normalize else pooled_ND


def hidden_states(encoder: Any, batch: PackedBatch) -> torch.Tensor:
    """Return an encoder's last hidden states, shape (T, D); without padding for ModernBERT."""
    if is_modernbert(encoder):
        return modernbert_hidden(base_of(encoder), batch)
    hidden_NLD = encoder(**padded_inputs(encoder, batch)).last_hidden_state
    hidden_TD: torch.Tensor = hidden_NLD[batch.sequence_T, batch.positions_T]
    return hidden_TD


def load_embedder(source: ModelSource) -> PackedEmbedder:
    """Load an encoder with what its folder says of how it makes vectors, in evaluation mode."""
    return PackedEmbedder(load_encoder(source), embedding_settings(source)).eval()


def save_embedder(encoder: Any, tokenizer: Any, settings: EmbeddingSettings, folder: Path) -> None:
    """Save an encoder in sentence-transformers' layout; the folder appears whole or not at all."""
    kinds = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    if not settings.normalize:
        del kinds["Normalize"]
    with atomic_folder(folder) as temporary, quiet_transformers():
        encoder.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        for path in filter(None, kinds.values()):
            (temporary / path).mkdir()
        rows = [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(kinds.items())
        ]
        write_json(temporary / "modules.json", rows)
        write_json(
            temporary / "sentence_bert_config.json",
            {"max_seq_length": settings.max_length, "do_lower_case": settings.lower_case},
        )
        pooling = {f"pooling_mode_{name}": False for name in ("max_tokens", "mean_sqrt_len_tokens")}
        pooling |= {
            "pooling_mode_cls_token": settings.pooling == "cls",
            "pooling_mode_mean_tokens": settings.pooling == "mean",
        }
        size = encoder.config.hidden_size
        write_json(temporary / "1_Pooling" / "config.json", {"word_embedding_dimension": size, **pooling})
        prompts = {"query": settings.query_prompt, "document": settings.document_prompt}
        write_json(
            temporary / "config_sentence_transformers.json",
            {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": settings.similarity},
        )
