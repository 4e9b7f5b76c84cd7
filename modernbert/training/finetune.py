"""Fine-tune one model on one task with one seed: prepare, fit, save, reload, score, record."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modernbert.errors import BadModel, BadRun, Stopped
from modernbert.evaluation.predict import decide, predict_logits
from modernbert.evaluation.scoring import (
    SplitScores,
    collapse_notes,
    example_rows,
    quick_metrics,
    score_split,
)
from modernbert.files import checksums, free_space, write_jsonl
from modernbert.memory import prepare_cpu_memory, start_measuring_memory
from modernbert.model.accelerator import make_accelerator
from modernbert.model.compilation import compile_layers
from modernbert.model.dropout import use_cheap_dropout
from modernbert.model.encoder import PackedClassifier, attention_of
from modernbert.model.loading import (
    largest_difference,
    load_classifier,
    load_trained,
    logits_of,
    recompute_layers,
    save_classifier,
)
from modernbert.model.lora import add_lora
from modernbert.model.packing import pack
from modernbert.runs import RunStore, lock, write_run
from modernbert.training.checkpoint import CheckpointStore
from modernbert.training.inputs import Dataset, Inputs, Request, make_dataset, prepare
from modernbert.training.loop import fit
from modernbert.training.objectives import LOSSES
from modernbert.training.record import (
    Started,
    default_name,
    first_record,
    logged,
    require_unchanged,
    run_notes,
    training_record,
)
from modernbert.training.reports import Evaluation, Notice, Observe
from modernbert.training.signals import StopRequest, stop_on_signals
from modernbert.training.state import Fit

# A reloaded model must give the same logits; folding adapters into the weights moves the last digits.
RELOAD_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A finished run: its folder's name and record, and the scores of each held-out split."""

    name: str
    record: dict[str, Any]
    splits: tuple[SplitScores, ...]

    @property
    def headline(self) -> SplitScores:
        """The split whose score is quoted: a test split whose labels are known, else the selecting one."""
        return next((s for s in self.splits if s.split.startswith("test")), self.splits[0])

    @property
    def main(self) -> float:
        """The headline split's main metric."""
        return self.headline.main.value


def finetune(
    request: Request,
    store: RunStore,
    *,
    seed: int | None = None,
    study: Mapping[str, Any] | None = None,
    on_start: Callable[[Started], None] = lambda started: None,
    observe: Observe = lambda report: None,
) -> RunResult:
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
    inputs = prepare(request, store)
    name = request.name or store.free_name(default_name(inputs))
    store.check_name(name)
    with _ready(inputs, name, store) as (started, work):
        on_start(started)
        record = first_record(started, study)
        folder = store.create(name, record)
        with lock(folder):
            return _train(folder, record, inputs, work, observe, resume=False)


def resume(
    name: str,
    store: RunStore,
    *,
    on_start: Callable[[Started], None] = lambda started: None,
    observe: Observe = lambda report: None,
) -> RunResult:
    """Go on with an interrupted run where its newest checkpoint stands.

    Raises:
        UnknownName, BadRun: there is no such run, it is finished, or data or model have changed since.
    """
    record = store.read(name)
    if record["status"] == "finished":
        raise BadRun(f"'{name}' is finished: there is nothing to resume", fix=f"mbert runs show {name}")
    if record["kind"] != "finetune":
        raise BadRun(f"'{name}' is no training run")
    folder = store.path(name)
    with lock(folder):
        inputs = prepare(Request.from_dict(record["request"]), store)
        require_unchanged(record, inputs, folder)
        with _ready(inputs, name, store) as (started, work):
            on_start(started)
            return _train(folder, record, inputs, work, observe, resume=True)


@dataclass(frozen=True)
class _Work:
    """A loaded model with its device and data."""

    model: Any
    accelerator: Any
    data: dict[str, Dataset]
    stop: StopRequest


@contextmanager
def _ready(inputs: Inputs, name: str, store: RunStore) -> Iterator[tuple[Started, _Work]]:
    """Load the model on its device, seeded first: the new head is drawn from that seed."""
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        start_measuring_memory()
        if inputs.machine.device == "cpu":
            prepare_cpu_memory()
        config = inputs.config
        accelerator = make_accelerator(inputs.machine)
        torch.manual_seed(config.seed)
        loaded = load_classifier(inputs.start, inputs.task)
        model = loaded.model
        if config.lora:
            model = add_lora(
                model,
                rank=config.lora_rank,
                alpha=config.lora_alpha,
                targets=config.lora_targets,
                dropout=config.lora_dropout,
            )
        assert all(p.dtype == torch.float32 for p in model.parameters()), "fp32 master weights"
        use_cheap_dropout(model)
        if config.recompute:
            recompute_layers(model)
        if config.compile and (fault := compile_layers(model, accelerator.device)):
            inputs = replace(inputs, notes=(*inputs.notes, fault))
        data = {split: make_dataset(inputs, split) for split in inputs.examples}
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
        attention = attention_of(model, inputs.machine)
        started = Started(
            name=name,
            inputs=inputs,
            attention=attention.backend,
            attention_reason=attention.reason,
            trained=trained,
            frozen=frozen,
            new_tensors=loaded.new_tensors,
            # Weights twice (last and best) and two moments, in fp32; twice while one replaces the other.
            checkpoint_bytes=trained * 4 * 4 * 2,
            free_bytes=free_space(store.root),
        )
        yield started, _Work(model, accelerator, data, stop)


