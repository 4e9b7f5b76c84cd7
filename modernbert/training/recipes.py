"""Recipes are data: which settings, from which source, and the score they should reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from modernbert.errors import BadOption

PAPER = (
    "ModernBERT, arXiv:2412.13663, table 6 and appendix E.1; batch 64 as its authors state in their tracker"
)
SMALL_DATA = 10_000


@dataclass(frozen=True)
class Recipe:
    """Settings for one task and model.

    Attributes:
        name: `default` or `paper`.
        settings: values of `TrainingConfig`.
        source: where they come from.
        init_from: the task whose fine-tuned model to start from, if any.
        expected: lowest and highest main score (0 to 1) that single runs reached, if known.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    source: str = "mbert's defaults; the learning rate follows the model's family"
    init_from: str | None = None
    expected: tuple[float, float] | None = None


# Model family -> peak learning rate, in the middle of the ranges that each model's paper searched
# (BERT, arXiv:1810.04805, appendix A.3; DeBERTaV3, arXiv:2111.09543, table 11); small models take more.
# That of the embedded model did best of 2e-4, 5e-4 and 1e-3 on the validation splits of CoLA and STS-B, one
# seed each.
RATES = {"modernbert": 5e-5, "bert": 3e-5, "deberta": 2e-5, "minilm": 5e-5, "nano": 5e-4}
# It comes trained to search: of 2e-4 and 5e-4 on codesearch/stdlib's validation queries, one seed and one
# epoch each, nDCG@10 is 0.609 and 0.601.
SEARCH_RATES = {"nano": 2e-4}
# MiniLM, on news whose words were tagged by lists, one seed each: F1 0.478 on validation at 5e-5 (a CRF:
# 0.778), and 0.801 on test at 3e-4 (a CRF: 0.795). For nano see TAGGING_BATCH.
TAGGING_RATES = {"minilm": 3e-4, "nano": 1.5e-3}
# A file of few sentences gives few steps. F1 on validation splits of examples/benchmarks/tokens.py, with 600
# sentences to learn from, five epochs, one seed each. Addresses (a CRF: 0.896): MiniLM 0.849 in batches of 32
# and 0.892 in batches of 8; nano 0.689 in batches of 32 at 5e-4 and 0.751 at 1.5e-3, 0.751 and 0.790 in
# batches of 8. Names (0.708): MiniLM 0.755 and 0.791; nano 0.543 in batches of 32 at 5e-4, and 0.584 in
# batches of 8 at 1e-3.
TAGGING_BATCH = 8
FEW_SENTENCES = 2_000
# Adapters want about ten times the rate of full fine-tuning (Biderman et al. 2024, arXiv:2405.09673), but
# not those of the embedded model: of 1e-3, 2e-3 and 5e-3 on STS-B's validation split, one seed each, Spearman
# is 0.62, 0.71 and 0.12.
LORA_RATE = 10
LORA_RATES = {"nano": 2e-3}


def peak_rate(family: str, *, lora: bool) -> float:
    """Return mbert's own peak learning rate for a model family."""
    rate = RATES.get(family, RATES["bert"])
    return LORA_RATES.get(family, rate * LORA_RATE) if lora else rate


def default_recipe(
    family: str, *, lora: bool, train_rows: int, tagging: bool = False, bi_encoder: bool = False
) -> Recipe:
    """Return a plain recipe: three epochs, five for fewer than 10,000 rows; batches of 32.

    Words are tagged in batches of 8 where fewer than 2,000 sentences are there to learn from.

    Args:
        tagging: are words tagged, instead of texts?
        bi_encoder: are pairs best read apart, by a model that was made for vectors?
    """
    rate = peak_rate(family, lora=lora)
    if tagging and not lora:
        rate = TAGGING_RATES.get(family, rate)
    epochs = 5.0 if train_rows < SMALL_DATA else 3.0
    batch_size = TAGGING_BATCH if tagging and train_rows < FEW_SENTENCES else 32
    settings = {"learning_rate": rate, "epochs": epochs, "batch_size": batch_size}
    return Recipe("default", settings | ({"pair_encoder": "bi"} if bi_encoder else {}))


@dataclass(frozen=True)
class _Paper:
    """One row of the paper's table 6, for one size: rate, its weight decay, epochs."""

    rate: float
    decay: float
    epochs: int

    def settings(self) -> dict[str, Any]:
        # The paper's optimiser decays by (rate / peak rate) x decay, torch's by rate x decay.
        return {
            "learning_rate": self.rate,
            "weight_decay": round(self.decay / self.rate, 6),
            "epochs": float(self.epochs),
            "batch_size": 64,
            "optimizer": "adamw",
            "beta1": 0.9,
            "beta2": 0.98,
            "epsilon": 1e-6,
            "schedule": "linear",
            "warmup": 0.06,
            "max_length": 256,
        }


