"""Several runs that belong together: seeds, tasks, or both; one after another, resumable as a whole."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernbert.data.registry import find_tasks
from modernbert.data.targets import expand_targets
from modernbert.data.task import Task
from modernbert.errors import BadOption, BadRun, NotAvailable, UnknownName
from modernbert.finetuning.finetune import RunResult, TrainedRun, finetune, resume
from modernbert.finetuning.folds import grouped, of_fold, pool_folds, pooled_run, require_folds
from modernbert.finetuning.prepare import require_data, require_settings
from modernbert.finetuning.record import Started
from modernbert.records.record import TrainingRecord
from modernbert.records.training import StoredStudy
from modernbert.runs import RunStore
from modernbert.training.inputs import Request
from modernbert.training.reports import Notice, Observe


@dataclass(frozen=True)
class Study:
    """What to run: every target with every seed, and of cross-validation every fold."""

    name: str
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    folds: int = 0

    def jobs(self) -> list[tuple[str, int, int]]:
        """Return target, seed and fold (from 1; 0 for none) in the order in which they run."""
        folds = range(1, self.folds + 1) if self.folds else (0,)
        return [(target, seed, fold) for seed in self.seeds for target in self.targets for fold in folds]

    def record(self) -> StoredStudy:
        """Return what each of its runs keeps of it."""
        kept = StoredStudy(name=self.name, targets=self.targets, seeds=self.seeds)
        return kept.with_values(folds=self.folds) if self.folds else kept

    @classmethod
    def of(cls, kept: StoredStudy) -> Study:
        """Read back what `record` gave."""
        return cls(kept.name, kept.targets, kept.seeds, kept.folds)


@dataclass(frozen=True)
class TaskSummary:
    """One task over its seeds: the headline score of each run, and what they give together.

    `deviation` is the sample standard deviation over seeds; None with one seed.
    """

    task: str
    split: str
    metric: str
    by_seed: dict[int, float]
    runs: tuple[str, ...]
    mean: float
    deviation: float | None


@dataclass(frozen=True)
class StudyResult:
    """All runs of a study; `average` is the benchmark's mean over tasks, when it can be given."""

    name: str
    runs: tuple[RunResult, ...]
    summaries: tuple[TaskSummary, ...]
    average: float | None
    average_note: str


def plan_study(
    request: Request, targets: Sequence[str], seeds: int, store: RunStore, *, folds: int = 0
) -> Study:
    """Expand families and count seeds up from the settings' seed.

    Raises:
        UnknownName: a target is no task, file or family.
        BadOption: fewer than one seed, the name that was asked for is taken, or a setting does not apply to
            one of the targets, or to folds.
    """
    if seeds < 1:
        raise BadOption(f"{seeds} seeds make no run", fix="Give --seeds 1 or more.")
    expanded = expand_targets(targets)
    for target in expanded:
        require_settings(dataclasses.replace(request, target=target))
    if folds:
        require_folds(request, expanded)
    first = int(request.settings.get("seed", 42))
    model = Path(request.model).name
    label = targets[0] if len(targets) == 1 else f"{len(expanded)}-tasks"
    wanted = f"{label.replace('/', '-')}-{model}-study"
    return Study(_name(request, wanted, store), tuple(expanded), tuple(range(first, first + seeds)), folds)


def _name(request: Request, wanted: str, store: RunStore) -> str:
    """Return a name that neither a run nor a study has. Raises BadOption if the user's own is taken."""
    studies = {study.name for run in store.survey().records.values() if (study := run.study)}
    if request.name is None:
        return store.free_name(wanted, studies)
    store.check_name(request.name)
    if request.name in studies:
        fix = f"Next: mbert resume {request.name}; or choose another --name."
        raise BadOption(f"there is a study called '{request.name}' already", fix=fix)
    return request.name


def run_study(
    request: Request,
    study: Study,
    store: RunStore,
    *,
    on_start: Callable[[Started], None] = lambda started: None,
    observe: Observe = lambda report: None,
) -> StudyResult:
    """Run every job of a study that is not finished yet.

    All data is looked for before the first run begins, so that nothing is missing hours later.

    Raises:
        MbertError: as `finetune`.
    """
    requests = {t: dataclasses.replace(request, target=t) for t in study.targets}
    if study.folds:
        requests = {target: of_fold(one, 1, study.folds) for target, one in requests.items()}
    _require_data(requests)
    for note in store.survey().notes():
        observe(Notice(note))
    results: list[TrainedRun] = []
    for target, seed, fold in study.jobs():
        there = _run_of(study, target, seed, fold, store)
        if there is None:
            name = _run_name(study, target, seed, fold, store) if request.name else None
            named = dataclasses.replace(requests[target], name=name)
            named = of_fold(named, fold, study.folds) if fold else named
            kept = study.record()
            result = finetune(named, store, seed=seed, study=kept, on_start=on_start, observe=observe)
        elif store.read(there).status == "finished":
            result = read_training(there, store)
        else:
            result = resume(there, store, on_start=on_start, observe=observe)
        results.append(result)
    return summarize(study, _pooled(study, results, store) if study.folds else results)


def _pooled(study: Study, results: Sequence[TrainedRun], store: RunStore) -> list[RunResult]:
    """Return the run of each target and seed that all of its folds make together."""
    pooled = []
    for (target, seed), runs in grouped(results).items():
        there = pooled_run(runs, store)
        name = _run_name(study, target, seed, 0, store)
        pooled.append(read_result(there, store) if there else pool_folds(name, runs, store))
    return pooled


