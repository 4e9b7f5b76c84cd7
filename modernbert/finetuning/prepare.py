"""From a request to checked inputs: which kind of task it is, and what that kind needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from modernbert.data.collection import Collection
from modernbert.data.collections import LoadedCollection, folder_task, hold_out, load_collection
from modernbert.data.own_sentences import token_task
from modernbert.data.pairs import pairs_task
from modernbert.data.retrieval_task import RetrievalTask
from modernbert.data.sources import bundle_folder
from modernbert.data.splits import text_key
from modernbert.data.targets import resolve
from modernbert.data.tokens import TokenLengths, measure
from modernbert.errors import BadOption, BadRun
from modernbert.model.embedding import EmbeddingSettings, embedding_settings
from modernbert.model.loading import context_length, load_config, load_tokenizer
from modernbert.model.locate import ModelSource, locate_model
from modernbert.pretraining.inputs import PretrainingRequest, prepare_pretraining
from modernbert.records.training import StoredPretrainingRequest, StoredRequest
from modernbert.runs import RunStore
from modernbert.settings.config import (
    PretrainingConfig,
    RetrievalTrainingConfig,
    TokenTrainingConfig,
    TrainingConfig,
)
from modernbert.settings.sections import RetrievalConfig
from modernbert.training.inputs import Inputs, Request, limited, require_context
from modernbert.training.labelled import prepare_labelled
from modernbert.training.resolve import load_training_splits, own_data, resolve_task
from modernbert.training.retrieval import RetrievalInputs
from modernbert.training.setup import set_up
from modernbert.training.tagging import is_tagging, prepare_tagging
from modernbert.wording import counted

# Of a model that does not say how long its texts are: what retrieval's passages need, not its context.
PASSAGE_LENGTH = 512
# Documents whose tokens are counted.
MEASURED = 10_000


def prepare(request: Request, store: RunStore) -> Inputs:
    """Find and check everything a run needs. Raises an MbertError for the first thing that is wrong."""
    if isinstance(request, PretrainingRequest):
        return prepare_pretraining(request, store)
    if is_tagging(request):
        return prepare_tagging(request, store)
    found = retrieval_task(request)
    return prepare_retrieval(request, *found, store) if found else prepare_labelled(request, store)


def read_request(stored: StoredRequest) -> Request:
    """Read a stored request back, of whichever kind it is, to go on with it.

    Raises:
        BadRun: it asks for something that this version does not know.
    """
    kind = PretrainingRequest if isinstance(stored, StoredPretrainingRequest) else Request
    if unknown := sorted(stored.model_extra or ()):
        raise BadRun(
            f"the run was asked for with '{unknown[0]}', which this version of mbert does not know",
            fix="Go on with the version that began it (see `versions` in its run.json).",
        )
    return kind.of(stored)


# What a request says of labelled files alone.
OF_LABELS = ("text", "label", "cluster", "kind", "validation", "test")


def require_settings(request: Request) -> None:
    """Raise BadOption, with the reason, for a setting of a request that does not apply to what it trains.

    For what a user asks for, before anything is read: a run that is gone on with keeps what it was asked for.
    """
    base: TrainingConfig = TrainingConfig()
    if isinstance(request, PretrainingRequest):
        base = PretrainingConfig()
    elif is_tagging(request):
        base = TokenTrainingConfig()
    elif retrieval_task(request):
        base = RetrievalTrainingConfig()
    base.with_values(request.settings, source=request.target).require_effect(request.settings)


def require_data(request: Request) -> None:
    """Look for everything that a request trains and scores on. Raises NotAvailable or BadData."""
    data_dir = Path(request.data_dir) if request.data_dir else None
    if is_tagging(request):
        token_task(own_data(request))
    elif found := retrieval_task(request):
        for split in found[0].splits:
            load_collection(found[0], split, data_dir)
    else:
        load_training_splits(resolve_task(request)[0], data_dir)


def retrieval_task(request: Request) -> tuple[RetrievalTask, list[str]] | None:
    """Return the retrieval task that a request names, with what to tell about it; None for any other."""
    target = resolve(request.target, kind=request.kind)
    if target.form == "collection":
        _refuse(request, OF_LABELS, "a collection has its own")
        return folder_task(target.path), []
    if target.form == "pairs":
        _refuse(request, ("label", "cluster"), "pairs have no label (--kind single_label reads one)")
        extra = {n: Path(v) if (v := getattr(request, n)) else None for n in ("validation", "test")}
        return pairs_task(target.path, text=request.text, **extra)
    if not target.is_retrieval:
        return None
    task = target.one_task()
    assert isinstance(task, RetrievalTask)
    _refuse(request, OF_LABELS, f"{task.name} has its own")
    return task, []


def _refuse(request: Request, names: Sequence[str], why: str) -> None:
    """Raise BadOption for the first of these that a request says and that would be ignored."""
    flags = {"text": "text-col", "label": "label-col"}
    for name in names:
        if (value := getattr(request, name)) and value != "retrieval":
            raise BadOption(f"--{flags.get(name, name)} has no effect on {request.target}: {why}")


def prepare_retrieval(
    request: Request, task: RetrievalTask, notes: list[str], store: RunStore
) -> RetrievalInputs:
    """Find and check what training a bi-encoder needs.

    Raises:
        BadOption: the task has no training queries, or a setting makes no sense.
        MbertError: as `load_collection` and `locate_model`.
    """
    if task.train is None:
        raise BadOption(
            f"{task.name} has no training queries: it can be evaluated only",
            fix="Train on another, such as codesearch/stdlib or retrieval/msmarco, or on pairs of your own.",
        )
    data_dir = bundle_folder(Path(request.data_dir) if request.data_dir else None)
    source = locate_model(request.model, store=store, data_dir=data_dir)
    loaded = {split: load_collection(task, split, data_dir) for split in task.splits}
    train, held_out = train_and_held_out(task, loaded)
    if request.limit:
        ids = list(train.queries)
        train = train.only([ids[i] for i in limited(len(ids), request.limit)])
        notes = [*notes, f"training on {counted(len(train.queries), 'query', 'queries')} only (--limit)"]
    settings, more = set_up(
        request, task.name, source, store, train_rows=len(train.queries), base=RetrievalTrainingConfig()
    )
    config = settings.config
    assert isinstance(config, RetrievalTrainingConfig)
    _require_negatives(train, config.retrieval)
    _require_sizes(source, config.retrieval)
    own = embedding_settings(settings.start)
    tokenizer = load_tokenizer(source)
    lengths = _lengths(train, tokenizer)
    context = context_length(load_config(source))
    # Not the data's percentile: the model will be asked to read longer texts than it was trained on.
    usual = own.max_length if own.tuned else min(PASSAGE_LENGTH, context)
    config = config.with_values({"max_length": config.data.max_length or usual})
    require_context(config, context)
    if task.validation is None:
        notes = [*notes, "validation: a tenth of the training queries, held out by a hash of their text"]
    return RetrievalInputs(
        request=request,
        task=task,
        source=source,
        start=settings.start,
        tokenizer=tokenizer,
        recipe=settings.recipe,
        config=config,
        machine=settings.machine,
        notes=(*notes, *more),
        loaded=loaded,
        train=train,
        held_out=held_out,
        settings=_embedding(own, config),
        lengths=lengths,
        remarks=(*train.notes, *shared_queries(train, held_out)),
    )


def _require_negatives(train: Collection, config: RetrievalConfig) -> None:
    """Raise BadOption when a loss, or a reranker, would have nothing to learn from."""
    for needs, what in ((config.head == "reranker", "--head reranker"), (config.mine, "--mine")):
        if needs and not config.hard_negatives:
            raise BadOption(f"{what} needs hard negatives, and --hard-negatives is 0")
    if config.loss == "contrastive":
        return
    if not any(len(train.teacher.get(query, ())) > 1 for query in train.queries):
        raise BadOption(
            f"--loss {config.loss} needs a teacher's scores of a positive and a negative; the data has none",
            fix="Add a column `scores` to the pairs, or use --loss contrastive.",
        )
    if not config.hard_negatives:
        raise BadOption(f"--loss {config.loss} needs hard negatives, and --hard-negatives is 0")


def _require_sizes(source: ModelSource, config: RetrievalConfig) -> None:
    size = int(load_config(source).hidden_size)
    if larger := [number for number in config.dims if number > size]:
        raise BadOption(f"--dims {larger[0]} is more than the {size} dimensions of the model's vectors")


def train_and_held_out(
    task: RetrievalTask, loaded: dict[str, LoadedCollection]
) -> tuple[Collection, dict[str, Collection]]:
    """Return what a task trains on, and what it is scored on: without a validation split, a tenth of it."""
    assert task.train is not None
    train = loaded[task.train].collection
    if task.validation is None:
        train, validation = hold_out(train)
        held_out = {"validation": validation}
    else:
        held_out = {task.validation: loaded[task.validation].collection}
    if task.test is not None:
        held_out[task.test] = loaded[task.test].collection
    return train, held_out


def _lengths(train: Collection, tokenizer: object) -> dict[str, TokenLengths]:
    queries = [(text,) for text in train.queries.values()]
    documents = [(text,) for text in train.documents.with_titles()]
    places = limited(len(documents), MEASURED)
    return {
        "queries": measure(tokenizer, queries),
        "documents": measure(tokenizer, [documents[i] for i in places]),
    }


def _embedding(own: EmbeddingSettings, config: RetrievalTrainingConfig) -> EmbeddingSettings:
    """Return how the trained model will make vectors."""
    chosen = config.retrieval
    return dataclasses.replace(
        own,
        pooling=chosen.pooling or own.pooling,
        query_prompt=chosen.query_prompt or own.query_prompt,
        document_prompt=chosen.document_prompt or own.document_prompt,
        similarity="cosine",
        max_length=config.data.max_length,
        tuned=True,
    )


def shared_queries(train: Collection, held_out: dict[str, Collection]) -> list[str]:
    """Return a warning for each split that asks what training asks (letter case and spaces aside)."""
    remarks = []
    known = {text_key([text]) for text in train.queries.values()}
    for split, collection in held_out.items():
        again = sum(text_key([text]) in known for text in collection.queries.values())
        if again:
            of = f"{again} of {len(collection.queries)} queries"
            remarks.append(f"{split}: {of} are also in training; they count in the scores")
    return remarks
