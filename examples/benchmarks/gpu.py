"""Everything at once on one CUDA GPU: parity, speed, training, long texts and memory, in one record.

    python examples/benchmarks/gpu.py --minutes 4 --output gpu.json
    python examples/benchmarks/gpu.py --tiny --device cpu --output gpu.json      # a trial without a GPU

Weights are random and texts are random tokens, so nothing is fetched. Sections run in the order below, each
until its share of the time is used up. One that fails is recorded with its traceback and the next one runs;
the record is written again after every measurement, so whatever ends the program leaves what was measured.

    kernels      each attention backend beside the plain reference, outputs and gradients
    parity       the whole model beside transformers' eager attention in fp32, each text alone
    inference    bf16, mbert beside transformers' sdpa in order of arrival, sorted by length, and accelerated
    training     the same for forward, backward and AdamW (bf16 by autocast)
    fp32         inference and training of the mix in fp32
    compile      the mix again: mbert with its feed-forward blocks compiled, transformers compiled whole

Engines take turns within each round; every time is taken between two synchronisations after a warm-up pass.
transformers gets batches of 32 and of as many texts as fit mbert's token budget; the faster one counts.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gpu_parity
import gpu_speed
import numpy as np
import torch
from transformers import ModernBertConfig, ModernBertForSequenceClassification

import modernbert
from modernbert.benchmark.engines import Setting
from modernbert.benchmark.measure import matmul_rate
from modernbert.benchmark.workloads import Workload, named, of_lengths
from modernbert.files import write_json
from modernbert.memory import prepare_cpu_memory
from modernbert.model.backends import choose_backend
from modernbert.model.device import choose_machine, describe_hardware
from modernbert.version import versions

OUTPUT = Path(__file__).parent / "results" / "gpu.json"
WORKS = ("short", "mix", "512", "2048", "8192")
# What a trial changes in the embedded model's shape: it is to run every section, not to measure.
TINY = {"num_hidden_layers": 3, "layer_types": None, "vocab_size": 1000}
TINY |= {f"{name}_token_id": number for number, name in enumerate(("pad", "bos", "eos", "cls", "sep"))}
# Copies of a workload of the CPU benchmarks: enough to fill a GPU (texts of different lengths).
COPIES = {"short": 8, "mix": 8, "512": 32, "2048": 16, "8192": 8}
ROUNDS = 5
# Seconds after which a section begins no further measurement, as shares of --minutes.
SHARES = {
    "kernels": 0.06, "parity": 0.08, "inference": 0.28, "training": 0.32, "fp32": 0.1, "compile": 0.16
}  # fmt: skip


class Record:
    """What was found, written anew after each addition."""

    def __init__(self, path: Path, facts: dict[str, Any]) -> None:
        self.path, self.found = path, {**facts, "rows": [], "failures": []}
        self.write()

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self.found)

    def add(self, section: str, row: dict[str, Any]) -> None:
        self.found["rows"].append({"section": section, **row})
        self.write()
        print(section, json.dumps(row, default=str)[:400], flush=True)

    def fail(self, section: str, what: str, error: BaseException) -> None:
        trace = "".join(traceback.format_exception(error))[-4000:]
        self.found["failures"].append(
            {
                "section": section,
                "what": what,
                "error": f"{type(error).__name__}: {error}"[:1000],
                "trace": trace,
            }
        )
        self.write()
        print(f"{section}: {what} failed: {type(error).__name__}: {str(error)[:300]}", flush=True)


class Bench:
    """Device, sizes and clock of one run."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.machine = replace(choose_machine(given.device), precision="bf16")
        self.device = torch.device(self.machine.device)
        self.tiny, self.minutes, self.works = given.tiny, given.minutes, given.work
        self.rounds = 1 if given.tiny else given.rounds
        self.began = time.monotonic()

    def model(self, kind: str = "sdpa", layers: int | None = None, nano: bool = False) -> Any:
        """ModernBERT-base's shape, or modernbert-nano's; random weights."""
        torch.manual_seed(0)
        shape: dict[str, Any] = {"num_hidden_layers": layers or 22}
        if nano or self.tiny:
            shape = json.loads((Path(modernbert.__file__).parent / "nano" / "config.json").read_text())
        if self.tiny:
            shape |= TINY
        config = ModernBertConfig(**{**shape, "classifier_pooling": "mean"})
        config._attn_implementation = kind
        return ModernBertForSequenceClassification(config).eval()

    def work(self, name: str, vocabulary: int) -> Workload:
        """A named mix of lengths, many times over; a tiny part of it for a trial."""
        lengths = named(name, vocabulary).tokens.lengths
        if self.tiny:
            return of_lengths(name, [min(int(n), 96) for n in lengths[:6]], vocabulary)
        return of_lengths(name, [int(n) for n in np.tile(lengths, COPIES[name])], vocabulary)

    def left(self) -> float:
        """Seconds of the whole limit that are left."""
        return self.minutes * 60 - (time.monotonic() - self.began)

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def forget(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def sections(bench: Bench, record: Record) -> dict[str, Callable[[float], None]]:
    works = [(name, False) for name in WORKS] + [(name, True) for name in WORKS[:3]]
    works = [("short", False), ("512", True)] if bench.tiny else [w for w in works if w[0] in bench.works]
    return {
        "kernels": lambda until: gpu_parity.kernels(bench, record, until),
        "parity": lambda until: gpu_parity.parity(bench, record, until),
        "inference": lambda until: gpu_speed.speed(bench, record, "inference", "bf16", False, works, until),
        "training": lambda until: gpu_speed.speed(bench, record, "training", "bf16", True, works, until),
        "fp32": lambda until: [
            gpu_speed.speed(bench, record, "fp32", "fp32", training, [("mix", False)], until)
            for training in (False, True)
        ],
        "compile": lambda until: gpu_speed.compiled(bench, record, "compile", until),
    }


def read() -> dict[str, Any]:
    """Return what all kept runs found, as one record."""
    records = [json.loads(path.read_text()) for path in sorted(OUTPUT.parent.glob("gpu*.json"))]
    return {name: [one for record in records for one in record[name]] for name in ("rows", "failures")}


def table(found: dict[str, Any]) -> str:
    lines = [
        "| section | model | work | texts | tokens | precision | tokens/s | x arrival | x sorted "
        "| x accelerate | TFLOP/s | MiB, mbert | transformers |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in found["rows"]:
        if "tokens_per_second" not in r:
            continue
        rate = max((v for n, v in r["tokens_per_second"].items() if n.startswith("mbert")), default=0)
        cells = [r["section"], "nano" if r["nano"] else "base", r["work"], r["texts"], f"{r['tokens']:,}"]
        cells += [r["precision"], f"{rate:,.0f}"]
        cells += [f"{r[k]:.2f}" if r[k] else "" for k in ("x arrival", "x sorted", "x accelerate")]
        cells += [f"{r['tflops']:.0f}" if "tflops" in r else ""]
        memory = r["working_memory_mib"]
        cells += [f"{memory[k]:,.0f}" if k in memory else "" for k in ("mbert", "transformers 32")]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    done = {place_of(r) for r in found["rows"] if "skipped" not in r}
    skipped = [" ".join(place_of(r)) for r in found["rows"] if "skipped" in r and place_of(r) not in done]
    lines += ["", f"No time was left for: {', '.join(skipped)}."] if skipped else []
    lines += [f"- {f['section']}, {f['what']}: {f['error'].splitlines()[0]}" for f in found["failures"]]
    return "\n".join(lines)


def place_of(row: dict[str, Any]) -> tuple[str, str, str]:
    """Return what a row is of: section, model and work."""
    return row["section"], "nano" if row.get("nano") else "base", row.get("work", "")


def facts_of(bench: Bench) -> dict[str, Any]:
    facts = {"hardware": describe_hardware(), "versions": versions(), "device": str(bench.device)}
    types = {"fp32": torch.float32, "bf16": torch.bfloat16}
    facts["attention"] = {name: asdict(choose_backend(bench.device, kind)) for name, kind in types.items()}
    facts["tf32"] = torch.backends.cuda.matmul.allow_tf32
    if bench.device.type == "cuda":
        name, free = torch.cuda.get_device_properties(0), torch.cuda.mem_get_info()
        facts["gpu"] = {
            "name": name.name, "capability": [name.major, name.minor], "memory_mib": free[1] / 2**20,
            "multiprocessors": name.multi_processor_count, "cuda": torch.version.cuda,
            "driver": driver(), "matmul_tflops_bf16": matmul_rate(Setting(bench.machine, False)) / 1e12,
        }  # fmt: skip
    return facts


def driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unknown ({error})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0, help="of all sections together")
    parser.add_argument("--section", nargs="+", default=list(SHARES), choices=list(SHARES))
    parser.add_argument("--work", nargs="+", default=list(WORKS), choices=WORKS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--tiny", action="store_true", help="a trial: tiny models, few texts, one round")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    bench = Bench(given)
    if bench.device.type == "cpu":
        prepare_cpu_memory()
    record = Record(given.output, {"tiny": given.tiny, "minutes": given.minutes})
    try:
        record.found |= facts_of(bench)
    except Exception as error:
        record.fail("facts", "", error)
    share = 0.0
    for name, run in sections(bench, record).items():
        share += SHARES[name]
        if name not in given.section:
            continue
        started = time.monotonic()
        try:
            run(bench.began + 60 * given.minutes * share)
        except Exception as error:
            record.fail(name, "", error)
        record.found.setdefault("section_seconds", {})[name] = round(time.monotonic() - started, 1)
        record.write()
    print(table(record.found))


if __name__ == "__main__":
    main()
