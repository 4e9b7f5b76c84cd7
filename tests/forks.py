"""Forks of the test's process, to be killed and looked at from outside: all is imported there already."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

from modernbert.errors import MbertError

TRACEBACK = 128


def fork(work: Callable[..., object], *arguments: Any) -> int:
    """Run a function in a fork; return its process id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch has threads, which do not matter here
        child = os.fork()
    if not child:
        _end_after(work, *arguments)
    return child


def status_of(child: int) -> int:
    """Wait for a fork; return 0, an error's exit code, TRACEBACK, or the negative signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def start(work: Callable[[], object], environment: dict[str, str], **options: Any) -> subprocess.Popen:
    """Start a function in a fork, with Popen's streams and options."""

    def run() -> NoReturn:
        os.closerange(3, 1024)  # among them the one on which Popen waits for a new program
        if before is not None:
            before()
        os.environ |= environment
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "rww"[n], closefd=False) for n in range(3))
        _end_after(work)

    before = options.pop("preexec_fn", None)
    return subprocess.Popen([sys.executable], preexec_fn=run, restore_signals=False, text=True, **options)


def _end_after(work: Callable[..., object], *arguments: Any) -> NoReturn:
    status = TRACEBACK
    try:
        work(*arguments)
        status = 0
    except MbertError as error:
        status = error.exit_code
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
