"""What all tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from helpers import short_measurements


@pytest.fixture(scope="session", autouse=True)
def _short_measurements() -> Iterator[None]:
    with short_measurements():
        yield
