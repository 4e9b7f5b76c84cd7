"""One `Accelerator` per run: device, autocast, and whether several processes may share the work."""

from __future__ import annotations

from typing import Any

from modernbert import meeting
from modernbert.errors import BadOption
from modernbert.memory import keep_few_kernels
from modernbert.model.device import Machine


def make_accelerator(machine: Machine) -> Any:
    """Return an Accelerator for the chosen device and precision.

    Accelerate keeps its state in the process; it is reset, so that runs of one process may differ.

    Raises:
        BadOption: a launcher started several processes for what one alone does.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    if machine.device == "cpu":
        keep_few_kernels()  # before a model is there: a file of any size is read in constant memory
    expected = meeting.are_connected()
    AcceleratorState._reset_state(reset_partial_state=True)
    mixed = "bf16" if machine.precision == "bf16" else "no"
    accelerator = Accelerator(cpu=machine.device == "cpu", mixed_precision=mixed)
    if accelerator.num_processes > 1 and not expected:
        raise BadOption(
            f"{accelerator.num_processes} processes were started, and only trainings use a launcher's",
            fix="Start this command by itself, without torchrun, accelerate launch or srun.",
        )
    return accelerator
