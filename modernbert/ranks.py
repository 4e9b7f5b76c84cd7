"""Which of several processes this one is, as whoever started them says. Nothing of torch is imported here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from modernbert.errors import BadOption

# Where torch, and accelerate, have processes of one machine meet if nothing else is said.
LOCAL_ADDRESS, LOCAL_PORT = "127.0.0.1", 29_500
# Where each kind of mpirun says a process's number and their number, in all and on its machine. The second is
# Hydra's, which MPICH and Intel MPI have; srun may set the first two of it, and never the others.
OPEN_MPI = tuple(f"OMPI_COMM_WORLD_{name}" for name in ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE"))
HYDRA = ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")
# From SLURM's job number follows a port that all processes of a job agree on.
FIRST_PORT, PORTS = 20_000, 20_000


@dataclass(frozen=True)
class Ranks:
    """One of several processes that train one model.

    Attributes:
        rank: its number, from 0. The first process leads: it alone writes and prints.
        size: how many there are.
        local: its number among those of its machine, and that of its GPU.
        local_size: how many are on its machine.
        launcher: who started them; empty for a process that is alone.
        address: host and port of the first process, where the launcher does not say it in torch's own words.
    """

    rank: int = 0
    size: int = 1
    local: int = 0
    local_size: int = 1
    launcher: str = ""
    address: tuple[str, int] | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables from which torch and Accelerate learn the same."""
        said = {"RANK": self.rank, "WORLD_SIZE": self.size}
        said |= {"LOCAL_RANK": self.local, "LOCAL_WORLD_SIZE": self.local_size}
        where = dict(zip(("MASTER_ADDR", "MASTER_PORT"), self.address or (), strict=False))
        return {name: str(value) for name, value in (said | where).items()}


ALONE = Ranks()


def find_ranks(environment: Mapping[str, str]) -> Ranks:
    """Read what torchrun, `accelerate launch`, `mpirun` or `srun` says of this process.

    Raises:
        BadOption: a number that is needed is missing, or is none; or accelerate was asked for several
            processes and started one.
    """
    if int(environment.get("WORLD_SIZE") or 1) > 1:
        return _of_torch(environment)
    if int(environment.get(OPEN_MPI[1]) or 1) > 1:
        return _of_mpi(environment, OPEN_MPI)
    if int(environment.get(HYDRA[1]) or 1) > 1 and HYDRA[-1] in environment:
        return _of_mpi(environment, HYDRA)
    # srun alone sets this one. A batch script is one process, whatever its job asked for.
    if int(environment.get("SLURM_STEP_NUM_TASKS") or 1) > 1:
        return _of_slurm(environment)
    # It sets these two where several processes were asked for, and the world's size where it starts them.
    if {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys() and not (
        environment.get("WORLD_SIZE")
    ):
        raise BadOption(
            "accelerate launch was asked for several processes and started one, as it does on CPUs",
            fix="Use mbert ... --processes N without it, or accelerate launch --mpirun_hostfile FILE.",
        )
    return ALONE


def _launcher(environment: Mapping[str, str], otherwise: str) -> str:
    return "accelerate launch" if "ACCELERATE_MIXED_PRECISION" in environment else otherwise


def _of_torch(environment: Mapping[str, str]) -> Ranks:
    launcher = _launcher(environment, "torchrun")
    return Ranks(
        rank=_number(environment, "RANK", launcher),
        size=_number(environment, "WORLD_SIZE", launcher),
        local=_number(environment, "LOCAL_RANK", launcher),
        local_size=_number(environment, "LOCAL_WORLD_SIZE", launcher),
        launcher=launcher,
    )


def _of_mpi(environment: Mapping[str, str], names: tuple[str, ...]) -> Ranks:
    launcher = _launcher(environment, "mpirun")
    rank, size, local, local_size = (_number(environment, name, launcher) for name in names)
    host = environment.get("MASTER_ADDR") or (LOCAL_ADDRESS if size == local_size else "")
    if not host:
        raise BadOption(
            f"{launcher} started {size} processes on several machines, and MASTER_ADDR is not set",
            fix="Set MASTER_ADDR to the host of the first process (mpirun -x MASTER_ADDR, or -genvall).",
        )
    address = host, int(environment.get("MASTER_PORT") or LOCAL_PORT)
    return Ranks(rank, size, local, local_size, launcher, address)


def _of_slurm(environment: Mapping[str, str]) -> Ranks:
    per_node = environment.get("SLURM_STEP_TASKS_PER_NODE", "")  # such as 4(x2),3
    most = max(map(int, re.findall(r"(?:^|,)(\d+)", per_node)), default=1)
    host = environment.get("MASTER_ADDR") or _first_host(environment.get("SLURM_STEP_NODELIST", ""))
    job = _number(environment, "SLURM_JOB_ID", "srun")
    return Ranks(
        rank=_number(environment, "SLURM_PROCID", "srun"),
        size=_number(environment, "SLURM_STEP_NUM_TASKS", "srun"),
        local=_number(environment, "SLURM_LOCALID", "srun"),
        local_size=most,
        launcher="srun",
        address=(host, int(environment.get("MASTER_PORT") or FIRST_PORT + job % PORTS)),
    )


def _first_host(nodes: str) -> str:
    """Return the first name of SLURM's list, such as `gpu[07-09],gpu12`; SLURM itself writes them out."""
    if "[" not in nodes:
        return nodes.partition(",")[0] or "localhost"
    try:
        listed = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BadOption(
            f"srun started this process on {nodes}, and scontrol does not name these hosts ({error})",
            fix="Set MASTER_ADDR to the host of the first process.",
        ) from None
    return listed.stdout.decode().split()[0]


def _number(environment: Mapping[str, str], name: str, launcher: str) -> int:
    value = environment.get(name, "")
    if not value.isdecimal():
        raise BadOption(
            f"several processes were started, and {name} is {value or 'not set'}",
            fix=f"Let {launcher} start it, or use --processes on one machine.",
        )
    return int(value)
