"""What `mbert finetune` shows of its settings, and what its record keeps."""

from __future__ import annotations

import json
import re

import pytest
from helpers import FAST

FACTS = re.compile(r"^  (set by you|set by mbert|at defaults|off or auto) +(.*)$", re.MULTILINE)


def shown(out: str) -> dict[str, list[str]]:
    """Return the settings by what they are shown as."""
    return {head: [part.split()[0] for part in text.strip().split(", ")] for head, text in FACTS.findall(out)}


@pytest.fixture
def started(mbert, reviews, tiny_modernbert):
    def run(*options: str) -> dict[str, list[str]]:
        code, out, err = mbert("finetune", reviews, "-m", tiny_modernbert, *FAST, "--name", "r", *options)
        assert code == 0, err
        return shown(out)

    return run


def test_each_setting_that_acts_is_shown_once_and_no_other(started, tmp_path):
    found = started()
    assert found["set by you"] == ["epochs", "batch_size", "learning_rate"]
    names = [name for part in found.values() for name in part]
    assert len(names) == len(set(names))
    assert not {"decay", "lora", "lora_rank", "teacher_weight", "patience", "recompute"} & {*names}
    assert {"max_length", "seed", "schedule", "warmup"} <= {*names}
    config = json.loads((tmp_path / "runs" / "r" / "run.json").read_text())["config"]
    assert "decay" in config["schedule"] and "rank" in config["lora"]


def test_verbose_shows_every_setting(started, mbert):
    found = started("-v", "--lora", "--lora-rank", "4")
    assert {"lora", "lora_rank"} <= {*found["set by you"]} and "lora_alpha" in found["at defaults"]
    assert {"decay", "teacher_weight", "patience"} <= {*found["off or auto"]}
    kept = mbert("runs", "show", "r")[1]
    assert "lora_rank 4" in kept and "teacher_weight" not in kept
