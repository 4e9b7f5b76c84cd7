"""Checkpoints of a running fit, each a folder that is whole or absent; best and last are kept."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn, NotRequired

import torch
from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat
from typing_extensions import TypedDict

from modernbert.errors import BadRun
from modernbert.files import atomic_folder, sha256, write_json
from modernbert.reading import checked, read_object
from modernbert.records.base import Amount, Count, Digest
from modernbert.records.training import require_same_metrics

AGAIN = "Start the run again; this one cannot be resumed."


def _same_metrics(history: list[StoredEvaluation]) -> list[StoredEvaluation]:
    require_same_metrics([entry["metrics"] for entry in history])
    return history


class StoredEvaluation(TypedDict):
    """What validation said at one step."""

    step: Count
    metrics: Annotated[dict[str, FiniteFloat], Field(min_length=1)]


class StoredProgress(TypedDict):
    """`Progress` as it is written."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    step: Count
    max_tokens: Annotated[int, Field(ge=1)]
    history: Annotated[list[StoredEvaluation], AfterValidator(_same_metrics)]
    best_step: Annotated[int, Field(ge=-1)]
    best_score: Annotated[float, Field(allow_inf_nan=True)]
    since_best: Count
    untrained: NotRequired[Annotated[float, Field(allow_inf_nan=True)]]
    seconds: Amount
    tokens: Count
    examples: Count


class StoredRecord(TypedDict):
    """What `progress.json` holds: the record, and checksums of itself and of the state beside it."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    record: dict[str, Any]
    state_sha256: Digest
    record_sha256: Digest


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
        untrained: the main metric before the first step, where a new head keeps it from being the best.
        seconds: training time so far, evaluations included.
        tokens, examples: trained on so far.
    """

    step: int = 0
    max_tokens: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_step: int = -1
    best_score: float = float("-inf")
    since_best: int = 0
    untrained: float = float("-inf")
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
        name = _state_name(progress)
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
        path = folder / "progress.json"
        with _cannot_be_resumed():
            checked(StoredProgress, record, where=str(path), error=BadRun)
        progress = Progress(**record)
        if folder.name != _state_name(progress):
            raise BadRun(f"this is the state of step {progress.step}", where=str(path), fix=AGAIN)
        return progress, state

    def load_best(self, step: int) -> dict[str, torch.Tensor]:
        """Read the best weights back. Raises BadRun when they are damaged."""
        folder = self.root / f"best-{step:08d}"
        record, state = self._read(folder)
        if record != {"step": step} or state.keys() != {"weights"}:
            raise BadRun("these are other weights", where=str(folder), fix=AGAIN)
        weights: dict[str, torch.Tensor] = state["weights"]
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
            digest = sha256(temporary / "state.pt")
            kept = {"record": record, "state_sha256": digest, "record_sha256": _digest(record, digest)}
            write_json(temporary / "progress.json", kept)

    def _read(self, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the record and the state of a checkpoint. Raises BadRun when it is damaged."""
        path = folder / "progress.json"
        with _cannot_be_resumed():
            kept = read_object(path, BadRun, what="the checkpoint")
            checked(StoredRecord, kept, where=str(path), error=BadRun)
        if kept["record_sha256"] != _digest(kept["record"], kept["state_sha256"]):
            _damaged(path)
        path = folder / "state.pt"
        if not path.is_file() or sha256(path) != kept["state_sha256"]:
            _damaged(path)
        return kept["record"], _load(path)

    def _drop(self, prefix: str, *, keep: str) -> None:
        for folder in self.root.glob(f"{prefix}*"):
            if folder.name != keep:
                shutil.rmtree(folder)


@contextlib.contextmanager
def _cannot_be_resumed() -> Iterator[None]:
    """Say what to do about a file that is not what it should be."""
    try:
        yield
    except BadRun as error:
        error.fix = AGAIN
        raise


def _state_name(progress: Progress) -> str:
    return f"step-{progress.step:08d}-{len(progress.history):04d}"


def _digest(record: dict[str, Any], state_sha256: str) -> str:
    """Return the checksum of a record together with the state that it belongs to."""
    return hashlib.sha256(json.dumps([record, state_sha256], sort_keys=True).encode()).hexdigest()


def _damaged(path: Path) -> NoReturn:
    raise BadRun("the checkpoint is damaged: its checksum differs", where=str(path), fix=AGAIN)


def _load(path: Path) -> dict[str, Any]:
    """Read tensors; code in the file is never run. Raises BadRun for a file that holds anything else."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader raises nearly anything on a file that is not its own
        said = f"this is no checkpoint of mbert ({type(error).__name__} while it was read)"
        raise BadRun(said, where=str(path), fix=AGAIN) from None
    with _cannot_be_resumed():
        return checked(dict[str, Any], state, where=str(path), error=BadRun)
