"""Is the Hugging Face Hub reachable? Decided once, in under three seconds."""

from __future__ import annotations

import http.client
import os
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import cache

TIMEOUT_SECONDS = 2.5


@dataclass(frozen=True)
class Connection:
    """Whether the Hub answers, and the reason to show."""

    online: bool
    reason: str


def endpoint() -> str:
    """Return the Hub's address (`HF_ENDPOINT` overrides it)."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def offline_by_choice() -> str | None:
    """Return the environment variable that says to stay offline, if one does."""
    chosen = ("1", "true", "yes", "on")
    return next(
        (v for v in ("MBERT_OFFLINE", "HF_HUB_OFFLINE") if os.environ.get(v, "").lower() in chosen), None
    )


def stay_offline(chosen: bool) -> None:
    """Never use the network in this process if that is `chosen`, or if the environment says so.

    To be called before the Hub's own library is imported, which reads `HF_HUB_OFFLINE` only then.
    """
    if chosen:
        os.environ["MBERT_OFFLINE"] = "1"
    if offline_by_choice():
        os.environ["HF_HUB_OFFLINE"] = "1"


@cache
def connection() -> Connection:
    """Ask the Hub once per process; offline by choice needs no asking.

    Name look-ups and proxies have time-outs of their own, so the question is asked in a thread that is
    left behind when it does not answer in time.
    """
    if variable := offline_by_choice():
        return Connection(False, f"offline, as {variable} says")
    answer: list[Connection] = []
    thread = threading.Thread(target=lambda: answer.append(_ask(endpoint())), daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    return answer[0] if answer else Connection(False, f"{endpoint()} did not answer in {TIMEOUT_SECONDS} s")


def show_downloads_on_terminals_only() -> None:
    """Switch off the progress bars of the Hub's libraries where nobody watches: in a pipe or a log."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
        if "datasets" in sys.modules:
            sys.modules["datasets"].disable_progress_bars()


def _ask(address: str) -> Connection:
    try:
        request = urllib.request.Request(address, method="HEAD")
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            return Connection(True, f"{address} answers")
    except urllib.error.HTTPError as error:
        # A proxy that refuses also answers in HTTP; the Hub itself serves its front page.
        return Connection(error.code < 400, f"{address} answers with HTTP {error.code}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Connection(False, f"{address} cannot be reached ({getattr(error, 'reason', error)})")
