"""Every value of a training run, in one frozen dataclass; a recipe fills it, flags and TOML override it."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

from modernbert.errors import BadData, BadOption
from modernbert.ranges import LENGTHS, SEEDS, Range
from modernbert.reading import read_bytes

Optimizer = Literal["adamw", "stable_adamw"]
Schedule = Literal["linear", "cosine", "trapezoidal"]

# Larger than anybody needs, and small enough to compute with.
_COUNT = Range(0, 1_000_000_000)
_SHARE = Range(0, 1, below=True)
_INNER_SHARE = Range(0, 1, above=True, below=True)
_TYPES = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}
# When a setting has any effect: another setting, and the values of it.
_LORA = ("lora", True)
_SIMILARITY = ("head", "vectors", "tokens")
_VECTORS = ("head", "vectors")


# Under which head help lists a setting.
OPTIMISATION, EVALUATION, MEMORY, RUN = "Optimisation", "Evaluation", "Memory and speed", "Run"
MODEL, DATA, LORA, RETRIEVAL, MASKING = "Model", "Data", "LoRA", "Retrieval", "Masked language modelling"


def _help(
    text: str,
    default: Any,
    limits: Range | None = None,
    *,
    panel: str = OPTIMISATION,
    needs: tuple[str | bool, ...] = (),
) -> Any:
    return field(default=default, metadata={"help": text, "limits": limits, "panel": panel, "needs": needs})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The settings of any training: options and the checks of a TOML file are made from the fields."""

    # What the settings that a class adds are for.
    about: ClassVar[str] = "any training"

    epochs: float = _help("Passes over the training data", 3.0, Range(0, 10_000, above=True))
    batch_size: int = _help("Examples per optimiser step", 32, Range(1, 1_000_000))
    learning_rate: float = _help("Peak learning rate", 5e-5, Range(0, 100, above=True))
    weight_decay: float = _help("Decoupled weight decay, in torch's convention", 0.01, Range(0, 1_000))
    optimizer: Optimizer = _help("Optimizer: adamw, or stable_adamw (with update clipping)", "adamw")
    beta1: float = _help("Decay of the gradient's moving average", 0.9, _SHARE)
    beta2: float = _help("Decay of the squared gradient's moving average", 0.98, _SHARE)
    epsilon: float = _help("Term added to the denominator of an update", 1e-6, Range(0, 1, above=True))
    schedule: Schedule = _help("After warm-up: linear, cosine or trapezoidal", "linear")
    warmup: float = _help("Share of all steps with linear warm-up", 0.06, _SHARE)
    decay: float = _help("Share of all steps in which a trapezoidal schedule decays", 0.1, Range(0, 1))
    clip: float = _help("Largest gradient norm; 0 for no clipping", 1.0, Range(0, 1_000_000))
    max_length: int = _help(
        "Longest text in tokens; auto takes the 99th percentile of the data", 0, LENGTHS, panel=DATA
    )
    eval_every: int = _help("Steps between evaluations; 0 for once an epoch", 0, _COUNT, panel=EVALUATION)
    patience: int = _help(
        "Stop after this many evaluations without a better score; 0 for never", 0, _COUNT, panel=EVALUATION
    )
    keep: Literal["best", "last"] = _help(
        "Weights to keep: the best on validation, or the last", "best", panel=EVALUATION
    )
    seed: int = _help("Random seed of the new head, data order and dropout", 42, SEEDS, panel=RUN)
    max_tokens: int = _help(
        "Most tokens in memory at once, halved when memory runs out; 0 for automatic", 0, _COUNT, panel=MEMORY
    )
    recompute: bool = _help("Gradient checkpointing: less memory, more time", False, panel=MEMORY)
    compile: bool = _help("Use torch.compile for ModernBERT's feed-forward blocks", False, panel=MEMORY)
    checkpoint_minutes: float = _help("Minutes between checkpoints", 5.0, Range(0, 1_000_000), panel=RUN)
    log_every: int = _help("Steps between progress lines", 10, Range(1, 1_000_000_000), panel=RUN)
    random_weights: bool = _help("Train from random initialisation", False, panel=MODEL)
    lora: bool = _help("Train low-rank adapters instead of all weights", False, panel=LORA)
    lora_rank: int = _help("Rank of the adapters", 16, Range(1, 4_096), panel=LORA, needs=_LORA)
    lora_alpha: float = _help(
        "Scaling of the adapters, times their rank",
        32.0,
        Range(0, 1_000_000, above=True),
        panel=LORA,
        needs=_LORA,
    )
    lora_dropout: float = _help("Dropout on the adapters' input", 0.05, _SHARE, panel=LORA, needs=_LORA)
    lora_targets: tuple[str, ...] = _help(
        "Linear layers to adapt, separated by commas; a preset for each architecture by default",
        (),
        panel=LORA,
        needs=_LORA,
    )

    def __post_init__(self) -> None:
        for name, value in self.as_dict().items():
            _require(not (rule := rule_broken(type(self), name, value)), name, self, rule)
        adapts = self.lora and self.random_weights
        _require(not adapts, "lora", self, "off: adapters cannot change weights that know nothing")

    def with_values(self, values: Mapping[str, Any], *, source: str) -> Self:
        """Return a copy with `values` in place.

        Raises:
            BadOption: a name is unknown, or a value has the wrong type or makes no sense.
        """
        for name, value in values.items():
            _require_known(type(self), name, source)
            if rule := rule_broken(type(self), name, value):
                raise BadOption(f"{name} is {value!r}; it must be {rule}", where=source)
        typed: dict[str, Any] = {
            n: tuple(v) if isinstance(getattr(self, n), tuple) else v for n, v in values.items()
        }
        return dataclasses.replace(self, **typed)

    def as_dict(self) -> dict[str, Any]:
        """Return the values as plain data."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class RetrievalConfig(TrainingConfig):
    """What a bi-encoder's training needs besides."""

    about: ClassVar[str] = "retrieval"

    head: Literal["vectors", "tokens", "reranker"] = _help(
        "What to train: vectors (one a text), tokens (late interaction), reranker (cross-encoder)",
        "vectors",
        panel=RETRIEVAL,
    )
    loss: Literal["contrastive", "kl", "margin"] = _help(
        "Loss: contrastive; or kl or margin, from a teacher's scores in the data",
        "contrastive",
        panel=RETRIEVAL,
        needs=_SIMILARITY,
    )
    temperature: float = _help(
        "Softmax temperature of the cosine similarities",
        0.05,
        Range(0.0001, 100),
        panel=RETRIEVAL,
        needs=_SIMILARITY,
    )
    hard_negatives: int = _help("Hard negatives for each query", 1, Range(0, 1_000), panel=RETRIEVAL)
    mine: bool = _help(
        "Mine hard negatives with the starting model first", False, panel=RETRIEVAL, needs=_VECTORS
    )
    dims: tuple[int, ...] = _help(
        "Matryoshka: vector sizes to train for as well, separated by commas",
        (),
        Range(1, 65_536),
        panel=RETRIEVAL,
        needs=_VECTORS,
    )
    pooling: Literal["", "mean", "cls"] = _help(
        "Pooling: mean or cls; the model's own by default", "", panel=RETRIEVAL, needs=_VECTORS
    )
    query_prompt: str = _help("Text before every query", "", panel=RETRIEVAL, needs=_SIMILARITY)
    document_prompt: str = _help("Text before every document", "", panel=RETRIEVAL, needs=_SIMILARITY)


