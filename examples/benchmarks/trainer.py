"""mbert against transformers' own Trainer: the same fine-tuning, side by side.

    python examples/benchmarks/trainer.py --data-dir BUNDLE

Both train the same checkpoint on the same rows with the same optimiser, schedule, batch size, maximum
length, precision, seed and number of epochs, evaluate once an epoch and keep the best. Trainer runs at its
best settings: length grouping, fused AdamW, and the evaluation batch that was fastest. Every measurement
is a process of its own; the two tools alternate. Results are added to a JSON file, one record each, and
what is there already is not measured again.

Minutes are of the whole job: model, tokens, training, evaluation, saving. On a CPU both tools get one
thread and the clock is the process's own, so that other work on the machine does not count; on a GPU it
is the wall clock.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _common import RESULTS, read_records, trainer_arguments, write_records

MODEL = "minilm"
EPOCHS = dict.fromkeys(("sst2", "cola", "mrpc", "rte", "stsb"), 3.0)
RATES = {"full": 5e-5, "lora": 5e-4}
OUTPUT = RESULTS / "trainer.json"


def settings(task: str, method: str, seed: int) -> dict:
    return {
        "epochs": EPOCHS[task],
        "learning_rate": RATES[method],
        "lora": method == "lora",
        "batch_size": 32,
        "seed": seed,
        "pair_encoder": "cross",  # as the Trainer's network, also where mbert would take two vectors
    }


def run_mbert(inputs, store) -> dict:
    from modernbert.finetuning.finetune import finetune

    result = finetune(inputs.request, store)
    training = result.record.training
    return {
        "scores": {s.metric: s.value for s in result.splits[0].scores},
        "peak_memory_mib": dict(training.peak_memory_mib),
        "history": [entry.as_dict() for entry in training.history],
    }


def run_trainer(inputs, store) -> dict:
    import torch
    from transformers import DataCollatorWithPadding, Trainer

    from modernbert.evaluation.scoring import quick_metrics
    from modernbert.memory import peak_memory, start_measuring_memory
    from modernbert.model.loading import load_classifier
    from modernbert.model.lora import add_lora
    from modernbert.model.pretrained import quiet_transformers
    from modernbert.training.classification import make_dataset

    task, config = inputs.task, inputs.config
    start_measuring_memory()
    torch.manual_seed(config.run.seed)
    model = load_classifier(inputs.start, task).model
    if config.lora.enabled:
        model = add_lora(model, config.lora)

    def rows(split):
        data = make_dataset(inputs, split)
        tokens, labels = data.tokens, data.examples.labels
        spans = [slice(a, b) for a, b in zip(tokens.starts, tokens.starts[1:], strict=False)]
        return [
            {
                "input_ids": tokens.ids[span].tolist(),
                **({} if tokens.type_ids is None else {"token_type_ids": tokens.type_ids[span].tolist()}),
                "attention_mask": [1] * (span.stop - span.start),
                "labels": label.item(),
                "length": span.stop - span.start,
            }
            for span, label in zip(spans, labels, strict=True)
        ]

    def metrics(prediction):
        logits = prediction.predictions
        return quick_metrics(task, prediction.label_ids, logits if logits.ndim == 2 else logits[:, None])

    main = task.metrics[0]
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        arguments = trainer_arguments(
            inputs,
            folder,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model=main,
            greater_is_better=True,
            eval_on_start=True,
            logging_steps=config.run.log_every,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=rows(task.train),
            eval_dataset=rows(task.validation[0]),
            data_collator=DataCollatorWithPadding(inputs.tokenizer),
            compute_metrics=metrics,
        )
        trainer.train()
        trainer.save_model(folder)
        final = trainer.evaluate()
    return {
        "scores": {name: final[f"eval_{name}"] for name in task.metrics},
        "peak_memory_mib": peak_memory(),
        "history": [entry for entry in trainer.state.log_history if f"eval_{main}" in entry],
    }


def measure_one(tool: str, task: str, method: str, seed: int, data_dir: str) -> None:
    """Measure in this process and print one JSON line."""
    from modernbert.finetuning.prepare import prepare
    from modernbert.model.device import describe_hardware
    from modernbert.runs import RunStore
    from modernbert.training.inputs import Request
    from modernbert.version import versions

    request = Request(
        target=f"glue/{task}", model=MODEL, data_dir=data_dir, settings=settings(task, method, seed)
    )
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        inputs = prepare(request, store)
        clock = time.process_time if inputs.machine.device == "cpu" else time.perf_counter
        started = clock()
        found = {"mbert": run_mbert, "trainer": run_trainer}[tool](inputs, store)
        minutes = (clock() - started) / 60
    record = {"tool": tool, "task": task, "method": method, "seed": seed, "minutes": minutes, **found}
    record |= {"settings": inputs.config.as_dict(), "precision": inputs.machine.precision}
    print(json.dumps(record | {"versions": versions(), "hardware": describe_hardware()}))


def measure(tool: str, task: str, method: str, seed: int, data_dir: str) -> dict:
    command = [sys.executable, __file__, "--one", tool, task, method, str(seed), "--data-dir", data_dir]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def table(records: list[dict]) -> str:
    """Mean over seeds, and the ratio of times where both tools ran the same seed."""
    lines = [
        "| task | method | metric | mbert | Trainer | minutes, mbert | Trainer | Trainer / mbert "
        "| MiB, mbert | Trainer |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for task in EPOCHS:
        for method in RATES:
            rows = [r for r in records if (r["task"], r["method"]) == (task, method)]
            ours = {r["seed"]: r for r in rows if r["tool"] == "mbert"}
            theirs = {r["seed"]: r for r in rows if r["tool"] == "trainer"}
            if not ours:
                continue
            metric = next(iter(next(iter(ours.values()))["scores"]))
            ratios = [theirs[s]["minutes"] / ours[s]["minutes"] for s in ours if s in theirs]
            ratio = f"{statistics.median(ratios):.2f}" if ratios else ""
            cells = [task, method, metric, _scores(ours, metric), _scores(theirs, metric)]
            cells += [_minutes(ours), _minutes(theirs), ratio, _memory(ours), _memory(theirs)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _scores(runs: dict, metric: str) -> str:
    values = [run["scores"][metric] for run in runs.values()]
    if len(values) < 2:
        return "".join(f"{value:.4f}" for value in values)
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f} ({len(values)})"


def _minutes(runs: dict) -> str:
    return f"{statistics.mean(run['minutes'] for run in runs.values()):.1f}" if runs else ""


def _memory(runs: dict) -> str:
    """Median of the peaks where the model is: of the GPU if there is one, else of the process."""
    peaks = [run["peak_memory_mib"] for run in runs.values()]
    return f"{statistics.median(peak.get('gpu', peak['process']) for peak in peaks):.0f}" if runs else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-dir", required=True, help="bundle folder with glue/")
    parser.add_argument("--tasks", nargs="+", default=list(EPOCHS), choices=list(EPOCHS))
    parser.add_argument("--methods", nargs="+", default=list(RATES), choices=list(RATES))
    parser.add_argument("--tools", nargs="+", default=["mbert", "trainer"], choices=["mbert", "trainer"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[42])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        tool, task, method, seed = given.one
        return measure_one(tool, task, method, int(seed), given.data_dir)
    for seed in given.seeds:
        for method in given.methods:
            for task in given.tasks:
                for tool in given.tools:
                    add(tool, task, method, seed, given.data_dir)
    print(table(read()))


def read() -> list[dict]:
    return read_records(OUTPUT)


def add(tool: str, task: str, method: str, seed: int, data_dir: str) -> None:
    key = {"tool": tool, "task": task, "method": method, "seed": seed}
    if any(all(record[k] == v for k, v in key.items()) for record in read()):
        return
    record = measure(tool, task, method, seed, data_dir)
    print(*key.values(), record["scores"], f"{record['minutes']:.2f} min", flush=True)
    write_records([*read(), record], OUTPUT)


if __name__ == "__main__":
    main()
