"""The main job, small and whole, on any machine: the embedded model learns to search Python's own library."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from modernbert.data.collection import Documents
from modernbert.data.collections import load_collection
from modernbert.data.docstrings import MARK
from modernbert.data.registry import find_task
from modernbert.data.retrieval_task import RetrievalTask
from modernbert.evaluation.bm25 import Bm25
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.hits import NOTHING
from modernbert.evaluation.retrieval_record import SystemScores
from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks
from modernbert.finetuning.finetune import finetune
from modernbert.finetuning.record import Started
from modernbert.model.catalogue import EMBEDDED
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.training.inputs import Request
from modernbert.training.reports import Notice, Observe

TASK = "codesearch/stdlib"
SETTINGS = {"epochs": 1.0, "max_length": 128, "max_tokens": 16384}
# What a programmer asks who forgot the names, and the functions that answer it. All are in test modules.
# They were written from memory, without a look at the code, before any system was asked. One replaced
# a question about tkinter, which some Pythons lack.
QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "read ini setting but use a default when missing": ("RawConfigParser.get", "SectionProxy.get"),
    "get version number of an installed package": ("version", "Distribution.version"),
    "start a new log file every day at midnight": (
        "TimedRotatingFileHandler",
        "TimedRotatingFileHandler.doRollover",
        "TimedRotatingFileHandler.shouldRollover",
        "TimedRotatingFileHandler.computeRollover",
    ),
    "run a function over a list in parallel processes": (
        "Pool",
        "Pool.map",
        "Pool.map_async",
        "Pool.starmap",
        "Pool.starmap_async",
        "Pool.imap",
    ),
    "get the source code of a function as text": ("getsource", "getsourcelines"),
    "how to turn an iso date string into a datetime": (
        "datetime.fromisoformat",
        "date.fromisoformat",
        "datetime.strptime",
    ),
    "split a command line into arguments keeping quoted parts together": ("split", "shlex"),
    "turn a dataclass object into a dictionary": ("asdict",),
    "temporarily hide warnings inside a block of code": (
        "catch_warnings",
        "simplefilter",
        "filterwarnings",
    ),
    "generate a random token safe to put in a url": ("token_urlsafe", "token_hex"),
}
# How far down a right answer is looked for.
SHOWN = 10


@dataclass(frozen=True)
class Answer:
    """What was found for a question.

    Attributes:
        question: what was asked.
        found: the first line of what the trained model puts on top.
        ranks: by system, the place of the first right answer, from 1; 0 where the first ten hold none.
    """

    question: str
    found: str
    ranks: Mapping[str, int]


@dataclass(frozen=True)
class DemoResult:
    """What came of it.

    Attributes:
        run: the fine-tuned model's run.
        queries, documents: of the test split, from modules that training never saw.
        systems: BM25, the model before and after, and both together; nDCG@10 first.
        answers: to questions as a person would ask them.
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
    systems = (bm25, untrained, dense, both)
    answers = tuple(ask(collection.documents, store, trained.name, [s.system for s in systems[:3]]))
    return DemoResult(trained.name, len(collection.queries), len(collection.documents), systems, answers)


def ask(documents: Documents, store: RunStore, trained: str, names: Sequence[str]) -> Iterator[Answer]:
    """Ask BM25, the embedded model as it comes and a trained one; `names` are what the three are called."""
    texts, questions = list(documents.texts), list(QUESTIONS)
    found = [Bm25(texts, "code").search(questions, SHOWN)[1]]
    for model in (EMBEDDED, trained):
        found.append(Embedder(locate_model(model, store=store)).search(questions, texts, SHOWN)[1])
    functions = [identifier.split(MARK)[1] for identifier in documents.ids]
    for row, (question, right) in enumerate(QUESTIONS.items()):
        shown = [[functions[place] for place in places[row] if place != NOTHING] for places in found]
        ranks = {name: rank_of(right, listed) for name, listed in zip(names, shown, strict=True)}
        yield Answer(question, texts[found[-1][row, 0]].strip().splitlines()[0], ranks)


def rank_of(right: Collection[str], listed: Sequence[str]) -> int:
    """Return the place of the first function that is right, from 1; 0 if none is."""
    return next((place for place, function in enumerate(listed, start=1) if function in right), 0)