@dataclass(frozen=True, kw_only=True)
class PretrainingConfig(TrainingConfig):
    """What masked-language training needs besides."""

    about: ClassVar[str] = "pretraining"

    epochs: float = _help("Passes over the corpus; 0.1 is a tenth", 1.0, Range(0, 10_000, above=True))
    batch_size: int = _help("Rows of --max-length tokens per optimiser step", 32, Range(1, 1_000_000))
    max_length: int = _help(
        "Tokens of a row, and of the longest piece of text", 1024, Range(16, 1_000_000), panel=DATA
    )
    keep: Literal["best", "last"] = _help(
        "Weights to keep: the best on held-out text, or the last", "last", panel=EVALUATION
    )
    mask: float = _help(
        "Share of tokens that are masked; 0 (with --teacher): learn its vectors alone", 0.3,
        Range(0, 1, above=True, below=True, zero=True), panel=MASKING,
    )  # fmt: skip
    held_out: float = _help("Share of texts held out for evaluation", 0.01, _INNER_SHARE, panel=EVALUATION)
    rotary_base: float = _help(
        "Rotary base (theta) of ModernBERT's global layers; 0 keeps the model's",
        0.0,
        Range(1, 10**12, zero=True),
        panel=MODEL,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(not self.lora, "lora", self, "off: pretraining changes all weights")
        _require(not self.random_weights, "random_weights", self, "off: --from-scratch does that")


CONFIGS: tuple[type[TrainingConfig], ...] = (TrainingConfig, RetrievalConfig, PretrainingConfig)
_HINTS = {config: get_type_hints(config) for config in CONFIGS}


def _require(holds: bool, name: str, config: TrainingConfig, rule: str) -> None:
    if not holds:
        raise BadOption(f"{name} is {getattr(config, name)!r}; it must be {rule}")


def _require_known(config: type[TrainingConfig], name: str, source: str) -> None:
    known = {f.name for f in dataclasses.fields(config)}
    if name in known:
        return
    owner = next((c for c in CONFIGS if name in c.__dataclass_fields__), None)
    if owner is not None:
        raise BadOption(f"the setting '{name}' is for {owner.about} alone", where=source)
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(sorted(known))}."
    raise BadOption(f"unknown setting '{name}'", where=source, fix=hint)


