"""Every setting of a training, in sections. Options, TOML files, their checks and records follow from these.

How help is written: a noun phrase without a full stop, then what 0 or no value means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from modernbert.ranges import LENGTHS, SEEDS, Range
from modernbert.settings.fields import (
    CLASSIFICATION,
    FINE_TUNING,
    RETRIEVAL,
    AppliesTo,
    Section,
    setting,
)

_COUNT = Range(0, 1_000_000_000)
_SHARE = Range(0, 1, below=True)
INNER_SHARE = Range(0, 1, above=True, below=True)
_IN_CLASSIFICATION = AppliesTo((CLASSIFICATION,))
_IN_FINE_TUNING = AppliesTo(FINE_TUNING)
_WITH_LORA = AppliesTo(FINE_TUNING, "lora", (True,))
_IN_RETRIEVAL = AppliesTo((RETRIEVAL,))
_WITH_SIMILARITY = AppliesTo((RETRIEVAL,), "head", ("vectors", "tokens"))
_WITH_VECTORS = AppliesTo((RETRIEVAL,), "head", ("vectors",))
_TRAPEZOIDAL = AppliesTo(setting="schedule", values=("trapezoidal",))


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig(Section):
    """How long training takes, and the learning rate over its steps."""

    panel: ClassVar[str] = "Optimisation"

    epochs: float = setting("Passes over the training data", 3.0, Range(0, 10_000, above=True))
    shape: Literal["linear", "cosine", "trapezoidal"] = setting(
        "Learning-rate schedule after warm-up: linear, cosine or trapezoidal", "linear", name="schedule"
    )
    warmup: float = setting("Share of all steps used for linear warm-up", 0.06, _SHARE)
    decay: float = setting(
        "Share of all steps in which a trapezoidal schedule decays",
        0.1,
        Range(0, 1),
        applies_to=_TRAPEZOIDAL,
    )


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Section):
    """One step of the optimiser."""

    panel: ClassVar[str] = "Optimisation"

    batch_size: int = setting("Examples per optimiser step", 32, Range(1, 1_000_000))
    name: Literal["adamw", "stable_adamw"] = setting(
        "Optimiser: adamw, or stable_adamw (AdamW with update clipping)", "adamw", name="optimizer"
    )
    learning_rate: float = setting("Peak learning rate", 5e-5, Range(0, 100, above=True))
    weight_decay: float = setting(
        "Decoupled weight decay, multiplied by the learning rate as in torch", 0.01, Range(0, 1_000)
    )
    beta1: float = setting("Decay rate of the first moment", 0.9, _SHARE)
    beta2: float = setting("Decay rate of the second moment", 0.98, _SHARE)
    epsilon: float = setting("Constant added to the denominator of the update", 1e-6, Range(0, 1, above=True))
    clip: float = setting("Maximum gradient norm", 1.0, Range(0, 1_000_000), zero="no clipping")


@dataclass(frozen=True, kw_only=True)
class DataConfig(Section):
    """How texts are read."""

    panel: ClassVar[str] = "Data"

    max_length: int = setting(
        "Maximum text length",
        0,
        LENGTHS,
        unit="tokens",
        zero="the 99th percentile of the texts (in retrieval, the model's own)",
    )


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig(Section):
    """The evaluations during training."""

    panel: ClassVar[str] = "Evaluation"

    eval_every: int = setting("Interval between evaluations", 0, _COUNT, unit="steps", zero="once per epoch")
    patience: int = setting(
        "Early stopping: stop after this many evaluations without a better score", 0, _COUNT, zero="never"
    )
    keep: Literal["best", "last"] = setting("Weights to keep: best (by the validation score) or last", "best")
    metric: Literal[
        "", "accuracy", "precision", "recall", "f1", "macro_f1", "matthews", "average_precision", "roc_auc",
        "micro_f1", "exact_match", "r2", "pearson", "spearman",
    ] = setting(
        "Main metric (f1, ...), which chooses the weights to keep", "", applies_to=_IN_CLASSIFICATION
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ClassesConfig(Section):
    """Classes of which some are rare."""

    panel: ClassVar[str] = "Classes"

    weights: Literal["none", "balanced"] | str = setting(
        "Weights of the classes in the loss: balanced, none, or a JSON file (label: weight)",
        "none",
        name="class_weights",
        applies_to=_IN_CLASSIFICATION,
    )
    positive: str = setting(
        "The positive class of two, for precision, recall and F1; in own data the rarer one by default",
        "",
        applies_to=_IN_CLASSIFICATION,
    )
    threshold: Literal["", "auto"] | float = setting(
        "Probability above which the positive class (or each of several labels) is given: a number, or auto "
        "(tuned on validation)",
        "",
        INNER_SHARE,
        applies_to=_IN_CLASSIFICATION,
    )


@dataclass(frozen=True, kw_only=True)
class PairConfig(Section):
    """Pairs of texts that get a number."""

    panel: ClassVar[str] = "Pairs of texts"

    encoder: Literal["cross", "bi"] = setting(
        "How a pair of texts that gets a number is read: cross (both at once), or bi (a vector for each; "
        "their cosine is fitted to the number)",
        "cross",
        name="pair_encoder",
        applies_to=_IN_CLASSIFICATION,
    )


@dataclass(frozen=True, kw_only=True)
class MemoryConfig(Section):
    """What training trades between memory and time."""

    panel: ClassVar[str] = "Memory and speed"

    max_tokens: int = setting(
        "Maximum tokens per forward pass, halved when memory runs out", 0, _COUNT, zero="automatic"
    )
    recompute: bool = setting("Gradient checkpointing: less memory, more time", False)
    compile: bool = setting("Compile ModernBERT's feed-forward blocks with torch.compile", False)
    shard: bool = setting(
        "FSDP2: weights, gradients and optimiser state divided among several processes", False
    )


@dataclass(frozen=True, kw_only=True)
class RunConfig(Section):
    """The run itself."""

    panel: ClassVar[str] = "Run"

    seed: int = setting("Random seed of new weights, data order and dropout", 42, SEEDS)
    checkpoint_minutes: float = setting(
        "Interval between checkpoints", 5.0, Range(0, 1_000_000), unit="minutes"
    )
    log_every: int = setting("Interval between progress lines", 10, Range(1, 1_000_000_000), unit="steps")


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Section):
    """What training starts from."""

    panel: ClassVar[str] = "Model"

    random_weights: bool = setting(
        "Random initialisation instead of the pretrained weights", False, applies_to=_IN_FINE_TUNING
    )


@dataclass(frozen=True, kw_only=True)
class LoraConfig(Section):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685)."""

    panel: ClassVar[str] = "LoRA"

    enabled: bool = setting(
        "Train LoRA adapters instead of all weights", False, name="lora", applies_to=_IN_FINE_TUNING
    )
    rank: int = setting("Rank of the adapters", 16, Range(1, 4_096), name="lora_rank", applies_to=_WITH_LORA)
    alpha: float = setting(
        "Alpha of the adapters: their output is scaled by alpha / rank",
        32.0,
        Range(0, 1_000_000, above=True),
        name="lora_alpha",
        applies_to=_WITH_LORA,
    )
    dropout: float = setting(
        "Dropout on the input of the adapters", 0.05, _SHARE, name="lora_dropout", applies_to=_WITH_LORA
    )
    targets: tuple[str, ...] = setting(
        "Linear layers to adapt, separated by commas; by default a preset for the architecture",
        (),
        name="lora_targets",
        applies_to=_WITH_LORA,
    )


