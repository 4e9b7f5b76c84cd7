"""Fine-tune one model on one task with one seed: prepare, fit, save, reload, score, record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from modernbert import processes
from modernbert.activity import phase
from modernbert.errors import BadModel, BadRun, Stopped
from modernbert.evaluation.seen import TRAINED_TEXTS, remember
from modernbert.files import model_checksums, write_jsonl
from modernbert.finetuning.card import write_card
from modernbert.finetuning.followers import require_followable, require_number, tell_followers
from modernbert.finetuning.prepare import prepare, read_request
from modernbert.finetuning.ready import Ready, loaded
from modernbert.finetuning.record import (
    Started,
    default_name,
    first_record,
    logged,
    require_unchanged,
    run_notes,
    training_record,
)
from modernbert.model.encoder import attention_of
from modernbert.places import free_space, make_folder
from modernbert.records.record import RunRecord, TrainingRecord
from modernbert.records.scores import SplitScores
from modernbert.records.training import StoredStudy
from modernbert.runs import RunStore, lock, read_run, resume_command, write_run
from modernbert.signals import Ended
from modernbert.training.inputs import Inputs, Job, Request
from modernbert.training.loop import fit
from modernbert.training.reports import Notice, Observe

# A reloaded model must give the same logits; folding adapters into the weights moves the last digits.
RELOAD_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A finished run: its folder's name and its record."""

    name: str
    record: RunRecord

    @property
    def splits(self) -> tuple[SplitScores, ...]:
        """The scores of each held-out split."""
        return self.record.results

    @property
    def headline(self) -> SplitScores:
        """The split whose score is quoted: a test split whose labels are known, else the selecting one."""
        return next((s for s in self.splits if s.split.startswith("test")), self.splits[0])

    @property
    def main(self) -> float:
        """The headline split's main metric."""
        return self.headline.main.value


@dataclass(frozen=True, kw_only=True)
class TrainedRun(RunResult):
    """A finished training."""

    record: TrainingRecord


def finetune(
    request: Request,
    store: RunStore,
    *,
    seed: int | None = None,
    study: StoredStudy | None = None,
    on_start: Callable[[Started], None] = lambda started: None,
    observe: Observe = lambda report: None,
) -> TrainedRun:
    """Train, save, reload, score and record one run.

    Args:
        request: what to train on what.
        store: where the run is kept.
        seed: replaces the settings' seed.
        study: what the run belongs to, kept in its record.
        on_start: told about the run before its first step.
        observe: told about steps, evaluations and notices.

    Raises:
        MbertError: bad input (nothing was written), or the run ended early (it can be resumed).
    """
    if seed is not None:
        request = replace(request, settings={**request.settings, "seed": seed})
    require_number(request)
    if request.name:
        store.check_name(request.name)
    with phase("preparing"), processes.alone():
        inputs = prepare(request, store)
    name = request.name or default_name(inputs)
    with (
        store.new_run(name, exact=request.name is not None) as folder,
        _ready(inputs, folder.name, store, resume=False) as (started, ready),
    ):
        on_start(started)
        record = first_record(started, study)
        write_run(folder, record)
        return _train(folder, record, started, ready, observe, resume=False)


def resume(
    name: str,
    store: RunStore,
    *,
    on_start: Callable[[Started], None] = lambda started: None,
    observe: Observe = lambda report: None,
) -> TrainedRun:
    """Go on with an interrupted run where its newest checkpoint stands.

    Raises:
        UnknownName, BadRun: there is no such run, it is finished, or data or model have changed since.
    """
    store.sweep()
    if not isinstance(store.read(name), TrainingRecord):
        raise BadRun(f"'{name}' is no training run", fix="Next: mbert eval, or mbert compare.")
    folder = store.path(name)
    with lock(folder):
        record = read_run(folder)  # as it is now that nobody else can change it
        assert isinstance(record, TrainingRecord)
        if record.status == "finished":
            raise BadRun(
                f"'{name}' is finished: there is nothing to resume", fix=f"Next: mbert runs show {name}"
            )
        with processes.alone():
            inputs = prepare(read_request(record.request), store)
        require_unchanged(record, inputs, folder)
        with _ready(inputs, name, store, resume=True) as (started, ready):
            on_start(started)
            return _train(folder, record, started, ready, observe, resume=True)


@contextmanager
def _ready(inputs: Inputs, name: str, store: RunStore, *, resume: bool) -> Iterator[tuple[Started, Ready]]:
    """Load the model, here and in the other processes, and say what is about to run."""
    require_followable(inputs)
    tell_followers(inputs, _checkpoints(store.path(name)), resume=resume)
    with loaded(inputs) as ready:
        notes = [ready.fault] if ready.fault else []
        if inputs.config.memory.shard and processes.count() == 1:  # several processes began it
            notes.append("--shard divides nothing here: there is one process, which holds all weights")
        inputs = replace(inputs, notes=(*inputs.notes, *notes))
        parameters = list(ready.job.network.parameters())
        trained = sum(p.numel() for p in parameters if p.requires_grad)
        attention = attention_of(ready.job.model, inputs.machine)
        started = Started(
            name=name,
            inputs=inputs,
            attention=attention.backend,
            attention_reason=attention.reason,
            trained=trained,
            frozen=sum(p.numel() for p in parameters) - trained,
            new_tensors=ready.new_tensors,
            # Weights twice (last and best) and two moments, in fp32; twice while one replaces the other.
            checkpoint_bytes=trained * 4 * 4 * 2,
            free_bytes=free_space(store.root),
            processes=processes.count(),
        )
        yield started, ready


def _checkpoints(folder: Path) -> Path:
    return folder / "checkpoints"


def _train(
    folder: Path,
    record: TrainingRecord,
    started: Started,
    ready: Ready,
    observe: Observe,
    *,
    resume: bool,
) -> TrainedRun:
    inputs, job = started.inputs, ready.job
    make_folder(_checkpoints(folder))
    state = ready.state(_checkpoints(folder), logged(folder / "log.jsonl", observe))
    try:
        progress = fit(state, resume=resume)
        with phase("saving"):
            _save(folder, job, observe)
        if job.trained_texts:
            remember(folder / TRAINED_TEXTS, job.trained_texts)
        with phase("scoring"), processes.alone():
            splits, rows = job.score()
        write_jsonl(folder / "scores.jsonl", rows)
    except (Stopped, Ended) as stopped:
        stopped.fix = " ".join(filter(None, [stopped.fix, f"Next: {resume_command(folder)}"]))
        raise
    scored = record.with_values(
        results=splits,
        training=training_record(state, progress),
        inference=dict(job.inference),
        **job.decision,
        notes=(*job.notes, *run_notes(inputs, splits, progress)),
    )
    write_card(folder / "model", scored, folder.name)
    finished = scored.with_values(status="finished", model_files=model_checksums(folder / "model"))
    write_run(folder, finished)
    state.checkpoints.remove()
    return TrainedRun(name=folder.name, record=finished)


def _save(folder: Path, job: Job, observe: Observe) -> None:
    """Save the model. Raises BadModel when it gives something else after it was read back."""
    difference = job.save(folder / "model")
    if not difference <= RELOAD_TOLERANCE:
        raise BadModel(
            f"the saved model, read back, gives other outputs (by up to {difference:.2g})",
            where=str(folder / "model"),
        )
    observe(Notice(f"saved, read back and compared: outputs agree to {difference:.1g}"))