def choices_of(config: type[TrainingConfig], name: str) -> tuple[str, ...]:
    """Return the words that a setting may be; none if it is no word."""
    kind = _HINTS[config][name]
    return get_args(kind) if get_origin(kind) is Literal else ()


def rule_broken(config: type[TrainingConfig], name: str, value: Any) -> str:
    """Return what a setting must be, if `value` is not that; else nothing."""
    kind, limits = _HINTS[config][name], config.__dataclass_fields__[name].metadata["limits"]
    if choices := choices_of(config, name):
        return "" if value in choices else f"one of {', '.join(filter(None, choices))}"
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
        right = isinstance(value, (list, tuple)) and all(_fits(part, kind, limits) for part in value)
        each = f", each {limits}" if limits else ""
        return "" if right else f"a list of {'whole numbers' if kind is int else 'names'}{each}"
    if _fits(value, kind, limits):
        return ""
    return str(limits) if _fits(value, kind, None) else _TYPES[kind]


def _fits(value: Any, kind: type[Any], limits: Range | None) -> bool:
    """Is it of this type (a whole number is a number, true is none) and within the limits?"""
    expected = (int, float) if kind is float else kind
    if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
        return False
    return limits is None or value in limits


def without_effect(settings: Mapping[str, Any], given: Iterable[str]) -> str:
    """Say which of the `given` settings does nothing beside the others, and why; else nothing."""
    for name in given:
        config = next(c for c in CONFIGS if name in c.__dataclass_fields__)
        other, *values = config.__dataclass_fields__[name].metadata["needs"] or (None,)
        default = getattr(config(), other) if other else None
        if other and settings.get(other, default) not in values:
            wanted = other if values == [True] else f"{other} {' or '.join(values)}"
            return f"{name} has no effect without {wanted}"
    return ""


def read_settings(path: Path) -> dict[str, Any]:
    """Read settings from a TOML file. Raises BadData when it is missing or malformed."""
    try:
        return tomllib.loads(read_bytes(path).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(f"not valid TOML ({error})", where=str(path)) from None
    except RecursionError:
        raise BadData("TOML that nests too deep", where=str(path)) from None
    except ValueError:
        raise BadData("a number of too many digits", where=str(path)) from None
