"""The main job, small and whole, on any machine: the embedded model learns to search Python's own library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from modernbert.data.collections import load_collection
from modernbert.data.registry import find_task
from modernbert.data.retrieval_task import RetrievalTask
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.retrieval_record import SystemScores
from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks
from modernbert.model.catalogue import EMBEDDED
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.training.finetune import finetune
from modernbert.training.inputs import Request
from modernbert.training.record import Started
from modernbert.training.reports import Notice, Observe

TASK = "codesearch/stdlib"
SETTINGS = {"epochs": 1.0, "max_length": 128, "max_tokens": 16384}
QUESTIONS = (
    "remove html tags and escape special characters",
    "wait until a process ends and get its exit status",
    "difference between two dates",
)


@dataclass(frozen=True)
class Answer:
    """The best document for a question: its first line, and the cosine."""

    question: str
    found: str
    score: float


@dataclass(frozen=True)
class DemoResult:
    """What came of it.

    Attributes:
        run: the fine-tuned model's run.
        queries, documents: of the test split, from modules that training never saw.
        systems: BM25, the model before and after, and both together; nDCG@10 first.
        answers: to questions that stand in no docstring.
    """

    run: str
    queries: int
    documents: int
    systems: tuple[SystemScores, ...]
    answers: tuple[Answer, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, without the queries' values."""
        systems = [
            {"system": s.system, "scores": [score.as_dict() for score in s.ranking.scores]}
            for s in self.systems
        ]
        return asdict(self) | {"systems": systems}


def run_demo(
    store: RunStore,
    *,
    settings: Mapping[str, Any] = SETTINGS,
    on_start: Callable[[Started], None] = lambda started: None,
    observe: Observe = lambda report: None,
) -> DemoResult:
    """Fine-tune the embedded model on the running interpreter's library and compare it with BM25.

    Raises:
        MbertError: as `finetune`.
    """
    request = Request(target=TASK, model=EMBEDDED, settings=dict(settings), name=store.free_name("demo"))
    trained = finetune(request, store, on_start=on_start, observe=observe)
    observe(Notice("searching the test modules: before training, after, and with BM25"))
    task = find_task(TASK)
    assert isinstance(task, RetrievalTask)
    before, after = (
        evaluate_tasks([task], locate_model(name, store=store), store, SearchOptions())[0]
        for name in (EMBEDDED, trained.name)
    )
    dense, bm25, both = after.systems
    untrained = SystemScores(f"{EMBEDDED}, before", before.systems[0].ranking, "not fine-tuned")
    collection = load_collection(task, "test", None).collection
    embedder = Embedder(locate_model(trained.name, store=store))
    texts = list(collection.documents.texts)
    scores, places = embedder.search(list(QUESTIONS), texts, 1)
    answers = tuple(
        Answer(question, texts[int(place)].strip().splitlines()[0], float(score))
        for question, (place,), (score,) in zip(QUESTIONS, places, scores, strict=True)
    )
    systems = (bm25, untrained, dense, both)
    return DemoResult(trained.name, len(collection.queries), len(texts), systems, answers)
