"""Versions of everything that can move a score; nothing is imported."""

from __future__ import annotations

import importlib.metadata
import platform

PACKAGES = (
    "mbert", "torch", "transformers", "tokenizers", "accelerate", "peft", "datasets", "huggingface-hub",
    "numpy", "scipy", "scikit-learn", "flash-attn",
)  # fmt: skip


def versions() -> dict[str, str | None]:
    """Return the installed version of each package; None where it is not installed."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
