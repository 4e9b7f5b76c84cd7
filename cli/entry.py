"""Where the command `mbert` begins: signals are caught before anything is imported that takes time."""

import signal

# Until they are, and once all is done, Ctrl-C ends the process at once, without Python's traceback.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from modernbert.signals import on_signals


def main() -> None:
    """Run the command line."""
    with on_signals():
        from .main import main as run

        run()
