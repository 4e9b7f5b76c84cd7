"""The state of a training: what it works with, and how that is saved and restored to the bit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modernbert import processes
from modernbert.errors import BadRun
from modernbert.settings.config import TrainingConfig
from modernbert.training.checkpoint import CheckpointStore, Progress
from modernbert.training.objectives import Objective, TrainingData
from modernbert.training.optim import make_optimizer, rate_factor
from modernbert.training.reports import Evaluation, Notice, Observe
from modernbert.training.sharding import Divided, divide, part_of, whole
from modernbert.training.signals import StopRequest


@dataclass
class TrainState:
    """Everything one training works with; `loop.fit` is the only entry.

    Of several processes none obeys a signal before `all_stop`: then all do, after the same step. Where the
    weights are divided among them (`divided`), all save at the same step too, when the first one's clock says
    so (`all_save`): it needs what the others hold.
    """

    model: nn.Module
    objective: Objective
    data: TrainingData
    config: TrainingConfig
    evaluate: Callable[[nn.Module], Evaluation]
    checkpoints: CheckpointStore
    accelerator: Any
    stop: StopRequest
    observe: Observe
    new_head: bool = False
    all_stop: bool = False
    all_save: bool = False
    divided: Divided | None = field(init=False, default=None)
    optimizer: Any = field(init=False)
    progress: Progress = field(init=False)
    total: int = field(init=False)
    clock: float = field(init=False, default_factory=time.perf_counter)
    saved_at: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.total = max(1, round(self.config.schedule.epochs * self.data.plan.steps_per_epoch))
        self.progress = Progress(max_tokens=self.config.memory.max_tokens)
        if self.config.memory.shard and processes.count() > 1:
            self.divided = divide(self.model, self.device)
            self.model = self.divided.network
        optimizer = make_optimizer(self.model, self.config.optimizer)
        # Not as for training: it would be wrapped to send gradients itself (see `step`).
        self.model = self.accelerator.prepare_model(self.model, evaluation_mode=True)
        self.optimizer = self.accelerator.prepare(optimizer)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.accelerator.device
        return device

    def stops(self) -> bool:
        """Has a signal asked to stop, and may it be obeyed?"""
        return self.all_stop if processes.count() > 1 else self.stop.signal_number is not None

    def save_is_due(self) -> bool:
        """Is it time for a checkpoint, by this process's clock?"""
        return time.monotonic() - self.saved_at >= self.config.run.checkpoint_minutes * 60

    def saves(self) -> bool:
        """Is a checkpoint due now?"""
        return self.all_save if self.divided else self.save_is_due()

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return self.config.optimizer.learning_rate * rate_factor(step, self.total, self.config.schedule)

    def tick(self) -> None:
        """Add the time since the last tick to the training time."""
        now = time.perf_counter()
        self.progress.seconds += now - self.clock
        self.clock = now

    def trainable(self) -> dict[str, nn.Parameter]:
        """Return the parameters that training changes, by name."""
        bare = self.accelerator.unwrap_model(self.model)
        return {name: p for name, p in bare.named_parameters() if p.requires_grad}


def save(state: TrainState) -> None:
    """Write a checkpoint from which training goes on to the bit. Raises DiskFull.

    Of several processes the first one writes. Their random states follow from the step (see `step`). What is
    divided among them is written whole, so that any number of them may go on.
    """
    state.saved_at = time.monotonic()
    if state.divided or processes.leads():
        optimizer = state.optimizer.state_dict()
        saved = {"weights": weights(state), "optimizer": whole(optimizer) if state.divided else optimizer}
        if processes.leads():
            state.checkpoints.save_state(state.progress, {**saved, "random": random_state()})


def save_best(state: TrainState) -> None:
    """Write the weights as the best so far. Raises DiskFull."""
    if state.divided or processes.leads():
        best = weights(state)
        if processes.leads():
            state.checkpoints.save_best(state.progress.step, best)


