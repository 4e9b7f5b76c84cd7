"""Texts to vectors, with any encoder.

Shape suffixes: N texts, D vector size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from modernbert.data.tokens import tokenize
from modernbert.errors import BadOption
from modernbert.evaluation.predict import predict_logits
from modernbert.model.accelerator import make_accelerator
from modernbert.model.device import MAX_TOKENS, choose_machine
from modernbert.model.embedding import PackedEmbedder, Pooling, embedding_settings
from modernbert.model.encoder import attention_of
from modernbert.model.inference import prepare_inference
from modernbert.model.loading import context_length, load_config, load_encoder, load_tokenizer
from modernbert.model.locate import ModelSource

# Texts in memory at once, sorted by length among themselves.
CHUNK = 4096


class Embedder:
    """A loaded encoder with its tokenizer and settings, ready to give vectors."""

    def __init__(
        self,
        source: ModelSource,
        *,
        max_length: int = 0,
        pooling: Pooling | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        """Load the model; what is not given is as the model says of itself.

        Raises:
            BadOption: `max_length` exceeds the model's context.
            BadModel: the model cannot be read, or has parts that mbert does not know.
        """
        context = context_length(load_config(source))
        if max_length > context:
            raise BadOption(f"max_length {max_length} exceeds the model's context of {context} tokens")
        own = embedding_settings(source)
        self.settings = replace(own, max_length=max_length or own.max_length, pooling=pooling or own.pooling)
        self.source = source
        self.tokenizer = load_tokenizer(source)
        self.machine = choose_machine(device, precision)
        self.accelerator = make_accelerator(self.machine)
        encoder = load_encoder(source)
        self.attention = attention_of(encoder, self.machine)
        prepare_inference(encoder, self.machine)
        self.model = PackedEmbedder(encoder, self.settings).to(self.accelerator.device).eval()
        self.truncated = 0

    def encode(
        self,
        texts: Sequence[str],
        kind: Literal["query", "document"] = "document",
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> np.ndarray:
        """Return vectors in the order of the texts, fp32, shape (N, D); `truncated` counts cut texts."""
        prompt = self.settings.query_prompt if kind == "query" else self.settings.document_prompt
        parts = []
        for start in range(0, len(texts), CHUNK):
            chunk = [(prompt + text,) for text in texts[start : start + CHUNK]]
            tokens = tokenize(self.tokenizer, chunk, self.settings.max_length)
            self.truncated += int((tokens.full.lengths > self.settings.max_length).sum())
            budget = MAX_TOKENS[self.machine.device]
            parts.append(predict_logits(self.model, tokens, max_tokens=budget, accelerator=self.accelerator))
            on_progress(start + len(chunk))
        return np.concatenate(parts)
