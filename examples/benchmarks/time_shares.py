"""Where the time of mbert's pass over ModernBERT goes: what could still be won, and where.

    python examples/benchmarks/time_shares.py --layers 6 --work 512 2048

A pass is run under torch's profiler, and the operations' own times are added up: the linear layers' matrix
products, attention (torch's fused kernel, and products and softmax of scores), and everything else. `of
ceiling` is the products' rate by that of the machine's fastest large product, as in speed.py. Were the linear
layers all there is to a pass, it would be `at most` times as fast.

Model, texts and engine are speed.py's.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from _common import RESULTS, keep_record, processor_of, read_records
from torch.profiler import ProfilerActivity, profile
from transformers import ModernBertConfig, ModernBertForSequenceClassification

from modernbert.benchmark.engines import Mbert, Setting
from modernbert.benchmark.measure import linear_operations, matmul_rate
from modernbert.benchmark.workloads import MIXES, named
from modernbert.memory import prepare_cpu_memory
from modernbert.model.device import choose_machine, describe_hardware
from modernbert.version import versions

OUTPUT = RESULTS / "time_shares-cpu.json"
LINEAR = ("aten::mm", "aten::addmm", "mkldnn::_linear_pointwise")
ATTENTION = ("_scaled_dot_product", "aten::bmm", "aten::_softmax")


def shares(engine: Mbert, tokens) -> dict[str, float]:
    """Return seconds of one pass by kind of operation."""
    engine.run(tokens)
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        engine.run(tokens)
    found = {"linear": 0.0, "attention": 0.0, "rest": 0.0}
    for event in profiled.key_averages():
        kind = "linear" if event.key in LINEAR else "rest"
        kind = "attention" if any(part in event.key for part in ATTENTION) else kind
        found[kind] += event.self_cpu_time_total / 1e6
    return found


def run_one(config, work: str, precision: str, mode: str) -> dict:
    setting = Setting(replace(choose_machine("cpu"), precision=precision), training=mode == "training")
    torch.manual_seed(0)
    engine = Mbert("mbert", ModernBertForSequenceClassification(config), setting)
    workload = named(work, config.vocab_size)
    ceiling = matmul_rate(setting)
    seconds = shares(engine, workload.tokens)
    rate = linear_operations(config, workload.num_tokens, training=setting.training) / seconds["linear"]
    record = {"work": work, "mode": mode, "precision": precision, "layers": config.num_hidden_layers}
    record |= {"seconds": seconds, "linear_of_ceiling": rate / ceiling}
    return record | {"hardware": describe_hardware(), "versions": versions()}


def table(records: list[dict]) -> str:
    lines = [
        "| work | layers | mode | precision | processor, threads | linear | of ceiling | attention | rest "
        "| at most |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(records, key=_place):
        total = sum(r["seconds"].values())
        linear, attention, rest = (f"{r['seconds'][k] / total:.0%}" for k in ("linear", "attention", "rest"))
        cells = [r["work"], str(r["layers"]), r["mode"], r["precision"], processor_of(r), linear]
        cells += [f"{r['linear_of_ceiling']:.0%}", attention, rest, f"{total / r['seconds']['linear']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _place(record: dict) -> tuple:
    """Order by work, then by mode."""
    work = list(MIXES).index(record["work"])
    return work, record["mode"], record["precision"] == "bf16", processor_of(record)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--work", nargs="+", default=["short", "512", "2048"], choices=list(MIXES))
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    modes = ["inference", "training"]
    parser.add_argument("--mode", nargs="+", default=modes, choices=modes)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    prepare_cpu_memory()
    config = ModernBertConfig(num_hidden_layers=given.layers, classifier_pooling="mean")
    records = [
        run_one(config, work, precision, mode)
        for work in given.work
        for mode in given.mode
        for precision in given.precision
    ]
    for record in records:
        keep_record(record, given.output, "layers", "work", "mode", "precision")
    print(table(records))


if __name__ == "__main__":
    main()
