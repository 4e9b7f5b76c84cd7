"""Which examples belong together: hypotheses of one premise, questions about one meeting, texts of an author.

They were not drawn one by one, so they say less than as many others would (see `evaluation.sums.by_cluster`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from modernbert.data.cells import is_missing
from modernbert.data.rows import Rows
from modernbert.data.task import Task
from modernbert.errors import BadData


def row_clusters(task: Task, rows: Rows) -> list[int] | None:
    """Return for each row the number of the first one that has the same text in the task's cluster column.

    None for a task without one.
    """
    if not task.cluster:
        return None
    first: dict[str, int] = {}
    pairs = zip(rows.columns[task.cluster], rows.numbers, strict=True)
    return [first.setdefault(str(value), number) for value, number in pairs]


def require_clusters(rows: Rows, column: str) -> None:
    """Raise BadData unless every row of a user's data has a value in the column that they cluster by."""
    if column not in rows.columns:
        said = f"there is no column '{column}'; the columns are {', '.join(rows.columns)}"
        raise BadData(said, where=rows.origin, fix="Name one with --cluster.")
    for index, value in enumerate(rows.columns[column]):
        if is_missing(value):
            raise BadData(
                f"the cluster (column '{column}') is missing",
                where=rows.where(index),
                fix="Give every row one: a row that belongs to no other has a value of its own.",
            )


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
