"""What any model that tags words should beat: each word's most frequent tag."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from modernbert.data.entities import OUTSIDE
from modernbert.data.own_sentences import token_task
from modernbert.data.sentences import Sentence, read_sentences
from modernbert.evaluation.entities import entities_of, entity_rows, score_entities, truth_of
from modernbert.files import write_jsonl
from modernbert.memory import peak_memory
from modernbert.model.device import describe_hardware
from modernbert.records.base import Config
from modernbert.records.data import Data
from modernbert.records.record import BaselineRecord, now
from modernbert.records.training import Effort, Model, StoredRequest
from modernbert.runs import RunStore, write_run
from modernbert.training.inputs import Request, limited
from modernbert.training.resolve import own_data
from modernbert.training.tagging import split_record
from modernbert.version import versions

UNIGRAM = "unigram"


class Unigram:
    """Each word's most frequent tag in the training data; a new word has the most frequent of all words."""

    def fit(self, sentences: Sequence[Sentence]) -> None:
        """Count tags. Of two as frequent, the first in the alphabet counts as the more frequent."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for sentence in sentences:
            for word, tag in zip(_words(sentence), sentence.tags, strict=True):
                counts[word][tag] += 1
        self.tag_of = {word: _most_frequent(found) for word, found in counts.items()}
        self.of_new_words = _most_frequent(sum(counts.values(), Counter()))

    def tags(self, sentence: Sentence) -> list[str]:
        """Return a tag for each word."""
        return [self.tag_of.get(word, self.of_new_words) for word in _words(sentence)]


def _words(sentence: Sentence) -> list[str]:
    return [sentence.text[start:end] for start, end in sentence.words]


def _most_frequent(counts: Counter[str]) -> str:
    return min(counts, key=lambda tag: (-counts[tag], tag), default=OUTSIDE)


def run_unigram(request: Request, store: RunStore) -> str:
    """Fit it to tagged words, score it, keep it as a run, and return the run's name.

    Raises:
        MbertError: the data cannot be read.
    """
    task, _ = token_task(own_data(request))
    sentences = {split: read_sentences(rows, task.text, task.label) for split, rows in task.splits.items()}
    if request.limit:
        train = sentences["train"]
        sentences["train"] = train.take(limited(len(train), request.limit))
    model = Unigram()
    began = time.perf_counter()
    model.fit(sentences["train"].all)
    minutes = (time.perf_counter() - began) / 60
    began = time.perf_counter()
    found = {n: entities_of(sentences[n], [model.tags(s) for s in sentences[n].all]) for n in task.scored}
    seconds = time.perf_counter() - began
    splits = {name: split_record(task, name, len(part)) for name, part in sentences.items()}
    record = BaselineRecord(
        kind="baseline",
        status="finished",
        created=now(),
        task=task.record(),
        model=Model(name=UNIGRAM, about=(Unigram.__doc__ or "").splitlines()[0]),
        seed=None,
        config=Config(),
        request=StoredRequest.model_validate(request.as_dict()),
        data=Data(splits=splits, text=(task.text,), label=task.label),
        results=tuple(score_entities(task.metrics, n, truth_of(sentences[n]), found[n]) for n in found),
        training=Effort(minutes=round(minutes, 3), peak_memory_mib=peak_memory()),
        inference={"examples_per_second": round(sum(map(len, found.values())) / max(seconds, 1e-9), 1)},
        hardware=describe_hardware(),
        versions=versions(),
    )
    rows = (row for split in found for row in entity_rows(split, sentences[split], found[split]))
    with store.new_run(f"{Path(task.name).name}-{UNIGRAM}") as folder:
        write_jsonl(folder / "scores.jsonl", rows)
        write_run(folder, record)
    return folder.name
