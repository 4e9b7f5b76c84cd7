"""Every value of a training run, in one frozen dataclass; a recipe fills it, flags and TOML override it."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args, get_type_hints

from modernbert.errors import BadData, BadOption

Optimizer = Literal["adamw", "stable_adamw"]
Schedule = Literal["linear", "cosine", "trapezoidal"]


def _help(text: str, default: Any) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The values; `help_of` gives each field's meaning."""

    epochs: float = _help("passes over the training data; 0.1 is a tenth of one", 3.0)
    batch_size: int = _help("examples per optimiser step, whatever fits in memory at once", 32)
    learning_rate: float = _help("peak learning rate", 5e-5)
    weight_decay: float = _help("decoupled, torch's convention: each step takes rate x decay off", 0.01)
    optimizer: Optimizer = _help("adamw or stable_adamw (AdamW with update clipping)", "adamw")
    beta1: float = _help("decay of the gradient's average", 0.9)
    beta2: float = _help("decay of the squared gradient's average", 0.98)
    epsilon: float = _help("added to the denominator of an update", 1e-6)
    schedule: Schedule = _help("linear, cosine or trapezoidal, after the warm-up", "linear")
    warmup: float = _help("share of all steps in which the rate rises from 0", 0.06)
    decay: float = _help("share of all steps in which a trapezoidal rate falls (1 - sqrt)", 0.1)
    clip: float = _help("largest gradient norm; 0 for none", 1.0)
    max_length: int = _help("longest text in tokens; 0 chooses the 99th percentile of the data", 0)
    eval_every: int = _help("steps between evaluations; 0 for once an epoch", 0)
    patience: int = _help("evaluations without a better score before stopping; 0 for never", 0)
    keep: Literal["best", "last"] = _help(
        "which weights to keep: best on the validation split, or last", "best"
    )
    seed: int = _help("of the new head, the order of the data and dropout", 42)
    max_tokens: int = _help("tokens in memory at once, halved when it runs out; 0 chooses by device", 0)
    recompute: bool = _help("compute each layer again in the backward pass: less memory, more time", False)
    compile: bool = _help("compile ModernBERT's feed-forward blocks: a minute first, faster on a GPU", False)
    checkpoint_minutes: float = _help("time between checkpoints; each evaluation saves one too", 5.0)
    log_every: int = _help("steps between progress lines", 10)
    random_weights: bool = _help("draw all weights anew: shows what the model's pretraining is worth", False)
    lora: bool = _help("train low-rank adapters instead of all weights", False)
    lora_rank: int = _help("rank of the adapters", 16)
    lora_alpha: float = _help("scale of the adapters times their rank", 32.0)
    lora_dropout: float = _help("dropout on the adapters' input", 0.05)
    lora_targets: tuple[str, ...] = _help("linear layers that get an adapter; none for the preset", ())

    def __post_init__(self) -> None:
        positive = ("epochs", "batch_size", "learning_rate", "epsilon", "lora_rank", "log_every")
        for name in positive:
            _require(getattr(self, name) > 0, name, self, "greater than 0")
        for name in (
            "weight_decay",
            "clip",
            "max_length",
            "max_tokens",
            "eval_every",
            "patience",
            "checkpoint_minutes",
        ):
            _require(getattr(self, name) >= 0, name, self, "0 or more")
        for name in ("beta1", "beta2", "warmup", "lora_dropout"):
            _require(0 <= getattr(self, name) < 1, name, self, "at least 0 and below 1")
        adapts = self.lora and self.random_weights
        _require(not adapts, "lora", self, "off: adapters cannot change weights that know nothing")
        _require(0 <= self.decay <= 1, "decay", self, "from 0 to 1")
        for name in ("optimizer", "schedule", "keep"):
            choices = get_args(_hints(self)[name])
            _require(getattr(self, name) in choices, name, self, f"one of {', '.join(choices)}")

    def with_values(self, values: Mapping[str, Any], *, source: str) -> Self:
        """Return a copy with `values` in place.

        Raises:
            BadOption: a name is unknown, or a value has the wrong type or makes no sense.
        """
        known = {f.name for f in dataclasses.fields(self)}
        for name, value in values.items():
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(sorted(known))}."
                raise BadOption(f"unknown setting '{name}'", where=source, fix=hint)
            _check_type(self, name, value, source)
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

    head: Literal["vectors", "tokens", "reranker"] = _help(
        "vectors: one for each text; tokens: one for each token (late interaction); reranker: query and "
        "document are read together",
        "vectors",
    )
    loss: Literal["contrastive", "kl", "margin"] = _help(
        "contrastive; or kl or margin, from a teacher's scores in the data", "contrastive"
    )
    temperature: float = _help("scores are cosines divided by it", 0.05)
    hard_negatives: int = _help("negatives of its own that a query takes into a batch", 1)
    mine: bool = _help("look for hard negatives with the starting model first", False)
    dims: tuple[int, ...] = _help("vector sizes to train for as well (Matryoshka)", ())
    pooling: Literal["", "mean", "cls"] = _help("mean or cls; none for the model's own", "")
    query_prompt: str = _help("put before every query", "")
    document_prompt: str = _help("put before every document", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.temperature > 0, "temperature", self, "greater than 0")
        _require(self.hard_negatives >= 0, "hard_negatives", self, "0 or more")
        _require(all(size > 0 for size in self.dims), "dims", self, "sizes greater than 0")
        for name in ("head", "loss", "pooling"):
            choices = get_args(_hints(self)[name])
            _require(getattr(self, name) in choices, name, self, f"one of {', '.join(filter(None, choices))}")