def save_last(state: TrainState) -> int:
    """Write a checkpoint at the end, if that is possible; return the step of the newest one. Raises DiskFull.

    Where the weights are divided it is not, unless all processes have come here together.
    """
    if not state.divided or state.all_stop:
        save(state)
        return state.progress.step
    return state.checkpoints.last_step()


def begin_alike(state: TrainState) -> None:
    """Give all processes the first one's weights. Raises BadRun where they stand at different steps."""
    steps = processes.all_say(state.progress.step)
    if len(set(steps)) > 1:
        raise BadRun(
            f"the processes resume at different steps ({', '.join(map(str, steps))})",
            where=str(state.checkpoints.root),
            fix="Every machine must see the same folder of runs.",
        )
    if not state.divided:  # they were made alike before that
        processes.copy_first([parameter.detach() for parameter in state.trainable().values()])


def restore(state: TrainState) -> None:
    """Go back to the newest checkpoint, if there is one. Raises BadRun when it is damaged."""
    folder = state.checkpoints.last()
    if folder is None:
        return
    state.progress, saved = state.checkpoints.load_state(folder)
    with _foreign_is_an_error(folder):
        put_weights(state, saved["weights"])
        state.optimizer.load_state_dict(_own_averages(state, saved["optimizer"]))
        _require_moments(state.optimizer)
        set_random_state(saved["random"])
    left = state.total - state.progress.step
    state.observe(Notice(f"resuming at step {state.progress.step} of {state.total}, {left} left"))


@contextlib.contextmanager
def _foreign_is_an_error(folder: Path) -> Iterator[None]:
    """Turn what does not fit the model into BadRun: the checkpoint is another model's."""
    try:
        yield
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError, IndexError) as error:
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]:.200}"
        raise BadRun(
            f"the checkpoint is not of this model ({reason})",
            where=str(folder),
            fix="Start the run again; this one cannot be resumed.",
        ) from None


def _own_averages(state: TrainState, saved: dict[str, Any]) -> dict[str, Any]:
    """Return an optimiser's state with what this process keeps of every running average."""
    if not state.divided:
        return saved
    parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
    own = {
        number: {
            name: value if name == "step" else part_of(value, parameters[number])
            for name, value in averages.items()
        }
        for number, averages in saved["state"].items()
    }
    return {**saved, "state": own}


def _require_moments(optimizer: torch.optim.Optimizer) -> None:
    """Raise ValueError unless every running average has its parameter's shape, which torch does not check."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if name != "step" and value.shape != parameter.shape:
                raise ValueError(f"{name} of shape {tuple(value.shape)} for {tuple(parameter.shape)}")


def weights(state: TrainState) -> dict[str, torch.Tensor]:
    """Return the trained parameters, on the CPU; where they are divided, the first process has them whole."""
    return {name: whole(p) for name, p in state.trainable().items()}


def put_kept(state: TrainState) -> None:
    """Leave in the model, of the first process, the weights to keep. Raises BadRun when they are damaged."""
    progress = state.progress
    is_last = state.config.evaluation.keep == "last" or progress.best_step == progress.step
    if is_last and not state.divided:
        return
    kept = weights(state) if is_last else {}
    if not processes.leads():
        return
    with _foreign_is_an_error(state.checkpoints.root):
        kept = kept or state.checkpoints.load_best(progress.best_step)
        if state.divided:
            require_same(state, kept)
            state.divided.fill(kept)
        else:
            put_weights(state, kept)


def put_weights(state: TrainState, weights: dict[str, torch.Tensor]) -> None:
    """Overwrite the trained parameters. Raises ValueError unless they are these, in these shapes."""
    require_same(state, weights)
    with torch.no_grad():
        for name, parameter in state.trainable().items():
            parameter.copy_(part_of(weights[name], parameter))


def require_same(state: TrainState, weights: dict[str, torch.Tensor]) -> None:
    """Raise ValueError unless these are the trained parameters, in their shapes."""
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    if shapes != {name: tuple(parameter.shape) for name, parameter in state.trainable().items()}:
        raise ValueError("other tensors, or other shapes")


def random_state() -> dict[str, Any]:
    """Return the state of torch's generators."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def set_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` returned."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
