"""What Ctrl-C leaves of each command, and the command that goes on.

A training says it itself (`mbert resume NAME`): only it knows the run's name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from modernbert.index.server import read_address

NOTHING = "Nothing was written."
VECTORS = "The vectors that were finished are kept, and are not computed again."
KEPT = {
    "demo": "A run that has started is kept (`mbert runs`); the demo starts a new one.",
    "finetune": "No new run was started; finished runs are kept.",
    "pretrain": "No run was started. A corpus is tokenised again unless it was finished.",
    "resume": "The run is as it was.",
    "eval": f"No score was saved. {VECTORS}",
    "compare": "Finished runs are kept; a training that was stopped goes on from its last step.",
    "report": NOTHING,
    "bench": "Nothing was saved: a measurement is only shown when it is complete.",
    "predict": "What was scored is kept beside the output (.partial); that appears only when it is complete.",
    "embed": f"{NOTHING} The output file appears only when it is complete.",
    "index": f"No new index was written; one that was there is as it was. {VECTORS}",
    "--store": f"Every file that was stored is whole. {VECTORS}",
    "--ray": "Finished shards are kept, and are not worked on again.",
    "download": "What was finished is in the bundle; the rest was left out.",
}


def what_was_kept(arguments: Sequence[str]) -> str:
    """Return what is left of an interrupted command, and how to run it again."""
    name = next((argument for argument in arguments if argument in KEPT), None)
    options = {argument.partition("=")[0] for argument in arguments}
    name = next((option for option in ("--ray", "--store") if option in options), name)
    again = f"Next: {shlex.join(['mbert', *map(_without_password, arguments)])}"
    return f"{KEPT[name]} {again}" if name else again


def _without_password(argument: str) -> str:
    """Return an argument as it may be shown: of a database's address without the password."""
    found = re.search("postgres(ql)?://.*", argument)
    return argument[: found.start()] + str(read_address(found[0])) if found else argument
