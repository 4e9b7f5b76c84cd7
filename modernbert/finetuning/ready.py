"""From checked inputs to a model on its device with its data: the same in each of several processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernbert import processes
from modernbert.finetuning.jobs import load_job
from modernbert.memory import prepare_cpu_memory, start_measuring_memory
from modernbert.model.accelerator import make_accelerator
from modernbert.model.compilation import compile_layers
from modernbert.model.dropout import use_cheap_dropout
from modernbert.model.loading import recompute_layers
from modernbert.training.checkpoint import CheckpointStore
from modernbert.training.inputs import Inputs, Job
from modernbert.training.reports import Observe
from modernbert.training.signals import StopRequest, stop_on_signals
from modernbert.training.state import TrainState


@dataclass(frozen=True)
class Ready:
    """A loaded job, with its device and what listens for signals.

    Attributes:
        new_tensors: what in the model is not the checkpoint's.
        fault: why the layers could not be compiled, if that was asked for.
    """

    inputs: Inputs
    job: Job
    accelerator: Any
    stop: StopRequest
    new_tensors: tuple[str, ...]
    fault: str

    def state(self, checkpoints: Path, observe: Observe) -> TrainState:
        """Return what the loop trains."""
        return TrainState(
            model=self.job.network,
            objective=self.job.objective,
            data=self.job.data,
            config=self.inputs.config,
            evaluate=self.job.evaluate,
            checkpoints=CheckpointStore(checkpoints),
            accelerator=self.accelerator,
            stop=self.stop,
            observe=observe,
            new_head=bool(self.new_tensors),
        )


@contextmanager
def loaded(inputs: Inputs) -> Iterator[Ready]:
    """Load the model on its device, seeded first: what is new in it is drawn from that seed."""
    with stop_on_signals() as stop:
        start_measuring_memory()
        if inputs.machine.device == "cpu":
            prepare_cpu_memory()
        config = inputs.config
        accelerator = make_accelerator(inputs.machine)
        torch.manual_seed(config.run.seed)
        # An evaluation may be broken off by the first process alone: the others would leave it waiting.
        job = load_job(inputs, accelerator, stop if processes.leads() else StopRequest())
        model = job.model
        assert all(p.dtype == torch.float32 for p in model.parameters()), "fp32 master weights"
        use_cheap_dropout(model)
        if config.memory.recompute:
            recompute_layers(model)
        fault = compile_layers(model, accelerator.device) if config.memory.compile else None
        new = ("all: random weights",) if config.model.random_weights else job.new_tensors
        yield Ready(inputs, job, accelerator, stop, new, fault or "")
