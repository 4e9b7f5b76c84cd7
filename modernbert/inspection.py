"""Read every split of a task or of own data and report on it, without training."""

from __future__ import annotations

from pathlib import Path

from modernbert.data.check import DataReport, check_data
from modernbert.data.examples import to_examples
from modernbert.data.own import OwnData
from modernbert.data.sources import load_split
from modernbert.data.tokens import auto_max_length, measure
from modernbert.model.loading import context_length, load_config, load_tokenizer
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.training.classification import resolve_task
from modernbert.training.inputs import Request


def inspect_data(
    own: OwnData, *, model: str | None, max_length: int, data_dir: Path | None, store: RunStore
) -> tuple[DataReport, list[str]]:
    """Return the report and what was guessed. With a model, tokens are counted too.

    Raises:
        MbertError: the first thing that training would stumble over.
    """
    request = Request(
        target=own.path,
        model=model or "",
        validation=str(own.validation) if own.validation else None,
        test=str(own.test) if own.test else None,
        text=own.text,
        label=own.label,
        kind=own.kind,
    )
    task, notes = resolve_task(request)
    splits = {n: load_split(task, n, data_dir) for n in (task.train, *task.scored_splits)}
    examples = {name: to_examples(task, split.rows) for name, split in splits.items()}
    notes += [f"{name} <- {split.found_in}" for name, split in splits.items()]
    if model is None:
        return check_data(task, examples), notes
    source = locate_model(model, store=store, data_dir=data_dir)
    tokenizer = load_tokenizer(source)
    lengths = {name: measure(tokenizer, part.texts) for name, part in examples.items()}
    length = max_length or auto_max_length(lengths[task.train], context_length(load_config(source)))
    return check_data(task, examples, lengths=lengths, max_length=length), notes
