"""May a search do without torch? Whoever builds the index finds out."""

from __future__ import annotations

import numpy as np

from modernbert.errors import BadModel
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.hits import unit
from modernbert.model.light import Light, LightEncoder
from modernbert.model.loading import load_config

# Queries by which both readings are compared: words, code, names of special tokens, accents, spaces, length.
PROBES = (
    "where are retries handled",
    "def read_rows(path: Path) -> Rows:  # TODO",
    "[SEP] [CLS] <s> </s> [MASK] \t naïve ÉTÉ  日本語\n",
    "parse the configuration file and " * 60,
)
# How far the unit vectors may be apart, in any number: in bf16 the model itself is less exact.
AGREEMENT = {"fp32": 1e-5, "bf16": 2e-2}


def light_reading(embedder: Embedder) -> Light | None:
    """Return how to read a query without torch; None where that gives other tokens or another vector."""
    light = None if embedder.source.is_export else _light(embedder)
    if light is None:
        return None
    try:
        encoder = LightEncoder(embedder.source.folder, light)
        found = [encoder.encode(probe) for probe in PROBES]
    except BadModel:
        return None
    for probe in PROBES:
        text = embedder.settings.read(probe, "query")
        ids = embedder.tokenizer(text, truncation=True, max_length=light["max_length"])["input_ids"]
        if ids != encoder.tokenizer.encode(text).ids:
            return None
    difference = np.abs(unit(np.stack(found)) - unit(embedder.encode(PROBES, "query"))).max()
    return light if difference < AGREEMENT[embedder.machine.precision] else None


def _light(embedder: Embedder) -> Light | None:
    """Return what a ModernBERT's configuration says, if there is nothing in it that numpy's pass lacks."""
    config = load_config(embedder.source)
    if config.model_type != "modernbert" or config.hidden_activation != "gelu":
        return None
    if config.attention_bias or config.mlp_bias or config.norm_bias or embedder.source.base:
        return None
    ropes = config.rope_parameters
    if any(ropes[kind]["rope_type"] != "default" for kind in config.layer_types):
        return None
    local = config.sliding_window
    settings = embedder.settings
    return Light(
        heads=config.num_attention_heads,
        window=[local if kind == "sliding_attention" else None for kind in config.layer_types],
        theta=[float(ropes[kind]["rope_theta"]) for kind in config.layer_types],
        eps=config.norm_eps,
        pooling=settings.pooling,
        normalize=settings.normalize,
        max_length=settings.max_length,
        query_prompt=settings.query_prompt,
        lower_case=settings.lower_case,
    )
