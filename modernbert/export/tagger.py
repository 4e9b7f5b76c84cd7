"""Models that tag words as a subject of an export.

Shape suffixes: W words of all sentences, C tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.benchmark.texts import Text
from modernbert.data.own_sentences import token_task
from modernbert.data.rows import Rows
from modernbert.data.sentences import Sentence, Sentences, TokenTask, read_sentences
from modernbert.errors import BadOption
from modernbert.evaluation.entities import entities_of, entity_sums
from modernbert.evaluation.tagging import SPLIT, Tagger, task_of_words
from modernbert.evaluation.tags import decide_tags
from modernbert.export.proof import Reading, outputs_of, proven_metric
from modernbert.export.rows import GIVE_ROWS, drawn
from modernbert.export.subject import ExportRequest, Subject
from modernbert.model.locate import ModelSource, record_of
from modernbert.model.tagger import load_trained_tagger
from modernbert.records.export import Outputs, ProvenMetric
from modernbert.records.record import FinetuneRecord
from modernbert.training.inputs import Request
from modernbert.training.resolve import own_data
from modernbert.training.tagging import split_record


class TaggerSubject(Subject):
    """A model that finds entities."""

    kind = "tagger"

    def __init__(self, source: ModelSource, request: ExportRequest) -> None:
        """Find the sentences of the proof first.

        Raises:
            BadOption: no sentences to prove it on, or not as the run read them.
            BadData: a file cannot be read.
        """
        self.task, split = _task(source, request)
        sentences = read_sentences(self.task.splits[split], self.task.text, self.task.label)
        self.sentences: Sentences = sentences.take(drawn(len(sentences), request.rows))
        super().__init__(source, self.task.name, split, compared=len(self.sentences), of=len(sentences))

    def load(self) -> Any:
        """Return the token classifier."""
        return load_trained_tagger(self.source)

    def reading(self, source: ModelSource, precision: str) -> Reading:
        """Return a tagger."""
        tagger = Tagger(source, device="cpu", precision=precision)

        def run(texts: list[Text]) -> np.ndarray:
            sentences = read_sentences(Rows.of({"text": [text[0] for text in texts]}, "the texts"), "text")
            return np.concatenate(_logits(tagger, sentences.all))

        return Reading.of(tagger, run)

    @property
    def texts(self) -> Sequence[Text]:
        """The sentences."""
        return self.sentences.texts

    def compare(self, own: Reading, export: Reading) -> tuple[Outputs, tuple[ProvenMetric, ...]]:
        """Compare logits of words and the entities they make; a sentence agrees where all entities do."""
        logits = [_logits(reading.model, self.sentences.all) for reading in (own, export)]
        found = [entities_of(self.sentences, decide_tags(each, own.model.tags)) for each in logits]
        first_WC, second_WC = map(np.concatenate, logits)
        same = [one == other for one, other in zip(*found, strict=True)]
        outputs = outputs_of(first_WC, second_WC, len(same), float(np.mean(same)))
        truth = [sentence.entities for sentence in self.sentences.all]
        names = self.task.metrics
        first, second = ([entity_sums(name, truth, each) for name in names] for each in found)
        return outputs, tuple(map(proven_metric, names, first, second))


def _logits(tagger: Tagger, sentences: Sequence[Sentence]) -> list[np.ndarray]:
    return tagger.logits(tagger.tokenize(sentences))


def _task(source: ModelSource, request: ExportRequest) -> tuple[TokenTask, str]:
    if request.on is not None:
        return task_of_words(source, Path(request.on), request.text, request.label), SPLIT
    record = record_of(source)
    if not isinstance(record, FinetuneRecord):
        raise BadOption(f"{source.name} is no run: nothing tells on which sentences to prove the export",
                        fix=GIVE_ROWS)  # fmt: skip
    task, split = token_task(own_data(Request.of(record.request)))[0], record.results[-1].split
    if split_record(task, split, 0).fingerprint != record.data.splits[split].fingerprint:
        raise BadOption(f"the data of {task.name} ({split}) is not as the run read it", fix=GIVE_ROWS)
    return task, split
