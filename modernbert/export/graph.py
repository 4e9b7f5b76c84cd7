"""A model as an ONNX graph, by torch's own exporter.

The graph takes padded batches of any size and length, as transformers' forward pass does. Shape suffixes:
N texts, L longest text, D hidden size, C outputs.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modernbert.activity import phase
from modernbert.errors import BadModel
from modernbert.model.embedding import EmbeddingSettings

# Size of the example that is traced; no dimension may be 1, which would be taken for a constant.
TRACED = (2, 24)
# A protobuf holds 2 GiB; above this the weights lie beside the graph.
LARGEST_FILE = 1_900_000_000
# What the exporter says of itself: names it merged, and its own use of what torch will drop.
ITS_WARNINGS = (
    (UserWarning, "# The axis name"),
    (FutureWarning, r"`isinstance\(treespec, LeafSpec\)` is deprecated"),
)
ITS_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir")


@dataclass(frozen=True)
class Signature:
    """The names of a graph's inputs and outputs; the last output is the answer."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int


class _Logits(nn.Module):
    """Logits (N, C) of texts, or (N, L, C) of their tokens."""

    outputs = ("logits",)

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.model(**_named(inputs)).logits,)


class _Vectors(nn.Module):
    """Hidden states (N, L, D), as other programs want them, and the vectors (N, D) of the texts."""

    outputs = ("last_hidden_state", "sentence_embedding")

    def __init__(self, encoder: Any, settings: EmbeddingSettings) -> None:
        super().__init__()
        self.model, self.settings = encoder, settings

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        hidden_NLD = self.model(**_named(inputs)).last_hidden_state
        if self.settings.pooling == "cls":
            pooled_ND = hidden_NLD[:, 0]
        else:
            there_NL1 = inputs[1].unsqueeze(-1).to(hidden_NLD.dtype)
            pooled_ND = (hidden_NLD * there_NL1).sum(1) / there_NL1.sum(1)
        if self.settings.normalize:
            pooled_ND = nn.functional.normalize(pooled_ND, dim=1)
        return hidden_NLD, pooled_ND


INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def _named(inputs: tuple[torch.Tensor, ...]) -> dict[str, torch.Tensor]:
    return dict(zip(INPUTS, inputs, strict=False))


@phase("exporting the graph")
def write_graph(
    model: Any, path: Path, *, types: bool, context: int, settings: EmbeddingSettings | None = None
) -> Signature:
    """Write a model of transformers as a graph of ONNX.

    Args:
        model: in evaluation mode, in fp32, on the CPU.
        path: of the graph; weights of 1.9 GB or more lie beside it.
        types: does its tokenizer give segments (`token_type_ids`)?
        context: the longest text in tokens.
        settings: how vectors are made, for a model without a head.

    Raises:
        BadModel: torch cannot export it.
    """
    network: Any = _Logits(model) if settings is None else _Vectors(model, settings)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    names = INPUTS if types else INPUTS[:2]
    try:
        with _quiet_exporter(), torch.no_grad():
            program: Any = torch.onnx.export(
                network.eval(),
                _example(model, len(names)),
                dynamo=True,
                dynamic_shapes={"inputs": _dimensions(len(names), context)},
                input_names=list(names),
                output_names=list(network.outputs),
                verbose=False,
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            _forget_the_source(program)
            program.save(path, external_data=size > LARGEST_FILE)
    except torch.onnx.OnnxExporterError as error:
        said = str(error.__cause__ or error).splitlines()[0]
        raise BadModel(f"torch cannot export it: {said}", where=path.name) from error
    return Signature(names, network.outputs, int(program.model.opset_imports[""]))


def _forget_the_source(program: Any) -> None:
    """Remove what the exporter keeps of the Python code: paths of this machine."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    ClearMetadataAndDocStringPass()(program.model)


def _example(model: Any, count: int) -> tuple[torch.Tensor, ...]:
    """Return inputs to trace: one text is padded, so that the mask is part of the graph."""
    ids_NL = torch.arange(TRACED[0] * TRACED[1]).view(TRACED) % model.config.vocab_size
    mask_NL = torch.ones_like(ids_NL)
    mask_NL[1, TRACED[1] // 2 :] = 0
    return (ids_NL, mask_NL, torch.zeros_like(ids_NL))[:count]


def _dimensions(count: int, context: int) -> tuple[dict[int, Any], ...]:
    texts = torch.export.Dim("texts", min=1)
    length = torch.export.Dim("length", min=1, max=context)
    return ({0: texts, 1: length},) * count


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's own notices off the screen; everything else is heard."""
    loggers = [logging.getLogger(name) for name in ITS_LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for kind, message in ITS_WARNINGS:
            warnings.filterwarnings("ignore", message, kind)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
