"""What the benchmarks share: how their records are read and written, and Trainer at mbert's settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def read_records(path: Path) -> list[dict]:
    """Return the records in a file; none where it is missing."""
    return json.loads(path.read_text()) if path.is_file() else []


def write_records(records: Any, path: Path) -> None:
    """Replace the records in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records, indent=1) + "\n")


def find(records: list[dict], **key: object) -> dict | None:
    """Return the first record with these values; None where there is none."""
    return next((r for r in records if all(r[name] == value for name, value in key.items())), None)


def keep_record(record: dict, path: Path, *fields: str) -> None:
    """Put a record into a file. It replaces one with the same `fields` from the same kind of machine."""
    others = [r for r in read_records(path) if _key(r, fields) != _key(record, fields)]
    write_records([*others, record], path)


def _key(record: dict, fields: tuple[str, ...]) -> list:
    hardware = record["hardware"]
    kind = [hardware.get(name) for name in ("cpu", "instructions", "threads", "gpu")]
    return [*kind, *(record[field] for field in fields)]


def header(names: Sequence[object]) -> list[str]:
    """Return the first two lines of a table in Markdown."""
    return [line_of(names), "|---" * len(names) + "|"]


def line_of(cells: Sequence[object]) -> str:
    """Return a line of it."""
    return "| " + " | ".join(map(str, cells)) + " |"


def processor_of(record: dict) -> str:
    """Return the processor with its instructions, and the number of threads, of a record."""
    hardware = record["hardware"]
    instructions = f" ({hardware['instructions']})" if hardware.get("instructions") else ""
    return f"{hardware['cpu']}{instructions}, {hardware['threads']}"


def trainer_settings(inputs: Any, folder: str) -> dict[str, Any]:
    """Return mbert's settings as keyword arguments of transformers' training arguments of any kind."""
    config, machine = inputs.config, inputs.machine
    return {
        "output_dir": folder,
        "num_train_epochs": config.schedule.epochs,
        "per_device_train_batch_size": config.optimizer.batch_size,
        "per_device_eval_batch_size": 32,
        "learning_rate": config.optimizer.learning_rate,
        "weight_decay": config.optimizer.weight_decay,
        "adam_beta1": config.optimizer.beta1,
        "adam_beta2": config.optimizer.beta2,
        "adam_epsilon": config.optimizer.epsilon,
        "max_grad_norm": config.optimizer.clip,
        "lr_scheduler_type": "linear",
        "warmup_steps": config.schedule.warmup,
        "optim": "adamw_torch_fused",
        "bf16": machine.precision == "bf16",
        "use_cpu": machine.device == "cpu",
        "seed": config.run.seed,
        "disable_tqdm": True,
        "report_to": "none",
        "dataloader_pin_memory": False,
    }


def trainer_arguments(inputs: Any, folder: str, **more: Any) -> Any:
    """Return the arguments with which transformers' Trainer trains as mbert does, at its best on speed.

    Args:
        inputs: of mbert's own training, prepared.
        folder: where Trainer writes.
        more: how it evaluates, and which epoch it keeps.
    """
    from transformers import TrainingArguments

    length = {"train_sampling_strategy": "group_by_length"}
    return TrainingArguments(**trainer_settings(inputs, folder), **length, **more)


def in_order(trainer: Any, rows: list[dict]) -> Any:
    """Return a Trainer's outputs in the order of the rows: grouped by length, its predictions are too."""
    trainer.args.train_sampling_strategy = "random"
    return trainer.predict(rows).predictions
