"""How a model came to be: what a training leaves for whoever evaluates its model, or starts from it.

A run's record says it of itself. The record of an evaluation, and of a training that started from another
run, carries it in the model's entry (`training`), so that nobody has to look for that run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def training_facts(record: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Return what a training's record says of how its model was trained.

    Args:
        record: of a finished training of a task.
        run: its name.
    """
    splits = record["data"]["splits"]
    return {
        "run": run,
        "created": record["created"],
        "task": record["task"]["name"],
        "kind": record["task"]["kind"],
        "seed": record["seed"],
        "model": record["model"],
        "init": record["init"],
        "recipe": record["recipe"]["name"],
        "config": record["config"],
        "settings": record["request"]["settings"],
        "limit": record["request"].get("limit", 0),
        "data": splits.get("train", {}).get("fingerprint"),
        "chosen_on": splits[record["results"][0]["split"]]["fingerprint"],
        "precision": record["machine"]["precision"],
        "versions": {name: record["versions"].get(name) for name in ("mbert", "torch")},
    }


def training_of(record: Mapping[str, Any], run: str) -> dict[str, Any] | None:
    """Return how a finished run's model was trained; None where it came as it is, or that is unknown."""
    if record["kind"] == "finetune":
        return training_facts(record, run)
    found: dict[str, Any] | None = record["model"].get("training")
    return found
