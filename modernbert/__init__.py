"""mbert: fine-tune, evaluate and compare ModernBERT and its baselines.

Importing this package imports nothing else: the functions named here load torch when they are used.
"""

import importlib
from typing import TYPE_CHECKING, Any

from modernbert.version import __version__

if TYPE_CHECKING:
    from modernbert.api import compare, embed, evaluate, finetune, load, predict
    from modernbert.model.acceleration import accelerate, acceleration_report, restore

__all__ = [
    "__version__",
    "accelerate",
    "acceleration_report",
    "compare",
    "embed",
    "evaluate",
    "finetune",
    "load",
    "predict",
    "restore",
]
_OF_MODELS = ("accelerate", "acceleration_report", "restore")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'modernbert' has no attribute '{name}'")
    module = "modernbert.model.acceleration" if name in _OF_MODELS else "modernbert.api"
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
