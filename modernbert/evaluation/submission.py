"""Predictions of hidden test labels, in the files that a benchmark's server takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from modernbert.data.examples import Examples, to_examples
from modernbert.data.sources import load_split
from modernbert.data.task import Task
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.evaluate import Scorer, trained_length
from modernbert.evaluation.predict import decide
from modernbert.evaluation.trained_task import as_trained
from modernbert.files import atomic_file
from modernbert.model.locate import ModelSource
from modernbert.places import require_new


def write_submission(
    task: Task,
    source: ModelSource,
    folder: Path,
    *,
    overwrite: bool = False,
    data_dir: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> list[Path]:
    """Write the files that the benchmark's server takes: `index<TAB>prediction`, one per test split.

    Raises:
        BadOption: the task has no such format, or a file is there that may not be replaced.
        MbertError: as `evaluate_model`.
    """
    task = as_trained(task, source)
    if not task.submission:
        raise BadOption(f"{task.name} has no submission format")
    for name in task.submission.values():
        require_new(folder / name, overwrite=overwrite)
    loaded = {split: load_split(task, split, data_dir) for split in task.submission}
    examples = {split: to_examples(task, part.rows, labelled=False) for split, part in loaded.items()}
    length = trained_length(source)
    scorer = Scorer(source, task, max_length=length, device=device, precision=precision)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for split, name in task.submission.items():
        predictions = decide(scorer.logits(examples[split].texts), task.kind, task.thresholds)
        with atomic_file(folder / name) as file:
            file.write("index\tprediction\n")
            file.writelines(
                f"{i}\t{text}\n" for i, text in _submission_rows(task, examples[split], predictions)
            )
        written.append(folder / name)
    return written


def _submission_rows(task: Task, examples: Examples, predictions: np.ndarray) -> Iterator[tuple[int, str]]:
    indices = examples.rows.columns.get("idx", range(len(examples)))
    if len(set(indices)) != len(examples):
        raise BadData("the column 'idx' repeats values", where=examples.rows.origin)
    for index, prediction in zip(indices, predictions, strict=True):
        if task.kind == "regression":
            low, high = task.label_range or (-np.inf, np.inf)
            yield index, f"{min(max(float(prediction), low), high):.3f}"
        else:
            yield index, task.labels[int(prediction)] if task.submit_names else str(int(prediction))
