"""One JSON object a line: what was asked and how it went, never a text."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

# What an endpoint adds to the line of its request.
TOLD: ContextVar[dict[str, Any]] = ContextVar("told")


class Log:
    """Writes lines to a stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream`; by default to standard error."""
        self.stream = stream
        self.lock = threading.Lock()

    def write(self, event: str, **facts: Any) -> None:
        """Write one line."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": at, "event": event, **facts})
        with self.lock:
            print(line, file=self.stream or sys.stderr, flush=True)

    def request(self, number: str, method: str, path: str, status: int, seconds: float, **facts: Any) -> None:
        """Tell of a request that is over."""
        told = {"method": method, "path": path, "status": status, "ms": round(seconds * 1000, 1)}
        self.write("request", id=number, **told, **facts)

    def failure(self, number: str, error: BaseException) -> None:
        """Tell of a mistake of ours: its kind and where; its message could hold a text."""
        last = traceback.extract_tb(error.__traceback__)[-4:]
        places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in last]
        self.write("error", id=number, error=type(error).__name__, at=places)


class Handler(logging.Handler):
    """Writes what uvicorn says as lines of the same log."""

    def __init__(self, log: Log) -> None:
        """Write to `log`."""
        super().__init__()
        self.log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; of an exception its kind alone."""
        if record.exc_info and record.exc_info[1] is not None:
            self.log.failure("", record.exc_info[1])
        else:
            self.log.write("server", level=record.levelname.lower(), message=record.getMessage())