def _are_pooled(names: Sequence[str], store: RunStore) -> bool:
    """Was every fold's run put together with the others of its target and seed?"""
    results = [read_training(name, store) for name in names]
    return all(pooled_run(runs, store) for runs in grouped(results).values())


def _run_name(study: Study, target: str, seed: int, fold: int, store: RunStore) -> str:
    """Return the name of one run of a study that was given a name."""
    stem = [Path(target).stem] if len(study.targets) > 1 else []
    parts = [study.name, *stem, f"s{seed}", *([f"f{fold}"] if fold else [])]
    return store.free_name("-".join(parts))


def _require_data(requests: dict[str, Request]) -> None:
    """Raise NotAvailable, naming every target that is missing, unless all data can be had."""
    missing: dict[str, NotAvailable] = {}
    for target, request in requests.items():
        try:
            require_data(request)
        except NotAvailable as error:
            missing[target] = error
    if len(missing) == 1:
        raise next(iter(missing.values()))
    if missing:
        names = " ".join(missing)
        raise NotAvailable(
            f"{len(missing)} of {len(requests)} tasks are not available: {names.replace(' ', ', ')}\n"
            f"{next(iter(missing.values())).what}",
            fix=f"With network: mbert download {names} --to bundle; then here: --data-dir bundle.",
        )


def resume_any(
    name: str,
    store: RunStore,
    *,
    on_start: Callable[[Started], None] = lambda started: None,
    observe: Observe = lambda report: None,
) -> StudyResult:
    """Go on with an interrupted run, or with a study: whichever `name` is. A run's study goes on with it.

    Raises:
        UnknownName, BadRun: as `resume`.
    """
    studies = {s.name: n for n, run in store.survey().records.items() if (s := run.study)}
    record = store.read(studies.get(name, name))
    kept = record.study
    if kept is None:
        result = resume(name, store, on_start=on_start, observe=observe)
        return summarize(Study(name, (result.record.request.target,), (result.record.seed,)), [result])
    study = Study.of(kept)
    found = [_run_of(study, *job, store) for job in study.jobs()]
    names = [run for run in found if run and store.read(run).status == "finished"]
    if len(names) == len(found) and (not study.folds or _are_pooled(names, store)):
        raise BadRun(f"'{study.name}' is finished: there is nothing to resume", fix="Next: mbert runs")
    assert record.request is not None, "it is a training"
    request = Request.of(record.request)
    return run_study(request, study, store, on_start=on_start, observe=observe)


def _run_of(study: Study, target: str, seed: int, fold: int, store: RunStore) -> str | None:
    for name, run in store.survey().records.items():
        if run.study is None or run.study.name != study.name or run.request is None:
            continue
        number = run.request.fold[0] if run.request.fold else 0
        if (run.request.target, run.seed, number) == (target, seed, fold):
            return name
    return None


def read_result(name: str, store: RunStore) -> RunResult:
    """Read a finished run back."""
    record = store.read(name)
    if record.status != "finished":
        raise BadRun(f"'{name}' is {record.status}", fix=f"Next: mbert resume {name}")
    return RunResult(name=name, record=record)


def read_training(name: str, store: RunStore) -> TrainedRun:
    """Read a finished training back."""
    record = read_result(name, store).record
    assert isinstance(record, TrainingRecord)
    return TrainedRun(name=name, record=record)


def summarize(study: Study, runs: Sequence[RunResult]) -> StudyResult:
    """Put the runs' headline scores together, by task and over tasks."""
    tasks = list(dict.fromkeys(run.record.task.name for run in runs))
    summaries = tuple(_summary(t, [r for r in runs if r.record.task.name == t]) for t in tasks)
    average, note = glue_average(summaries)
    return StudyResult(study.name, tuple(runs), summaries, average, note)


def _summary(task: str, runs: Sequence[RunResult]) -> TaskSummary:
    values = {seed: run.main for run in runs if (seed := run.record.seed) is not None}
    deviation = statistics.stdev(values.values()) if len(values) > 1 else None
    chosen = runs[0].headline
    return TaskSummary(
        task=task,
        split=chosen.split,
        metric=chosen.main.metric,
        by_seed=values,
        runs=tuple(run.name for run in runs),
        mean=statistics.mean(values.values()),
        deviation=deviation,
    )


def glue_average(summaries: Sequence[TaskSummary]) -> tuple[float | None, str]:
    """Return the mean over GLUE's eight averaged tasks, or None and what is missing.

    As in the published tables: one main metric per task on the development set, WNLI left out.
    """
    try:
        wanted = [task.name for task in find_tasks("glue") if isinstance(task, Task) and task.in_average]
    except UnknownName:
        return None, ""
    found = {s.task: s.mean for s in summaries if s.task in wanted}
    missing = [name for name in wanted if name not in found]
    if missing:
        return None, f"no GLUE average: {', '.join(missing)} missing" if found else ""
    return statistics.mean(
        found.values()
    ), f"GLUE average over {len(wanted)} tasks (WNLI shown, not averaged)"


def as_dict(result: StudyResult) -> dict[str, Any]:
    """Return plain data for `--json`."""
    return {
        "study": result.name,
        "runs": [run.record.as_dict() | {"name": run.name} for run in result.runs],
        "summaries": [dataclasses.asdict(summary) for summary in result.summaries],
        "average": result.average,
        "average_note": result.average_note,
    }
