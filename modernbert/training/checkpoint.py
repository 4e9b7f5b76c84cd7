"""Checkpoints of a running fit, each a folder that is whole or absent; best and last are kept."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from modernbert.errors import BadRun
from modernbert.files import atomic_folder, sha256, write_json


@dataclass
class Progress:
    """Where a fit stands, between two steps.

    Attributes:
        step: optimiser steps done.
        max_tokens: the token budget, after any halving.
        history: one entry per evaluation: {"step", "metrics", ...}.
        best_step: the step of the best evaluation so far.
        best_score: its main metric.
        since_best: evaluations since then.
        seconds: training time so far, evaluations included.
        tokens, examples: trained on so far.
    """

    step: int = 0
    max_tokens: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_step: int = -1
    best_score: float = float("-inf")
    since_best: int = 0
    seconds: float = 0.0
    tokens: int = 0
    examples: int = 0

    def evaluated(self) -> bool:
        """Has the current step been evaluated?"""
        return bool(self.history) and self.history[-1]["step"] == self.step


@dataclass(frozen=True)
class CheckpointStore:
    """The checkpoints of one run."""

    root: Path

    def save_state(self, progress: Progress, state: dict[str, Any]) -> None:
        """Save everything that a resume needs, then drop the older state.

        Raises:
            DiskFull: no space was left; the older state is intact.
        """
        name = f"step-{progress.step:08d}-{len(progress.history):04d}"
        self._write(name, state, asdict(progress))
        self._drop("step-", keep=name)

    def save_best(self, step: int, weights: dict[str, torch.Tensor]) -> None:
        """Save the best weights so far, then drop the older ones. Raises DiskFull as `save_state`."""
        self._write(f"best-{step:08d}", {"weights": weights}, {"step": step})

    def drop_worse(self, best_step: int) -> None:
        """Drop best weights other than those of `best_step`, once a saved state points to it."""
        self._drop("best-", keep=f"best-{best_step:08d}")

    def last(self) -> Path | None:
        """Return the newest whole state, if there is one."""
        return max(self.root.glob("step-*"), default=None)

    def load_state(self, folder: Path) -> tuple[Progress, dict[str, Any]]:
        """Read a state back. Raises BadRun when it is damaged."""
        record, state = self._read(folder)
        return Progress(**record), state

    def load_best(self, step: int) -> dict[str, torch.Tensor]:
        """Read the best weights back. Raises BadRun when they are damaged."""
        weights: dict[str, torch.Tensor] = self._read(self.root / f"best-{step:08d}")[1]["weights"]
        return weights

    def remove(self) -> None:
        """Remove all checkpoints: the run is finished."""
        shutil.rmtree(self.root, ignore_errors=True)

    def _write(self, name: str, state: dict[str, Any], record: dict[str, Any]) -> None:
        folder = self.root / name
        if folder.exists():  # the same step after the same evaluations: the same state
            return
        with atomic_folder(folder) as temporary:
            torch.save(state, temporary / "state.pt")
            write_json(temporary / "progress.json", record | {"sha256": sha256(temporary / "state.pt")})

    def _read(self, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        path = folder / "state.pt"
        try:
            record = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
            expected = record.pop("sha256")
        except (OSError, ValueError, KeyError) as error:
            raise BadRun(f"the checkpoint cannot be read ({error})", where=str(folder)) from None
        if not path.is_file() or sha256(path) != expected:
            raise BadRun(
                "the checkpoint is damaged: its checksum differs",
                where=str(path),
                fix="Start the run again; this one cannot be resumed.",
            )
        return record, torch.load(path, map_location="cpu", weights_only=True)

    def _drop(self, prefix: str, *, keep: str) -> None:
        for folder in self.root.glob(f"{prefix}*"):
            if folder.name != keep:
                shutil.rmtree(folder)
