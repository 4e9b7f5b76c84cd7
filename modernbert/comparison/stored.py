"""Comparisons that `mbert compare -o FILE.json` wrote: read back as they are, nothing is computed anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modernbert.comparison.outcomes import Outcome, read_outcomes
from modernbert.comparison.results import FORMAT, Comparison, ModelScores
from modernbert.errors import BadData, BadRun
from modernbert.reading import read_as, read_object
from modernbert.runs import RunStore

WRITE_ANEW = "Write one: mbert compare --baseline MODEL -o comparison.json"


def read_comparison(path: Path) -> Comparison:
    """Return a comparison that was kept. Raises BadData when it is none, damaged, or an older version's."""
    try:
        found = read_object(path, what="the comparison").get("format")
        if found != FORMAT:
            raise BadData(f"its format is {found!r:.50}, not {FORMAT}", where=str(path))
        comparison = read_as(Comparison, path, what="the comparison")
        if not comparison.tasks or not all(task.models for task in comparison.tasks):
            raise BadData("it compares nothing", where=str(path))
    except BadData as error:
        error.what = f"this is no comparison that this version of mbert wrote ({error.what})"
        error.fix = WRITE_ANEW
        raise
    return comparison


def outcome_of(model: ModelScores, metric: str, store: RunStore) -> Outcome:
    """Return the first result of a compared model by a metric, under the name that it has in the comparison.

    Raises:
        MbertError: its run is gone or damaged, or another one is there under its name.
    """
    run = store.current_name(model.runs[0])
    found = [o for o in read_outcomes(store, run, metric) if o.system == model.system]
    value = next(iter(model.by_seed.values()))
    if not found or abs(found[0].value - value) > 1e-9:
        raise BadRun("the run is not the one that was compared", where=str(store.path(run)))
    return replace(found[0], model=model.model)
