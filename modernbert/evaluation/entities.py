"""Scores of entities: one is right where its bounds and its label are.

Precision, recall and F1 are over all entities of all sentences (micro averages), as conlleval, seqeval
(strict, IOB2) and nervaluate (strict) have them. What is drawn at random is the sentence: intervals are over
sentences.

Shape suffixes: N sentences, K counts (right, found and true entities), L labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.data.entities import Span, as_iob2
from modernbert.data.sentences import Sentences
from modernbert.evaluation.confusion import quotient, value_of
from modernbert.evaluation.metrics import score_of
from modernbert.evaluation.sums import SHARE, Sums
from modernbert.records.scores import LabelScore, Score, SplitScores
from modernbert.wording import counted

METRICS = ("f1", "precision", "recall")
# The entities of each sentence.
Entities = Sequence[Sequence[Span]]


def entities_of(sentences: Sentences, tags: Sequence[Sequence[str]]) -> list[list[Span]]:
    """Return the entities, in characters, that tags of any scheme stand for; one list of tags a sentence."""
    return [s.spans(as_iob2(found)[0]) for s, found in zip(sentences.all, tags, strict=True)]


def truth_of(sentences: Sentences) -> list[list[Span]]:
    """Return the entities, in characters, that the sentences' own tags stand for."""
    return [sentence.entities for sentence in sentences.all]


def counts_of(truth: Entities, found: Entities) -> np.ndarray:
    """Return of each sentence how many entities are right, were found, and are true; shape (N, 3)."""
    rows = [(len({*t} & {*f}), len(f), len(t)) for t, f in zip(truth, found, strict=True)]
    return np.array(rows, float).reshape(-1, 3)


def entity_sums(metric: str, truth: Entities, found: Entities) -> Sums:
    """Return a metric as sums over sentences."""
    counts_N3 = counts_of(truth, found)
    _, predicted, true = counts_N3.sum(axis=0)
    deciding = int(predicted if metric == "precision" else true)
    return Sums(
        counts_N3,
        value_of(metric, several=False),
        SHARE,
        "bounded",
        right_LK=np.array([[1.0, 1, 1]]),
        wrong_LK=np.array([[0.0, 1, 1]]),
        known=deciding > 0,
        deciding=deciding,
    )


def entity_metrics(truth: Entities, found: Entities) -> dict[str, float]:
    """Return every metric without intervals."""
    return {name: entity_sums(name, truth, found).measured for name in METRICS}


@phase("computing scores and intervals")
def score_entities(metrics: Sequence[str], split: str, truth: Entities, found: Entities) -> SplitScores:
    """Score one split."""
    return SplitScores.of(
        split,
        tuple(_score(name, truth, found) for name in metrics),
        tuple(_notes(truth, found)),
        labels=label_scores(truth, found),
    )


def _score(metric: str, truth: Entities, found: Entities) -> Score:
    sums = entity_sums(metric, truth, found)
    return score_of(metric, sums.measured, sums)


def label_scores(truth: Entities, found: Entities) -> tuple[LabelScore, ...]:
    """Return each label's figures, of all labels that occur or were found."""
    labels = sorted({span.label for side in (truth, found) for spans in side for span in spans})
    return tuple(_label_score(label, _only(label, truth), _only(label, found)) for label in labels)


def _only(label: str, entities: Entities) -> list[list[Span]]:
    return [[span for span in spans if span.label == label] for spans in entities]


def _label_score(label: str, truth: Entities, found: Entities) -> LabelScore:
    right, predicted, true = counts_of(truth, found).sum(axis=0)
    top, bottom = np.array([right, right, 2 * right]), np.array([predicted, true, predicted + true])
    precision, recall, f1 = quotient(top, bottom).tolist()
    return LabelScore(label=label, n=int(true), precision=precision, recall=recall, f1=f1)


def _notes(truth: Entities, found: Entities) -> Iterator[str]:
    _, predicted, true = counts_of(truth, found).sum(axis=0)
    yield (
        f"{counted(int(true), 'entity', 'entities')}, {int(predicted):,} found; an entity counts as right "
        "where bounds and label are"
    )
    if true and not predicted:
        yield "no entity is found at all: the model has collapsed"


def entity_rows(split: str, sentences: Sentences, found: Entities) -> Iterator[dict[str, Any]]:
    """Yield one row per sentence: its id (split and row number), its entities, and those that were found."""
    for number, sentence, spans in zip(sentences.rows.numbers, sentences.all, found, strict=True):
        truth, answer = ([list(span) for span in side] for side in (sentence.entities, spans))
        yield {"id": f"{split}/{number}", "label": truth, "prediction": answer}
