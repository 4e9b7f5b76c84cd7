"""Read every split of a task or of own data and report on it, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modernbert.data.check import DataReport, SplitReport, check_data, truncation_warnings
from modernbert.data.collection import Collection
from modernbert.data.collections import load_collection
from modernbert.data.examples import to_examples
from modernbert.data.own import OwnData
from modernbert.data.own_sentences import token_task
from modernbert.data.retrieval_task import RetrievalTask
from modernbert.data.sentences import read_sentences
from modernbert.data.sources import load_split
from modernbert.data.special_tokens import special_token_warnings
from modernbert.data.tagged_check import check_sentences
from modernbert.data.tokens import auto_max_length, measure
from modernbert.errors import BadOption
from modernbert.finetuning.prepare import retrieval_task, shared_queries
from modernbert.model.catalogue import EMBEDDED
from modernbert.model.embedding import embedding_settings
from modernbert.model.loading import context_length, load_config, load_tokenizer
from modernbert.model.locate import ModelSource, locate_model
from modernbert.runs import RunStore
from modernbert.training.inputs import Request
from modernbert.training.resolve import own_data, resolve_task
from modernbert.training.tagging import is_tagging, longest_of

COUNTED_WITH = f"tokens are counted with the tokenizer of {EMBEDDED}; --model names another"


def data_report(
    own: OwnData, *, model: str | None, max_length: int, data_dir: Path | None, store: RunStore
) -> tuple[DataReport, list[str]]:
    """Return the report and what was guessed.

    With a model, tokens are counted as it reads them, and what it would truncate. Without one they are
    counted with the embedded model's tokenizer.

    Raises:
        MbertError: the first thing that training would stumble over.
    """
    request = Request(
        target=own.path,
        model=model or "",
        validation=str(own.validation) if own.validation else None,
        test=str(own.test) if own.test else None,
        text=own.text,
        label=own.label,
        kind=own.kind,
    )
    if is_tagging(request):
        return _inspect_words(request, model, max_length, data_dir, store)
    if found := retrieval_task(request):
        return _inspect_retrieval(*found, model, max_length, data_dir, store)
    task, notes = resolve_task(request)
    splits = {n: load_split(task, n, data_dir) for n in (task.train, *task.scored_splits)}
    examples = {name: to_examples(task, split.rows) for name, split in splits.items()}
    notes += [f"{name} <- {split.found_in}" for name, split in splits.items()]
    if model is None:
        tokenizer = load_tokenizer(locate_model(EMBEDDED, store=store))
        lengths = {name: measure(tokenizer, part.texts) for name, part in examples.items()}
        return check_data(task, examples, lengths=lengths), [*notes, COUNTED_WITH]
    source = locate_model(model, store=store, data_dir=data_dir)
    tokenizer = load_tokenizer(source)
    lengths = {name: measure(tokenizer, part.texts) for name, part in examples.items()}
    context = _require_context(source, max_length)
    length = max_length or auto_max_length(lengths[task.train], context)
    report = check_data(task, examples, lengths=lengths, max_length=length, tokenizer=tokenizer)
    return report, notes


def _inspect_words(
    request: Request, model: str | None, max_length: int, data_dir: Path | None, store: RunStore
) -> tuple[DataReport, list[str]]:
    """Report on each split's sentences and entities."""
    task, notes = token_task(own_data(request))
    splits = {name: read_sentences(rows, task.text, task.label) for name, rows in task.splits.items()}
    source = locate_model(model or EMBEDDED, store=store, data_dir=data_dir)
    tokenizer, context = load_tokenizer(source), _require_context(source, max_length)
    lengths = {name: measure(tokenizer, part.texts) for name, part in splits.items()}
    if model is None:
        return check_sentences(task, splits, lengths), [*notes, COUNTED_WITH]
    length = max_length or longest_of(lengths, context)
    return check_sentences(task, splits, lengths, max_length=length, tokenizer=tokenizer), notes


def _require_context(source: ModelSource, max_length: int) -> int:
    """Return the model's context. Raises BadOption for a length that exceeds it."""
    context = context_length(load_config(source))
    if max_length > context:
        raise BadOption(f"--max-length {max_length} exceeds the model's context of {context} tokens")
    return context


def _inspect_retrieval(
    task: RetrievalTask,
    notes: list[str],
    model: str | None,
    max_length: int,
    data_dir: Path | None,
    store: RunStore,
) -> tuple[DataReport, list[str]]:
    """Report on each split's queries, documents and judgements; tokens are those of the documents."""
    loaded = {split: load_collection(task, split, data_dir) for split in task.splits}
    notes = [*notes, *(f"{split} <- {found.found_in}" for split, found in loaded.items())]
    source = locate_model(model or EMBEDDED, store=store, data_dir=data_dir)
    tokenizer = load_tokenizer(source)
    if model is None:
        notes.append(COUNTED_WITH)
    else:
        _require_context(source, max_length)
        max_length = max_length or embedding_settings(source).max_length
    reports = []
    warnings: list[str] = []
    for split, found in loaded.items():
        report = _collection_report(split, found.collection, tokenizer, max_length)
        reports.append(report)
        warnings += [f"{split}: {note}" for note in found.collection.notes]
        if model is not None:
            warnings += special_token_warnings(tokenizer, {split: _texts(found.collection)})
    warnings += truncation_warnings(reports, max_length, "documents")
    if task.train:
        others = {split: found.collection for split, found in loaded.items() if split != task.train}
        warnings += shared_queries(loaded[task.train].collection, others)
    return DataReport(task.name, tuple(reports), tuple(warnings), max_length or None), notes


def _texts(collection: Collection) -> list[tuple[str]]:
    return [(text,) for text in (*collection.queries.values(), *collection.documents.with_titles())]


def _collection_report(split: str, collection: Collection, tokenizer: Any, max_length: int) -> SplitReport:
    documents = collection.documents.with_titles()
    judged = [grade for grades in collection.judgements.values() for grade in grades.values()]
    labels = {
        "documents": float(len(documents)),
        "relevant": float(sum(grade > 0 for grade in judged)),
        "judged irrelevant": float(sum(grade <= 0 for grade in judged)),
    }
    empty = sum(not text.strip() for text in documents)
    lengths = measure(tokenizer, [(text,) for text in documents])
    tokens = {"p50": lengths.quantile(0.5), "p95": lengths.quantile(0.95)}
    tokens["max"] = int(lengths.lengths.max(initial=0))
    cut = lengths.share_over(max_length) if max_length else None
    return SplitReport(split, len(collection.queries), labels, empty, tokens, cut)
