"""An application of `mbert serve` and a client of it, in this process."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from starlette.testclient import TestClient

from modernbert.runs import RunStore
from modernbert.serving.app import make_app
from modernbert.serving.limits import Limits
from modernbert.serving.logs import Log
from modernbert.serving.metrics import Metrics
from modernbert.serving.server import ServeRequest, make_service, open_server
from modernbert.serving.service import Service


@dataclass
class Serving:
    """A running application.

    Attributes:
        client: asks it.
        lines: of its log.
    """

    client: TestClient
    service: Service
    stream: io.StringIO

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def ask(self, path: str, status: int = 200, **body: Any) -> Any:
        """Post JSON, require a status, and return the answer: of a refusal, its sentence."""
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if status == 200 else answer.json()["error"]["message"]

    def counted(self, line: str) -> float:
        """Return a metric's value."""
        found = [one for one in self.client.get("/metrics").text.splitlines() if one.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0


@contextlib.contextmanager
def started(
    store: RunStore,
    *,
    key: str | None = None,
    only_loopback: bool = True,
    limits: Limits | None = None,
    **asked: Any,
) -> Iterator[Serving]:
    """Serve models in this process until the block ends."""
    request = ServeRequest(limits=limits or Limits(), device="cpu", precision="fp32", **asked)
    metrics, stream = Metrics(), io.StringIO()
    service = make_service(request, store, metrics)
    app = make_app(service, metrics, Log(stream), key=key, only_loopback=only_loopback)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
        yield Serving(client, service, stream)


@contextlib.contextmanager
def opened(store: RunStore, **asked: Any) -> Iterator[str]:
    """Serve models on a free port from a thread; yield the address."""
    server = open_server(ServeRequest(device="cpu", precision="fp32", port=0, **asked), store)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop(0)
        thread.join()
