"""Which of several processes this one is, as whoever started them says. Nothing of torch is imported here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from modernbert.errors import BadOption

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
    """Read what torchrun, `accelerate launch` or `srun` says of this process.

    Raises:
        BadOption: a number that is needed is missing, or is none.
    """
    if int(environment.get("WORLD_SIZE") or 1) > 1:
        return _of_torch(environment)
    # srun alone sets this one. A batch script is one process, whatever its job asked for.
    if int(environment.get("SLURM_STEP_NUM_TASKS") or 1) > 1:
        return _of_slurm(environment)
    return ALONE


def _of_torch(environment: Mapping[str, str]) -> Ranks:
    launcher = "accelerate launch" if "ACCELERATE_MIXED_PRECISION" in environment else "torchrun"
    return Ranks(
        rank=_number(environment, "RANK", launcher),
        size=_number(environment, "WORLD_SIZE", launcher),
        local=_number(environment, "LOCAL_RANK", launcher),
        local_size=_number(environment, "LOCAL_WORLD_SIZE", launcher),
        launcher=launcher,
    )


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
