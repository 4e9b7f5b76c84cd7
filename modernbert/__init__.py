"""mbert: fine-tune, evaluate and compare ModernBERT and its baselines.

Importing this package imports nothing else (the functions named here load torch when they are used); the
parts live in `modernbert.model`, `modernbert.data`, `modernbert.training` and `modernbert.evaluation`.
"""

from typing import TYPE_CHECKING, Any

from modernbert.version import __version__

if TYPE_CHECKING:
    from modernbert.model.acceleration import accelerate, acceleration_report, restore

__all__ = ["__version__", "accelerate", "acceleration_report", "restore"]


def __getattr__(name: str) -> Any:
    if name in ("accelerate", "acceleration_report", "restore"):
        from modernbert.model import acceleration

        return getattr(acceleration, name)
    raise AttributeError(f"module 'modernbert' has no attribute '{name}'")