@dataclass(frozen=True, kw_only=True)
class RetrievalConfig(Section):
    """Models that retrieve: what is trained, with which loss and negatives."""

    panel: ClassVar[str] = "Retrieval"

    head: Literal["vectors", "tokens", "reranker"] = setting(
        "Model to train: vectors (one per text), tokens (late interaction) or reranker (cross-encoder)",
        "vectors",
        applies_to=_IN_RETRIEVAL,
    )
    loss: Literal["contrastive", "kl", "margin"] = setting(
        "Loss: contrastive; or kl or margin, which distil a teacher's scores in the data",
        "contrastive",
        applies_to=_WITH_SIMILARITY,
    )
    temperature: float = setting(
        "Temperature of the softmax over cosine similarities",
        0.05,
        Range(0.0001, 100),
        applies_to=_WITH_SIMILARITY,
    )
    hard_negatives: int = setting("Hard negatives per query", 1, Range(0, 1_000), applies_to=_IN_RETRIEVAL)
    mine: bool = setting(
        "Mine hard negatives with the initial model before training", False, applies_to=_WITH_VECTORS
    )
    dims: tuple[int, ...] = setting(
        "Matryoshka: smaller vector sizes to train as well, separated by commas",
        (),
        Range(1, 65_536),
        applies_to=_WITH_VECTORS,
    )
    pooling: Literal["", "mean", "cls"] = setting(
        "Pooling: mean or cls; by default the model's own", "", applies_to=_WITH_VECTORS
    )
    query_prompt: str = setting("Text prepended to every query", "", applies_to=_WITH_SIMILARITY)
    document_prompt: str = setting("Text prepended to every document", "", applies_to=_WITH_SIMILARITY)
