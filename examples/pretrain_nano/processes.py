"""`mbert pretrain` by several processes of this machine: each takes its share of every batch.

    python examples/pretrain_nano/processes.py 2 CORPUS --from-scratch bert-nano ...

Gradients are summed before each step, so a batch is what it is in one process; each process draws its own
masks. The processes share out the cores: a small network's operations are too short for threads to do so. A
run that was stopped goes on in one process (`mbert resume`).
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from modernbert.cli.main import main as mbert
from torch import distributed
from torch import multiprocessing as processes

from modernbert.pretraining import job
from modernbert.training.objectives import Objective, Sums


@dataclass(frozen=True)
class Shared:
    """An objective whose batch is shared out among processes."""

    objective: Objective
    rank: int
    size: int

    def accumulate(self, network: torch.nn.Module, data: Any, indices: np.ndarray, **options: Any) -> Sums:
        """Add up this process's share, then what all have."""
        own = self.objective.accumulate(network, data, indices[self.rank :: self.size], **options)
        counts = torch.tensor([float(own.loss), own.count, own.tokens], dtype=torch.float64)
        parameters = [p for p in network.parameters() if p.requires_grad]
        # One message for all: a message for each tensor would mostly wait.
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([grad.flatten() for grad in grads])
        distributed.all_reduce(flat)
        distributed.all_reduce(counts)
        for parameter, sums in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = sums.view_as(parameter)
        return Sums(counts[0].float(), int(counts[1]), int(counts[2]))


def work(rank: int, size: int, meeting: str, arguments: list[str]) -> None:
    """Run `mbert pretrain` as one of `size` processes. The first one's run is kept."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // size))
    distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=size)

    class SharedJob(job.PretrainingJob):
        def __init__(self, *given: Any) -> None:
            if rank == 0:
                distributed.barrier()  # the tokens are on disk: the others may look for them
            super().__init__(*given)
            self.objective = Shared(self.objective, rank, size)
            if rank:  # the same weights, other masks
                torch.manual_seed(self.inputs.config.run.seed + rank)

        def save(self, folder: Path) -> float:
            if rank:
                raise SystemExit  # all have the same weights, and the first one saves them
            return super().save(folder)

    job.PretrainingJob = SharedJob
    if rank:
        distributed.barrier()
        arguments = [*arguments, "--runs-dir", str(Path(meeting).with_name(f"runs-{rank}"))]
    sys.argv = ["mbert", "pretrain", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) if rank else contextlib.nullcontext():
        mbert()


def main() -> None:
    if len(sys.argv) < 3 or not sys.argv[1].isdigit():
        raise SystemExit(__doc__)
    size = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        given = (size, f"{folder}/meeting", sys.argv[2:])
        try:
            processes.start_processes(work, given, nprocs=size, start_method="spawn")
        except processes.ProcessExitedException as error:
            raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
