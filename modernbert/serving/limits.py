"""What a server takes, and how long it works on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a server.

    Attributes:
        max_body: bytes of a request.
        max_texts: of a request.
        max_waiting: tokens that may wait for one model.
        max_requests: that may be open at once, waiting or running.
        batch_tokens: of a batch; 0 for what fills the device.
        wait_ms: how long a batch waits for more requests after the first, where the last was of several.
        timeout: seconds until an answer must be there.
        body_timeout: seconds until the request itself must be there.
    """

    max_body: int = 1 << 20
    max_texts: int = 256
    max_waiting: int = 131_072
    max_requests: int = 1000
    batch_tokens: int = 0
    wait_ms: float = 2.0
    timeout: float = 30.0
    body_timeout: float = 10.0
