"""The version, and those of everything that can move a score; reading this file imports nothing of either."""

from __future__ import annotations

__version__ = "0.1.0"
PACKAGES = (
    "mbert", "torch", "transformers", "tokenizers", "accelerate", "peft", "datasets", "huggingface-hub",
    "numpy", "scipy", "scikit-learn", "flash-attn",
)  # fmt: skip


def versions() -> dict[str, str | None]:
    """Return the installed version of each package; None where it is not installed."""
    import platform

    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(name: str) -> str | None:
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
