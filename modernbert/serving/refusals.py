"""What a server refuses, each with its status: one shape for all, which is OpenAI's."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A request that is not answered, and why."""

    def __init__(self, status: int, what: str, *, retry_after: int | None = None) -> None:
        """Say why.

        Args:
            status: HTTP's.
            what: a sentence.
            retry_after: seconds after which the same may be answered.
        """
        super().__init__(what)
        self.status, self.what, self.retry_after = status, what, retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        found = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return found | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})

    @property
    def body(self) -> dict[str, Any]:
        """The answer."""
        return {"error": {"message": self.what, "type": TYPES.get(self.status, "invalid_request_error"),
                          "param": None, "code": None}}  # fmt: skip


TYPES = {
    401: "authentication_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "unavailable",
    504: "timeout",
}


def mistake() -> Refused:
    """Return what is said of a mistake of ours."""
    return Refused(500, "a mistake of the server: its log tells more")