@dataclass(frozen=True, kw_only=True)
class PretrainingConfig(TrainingConfig):
    """What masked-language training needs besides; a batch is counted in rows of `max_length` tokens."""

    epochs: float = _help("passes over the corpus; 0.1 is a tenth of one", 1.0)
    max_length: int = _help("tokens of a row and of the longest piece of text", 1024)
    keep: Literal["best", "last"] = _help("which weights to keep: best on held-out text, or last", "last")
    mask: float = _help("share of tokens that are hidden and to be guessed", 0.3)
    held_out: float = _help("share of the texts that are kept for evaluation", 0.01)
    rotary_base: float = _help("theta of ModernBERT's global layers; 0 keeps the model's", 0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.max_length >= 16, "max_length", self, "16 or more")
        _require(self.rotary_base >= 0, "rotary_base", self, "0 or more")
        _require(not self.lora, "lora", self, "off: pretraining changes all weights")
        _require(not self.random_weights, "random_weights", self, "off: --from-scratch does that")
        for name in ("mask", "held_out"):
            _require(0 < getattr(self, name) < 1, name, self, "above 0 and below 1")


def _require(holds: bool, name: str, config: TrainingConfig, rule: str) -> None:
    if not holds:
        raise BadOption(f"{name} is {getattr(config, name)!r}; it must be {rule}")


def _hints(config: TrainingConfig) -> dict[str, Any]:
    return get_type_hints(type(config))


def _check_type(config: TrainingConfig, name: str, value: Any, source: str) -> None:
    expected: Any = {float: (int, float), int: int, bool: bool, str: str}.get(
        _hints(config)[name], (str, list, tuple)
    )
    wrong_bool = isinstance(value, bool) and _hints(config)[name] is not bool
    if wrong_bool or not isinstance(value, expected):
        raise BadOption(f"{name} cannot be {value!r}", where=source)


def help_of(name: str) -> str:
    """Return what a setting means."""
    return str(TrainingConfig.__dataclass_fields__[name].metadata["help"])


def read_settings(path: Path) -> dict[str, Any]:
    """Read settings from a TOML file. Raises BadData when it is missing or malformed."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadData("there is no such file", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(f"not valid TOML ({error})", where=str(path)) from None
