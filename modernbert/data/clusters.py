"""Which held-out examples belong together: hypotheses of one premise, questions about one meeting.

They were not drawn one by one, so they say less than as many others would (see `evaluation.sums.by_cluster`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modernbert.data.rows import Rows
from modernbert.data.task import Task


def row_clusters(task: Task, rows: Rows) -> list[int] | None:
    """Return for each row the number of the first one that has the same text in the task's cluster column.

    None for a task without one.
    """
    if not task.cluster:
        return None
    first: dict[str, int] = {}
    pairs = zip(rows.columns[task.cluster], rows.numbers, strict=True)
    return [first.setdefault(text, number) for text, number in pairs]


def query_clusters(
    judgements: Mapping[str, Mapping[str, int]], group: Callable[[str], str] = str
) -> dict[str, str]:
    """Return each query's cluster: what its most relevant document belongs to.

    Args:
        judgements: grade by query id and document id; queries without a relevant document are left out.
        group: names what a document belongs to, by its id; a document is a cluster of its own by default.
    """
    best = {
        query: max(grades, key=lambda d: (grades[d], d)) for query, grades in judgements.items() if grades
    }
    return {query: group(document) for query, document in best.items() if judgements[query][document] > 0}
