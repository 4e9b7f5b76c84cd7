"""GLUE (Wang et al. 2018): nine tasks and the diagnostic set, as on the Hub.

Metrics are GLUE's own; where it has two, the first selects the checkpoint. The published tables' "GLUE"
is the mean of eight development scores: WNLI is left out everywhere, and so it is here.
"""

from __future__ import annotations

from typing import Any

from modernbert.data.task import HubData, Task

REVISION = "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"


def _task(name: str, summary: str, *, file: str | None = None, **fields: Any) -> Task:
    fields = {
        "kind": "single_label",
        "test": ("test",),
        "hidden": frozenset({"test"}),
        "submission": {"test": f"{file}.tsv"},
        **fields,
    }
    return Task(
        name=f"glue/{name}",
        summary=summary,
        source=HubData("nyu-mll/glue", name, REVISION),
        licence="per task, see the GLUE site",
        citation="Wang et al. 2018, arXiv:1804.07461",
        **fields,
    )


MNLI_LABELS = ("entailment", "neutral", "contradiction")

TASKS = {
    "cola": _task(
        "cola",
        "is the sentence grammatical?",
        file="CoLA",
        text=("sentence",),
        labels=("unacceptable", "acceptable"),
        metrics=("matthews",),
    ),
    "sst2": _task(
        "sst2",
        "is the film review positive?",
        file="SST-2",
        text=("sentence",),
        labels=("negative", "positive"),
        metrics=("accuracy",),
    ),
    "mrpc": _task(
        "mrpc",
        "do the two sentences mean the same?",
        file="MRPC",
        text=("sentence1", "sentence2"),
        labels=("not_equivalent", "equivalent"),
        metrics=("f1", "accuracy"),
    ),
    "stsb": _task(
        "stsb",
        "how similar are the two sentences, 0 to 5?",
        file="STS-B",
        kind="regression",
        text=("sentence1", "sentence2"),
        label_range=(0.0, 5.0),
        similarity=True,
        metrics=("spearman", "pearson"),
    ),
    "qqp": _task(
        "qqp",
        "are the two questions duplicates?",
        file="QQP",
        text=("question1", "question2"),
        labels=("not_duplicate", "duplicate"),
        metrics=("accuracy", "f1"),
    ),
    "mnli": _task(
        "mnli",
        "does the premise entail the hypothesis?",
        text=("premise", "hypothesis"),
        cluster="premise",
        labels=MNLI_LABELS,
        metrics=("accuracy",),
        validation=("validation_matched", "validation_mismatched"),
        test=("test_matched", "test_mismatched"),
        hidden=frozenset({"test_matched", "test_mismatched"}),
        submission={"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv"},
        submit_names=True,
    ),
    "qnli": _task(
        "qnli",
        "does the sentence answer the question?",
        file="QNLI",
        text=("question", "sentence"),
        cluster="question",
        labels=("entailment", "not_entailment"),
        metrics=("accuracy",),
        submit_names=True,
    ),
    "rte": _task(
        "rte",
        "does the first sentence entail the second?",
        file="RTE",
        text=("sentence1", "sentence2"),
        cluster="sentence1",
        labels=("entailment", "not_entailment"),
        metrics=("accuracy",),
        submit_names=True,
    ),
    "wnli": _task(
        "wnli",
        "Winograd schemas (shown, never averaged)",
        file="WNLI",
        text=("sentence1", "sentence2"),
        cluster="sentence1",
        labels=("not_entailment", "entailment"),
        metrics=("accuracy",),
        in_average=False,
    ),
    "ax": _task(
        "ax",
        "diagnostic set for an MNLI model (labels hidden)",
        file="AX",
        text=("premise", "hypothesis"),
        labels=MNLI_LABELS,
        metrics=("matthews",),
        validation=(),
        trains_on="glue/mnli",
        submit_names=True,
        in_average=False,
    ),
}
