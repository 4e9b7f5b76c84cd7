"""Which examples belong together."""

from __future__ import annotations

import pytest

from modernbert.data.clusters import query_clusters, row_clusters
from modernbert.data.docstrings import docstring_collections, module_of, snippets_in
from modernbert.data.registry import find_task
from modernbert.data.rows import Rows

PAIRS = {"premise": ["a", "b", "a", "c", "b"], "hypothesis": list("vwxyz"), "label": [0, 1, 2, 0, 1]}


def test_hypotheses_of_one_premise_belong_together():
    rows = Rows.of(PAIRS, "rows")
    assert row_clusters(find_task("glue/mnli"), rows) == [1, 2, 1, 4, 2]
    assert row_clusters(find_task("glue/mnli"), rows.take([1, 2, 4])) == [2, 3, 2]
    assert row_clusters(find_task("glue/sst2"), rows) is None


def test_queries_of_one_document_belong_together():
    judgements = {
        "q1": {"d1": 1},
        "q2": {"d1": 1, "d2": 2},
        "q3": {"d1": 1, "d2": 0},
        "q4": {"d1": 0},
        "q5": {},
    }
    assert query_clusters(judgements) == {"q1": "d1", "q2": "d2", "q3": "d1"}
    assert query_clusters({"q": {"m:f:1": 1}}, module_of) == {"q": "m"}


def test_docstrings_of_one_module_belong_together():
    source = 'def f():\n    """Return {} of all."""\n    x = {}\n    return x\n'
    snippets = [s for m in "abcdef" for n in (1, 2) for s in snippets_in(source.format(m + str(n), n), m)]
    made = docstring_collections("toy", snippets)
    found = {c for part in made.values() for q in part.judgements.values() for c in map(module_of, q)}
    assert found <= set("abcdef")
    assert found


@pytest.mark.parametrize(("second", "clusters"), [("d1", {"q1": "d1", "q2": "d1"}), ("d2", {})])
def test_a_collection_has_clusters_where_two_queries_share_one(second, clusters):
    from modernbert.data.collection import Collection, Documents

    documents = Documents(["d1", "d2"], ["", ""], ["a", "b"])
    judgements = {"q1": {"d1": 1}, "q2": {second: 1}}
    found = Collection("toy", "test", documents, {"q1": "x", "q2": "y"}, judgements)
    assert found.clusters == clusters
