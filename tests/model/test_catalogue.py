"""What is said of the checkpoints that have a short name."""

from __future__ import annotations

import pytest

from modernbert.model import catalogue


@pytest.mark.parametrize("there", [True, False])
def test_a_better_embedder_is_named_first_if_it_is_here(there, monkeypatch):
    monkeypatch.setattr(catalogue.importlib.util, "find_spec", lambda name: object() if there else None)
    said = catalogue.better_embedder()
    assert said.index("--model minilm") < said.index("--model gte-modernbert-base")
    assert ("which is installed" in said) is there and ("pip install" in said) is not there
