"""What is kept about a run: `run.json` before and after training, and its log."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modernbert.data.sentences import TokenTask
from modernbert.data.task import Task
from modernbert.errors import BadRun
from modernbert.evaluation.protocols import PROTOCOLS
from modernbert.memory import peak_memory
from modernbert.model.device import describe_hardware
from modernbert.model.locate import ModelSource
from modernbert.places import no_space_is_an_error
from modernbert.records.data import StoredTask
from modernbert.records.record import FinetuneRecord, PretrainRecord, TrainingRecord, now
from modernbert.records.scores import SplitScores
from modernbert.records.settings import Settings
from modernbert.records.training import Model, StoredStudy, Training
from modernbert.training.checkpoint import Progress
from modernbert.training.inputs import Inputs, TaskSheet
from modernbert.training.reports import EvaluationReport, Notice, Observe, StepReport
from modernbert.training.state import TrainState
from modernbert.version import versions


@dataclass(frozen=True, kw_only=True)
class Started:
    """What is shown before the first step."""

    name: str
    inputs: Inputs
    attention: str
    attention_reason: str
    trained: int
    frozen: int
    new_tensors: tuple[str, ...]
    checkpoint_bytes: int
    free_bytes: int
    processes: int = 1


def default_name(inputs: Inputs) -> str:
    """Return a run's name: task, model, method, seed, fold."""
    config = inputs.config
    method = "-lora" if config.lora.enabled else "-random" if config.model.random_weights else ""
    method += "-taught" if config.distillation.teacher else ""
    model = Path(inputs.source.name).name
    fold = f"-f{inputs.request.fold[0]}" if inputs.request.fold else ""
    return f"{Path(inputs.task.name).name}-{model}{method}-s{config.run.seed}{fold}"


def first_record(started: Started, study: StoredStudy | None) -> TrainingRecord:
    """Return what is known before the first step, so that an interrupted run can be told and resumed."""
    inputs = started.inputs
    request = inputs.request.as_dict()
    kept: dict[str, Any] = {}
    if inputs.task.kind == "retrieval":
        # Titles are read, and as many tokens as the trained model's own settings say: that is mteb's way.
        kept["protocol"] = asdict(PROTOCOLS["mteb"])
    kind = PretrainRecord if inputs.run_kind == "pretrain" else FinetuneRecord
    return kind.model_validate(
        kept
        | {
            "kind": inputs.run_kind,
            "status": "running",
            "created": now(),
            "study": study,
            "tags": inputs.request.tags,
            "task": _task_record(inputs.task),
            "model": inputs.source.record(),
            "init": inputs.start.record() if inputs.start is not inputs.source else "plain",
            "recipe": asdict(inputs.recipe),
            "config": inputs.config.as_dict(),
            "seed": inputs.config.run.seed,
            "request": request,
            "data": inputs.data_record().with_values(notes=tuple(inputs.notes)),
            "machine": asdict(inputs.machine),
            "attention": {"backend": started.attention, "reason": started.attention_reason},
            "parameters": {"trained": started.trained, "frozen": started.frozen},
            "new_tensors": started.new_tensors,
            "hardware": describe_hardware() | _shared_by(started.processes),
            "versions": versions(),
        }
    )


def _shared_by(processes: int) -> dict[str, int]:
    """Return how many processes a run begins with, where that is more than one."""
    return {"processes": processes} if processes > 1 else {}


def _task_record(task: TaskSheet) -> StoredTask:
    if isinstance(task, Task | TokenTask):
        return task.record()
    return StoredTask(name=task.name, kind=task.kind, labels=task.labels, metrics=task.metrics)


def training_record(state: TrainState, progress: Progress) -> Training:
    """Return what training took: steps, minutes, tokens, memory, and every evaluation."""
    return Training.model_validate(
        {
            "steps": progress.step,
            "planned_steps": state.total,
            "best_step": progress.best_step,
            "history": tuple(progress.history),
            "minutes": round(progress.seconds / 60, 3),
            "tokens": progress.tokens,
            "tokens_per_second": round(progress.tokens / max(progress.seconds, 1e-9), 1),
            "max_tokens": progress.max_tokens,
            "peak_memory_mib": peak_memory(),
        }
    )


def run_notes(inputs: Inputs, splits: tuple[SplitScores, ...], progress: Progress) -> list[str]:
    """Return what a reader of the scores should know."""
    notes = [f"{s.split}: {note}" for s in splits for note in s.notes]
    first, metric = progress.history[0]["metrics"], inputs.task.metrics[0]
    if inputs.config.evaluation.keep == "best" and progress.best_step == 0:
        notes.append(
            f"training did not help: no evaluation beat the untrained model "
            f"({metric} {first[metric]:.4f}), which was saved"
        )
    elif inputs.config.evaluation.keep == "best" and progress.untrained >= progress.best_score:
        notes.append(
            f"training did not help: the best evaluation (step {progress.best_step}, saved) has "
            f"{progress.best_score:.4f}, and the model with its new head had {progress.untrained:.4f} before"
        )
    expected, value = inputs.recipe.expected, splits[0].main.value
    if inputs.config.evaluation.metric or inputs.config.classes.threshold:
        expected = None  # it is of the recipe's own way of scoring
    if expected and not expected[0] <= value <= expected[1]:
        notes.append(
            f"{metric} {value:.4f} is outside {expected[0]:.3f} to {expected[1]:.3f}, "
            "where single runs of this recipe fall"
        )
    return notes


def require_unchanged(record: TrainingRecord, inputs: Inputs, folder: Path) -> None:
    """Raise BadRun if data, settings or model differ from those the run began with."""
    data = inputs.data_record()
    now = {name: split.fingerprint for name, split in data.splits.items()}
    # A version that has more settings than the one that began the run has them at their defaults.
    kept, now_set = record.config.by_name(), Settings.model_validate(inputs.config.as_dict()).by_name()
    then = {name: split.fingerprint for name, split in record.data.splits.items()}
    changed: list[str] = [
        what
        for what, before, after in (
            ("the data", then, now),
            ("the class weights", record.data.class_weights, data.class_weights),
            ("the teacher", record.data.teacher, data.teacher),
            ("the settings", kept, {name: value for name, value in now_set.items() if name in kept}),
            ("the model", *_weights(record.model, inputs.source)),
        )
        if before != after
    ]
    if changed:
        raise BadRun(
            f"{' and '.join(changed)} changed since the run began",
            where=str(folder),
            fix="Resuming would mix two runs; start a new one.",
        )


def _weights(kept: Model, source: ModelSource) -> tuple[str, str]:
    """Return which weights were loaded then and now; older records know a revision alone."""
    if kept.weights:
        return kept.weights, source.weights
    return kept.revision, source.revision


def logged(path: Path, observe: Observe) -> Observe:
    """Also append every report to the run's log. Raises DiskFull when there is no space for it."""
    _drop_torn_line(path)

    def both(report: StepReport | EvaluationReport | Notice) -> None:
        line = {"event": type(report).__name__, "time": round(time.time(), 3), **asdict(report)}
        with no_space_is_an_error(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        observe(report)

    return both


def _drop_torn_line(path: Path) -> None:
    """Cut off a last line without an end: its process was killed while it wrote."""
    if not path.is_file():
        return
    with path.open("rb+") as file:
        whole = file.read().rpartition(b"\n")
        if whole[2]:
            file.truncate(len(whole[0]) + len(whole[1]))
