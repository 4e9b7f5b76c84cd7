"""mbert: fine-tune, evaluate and compare ModernBERT and its baselines.

Importing this package imports nothing else; the parts live in `modernbert.model`, `modernbert.data`,
`modernbert.training` and `modernbert.evaluation`.
"""

from modernbert.version import __version__

__all__ = ["__version__"]
