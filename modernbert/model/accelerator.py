"""One `Accelerator` per run: device, autocast, and (refused for now) several processes."""

from __future__ import annotations

from typing import Any

from modernbert.errors import BadOption
from modernbert.memory import keep_few_kernels
from modernbert.model.device import Machine


def make_accelerator(machine: Machine) -> Any:
    """Return an Accelerator for the chosen device and precision.

    Accelerate keeps its state in the process; it is reset, so that runs of one process may differ.

    Raises:
        BadOption: several processes were started; the loop trains in one for now.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if machine.device == "cpu":
        keep_few_kernels()  # before a model is there: a file of any size is read in constant memory
    AcceleratorState._reset_state(reset_partial_state=True)
    mixed = "bf16" if machine.precision == "bf16" else "no"
    accelerator = Accelerator(cpu=machine.device == "cpu", mixed_precision=mixed)
    if accelerator.num_processes > 1:
        raise BadOption(
            f"{accelerator.num_processes} processes were started, and this version trains in one",
            fix="Start mbert without torchrun or accelerate launch.",
        )
    return accelerator
