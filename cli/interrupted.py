"""What Ctrl-C leaves of each command, and the command that goes on.

A training says it itself (`mbert resume NAME`): only it knows the run's name.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

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
    "--ray": "Finished shards are kept, and are not worked on again.",
    "download": "What was finished is in the bundle; the rest was left out.",
}


def what_was_kept(arguments: Sequence[str]) -> str:
    """Return what is left of an interrupted command, and how to run it again."""
    name = next((argument for argument in arguments if argument in KEPT), None)
    if "--ray" in arguments:
        name = "--ray"
    again = f"Next: {shlex.join(['mbert', *arguments])}"
    return f"{KEPT[name]} {again}" if name else again
