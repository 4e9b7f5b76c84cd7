"""modernbert-nano's shape against a BERT of the same size: tokens a second at four lengths, side by side.

    python examples/benchmarks/nano_speed.py

Weights are random; BERT gets 8,192 positions for the long texts, of which the trained one has 1,024. Both run
as mbert runs them, on the same random tokens.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from _common import RESULTS, read_records, write_records
from transformers import AutoConfig, AutoModelForSequenceClassification

from modernbert.benchmark.engines import Mbert, Setting
from modernbert.benchmark.measure import measure
from modernbert.benchmark.workloads import of_length
from modernbert.memory import prepare_cpu_memory
from modernbert.model.device import choose_machine, describe_hardware
from modernbert.pretraining.architectures import ARCHITECTURES
from modernbert.version import versions

OUTPUT = RESULTS / "nano_speed.json"
NAMES = {"mbert": "nano", "bert": "bert-nano"}
LENGTHS = (128, 512, 2048, 8192)
VOCABULARY = 8192
TOKENS = 16_384


def make_models() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    shapes = {
        name: {**ARCHITECTURES[shape], "max_position_embeddings": 8192, "vocab_size": VOCABULARY}
        for name, shape in NAMES.items()
    }
    special = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    configs = {name: AutoConfig.for_model(**shape, **special) for name, shape in shapes.items()}
    return {name: AutoModelForSequenceClassification.from_config(c) for name, c in configs.items()}


def table(records: list[dict]) -> str:
    lines = [
        "| tokens a text | mode | precision | ModernBERT tokens/s | BERT | x BERT | MiB, ModernBERT | BERT |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        speed, memory = r["tokens_per_second"], r["working_memory_mib"]
        cells = [f"{int(r['work']):,}", r["mode"], r["precision"], f"{speed['mbert']:,.0f}"]
        cells += [f"{speed['bert']:,.0f}", f"{r['speedup']['bert']:.2f}"]
        cells += [f"{memory['mbert']:,.0f}", f"{memory['bert']:,.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--length", nargs="+", type=int, default=list(LENGTHS))
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of all texts of a measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", nargs="+", default=["bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    machine = choose_machine()
    if machine.device == "cpu":
        prepare_cpu_memory()
    facts = {"hardware": describe_hardware(), "versions": versions()}
    records = []
    for precision in given.precision:
        for training in (False, True):
            setting = Setting(replace(machine, precision=precision), training=training)
            engines = [Mbert(name, model, setting) for name, model in make_models().items()]
            for length in given.length:
                found = measure(engines, of_length(length, given.tokens, VOCABULARY), rounds=given.rounds)
                mode = "training" if training else "inference"
                records.append({**facts, "mode": mode, "precision": precision, **found.as_dict()})
    write_records(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
