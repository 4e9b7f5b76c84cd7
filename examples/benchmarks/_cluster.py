"""A Ray cluster of two nodes on this machine, of one core each, and nobody else's processes."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

# Ray's processes would wait for whatever else runs here, and it would report to its makers. Whoever has no
# token of this script is not let in.
ENVIRONMENT = {
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}


class Cluster:
    """Two nodes, started by `ray start`. The first one is the head."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="ray")  # a short path: sockets lie in it
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        _start("--head", "--port", str(port), "--include-dashboard", "false", "--temp-dir", self.folder)
        self.complete()

    def complete(self) -> None:
        """Start the second node, unless it is there."""
        if len(self.nodes()) < 2:
            _start("--address", self.address)

    def nodes(self) -> list[psutil.Process]:
        """Return the processes that lead the nodes, the head's first."""
        leading = [one for one in self._processes() if one.name() == "raylet"]
        return sorted(leading, key=lambda one: one.create_time())

    def _processes(self) -> list[psutil.Process]:
        every = psutil.process_iter(["cmdline"])
        return [one for one in every if self.folder in " ".join(one.info["cmdline"] or ())]

    def close(self) -> None:
        """End all its processes."""
        for node in self.nodes():
            kill([node, *children(node.pid)])
        kill(self._processes())
        shutil.rmtree(self.folder, ignore_errors=True)


def _start(*flags: str) -> None:
    command = [str(Path(sys.executable).with_name("ray")), "start", *flags, "--num-cpus", "1"]
    command += ["--node-ip-address", "127.0.0.1"]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def children(number: int) -> list[psutil.Process]:
    """Return the processes that a process has started, and those that they have; none if it has ended."""
    try:
        return psutil.Process(number).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def command_of(process: psutil.Process) -> str:
    """Return how a process was started, or how it calls itself; empty if it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def kill(processes: list[psutil.Process]) -> None:
    """Send SIGKILL to those that have not ended."""
    for one in processes:
        try:
            os.kill(one.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
