"""What stands before the endpoints: key, host, size, time, one log line and one count for each request."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from modernbert.serving.limits import Limits
from modernbert.serving.logs import TOLD, Log
from modernbert.serving.metrics import Metrics
from modernbert.serving.refusals import Refused, mistake

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# What whoever has no key may see: that it lives, the page that asks for the key, and what could be asked.
OPEN = frozenset({"/", "/health", "/ready", "/openapi.json"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
# What a browser calls this machine. Another name in a request's Host is that of a page which had it resolve
# to this machine (DNS rebinding).
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
SAFE = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


@dataclass
class Seen:
    """What is known of a request when it is over."""

    status: int = 0
    started: float = 0.0
    body: int = 0


class Guard:
    """An ASGI application around another one."""

    def __init__(
        self,
        app: App,
        limits: Limits,
        metrics: Metrics,
        log: Log,
        *,
        key: str | None,
        only_loopback: bool,
        is_closing: Callable[[], bool] = lambda: False,
    ) -> None:
        """Put it around `app`.

        Args:
            key: what requests must bring as a bearer token; None where none is needed.
            only_loopback: refuse requests that call this machine by another name.
            is_closing: does the server stop?
        """
        self.app, self.limits, self.metrics, self.log = app, limits, metrics, log
        self.key = None if key is None else key.encode()
        self.only_loopback, self.is_closing = only_loopback, is_closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        seen, number = Seen(started=time.perf_counter()), uuid.uuid4().hex[:16]

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                more = [*SAFE, (b"x-request-id", number.encode())]
                if self.is_closing():  # the client must not use the connection again
                    more.append((b"connection", b"close"))
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        told: dict[str, Any] = {}
        TOLD.set(told)
        self.metrics.open.inc()
        try:
            await self._pass(scope, receive, watched, seen)
        except Exception as error:
            self.log.failure(number, error)
            if not seen.status:
                await _refuse(mistake(), watched)
        finally:
            self.metrics.open.dec()
            self._note(scope, seen, number, told)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, seen: Seen) -> None:
        try:
            self._require_allowed(scope)
            body = await self._body(scope, receive)
            seen.body = len(body)
        except Refused as refused:
            await _refuse(refused, send)
            return
        await self.app(scope, _replayed(body, receive), send)

    def _require_allowed(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if self.only_loopback and name not in LOOPBACK:
            raise Refused(400, "this server is for this machine alone: call it localhost")
        if self.key is None or scope["path"] in OPEN:
            return
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self.key):
            raise Refused(401, "the API key is missing or wrong: send Authorization: Bearer KEY")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        most = self.limits.max_body
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and (len(length) > 18 or int(length) > most):
            raise _too_large(most)
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.limits.body_timeout):
                while True:
                    message = await receive()
                    size += len(message.get("body", b""))
                    if size > most:
                        raise _too_large(most)
                    parts.append(message.get("body", b""))
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            raise Refused(408, f"no whole request within {self.limits.body_timeout:g} seconds") from None

    def _note(self, scope: Scope, seen: Seen, number: str, told: dict[str, Any]) -> None:
        """Count and log. A path that is no endpoint's could hold anything: it is not named."""
        known = scope["path"] if scope["path"] in OPEN else ""
        path = getattr(scope.get("route"), "path", known) or "other"
        seconds = time.perf_counter() - seen.started
        self.metrics.requests.labels(path, str(seen.status)).inc()
        self.metrics.seconds.labels(path).observe(seconds)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self.log.request(number, method, path, seen.status, seconds, body=seen.body, **told)


def _too_large(most: int) -> Refused:
    return Refused(413, f"the request has more than {most:,} bytes")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return what gives the body at once, and then whatever comes."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return left.pop() if left else await receive()

    return replay


async def _refuse(refused: Refused, send: Send) -> None:
    body = json.dumps(refused.body).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **refused.headers}
    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": named})
    await send({"type": "http.response.body", "body": body})
