"""A job on a Ray cluster, shard by shard.

Each shard is one task of Ray, and the process that runs it keeps the model for the next one. So a shard is
finished when its task is, and Ray gives a task that was lost to any process that is free.
`ray.data.map_batches` cuts files into blocks and joins them, and none of them is whole before the end.
`ray.util.ActorPool` gives each shard to one actor: what an actor had whose machine is gone must be given out
again by us, and may wait for a new actor that nothing has room for.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modernbert.activity import phase
from modernbert.cluster.jobs import Done, Job, do_shard
from modernbert.cluster.shards import Shard
from modernbert.errors import BadData, BadOption, MbertError, NotAvailable, Stopped
from modernbert.signals import end, on_signals

INSTALL = "pip install 'mbert[ray]'"
# Shards that are waiting or worked at, as Ray sees it; what they hold is on disk and not in its memory.
AT_ONCE = 1000
# How often a shard is tried again, after a process or a machine was lost or an error that may pass.
RETRIES = 3
# How long a cluster may take to answer.
ANSWER_SECONDS = 10.0
# How often the job looks whether a signal has come.
LISTEN_SECONDS = 0.5


@dataclass(frozen=True)
class Finished:
    """What a job has done.

    Attributes:
        output: the folder.
        shards, rows: that were written now.
        kept: shards that were finished before.
        failed: the others by name, each with the reason.
        machines: what computed the shards: more than one if the cluster's machines differ.
    """

    output: str
    shards: int
    rows: int
    kept: int
    failed: dict[str, str]
    machines: tuple[str, ...]


def run_job(job: Job, shards: Sequence[Shard], output: str, address: str) -> Finished:
    """Do a job with every shard, on all machines of a cluster.

    Args:
        job: what to do.
        shards: with what.
        output: the folder that they are written to, for the result.
        address: of the cluster: `auto` for the one that runs here, `local` to start one for this job.

    Raises:
        NotAvailable: Ray is not installed, or there is no such cluster.
        MbertError: the model or an option is no good for any shard. What was finished is kept.
    """
    with _cluster(address) as ray, phase("working on shards", len(shards), "shards") as now:
        ready = replace(job, model=replace(job.model, device=_device(ray, job.model.device)))
        task = _as_task(ray, ready.model.device)
        found = []
        for done in _as_they_end(ray, task, ready, shards):
            found.append(done)
            now.advance()
    failed = {done.name: str(done.error) for done in found if done.error}
    return Finished(
        output=output,
        shards=len(found) - len(failed) - sum(done.kept for done in found),
        rows=sum(done.rows for done in found),
        kept=sum(done.kept for done in found),
        failed=failed,
        machines=tuple(sorted({done.machine for done in found if done.machine})),
    )


def require_finished(done: Finished) -> None:
    """Raise BadData that names the shards that failed."""
    if not done.failed:
        return
    (name, why), *others = done.failed.items()
    more = f" (and {', '.join(name for name, _ in others)})" if others else ""
    total = done.shards + done.kept + len(done.failed)
    raise BadData(
        f"{len(done.failed)} of {total} shards failed: {name}: {why}{more}",
        where=done.output,
        fix="The others are finished. The same command does those that failed again.",
    )


def require_ray() -> Any:
    """Return the module `ray`. Raises NotAvailable when it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # without which it warns of a change
    try:
        import ray
    except ImportError:
        raise NotAvailable("a cluster is worked by Ray, which is not installed", fix=INSTALL) from None
    return ray


@contextlib.contextmanager
def _cluster(address: str) -> Iterator[Any]:
    """Be connected to a cluster; the job's processes end with the block, and a local cluster with them."""
    ray = require_ray()
    own = {"include_dashboard": False} if address == "local" else {}
    try:
        _require_answer(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        wants_token = "auth" in str(error).lower()  # as `ray start` has it by default
        reason = "it wants a token: set RAY_AUTH_MODE=token" if wants_token else _first_line(error)
        raise NotAvailable(
            f"cannot reach a Ray cluster at '{address}' ({reason})",
            fix="Give the address that `ray start --head` printed, or auto on a machine of it, or local.",
        ) from None
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where Ray prints what it has lost
            yield ray
    finally:
        ray.shutdown()


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _require_answer(address: str) -> None:
    """Raise OSError where nobody answers at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "://" not in host:
        socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS).close()


def _device(ray: Any, asked: str) -> str:
    """Return what the tasks compute on: GPUs if the cluster has any. Raises BadOption if it has not."""
    gpus = ray.cluster_resources().get("GPU", 0)
    if asked == "auto":
        return "cuda" if gpus else "cpu"
    if asked == "mps" or (asked == "cuda" and not gpus):
        raise BadOption(f"the cluster has no device '{asked}'", fix="Leave --device out.")
    return asked


def _as_task(ray: Any, device: str) -> Any:
    """Return `do_shard` as a task that takes one core, and a GPU if it computes on one."""
    resources = {"num_cpus": 1, "num_gpus": 1 if device == "cuda" else 0}
    # By default Ray would end a process after each task that uses a GPU, and the model with it.
    return ray.remote(**resources, max_calls=0, max_retries=RETRIES, retry_exceptions=True)(do_shard)


def _as_they_end(ray: Any, task: Any, job: Job, shards: Sequence[Shard]) -> Iterator[Done]:
    """Yield what becomes of the shards. Raises MbertError for what is wrong with all of them."""
    to_do, running, heard = iter(shards), dict[Any, Shard](), list[int]()
    with on_signals(heard.append):  # an exception of a handler is lost inside Ray, which has one of its own
        while True:
            for shard in itertools.islice(to_do, AT_ONCE - len(running)):
                running[task.remote(job, shard)] = shard
            if not running:
                return
            ended, _ = ray.wait(list(running), num_returns=1, timeout=LISTEN_SECONDS)
            if heard:
                end(heard[0])
            for task_id in ended:
                done = _outcome(ray, task_id, running.pop(task_id))
                if done.error and done.hopeless:
                    raise done.error
                yield done


def _outcome(ray: Any, ended: Any, shard: Shard) -> Done:
    try:
        found: Done = ray.get(ended)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        why = f"{_first_line(cause or error)} ({type(cause or error).__name__}, after {RETRIES} more tries)"
        found = Done(shard.name, error=cause if isinstance(cause, MbertError) else Stopped(why))
    return found
