"""What launchers say of a process: the variables are those that torchrun, accelerate and srun set."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from modernbert.errors import BadOption
from modernbert.ranks import ALONE, Ranks, find_ranks

TORCHRUN = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
MPIRUN = {
    f"OMPI_COMM_WORLD_{name}": value
    for name, value in {"RANK": "1", "SIZE": "2", "LOCAL_RANK": "1", "LOCAL_SIZE": "2"}.items()
}
# What MPICH 4.0 and Intel MPI set.
HYDRA = {"PMI_RANK": "1", "PMI_SIZE": "2", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
# What `accelerate launch --cpu --num_processes 2` sets, with and without --mpirun_hostfile.
ACCELERATE = {"ACCELERATE_MIXED_PRECISION": "no", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
SRUN = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_NUM_TASKS": "7",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu07,gpu12",
    "SLURM_STEP_TASKS_PER_NODE": "4,3",
}


def test_a_process_that_nobody_launched_is_alone():
    assert find_ranks({}) == find_ranks({"RANK": "0", "WORLD_SIZE": "1"}) == ALONE
    # In a batch script SLURM has set these, but srun has not started the process.
    assert find_ranks({"SLURM_JOB_ID": "4711", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"}) == ALONE


def test_torchrun_and_accelerate():
    assert find_ranks(TORCHRUN) == Ranks(5, 8, 1, 4, "torchrun")
    assert find_ranks(TORCHRUN | {"ACCELERATE_MIXED_PRECISION": "no"}).launcher == "accelerate launch"


def test_mpirun_of_mpich_and_intel():
    assert find_ranks(HYDRA) == Ranks(1, 2, 1, 2, "mpirun", ("127.0.0.1", 29500))
    assert find_ranks(HYDRA | ACCELERATE).launcher == "accelerate launch"
    with pytest.raises(BadOption, match="2 processes on several machines, and MASTER_ADDR is not set"):
        find_ranks(HYDRA | {"MPI_LOCALNRANKS": "1"})
    # Hydra starts one helper on each machine with srun; srun by itself may speak PMI, too.
    assert find_ranks(SRUN | HYDRA).launcher == "mpirun"
    assert find_ranks(SRUN | {"PMI_RANK": "5", "PMI_SIZE": "7"}).launcher == "srun"


def test_mpirun():
    assert find_ranks(MPIRUN) == Ranks(1, 2, 1, 2, "mpirun", ("127.0.0.1", 29500))
    assert find_ranks(MPIRUN | ACCELERATE).launcher == "accelerate launch"
    far = MPIRUN | {"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}
    assert find_ranks(far | {"MASTER_ADDR": "gpu07", "MASTER_PORT": "1"}).address == ("gpu07", 1)
    with pytest.raises(BadOption, match="2 processes on several machines, and MASTER_ADDR is not set"):
        find_ranks(far)


def test_one_process_where_accelerate_was_asked_for_several():
    with pytest.raises(BadOption, match="asked for several processes and started one") as refused:
        find_ranks(ACCELERATE)
    assert "--processes N" in str(refused.value)
    assert find_ranks({"ACCELERATE_MIXED_PRECISION": "no"}) == ALONE  # one was asked for
    assert find_ranks(ACCELERATE | {"WORLD_SIZE": "1"}) == ALONE


def test_srun_in_the_words_of_torch():
    ranks = find_ranks(SRUN)
    assert (ranks.rank, ranks.size, ranks.local, ranks.local_size) == (5, 7, 1, 4)
    assert ranks.environment() == {
        "RANK": "5",
        "WORLD_SIZE": "7",
        "LOCAL_RANK": "1",
        "LOCAL_WORLD_SIZE": "4",
        "MASTER_ADDR": "gpu07",
        "MASTER_PORT": "24711",
    }
    own = find_ranks(SRUN | {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "1234"})
    assert own.address == ("10.0.0.1", 1234)


def test_slurm_writes_its_short_lists_of_hosts_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(
        f"#!{sys.executable}\nimport sys\nprint('gpu07' if sys.argv[3] == 'gpu[07-09]' else '?')\n"
    )
    scontrol.chmod(scontrol.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    short = SRUN | {"SLURM_STEP_NODELIST": "gpu[07-09]"}
    assert find_ranks(short).address == ("gpu07", 24711)
    scontrol.unlink()
    with pytest.raises(BadOption, match="scontrol does not name these hosts"):
        find_ranks(short)


@pytest.mark.parametrize("missing", ["RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"])
def test_half_of_an_environment_is_refused(missing):
    with pytest.raises(BadOption, match=f"several processes were started, and {missing} is not set"):
        find_ranks({name: value for name, value in TORCHRUN.items() if name != missing})
