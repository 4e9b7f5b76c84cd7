"""Few resamples: what intervals are worth is tested with the statistics."""

from __future__ import annotations

import pytest

from modernbert.evaluation import statistics


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 500)
