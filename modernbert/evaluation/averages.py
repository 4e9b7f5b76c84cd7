"""A benchmark's mean: over its sets, where several tasks may be one set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modernbert.data.registry import all_tasks
from modernbert.data.retrieval_task import RetrievalTask
from modernbert.evaluation.retrieval_record import RetrievalResult
from modernbert.wording import counted


@dataclass(frozen=True)
class Average:
    """The mean nDCG@10 over sets of a benchmark.

    Attributes:
        benchmark: its name, such as `beir`; empty for tasks that belong to none, which are averaged together.
        sets: the names of the sets it is the mean of; a set of several tasks (CQADupStack has twelve) counts
            once, with their mean.
        of: how many sets the benchmark has; 0 without one.
        by_system: the mean of each way of searching; BM25 by whatever analyser is one.
    """

    benchmark: str
    sets: tuple[str, ...]
    of: int
    by_system: Mapping[str, float]

    def __str__(self) -> str:
        if not self.benchmark:
            return f"nDCG@10 over {counted(len(self.sets), 'task')}"
        share = f"all {self.of}" if len(self.sets) == self.of else f"{len(self.sets)} of {self.of}"
        return f"nDCG@10 over {share} sets of {self.benchmark}"


def set_of(task: RetrievalTask) -> tuple[str, str]:
    """Return the benchmark that a task belongs to (empty for none), and the set of it that it is or is in."""
    benchmark, _, shared = task.average.partition("/")
    return benchmark, shared or task.name


def averages(tasks: Sequence[RetrievalTask], results: Sequence[RetrievalResult]) -> tuple[Average, ...]:
    """Return the mean of each benchmark of which two sets or more were evaluated."""
    found: dict[str, dict[str, list[RetrievalResult]]] = {}
    for task, result in zip(tasks, results, strict=True):
        benchmark, name = set_of(task)
        found.setdefault(benchmark, {}).setdefault(name, []).append(result)
    return tuple(
        Average(benchmark, tuple(sets), _size(benchmark), _means(list(sets.values())))
        for benchmark, sets in found.items()
        if len(sets) > 1
    )


def _size(benchmark: str) -> int:
    if not benchmark:
        return 0
    sets = (set_of(task) for task in all_tasks() if isinstance(task, RetrievalTask))
    return len({name for owner, name in sets if owner == benchmark})


def _means(sets: list[list[RetrievalResult]]) -> dict[str, float]:
    by_set = [
        [_mean([result.systems[place].ranking.main.value for result in parts]) for parts in sets]
        for place in range(len(sets[0][0].systems))
    ]
    names = [system.system.split(" (")[0] for system in sets[0][0].systems]
    return {name: _mean(values) for name, values in zip(names, by_set, strict=True)}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
