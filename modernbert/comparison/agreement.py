"""What two runs must have in common before their scores may stand in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modernbert.comparison.outcomes import Outcome

# Settings that say how a run is carried out, not what is trained; LoRA and random weights are part
# of the model's name.
FREE = {
    "seed", "max_tokens", "recompute", "compile", "checkpoint_minutes", "log_every",
    "random_weights", "lora", "lora_rank", "lora_alpha", "lora_dropout", "lora_targets",
}  # fmt: skip


def conditions(outcome: Outcome) -> dict[str, Any]:
    """Return what a run was measured under; what it was trained under too if it was trained."""
    record = outcome.record
    splits = record["data"]["splits"]
    held = {
        "metric": outcome.metric,
        "split": outcome.split,
        "data": splits.get(outcome.split, {}).get("fingerprint"),
    }
    if record["kind"] == "retrieval":
        return held | {"protocol": record["config"]["protocol"]["name"]}
    if "request" not in record:  # scored only
        return held
    held |= {
        "training data": splits.get("train", {}).get("fingerprint"),
        "rows at most": record["request"].get("limit"),
    }
    if record["kind"] == "baseline":  # no recipe
        return held
    settings: Mapping[str, Any] = record["request"]["settings"]
    return held | {
        "recipe": record["recipe"]["name"],
        "settings beside the recipe": {k: v for k, v in sorted(settings.items()) if k not in FREE},
        "init": record["init"],
    }


def differing(first: Outcome, second: Outcome) -> dict[str, tuple[Any, Any]]:
    """Return the conditions in which two runs differ, with both values.

    A condition that only one of them has (a trained model beside BM25) is no difference.
    """
    one, other = conditions(first), conditions(second)
    found = {name: (one[name], other[name]) for name in one if name in other and one[name] != other[name]}
    if first.ids != second.ids and "data" not in found:
        found["examples"] = (len(first.ids), len(second.ids))
    return found
