"""A folder to index."""

from __future__ import annotations

import pytest


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "sub").mkdir(parents=True)
    (root / "a.py").write_text("def good_fine(w1):\n    return w1\n\n\ndef bad(w2):\n    return w2\n")
    (root / "sub" / "b.md").write_text("# w5\nlovely w6 w7\n")
    (root / "c.bin").write_bytes(b"\0\1")
    (root / "broken.txt").write_bytes(b"caf\xe9")
    return root
