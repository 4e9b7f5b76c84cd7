"""Load models, listen, and stop gracefully."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from modernbert.activity import phase
from modernbert.errors import BadOption
from modernbert.index.server import Address
from modernbert.memory import prepare_cpu_memory
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.serving.app import make_app
from modernbert.serving.limits import Limits
from modernbert.serving.load import load_served, load_shadow
from modernbert.serving.logs import Handler, Log
from modernbert.serving.metrics import Metrics
from modernbert.serving.searching import Searching
from modernbert.serving.service import Service
from modernbert.serving.shadow import Shadow, require_shadow
from modernbert.signals import on_signals

# Seconds that a stop waits for requests; they have a time-out of their own.
GRACE = 10
# Seconds that an idle connection stays open: longer than proxies and clients keep theirs, or they would send
# requests to a server that is closing the connection.
KEEP_ALIVE = 75
# Connections that wait to be taken.
BACKLOG = 2048


@dataclass(frozen=True, kw_only=True)
class ServeRequest:
    """What the user asked for.

    Attributes:
        models: aliases, runs, folders or Hub ids; each answers to its name.
        index: a folder or table that is indexed, or the address of a database with an index.
        shadow: a classifier that reads what the first model answers.
        shadow_file: where the texts on which both differ are kept.
        key: the API key.
        without_key: listen to other machines without one.
    """

    models: tuple[str, ...]
    index: Path | Address | None = None
    shadow: str | None = None
    shadow_file: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    key: str | None = None
    without_key: bool = False
    limits: Limits = field(default_factory=Limits)
    device: str = "auto"
    precision: str = "auto"
    data_dir: Path | None = None


def is_loopback(host: str) -> bool:
    """Is it an address that this machine alone can reach?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_key(request: ServeRequest) -> None:
    """Raise BadOption when other machines could ask without a key."""
    if not is_loopback(request.host) and request.key is None and not request.without_key:
        raise BadOption(
            f"on {request.host} other machines can use the models, and there is no API key",
            fix="Give --api-key-file or MBERT_API_KEY, or --no-api-key if that is what you want.",
        )


def read_key(path: Path | None) -> str | None:
    """Return the API key: of a file, else of MBERT_API_KEY; None where there is none.

    Raises:
        BadOption: it cannot be read, or is no line of printable ASCII.
    """
    where = str(path) if path else "MBERT_API_KEY"
    if path is None and "MBERT_API_KEY" not in os.environ:
        return None
    try:
        key = (path.read_text(encoding="utf-8") if path else os.environ["MBERT_API_KEY"]).strip()
    except (OSError, UnicodeDecodeError):
        raise BadOption("the API key cannot be read", where=where) from None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise BadOption("an API key is one word of ASCII characters", where=where)
    return key


@phase("loading the models")
def make_service(request: ServeRequest, store: RunStore, metrics: Metrics) -> Service:
    """Load what was asked for.

    Raises:
        BadOption: two models have one name, or nothing can run in the shadow.
        MbertError: a model or the index cannot be found or read.
    """
    machine: dict[str, Any] = {"device": request.device, "precision": request.precision}
    sources = [locate_model(name, store=store, data_dir=request.data_dir) for name in request.models]
    names = [Path(name).name or name for name in request.models]
    if len(set(names)) < len(names):
        raise BadOption(f"two models are called {names[0]}", fix="Rename a folder: requests choose by name.")
    models = [load_served(source, name, **machine) for source, name in zip(sources, names, strict=True)]
    service = Service(models, request.limits, metrics)
    if request.shadow is not None:
        assert request.shadow_file is not None
        served = require_shadow(models[0])
        source = locate_model(request.shadow, store=store, data_dir=request.data_dir)
        shadow = load_shadow(sources[0], source, f"shadow {Path(request.shadow).name}", **machine)
        service.shadow = Shadow(served, shadow, service.batcher_of(shadow), request.shadow_file, metrics)
    if request.index is not None:
        service.searching = Searching(request.index, store, data_dir=request.data_dir, **machine)
    return service


class _Server(uvicorn.Server):
    """Signals are the program's to hear."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """Loaded models and an open port."""

    def __init__(self, service: Service, listening: socket.socket, server: uvicorn.Server, log: Log) -> None:
        """Take them over."""
        self.service, self.listening, self.server, self.log = service, listening, server, log

    @property
    def names(self) -> tuple[str, ...]:
        """The models, as requests choose them."""
        return tuple(self.service.models)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.listening.getsockname()[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def run(self) -> None:
        """Answer until a signal comes; then answer what was taken, and return."""
        self.log.write("started", models=self.names, url=self.url)
        with on_signals(self.stop):
            self.server.run([self.listening])
        self.log.write("stopped")

    def stop(self, number: int) -> None:
        """Take no more; with a second Ctrl-C give up what is not answered."""
        self.service.is_closing = True
        self.server.handle_exit(number, None)


def open_server(request: ServeRequest, store: RunStore) -> Server:
    """Open the port and load the models.

    Raises:
        BadOption: there is no key for other machines, or the port is taken.
        MbertError: as `make_service`.
    """
    require_key(request)
    listening = _listen(request.host, request.port)
    prepare_cpu_memory()  # a batch seldom has the shape of an earlier one
    metrics, log = Metrics(), Log()
    try:
        service = make_service(request, store, metrics)
    except BaseException:
        listening.close()
        raise
    local = is_loopback(request.host) and request.key is None
    app = make_app(service, metrics, log, key=request.key, only_loopback=local)
    listening.listen(BACKLOG)
    return Server(service, listening, _Server(_config(app, request.limits, log)), log)


def _config(app: Any, limits: Limits, log: Log) -> uvicorn.Config:
    logging.getLogger("uvicorn").handlers = [Handler(log)]
    return uvicorn.Config(
        app, log_config=None, log_level="warning", access_log=False, server_header=False,
        limit_concurrency=limits.max_requests, timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(limits.timeout) + GRACE,
    )  # fmt: skip


def _listen(host: str, port: int) -> socket.socket:
    """Open the port before the models are loaded. Raises BadOption when it cannot be opened."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except (OSError, OverflowError) as error:
        found.close()
        reason = getattr(error, "strerror", None) or str(error)
        fix = "Choose another with --host and --port; --port 0 takes a free one."
        raise BadOption(f"cannot listen ({reason})", where=f"{host}:{port}", fix=fix) from None
    return found