def _train(
    folder: Path, record: dict[str, Any], inputs: Inputs, work: _Work, observe: Observe, *, resume: bool
) -> RunResult:
    checkpoints = CheckpointStore(folder / "checkpoints")
    checkpoints.root.mkdir(exist_ok=True)
    job = Fit(
        model=PackedClassifier(work.model),
        loss=LOSSES[inputs.task.kind],
        data=work.data[inputs.task.train],
        config=inputs.config,
        evaluate=lambda model: _evaluate(model, inputs, work),
        checkpoints=checkpoints,
        accelerator=work.accelerator,
        stop=work.stop,
        observe=logged(folder / "log.jsonl", observe),
    )
    try:
        progress = fit(job, resume=resume)
        _save_and_reload(folder, inputs, work, observe)
        splits = _final_scores(folder, inputs, work)
    except Stopped as stopped:
        stopped.fix = " ".join(filter(None, [stopped.fix, f"Go on with: mbert resume {folder.name}"]))
        raise
    record = {
        **record,
        "status": "finished",
        "model_files": checksums(folder / "model"),
        "results": [split.as_dict() for split in splits],
        "training": training_record(job, progress),
        "notes": run_notes(inputs, splits, progress),
    }
    write_run(folder, record)
    checkpoints.remove()
    return RunResult(name=folder.name, record=record, splits=splits)


def _evaluate(model: torch.nn.Module, inputs: Inputs, work: _Work) -> Evaluation:
    task, split = inputs.task, inputs.task.validation[0]
    logits = _logits(model, inputs, work, split)
    labels = work.data[split].examples.labels
    assert labels is not None
    metrics = quick_metrics(task, labels, logits)
    main = metrics[task.metrics[0]]
    return Evaluation(metrics, main, collapse_notes(task, decide(logits, task.kind)))


def _logits(model: torch.nn.Module, inputs: Inputs, work: _Work, split: str) -> np.ndarray:
    return predict_logits(
        model,
        work.data[split].tokens,
        max_tokens=inputs.config.max_tokens,
        accelerator=work.accelerator,
        check_stop=work.stop.raise_if_requested,
    )


def _save_and_reload(folder: Path, inputs: Inputs, work: _Work, observe: Observe) -> None:
    """Save the model, read it back into a fresh object, and compare logits on a few texts.

    Raises:
        BadModel: the reloaded model differs.
    """
    model = work.model.to("cpu").eval()
    if (folder / "model").exists():  # a resumed run that had come this far
        shutil.rmtree(folder / "model")
    save_classifier(model, inputs.tokenizer, folder / "model")
    source = replace(
        inputs.source,
        name=folder.name,
        folder=folder / "model",
        base=inputs.source if inputs.config.lora else None,
        labels=inputs.task.labels,
    )
    fresh = load_trained(source, inputs.task)
    tokens = work.data[inputs.task.validation[0]].tokens
    batch = pack(tokens, range(min(8, len(tokens))))
    difference = largest_difference(logits_of(model, batch), logits_of(fresh, batch))
    if difference > RELOAD_TOLERANCE:
        raise BadModel(
            f"the saved model, read back, gives other logits (by up to {difference:.2g})",
            where=str(folder / "model"),
        )
    observe(Notice(f"saved, read back and compared: logits agree to {difference:.1g}"))
    work.model.to(work.accelerator.device)


def _final_scores(folder: Path, inputs: Inputs, work: _Work) -> tuple[SplitScores, ...]:
    """Score every held-out split with known labels, and keep each example's row."""
    model = PackedClassifier(work.model).eval()
    results: list[SplitScores] = []
    rows: list[dict[str, Any]] = []
    for split in inputs.task.scored_splits:
        logits, examples = _logits(model, inputs, work, split), work.data[split].examples
        results.append(score_split(inputs.task, split, examples, logits))
        rows += example_rows(inputs.task, split, examples, logits)
    write_jsonl(folder / "scores.jsonl", rows)
    return tuple(results)
