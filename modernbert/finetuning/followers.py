"""What the other processes of a training do: they follow the first one, and write and print nothing.

The first process runs the command. It tells the others what it has prepared; each loads the same model and
takes its share of every batch, until the first one has nothing left to train.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modernbert import processes
from modernbert.errors import BadOption
from modernbert.finetuning.jobs import ALONE
from modernbert.finetuning.ready import loaded
from modernbert.model.loading import load_config
from modernbert.pretraining.inputs import PretrainingRequest
from modernbert.training.inputs import Inputs, Request
from modernbert.training.loop import fit
from modernbert.training.sharding import why_not


@dataclass(frozen=True)
class Assignment:
    """A training: what to train on what, where its checkpoints are, and whether to go on from them."""

    inputs: Inputs
    checkpoints: Path
    resume: bool


def tell_followers(inputs: Inputs, checkpoints: Path, *, resume: bool) -> None:
    """Have the other processes, if there are any, take part in this training."""
    if processes.count() > 1:
        processes.first_makes(lambda: Assignment(inputs, checkpoints.absolute(), resume))


def require_followable(inputs: Inputs) -> None:
    """Raise BadOption for what only one process can train, and for what cannot be divided among several."""
    why = ALONE.get(inputs.job)
    if inputs.machine.device == "mps":
        why = "torch sends nothing between processes from Apple's GPU (--device cpu trains without it)"
    if processes.count() > 1 and why:
        raise BadOption(f"several processes cannot train this: {why}", fix="Leave --processes out.")
    padded = inputs.job == "masked language model" and load_config(inputs.start).model_type != "modernbert"
    if inputs.config.memory.shard and (why := why_not(inputs.config, pads_masked=padded)):
        raise BadOption(f"--shard cannot be used here: {why}", fix="Leave --shard out.")


def require_number(request: Request) -> None:
    """Raise BadOption where one process is too few for a request, or two too many; nothing is read before."""
    if processes.count() > 1 and isinstance(request, PretrainingRequest) and request.teacher:
        raise BadOption(
            f"several processes cannot train with --teacher: {ALONE['distillation']}",
            fix="Leave --processes out, or --teacher.",
        )
    if request.settings.get("shard") and processes.count() == 1:
        raise BadOption(
            "--shard divides weights among several processes, and there is one",
            fix="Add --processes N (or start it with torchrun or srun), or leave --shard out.",
        )


def dismiss_followers() -> None:
    """Tell the other processes that there is nothing left to train."""
    processes.first_makes(lambda: None)


def follow() -> None:
    """Take part in every training of the first process.

    Raises:
        ProcessLost: another process has ended.
        MbertError: as the training.
    """
    while (given := processes.first_makes(_nothing)) is not None:
        with loaded(given.inputs) as ready:
            fit(ready.state(given.checkpoints, lambda report: None), resume=given.resume)


def _nothing() -> Assignment | None:
    raise AssertionError("the first process says what is trained")
