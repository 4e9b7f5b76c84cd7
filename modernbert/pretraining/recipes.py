"""Recipes of pretraining: mbert's own, and the phases of ModernBERT's."""

from __future__ import annotations

from typing import Any

from modernbert.errors import BadOption
from modernbert.training.recipes import Recipe

PAPER = "ModernBERT, arXiv:2412.13663, section 2.2 and table 3"
# The paper's base model: peak rate 8e-4, weight decay 1e-5 fully decoupled. It is scaled by the rate over
# the peak rate there, and by the rate in torch: 1e-5 / 8e-4.
_PAPER: dict[str, Any] = {
    "epochs": 1.0,
    "learning_rate": 8e-4,
    "weight_decay": 0.0125,
    "optimizer": "stable_adamw",
    "beta1": 0.9,
    "beta2": 0.98,
    "epsilon": 1e-6,
    "schedule": "trapezoidal",
    "mask": 0.3,
}
_PHASES: dict[str, tuple[dict[str, Any], str]] = {
    # 3 B of 1,719 B tokens are warm-up; the rate then stays. 4,608 sequences a batch.
    "paper": (
        {"batch_size": 4608, "max_length": 1024, "warmup": 3 / 1719, "decay": 0.0},
        "first phase; its batch grew from 768 over the first 50 B tokens, which is left out here",
    ),
    # 250 B tokens at 8,192; global layers' rotary base 10,000 -> 160,000; rate 3e-4 throughout.
    "paper-extension": (
        {
            "learning_rate": 3e-4, "weight_decay": 1e-5 / 3e-4, "batch_size": 576, "max_length": 8192,
            "rotary_base": 160_000.0, "warmup": 0.0, "decay": 0.0,
        },
        "context extension",
    ),
    # 50 B tokens, 1 - sqrt decay from the first step to the last.
    "paper-decay": (
        {
            "learning_rate": 3e-4, "weight_decay": 1e-5 / 3e-4, "batch_size": 576, "max_length": 8192,
            "warmup": 0.0, "decay": 1.0,
        },
        "decay",
    ),
}  # fmt: skip
_OWN = {"optimizer": "stable_adamw", "schedule": "trapezoidal", "weight_decay": 0.0125}
NAMES = ("default", "extension", *_PHASES)


def pretraining_recipe(name: str, *, scratch: bool) -> Recipe:
    """Return the settings called `name`. Raises BadOption when there are none.

    `default` trains from scratch at a high rate, and a trained model further at a tenth of it;
    `extension` is a second phase, on texts of 8,192 tokens.
    """
    if name in _PHASES:
        settings, what = _PHASES[name]
        return Recipe(name, {**_PAPER, **settings}, f"{PAPER}: {what}")
    if name == "default":
        rate = {"learning_rate": 1e-3, "warmup": 0.05} if scratch else {"learning_rate": 1e-4, "warmup": 0.06}
        return Recipe("default", {**_OWN, **rate, "decay": 0.3}, "mbert's own choice")
    if name == "extension":
        longer = {"max_length": 8192, "rotary_base": 160_000.0, "batch_size": 4, "warmup": 0.02, "decay": 0.5}
        return Recipe(name, {**_OWN, **longer, "learning_rate": 3e-4}, f"shaped as {PAPER}'s second phase")
    raise BadOption(f"there is no recipe called '{name}'", fix=f"Use {', '.join(NAMES)}.")
