"""What `mbert finetune`, `pretrain` and `resume` print at their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modernbert.wording import minutes_text

from . import output
from .scores import memory_text, show_scores

if TYPE_CHECKING:
    from modernbert.finetuning.finetune import RunResult, TrainedRun
    from modernbert.finetuning.study import StudyResult


def show_study(result: StudyResult, *, as_json: bool) -> None:
    """Print every run's scores, then the summary over seeds and tasks."""
    from modernbert.finetuning.finetune import TrainedRun
    from modernbert.finetuning.study import as_dict

    if as_json:
        return output.print_json(as_dict(result))
    for run in result.runs:
        show_run_scores(run) if isinstance(run, TrainedRun) else show_folds(run)
    if len(result.runs) > 1:
        show_summaries(result)


def show_folds(run: RunResult) -> None:
    """Print the scores of all rows of a cross-validation, and what is left of it."""
    show_scores(f"\n{run.name}", run.splits)
    for note in (*run.record.notes, *(note for split in run.splits for note in split.notes)):
        output.print_note(note)


def show_run_scores(run: TrainedRun) -> None:
    """Print one run's scores with n and interval, its cost and its notes."""
    show_scores(f"\n{run.name}", run.splits)
    from modernbert.evaluation.thresholds import tuned_thresholds

    found = tuned_thresholds(run.record)
    training, keep = run.record.training, run.record.config.evaluation.keep
    assert training is not None, "a finished training has its times"
    memory = memory_text(training.peak_memory_mib)
    output.print_line(
        f"{minutes_text(training.minutes)}, {training.tokens_per_second:,.0f} tokens/s, peak {memory}; "
        f"kept step {training.best_step if keep == 'best' else training.steps} "
        f"of {training.planned_steps}, chosen on {run.splits[0].split}"
        + (f", as {'was' if found == 'the threshold' else 'were'} {found}" if found else "")
    )
    output.print_line(f"Next: {_use_of(run)}")
    for note in run.record.notes:
        output.print_note(note)


def _use_of(run: TrainedRun) -> str:
    if run.record.kind == "pretrain":
        return f"mbert finetune TASK --model {run.name}, mbert pretrain FILES --model {run.name}"
    head = run.record.config.head
    if not head:
        return f"mbert predict --model {run.name} FILE -o out.jsonl"
    if head == "reranker":
        return f"mbert eval COLLECTION --model MODEL --rerank {run.name}"
    more = f", mbert index PATH --model {run.name}" if head == "vectors" else ""
    return f"mbert eval COLLECTION --model {run.name}{more}"


def show_summaries(result: StudyResult) -> None:
    """Print mean and standard deviation over seeds, each seed, and the benchmark's average."""
    rows = [
        (
            s.task,
            s.metric,
            s.split,
            f"{s.mean:.4f}",
            "one seed" if s.deviation is None else f"{s.deviation:.4f}",
            "  ".join(f"{seed}={value:.4f}" for seed, value in s.by_seed.items()),
        )
        for s in result.summaries
    ]
    columns = ("task", "metric", "split", "mean", "sd", "by seed")
    output.print_table(f"\n{result.name}", columns, rows, right=("mean", "sd"))
    if result.average is not None:
        output.print_line(f"{result.average_note}: {result.average:.4f}", style="bold")
    elif result.average_note:
        output.print_line(result.average_note)
