"""Names in plots."""

from __future__ import annotations

import numpy as np

from modernbert.report import plots


def test_long_names_stay_different():
    """Two classes of one name would be one row."""
    same = "the same forty characters at the beginning of each name, "
    labels = [f"{same}{end}" for end in ("one", "other")] + [f"a{'x' * 60}b{same}", f"a{'x' * 60}c{same}"]
    (heatmap,) = plots.confusion(np.eye(4), labels).data
    assert len(set(heatmap.x)) == 4
    assert max(map(len, heatmap.x)) <= plots.LONGEST_NAME + len("3: ")
    assert heatmap.x[0].endswith("one")
