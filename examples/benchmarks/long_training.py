"""Training on one long text with every layer: mbert's memory and time against transformers'.

    python examples/benchmarks/long_training.py          # base size, 8,192 tokens, this machine's best device

speed.py holds all engines in one process; two training steps of 22 layers over 8,192 tokens do not fit a
laptop's memory together. Here each is a process of its own, and they take turns. Both train the same random
weights on the same tokens for one step (forward, backward, AdamW; bf16 by autocast), after a step on 512
tokens that allocates the optimiser's state. Their logits before that step must agree, as in speed.py.

Memory is what the step needs beyond weights and optimiser. On a CPU both get one thread, and seconds are the
process's own, so that other work on the machine counts little; on a GPU it is the wall clock.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from _common import RESULTS, read_records, write_records

TOOLS = ("mbert", "transformers")
TOLERANCE = {"fp32": 1e-4, "bf16": 0.05}  # of logits around 1: bf16 keeps two to three digits


def work(tool: str, precision: str, tokens: int, layers: int, device: str) -> None:
    """Measure in this process and print one JSON line."""
    import torch
    from transformers import ModernBertConfig, ModernBertForSequenceClassification

    from modernbert.benchmark.engines import Mbert, Setting, Transformers
    from modernbert.benchmark.workloads import of_length
    from modernbert.memory import prepare_cpu_memory, working_memory
    from modernbert.model.device import choose_machine, describe_hardware
    from modernbert.version import versions

    machine = replace(choose_machine(device), precision=precision)
    if machine.device == "cpu":
        prepare_cpu_memory()
    torch.manual_seed(0)
    config = ModernBertConfig(num_hidden_layers=layers, classifier_pooling="mean")
    config._attn_implementation = "sdpa"
    model = ModernBertForSequenceClassification(config)
    make = {"mbert": Mbert, "transformers": Transformers}[tool]
    engine = make(tool, model, Setting(machine, training=True))
    engine.run(of_length(512, 512, config.vocab_size).tokens)
    text = of_length(tokens, tokens, config.vocab_size).tokens
    clock = time.process_time if machine.device == "cpu" else time.perf_counter
    found = {}

    def step() -> None:
        started = clock()
        found["logits"] = engine.run(text).tolist()
        if machine.device == "cuda":
            torch.cuda.synchronize()
        found["seconds"] = clock() - started

    found["mib"] = working_memory(step)
    print(json.dumps(found | {"hardware": describe_hardware(), "versions": versions()}))


def measure(tool: str, precision: str, given: argparse.Namespace) -> dict:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--one", tool, "--precision", precision, "--device", given.device]
    command += ["--tokens", str(given.tokens), "--layers", str(given.layers)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{tool}, {precision}: ended with {done.returncode}\n{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    print(tool, precision, f"{found['seconds']:.0f} s, {found['mib']:,.0f} MiB", flush=True)
    return found


def run(precision: str, given: argparse.Namespace) -> dict:
    rounds = [{tool: measure(tool, precision, given) for tool in TOOLS} for _ in range(given.rounds)]
    first = rounds[0]
    pairs = zip(first["mbert"]["logits"][0], first["transformers"]["logits"][0], strict=True)
    difference = max(abs(a - b) for a, b in pairs)
    assert difference <= TOLERANCE[precision], f"logits differ by {difference}"
    return {
        "tokens": given.tokens,
        "layers": given.layers,
        "precision": precision,
        "seconds": {tool: [r[tool]["seconds"] for r in rounds] for tool in TOOLS},
        "mib": {tool: statistics.median(r[tool]["mib"] for r in rounds) for tool in TOOLS},
        "ratio": statistics.median(r["transformers"]["seconds"] / r["mbert"]["seconds"] for r in rounds),
        "difference": difference,
        "hardware": first["mbert"]["hardware"],
        "versions": first["mbert"]["versions"],
    }


def table(records: list[dict]) -> str:
    lines = [
        "| tokens | layers | precision | rounds | tokens/s | x transformers | MiB, mbert | transformers "
        "| share |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        ours = statistics.median(r["seconds"]["mbert"])
        mib = r["mib"]
        cells = [f"{r['tokens']:,}", r["layers"], r["precision"], len(r["seconds"]["mbert"])]
        cells += [f"{r['tokens'] / ours:,.0f}", f"{r['ratio']:.2f}", f"{mib['mbert']:,.0f}"]
        cells += [f"{mib['transformers']:,.0f}", f"{mib['mbert'] / mib['transformers']:.2f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def read() -> list[dict]:
    path = RESULTS / "long_training-cpu.json"
    return read_records(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--precision", nargs="+", default=["bf16", "fp32"], choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--one", choices=TOOLS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        return work(given.one, given.precision[0], given.tokens, given.layers, given.device)
    records = []
    for precision in given.precision:
        records.append(run(precision, given))
        kind = "gpu" if records[-1]["hardware"]["gpu"] and given.device != "cpu" else "cpu"
        path = given.output or RESULTS / f"long_training-{kind}.json"
        write_records(records, path)
    print(table(records))


if __name__ == "__main__":
    main()
