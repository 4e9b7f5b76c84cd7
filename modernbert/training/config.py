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


def _help(text: str, default: Any, limits: Range | None = None, *, needs: tuple[str | bool, ...] = ()) -> Any:
    return field(default=default, metadata={"help": text, "limits": limits, "needs": needs})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The values; `help_of` gives each field's meaning, `rule_broken` what it must be."""

    # What the settings that a class adds are for.
    about: ClassVar[str] = "any training"

    epochs: float = _help(
        "passes over the training data; 0.1 is a tenth of one", 3.0, Range(0, 10_000, above=True)
    )
    batch_size: int = _help(
        "examples per optimiser step, whatever fits in memory at once", 32, Range(1, 1_000_000)
    )
    learning_rate: float = _help("peak learning rate", 5e-5, Range(0, 100, above=True))
    weight_decay: float = _help(
        "decoupled, torch's convention: each step takes rate x decay off", 0.01, Range(0, 1_000)
    )
    optimizer: Optimizer = _help("adamw or stable_adamw (AdamW with update clipping)", "adamw")
    beta1: float = _help("decay of the gradient's average", 0.9, _SHARE)
    beta2: float = _help("decay of the squared gradient's average", 0.98, _SHARE)
    epsilon: float = _help("added to the denominator of an update", 1e-6, Range(0, 1, above=True))
    schedule: Schedule = _help("linear, cosine or trapezoidal, after the warm-up", "linear")
    warmup: float = _help("share of all steps in which the rate rises from 0", 0.06, _SHARE)
    decay: float = _help("share of all steps in which a trapezoidal rate falls (1 - sqrt)", 0.1, Range(0, 1))
    clip: float = _help("largest gradient norm; 0 for none", 1.0, Range(0, 1_000_000))
    max_length: int = _help("longest text in tokens; 0 chooses the 99th percentile of the data", 0, LENGTHS)
    eval_every: int = _help("steps between evaluations; 0 for once an epoch", 0, _COUNT)
    patience: int = _help("evaluations without a better score before stopping; 0 for never", 0, _COUNT)
    keep: Literal["best", "last"] = _help(
        "which weights to keep: best on the validation split, or last", "best"
    )
    seed: int = _help("of the new head, the order of the data and dropout", 42, SEEDS)
    max_tokens: int = _help(
        "tokens in memory at once, halved when it runs out; 0 chooses by device", 0, _COUNT
    )
    recompute: bool = _help("compute each layer again in the backward pass: less memory, more time", False)
    compile: bool = _help("compile ModernBERT's feed-forward blocks: a minute first, faster on a GPU", False)
    checkpoint_minutes: float = _help(
        "time between checkpoints; each evaluation saves one too", 5.0, Range(0, 1_000_000)
    )
    log_every: int = _help("steps between progress lines", 10, Range(1, 1_000_000_000))
    random_weights: bool = _help("draw all weights anew: shows what the model's pretraining is worth", False)
    lora: bool = _help("train low-rank adapters instead of all weights", False)
    lora_rank: int = _help("rank of the adapters", 16, Range(1, 4_096), needs=_LORA)
    lora_alpha: float = _help(
        "scale of the adapters times their rank", 32.0, Range(0, 1_000_000, above=True), needs=_LORA
    )
    lora_dropout: float = _help("dropout on the adapters' input", 0.05, _SHARE, needs=_LORA)
    lora_targets: tuple[str, ...] = _help(
        "linear layers that get an adapter; none for the preset", (), needs=_LORA
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
        "vectors: one for each text; tokens: one for each token (late interaction); reranker: query and "
        "document are read together",
        "vectors",
    )
    loss: Literal["contrastive", "kl", "margin"] = _help(
        "contrastive; or kl or margin, from a teacher's scores in the data", "contrastive", needs=_SIMILARITY
    )
    temperature: float = _help(
        "scores are cosines divided by it", 0.05, Range(0.0001, 100), needs=_SIMILARITY
    )
    hard_negatives: int = _help("negatives of its own that a query takes into a batch", 1, Range(0, 1_000))
    mine: bool = _help("look for hard negatives with the starting model first", False, needs=_VECTORS)
    dims: tuple[int, ...] = _help(
        "vector sizes to train for as well (Matryoshka)", (), Range(1, 65_536), needs=_VECTORS
    )
    pooling: Literal["", "mean", "cls"] = _help("mean or cls; none for the model's own", "", needs=_VECTORS)
    query_prompt: str = _help("put before every query", "", needs=_SIMILARITY)
    document_prompt: str = _help("put before every document", "", needs=_SIMILARITY)


@dataclass(frozen=True, kw_only=True)
class PretrainingConfig(TrainingConfig):
    """What masked-language training needs besides; a batch is counted in rows of `max_length` tokens."""

    about: ClassVar[str] = "pretraining"

    epochs: float = _help("passes over the corpus; 0.1 is a tenth of one", 1.0, Range(0, 10_000, above=True))
    max_length: int = _help("tokens of a row and of the longest piece of text", 1024, Range(16, 1_000_000))
    keep: Literal["best", "last"] = _help("which weights to keep: best on held-out text, or last", "last")
    mask: float = _help("share of tokens that are hidden and to be guessed", 0.3, _INNER_SHARE)
    held_out: float = _help("share of the texts that are kept for evaluation", 0.01, _INNER_SHARE)
    rotary_base: float = _help(
        "theta of ModernBERT's global layers; 0 keeps the model's", 0.0, Range(1, 10**12, zero=True)
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


def help_of(name: str, config: type[TrainingConfig] = TrainingConfig) -> str:
    """Return what a setting means."""
    return str(config.__dataclass_fields__[name].metadata["help"])


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