_BASE = {
    "glue/cola": _Paper(8e-5, 1e-6, 5),
    "glue/mnli": _Paper(5e-5, 5e-6, 1),
    "glue/mrpc": _Paper(5e-5, 5e-6, 10),
    "glue/qnli": _Paper(8e-5, 5e-6, 2),
    "glue/qqp": _Paper(5e-5, 5e-6, 10),
    "glue/rte": _Paper(5e-5, 1e-5, 3),
    "glue/sst2": _Paper(8e-5, 1e-5, 2),
    "glue/stsb": _Paper(8e-5, 5e-6, 10),
}
_LARGE = {
    "glue/cola": _Paper(3e-5, 8e-6, 5),
    "glue/mnli": _Paper(3e-5, 1e-5, 1),
    "glue/mrpc": _Paper(8e-5, 5e-6, 2),
    "glue/qnli": _Paper(3e-5, 5e-6, 2),
    "glue/qqp": _Paper(5e-5, 8e-6, 2),
    "glue/rte": _Paper(5e-5, 8e-6, 3),
    "glue/sst2": _Paper(1e-5, 1e-6, 3),
    "glue/stsb": _Paper(8e-5, 1e-5, 10),
}
_PAPER = {"modernbert-base": _BASE, "modernbert-large": _LARGE}
_FROM_MNLI = ("glue/rte", "glue/mrpc", "glue/stsb")
# Bands that single runs of the base model fall in, over the paper and its independent re-runs.
_EXPECTED_BASE = {
    "glue/mnli": (0.883, 0.892),
    "glue/qnli": (0.925, 0.939),
    "glue/sst2": (0.943, 0.960),
    "glue/qqp": (0.910, 0.921),
    "glue/stsb": (0.905, 0.918),
    "glue/cola": (0.60, 0.65),
    "glue/rte": (0.84, 0.88),
    "glue/mrpc": (0.90, 0.925),
}


def paper_recipe(task: str, model: str, *, lora: bool) -> Recipe:
    """Return the paper's settings for a GLUE task and a ModernBERT size.

    The paper stopped early everywhere and reports the best of a sweep; here the best epoch is kept.

    Raises:
        BadOption: the paper has no settings for this task, model or method.
    """
    row = _PAPER.get(model, {}).get(task)
    if row is None or lora:
        what = "LoRA" if lora and row else f"{model} on {task}"
        raise BadOption(
            f"the ModernBERT paper gives no recipe for {what}: it fine-tuned modernbert-base and "
            "modernbert-large in full on the eight GLUE tasks, and copied its baselines",
            fix="Use --recipe default.",
        )
    start = "glue/mnli" if task in _FROM_MNLI else None
    expected = _EXPECTED_BASE.get(task) if model == "modernbert-base" else None
    return Recipe("paper", row.settings(), PAPER, start, expected)


# The paper's best rates for single vectors on MS MARCO (its table 9), by Hub name's short alias.
_RETRIEVAL_RATES = {
    "modernbert-base": 8e-5,
    "modernbert-large": 1e-4,
    "bert-base": 5e-5,
    "bert-large": 3e-5,
    "roberta-base": 3e-5,
    "roberta-large": 3e-5,
    "deberta-v3-base": 8e-5,
    "deberta-v3-large": 8e-5,
}


_PAPER_RETRIEVAL: dict[str, Any] = {
    "epochs": 1.0,
    "batch_size": 512,
    "warmup": 0.05,
    "temperature": 0.05,
    "pooling": "mean",
    "hard_negatives": 1,
}
_PAPER_RETRIEVAL_SOURCE = (
    "ModernBERT, arXiv:2412.13663, table 9 and its published training script (mean pooling, scale 20, one "
    "given negative, 1.25 M triplets of MS MARCO); a batch of 512 shares its negatives here, where its "
    "authors' 8 GPUs each had 64 examples of their own"
)


def retrieval_recipe(name: str, *, model: str, family: str, lora: bool, train_rows: int) -> Recipe:
    """Return the settings for a bi-encoder: mbert's own, or those of the ModernBERT paper for MS MARCO.

    Raises:
        BadOption: the paper trained no such model.
    """
    if name == "paper":
        if model not in _RETRIEVAL_RATES or lora:
            raise BadOption(
                f"the ModernBERT paper trained no bi-encoder from {model}{' with LoRA' if lora else ''}",
                fix="Use --recipe default.",
            )
        settings = {"learning_rate": _RETRIEVAL_RATES[model], **_PAPER_RETRIEVAL}
        return Recipe("paper", settings, _PAPER_RETRIEVAL_SOURCE)
    rate = peak_rate(family, lora=lora)
    if not lora:
        rate = SEARCH_RATES.get(family, rate)
    epochs = 3.0 if train_rows < SMALL_DATA else 1.0
    return Recipe("default", {"learning_rate": rate, "epochs": epochs, "batch_size": 64, "warmup": 0.1})


def find_recipe(
    name: str,
    *,
    task: str,
    model: str,
    family: str,
    lora: bool,
    train_rows: int,
    retrieval: bool = False,
    tagging: bool = False,
    bi_encoder: bool = False,
) -> Recipe:
    """Return the recipe called `name`. Raises BadOption when there is none for this task and model."""
    if retrieval and name in ("default", "paper"):
        return retrieval_recipe(name, model=model, family=family, lora=lora, train_rows=train_rows)
    if name == "default":
        return default_recipe(
            family, lora=lora, train_rows=train_rows, tagging=tagging, bi_encoder=bi_encoder
        )
    if name == "paper":
        return paper_recipe(task, model, lora=lora)
    raise BadOption(f"there is no recipe called '{name}'", fix="Use default or paper.")
