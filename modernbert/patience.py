"""How long the Hub is waited for: as long as it gives something.

The Hub's libraries wait for ever in some places, try again for minutes in others, and sleep for as long as a
server tells them to. So their requests are watched, and their calls run in a thread that is left behind when
nothing has come for `MBERT_HUB_TIMEOUT` seconds.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from modernbert.errors import BadOption, NotAvailable

T = TypeVar("T")

# Seconds without this many bytes, or a whole answer, after which the Hub is given up.
TIMEOUT, LEAST = 30.0, 1024
# What the library names files in its cache after. A server that sent `../` would choose where they lie.
NAMES = ("ETag", "X-Linked-ETag", "X-Repo-Commit")
HARMLESS = re.compile(r'(W/)?"?\w[\w.+=:-]{0,199}"?', re.ASCII)
# Answers after which the library tries again.
NOT_NOW = (408, 429, 500, 502, 503, 504)


def hub_timeout() -> float:
    """Return the seconds that the Hub may be silent (`MBERT_HUB_TIMEOUT` overrides 30).

    Raises:
        BadOption: the variable is no number above 0.
    """
    named = os.environ.get("MBERT_HUB_TIMEOUT") or str(TIMEOUT)
    with suppress(ValueError):
        if 0 < (seconds := float(named)) < math.inf:
            return seconds
    raise BadOption(
        f"MBERT_HUB_TIMEOUT is '{named}', which is no number of seconds above 0",
        fix="Use a number such as 60.",
    )


@dataclass
class Watch:
    """What the Hub was asked, and since when it has given nothing."""

    limit: float
    asked: int = 0
    silent_since: float | None = None
    received: int = 0
    trouble: str = "no answer"
    given_up: bool = False
    lock: Any = field(default_factory=threading.Lock)

    def ask(self) -> float:
        """Note a request; return the seconds that it may take. Raises NotAvailable when there are none."""
        self.require_time()
        with self.lock:
            self.asked += 1
            self.silent_since = self.silent_since or time.monotonic()
            return max(0.1, self.limit - (time.monotonic() - self.silent_since))

    def receive(self, size: int) -> None:
        """Note bytes, received or sent. Raises as `ask`."""
        self.require_time()
        with self.lock:
            self.received += size
            if self.received >= LEAST:
                self.received, self.silent_since = 0, time.monotonic()

    def end(self, trouble: str = "") -> None:
        """Note the end of an answer. After trouble the clock goes on: the library will try again."""
        with self.lock:
            self.asked -= 1
            if trouble:
                self.trouble = trouble
            else:
                self.received, self.silent_since = 0, time.monotonic() if self.asked else None

    def require_time(self) -> None:
        """Raise NotAvailable when the Hub has given nothing for too long."""
        since = self.silent_since
        self.given_up |= since is not None and time.monotonic() - since > self.limit
        if self.given_up:
            raise NotAvailable(
                f"the Hub gave nothing for {self.limit:g} s ({self.trouble})",
                fix="Try again later. To wait longer: MBERT_HUB_TIMEOUT=SECONDS.",
            )


def patiently(call: Callable[[], T]) -> T:
    """Call the Hub's libraries, and return what they do.

    Raises:
        NotAvailable: the Hub has given nothing for too long.
    """
    watch = Watch(hub_timeout())
    _watch_requests(watch)
    outcome: Future[T] = Future()
    threading.Thread(target=_settle, args=(outcome, call), daemon=True).start()
    while True:
        with suppress(TimeoutError):
            return outcome.result(timeout=0.2)
        try:
            watch.require_time()
        except NotAvailable:
            with suppress(TimeoutError):  # a moment to remove what it was writing
                outcome.exception(timeout=1)
            raise


def _settle(outcome: Future[T], call: Callable[[], T]) -> None:
    try:
        outcome.set_result(call())
    except BaseException as error:  # whatever it is, it is raised again where the call was made
        outcome.set_exception(error)


@cache
def http() -> Any:
    """Return the library that the Hub's client speaks HTTP with: httpx, or its successor."""
    from huggingface_hub import get_session

    return importlib.import_module(type(get_session()).__module__.partition(".")[0])


def _watch_requests(watch: Watch) -> None:
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    def client() -> Any:
        made: Any = default_client_factory()
        made.send = _watched(made.send, watch)
        return made

    set_client_factory(client)
    # It fetches with code of its own, which cannot be watched; the Hub gives the same files without it.
    constants.HF_HUB_DISABLE_XET = True
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # a line for each attempt


def _watched(send: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    def watched(request: Any, **options: Any) -> Any:
        left = watch.ask()
        times = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {name: min(own or left, left) for name, own in times.items()}
        request.stream = _sent(request.stream, watch)
        try:
            response = send(request, **options)
        except BaseException as error:
            watch.end(str(error) or type(error).__name__)
            raise
        _require_usable(response, watch.limit)
        if options.get("stream"):
            response.stream = _watched_stream(response, watch)
        else:
            watch.end(_trouble(response))
        return response

    return watched


def _sent(inner: Any, watch: Watch) -> Any:
    """Return what a request sends; a large file takes its time, in which the Hub says nothing."""

    class Stream(http().SyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            for chunk in inner:
                yield chunk
                watch.receive(len(chunk))

    return Stream()


def _require_usable(response: Any, limit: float) -> None:
    """Refuse an answer that asks for too much patience, or would have files lie elsewhere."""
    wait = response.headers.get("Retry-After", "")
    if response.status_code in NOT_NOW and wait.isdecimal() and int(wait[:9]) > limit:
        raise NotAvailable(
            f"the Hub asks to wait {wait:.9} s (HTTP {response.status_code})",
            fix="Try again after that time.",
        )
    for name in NAMES:
        value = response.headers.get(name)
        if value is not None and not HARMLESS.fullmatch(value):
            raise NotAvailable(f"the Hub's answer has no usable {name}: {value!r:.100}")


def _trouble(response: Any) -> str:
    return f"HTTP {response.status_code}" if response.status_code in NOT_NOW else ""


def _watched_stream(response: Any, watch: Watch) -> Any:
    inner = response.stream

    class Stream(http().SyncByteStream):  # type: ignore[misc]
        ended = False

        def __iter__(self) -> Iterator[bytes]:
            try:
                for chunk in inner:
                    watch.receive(len(chunk))
                    yield chunk
            except http().HTTPError as error:
                self._end(str(error))
                raise
            self._end(_trouble(response))

        def close(self) -> None:
            self._end(_trouble(response) if response.is_error else "the connection broke off")
            inner.close()

        def _end(self, trouble: str) -> None:
            if not self.ended:
                self.ended = True
                watch.end(trouble)

    return Stream()
