"""The main job, small and whole, on any machine: the embedded model learns to search Python's own library."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
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
from modernbert.reading import parse_json
from modernbert.runs import RunStore
from modernbert.training.inputs import Request
from modernbert.training.reports import Notice, Observe

TASK = "codesearch/stdlib"
QUESTIONS = "questions.json"
SETTINGS = {"epochs": 1.0, "max_length": 128, "max_tokens": 16384}
# How far down a right answer is looked for.
SHOWN = 10


@dataclass(frozen=True)
class Question:
    """What a programmer asks who forgot the name, and the functions that answer it.

    All of `questions.json` were written from memory, without a look at the code, before any system was asked.

    Attributes:
        module: the module of the functions; its package, if it is in one.
        right: their qualified names.
    """

    question: str
    module: str
    right: tuple[str, ...]

    @property
    def identifiers(self) -> frozenset[str]:
        """Names of the functions with their module, as `named` gives them."""
        return frozenset(f"{self.module}{MARK}{name}" for name in self.right)


def questions_on(documents: Documents) -> list[Question]:
    """Return the questions that these functions answer: some modules are not in every Python."""
    found = parse_json(resources.files("modernbert").joinpath(QUESTIONS).read_bytes(), where=QUESTIONS)
    listed = [Question(q["question"], q["module"], tuple(q["right"])) for q in found]
    there = set(map(named, documents.ids))
    return [question for question in listed if question.identifiers & there]


def named(identifier: str) -> str:
    """Return a function's module and qualified name, without its number."""
    return identifier.rpartition(MARK)[0]


@dataclass(frozen=True)
class Answer:
    """What was found for a question.

    Attributes:
        question: what was asked.
        found: the function that the trained model puts on top: its module and qualified name.
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
    asked = questions_on(documents)
    texts, questions = list(documents.texts), [question.question for question in asked]
    found = [Bm25(texts, "code").search(questions, SHOWN)[1]]
    for model in (EMBEDDED, trained):
        found.append(Embedder(locate_model(model, store=store)).search(questions, texts, SHOWN)[1])
    functions = list(map(named, documents.ids))
    for row, question in enumerate(asked):
        shown = [[functions[place] for place in places[row] if place != NOTHING] for places in found]
        ranks = {n: rank_of(question.identifiers, listed) for n, listed in zip(names, shown, strict=True)}
        yield Answer(question.question, functions[found[-1][row, 0]], ranks)


def rank_of(right: Collection[str], listed: Sequence[str]) -> int:
    """Return the place of the first function that is right, from 1; 0 if none is."""
    return next((place for place, function in enumerate(listed, start=1) if function in right), 0)
