"""gpu.py's speed: mbert and its peers in turn."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from modernbert.benchmark.engines import Engine, Mbert, Setting, Transformers
from modernbert.benchmark.measure import modernbert_operations
from modernbert.benchmark.workloads import Workload
from modernbert.data.batching import split_by_tokens
from modernbert.memory import working_memory
from modernbert.model.acceleration import accelerate
from modernbert.model.compilation import compile_layers
from modernbert.model.device import MAX_TOKENS

if TYPE_CHECKING:
    from gpu import Bench, Record


class Batched(Transformers):
    """transformers in batches of as many texts as are given."""

    size = 32

    def steps(self, tokens: Any) -> Iterator[list[np.ndarray]]:
        order = np.argsort(tokens.lengths, kind="stable") if self.by_length else np.arange(len(tokens))
        for start in range(0, len(order), self.size):
            yield [order[start : start + self.size]]


class LargeSteps(Mbert):
    """mbert with an optimiser step as large as the peers': as many texts as are given."""

    size = 32

    def steps(self, tokens: Any) -> Iterator[list[np.ndarray]]:
        if not self.setting.training:
            yield from super().steps(tokens)
            return
        budget = MAX_TOKENS[self.setting.machine.device]
        for start in range(0, len(tokens), self.size):
            indices = np.arange(start, min(start + self.size, len(tokens)))
            yield list(split_by_tokens(indices, tokens.lengths, budget, padded=False))


def make_engines(bench: Bench, model: Any, setting: Setting, large: int) -> list[Engine]:
    """The engines of one comparison; `large` is a batch size that fills the GPU."""
    plain = copy.deepcopy(model)
    base = Batched("transformers 32", plain, setting)
    engines: list[Engine] = [base]
    for name, by_length, size in (
        ("transformers 32 sorted", True, 32),
        (f"transformers {large}", False, large),
        (f"transformers {large} sorted", True, large),
    ):
        other = copy.copy(base)
        other.name, other.by_length, other.size = name, by_length, size
        engines.append(other)
    faster = Batched("accelerate", accelerate(copy.deepcopy(model)), setting)
    faster.size = large
    ours = LargeSteps("mbert", copy.deepcopy(model), setting)
    engines += [faster, ours]
    if setting.training:
        wide = copy.copy(ours)
        wide.name, wide.size = f"mbert {large}", large
        engines.append(wide)
    return engines


def time_engines(bench: Bench, engines: list[Engine], work: Workload, until: float) -> dict[str, Any]:
    """Warm up, then take rounds in turn, two at least, until the time is over; what fails is left out."""
    able, errors = [], {}
    for engine in engines:
        try:
            engine.run(work.tokens)
            able.append(engine)
        except Exception as error:  # out of memory, or a kernel that is not there: the others still run
            errors[engine.name] = f"{type(error).__name__}: {str(error)[:300]}"
        bench.forget()
    seconds: dict[str, list[float]] = {engine.name: [] for engine in able}
    memory: dict[str, float] = {}

    def once(engine: Engine) -> None:
        bench.wait()
        started = time.perf_counter()
        engine.run(work.tokens)
        bench.wait()
        seconds[engine.name].append(time.perf_counter() - started)

    for number in range(bench.rounds):
        if number >= 2 and time.monotonic() > until:
            break
        for engine in able:
            mib = working_memory(partial(once, engine))
            memory.setdefault(engine.name, mib)
    return {"seconds": seconds, "working_memory_mib": memory, "errors": errors}


def summary(found: dict[str, Any], work: Workload) -> dict[str, Any]:
    """Tokens a second, and how many times as fast mbert's best is as the best of each kind of peer."""
    rate = {n: work.num_tokens / statistics.median(s) for n, s in found["seconds"].items() if s}
    ours = max((r for n, r in rate.items() if n.startswith("mbert")), default=None)

    def against(chosen: Callable[[str], bool]) -> float | None:
        theirs = max((r for n, r in rate.items() if chosen(n)), default=None)
        return ours / theirs if ours and theirs else None

    return {
        "work": work.name,
        "texts": len(work.tokens),
        "tokens": work.num_tokens,
        "tokens_per_second": rate,
        "x arrival": against(lambda n: n.startswith("transformers") and "sorted" not in n),
        "x sorted": against(lambda n: n.startswith("transformers") and "sorted" in n),
        "x accelerate": against(lambda n: n == "accelerate"),
        **found,
    }


def speed(
    bench: Bench, record: Record, section: str, precision: str, training: bool, works: Any, until: float
) -> None:
    """Time works, pairs of a name and whether it is nano's; each gets a share of the time left."""
    setting = Setting(replace(bench.machine, precision=precision), training=training)
    models: dict[bool, Any] = {}
    for number, (name, nano) in enumerate(works):
        now = time.monotonic()
        if now > until or bench.left() < 5:
            record.add(section, {"work": name, "nano": nano, "training": training, "skipped": "no time left"})
            continue
        try:
            if nano not in models:
                models = {nano: bench.model(nano=nano)}
            share = now + (until - now) / (len(works) - number)
            one_work(bench, record, section, models[nano], name, setting, nano, share)
        except Exception as error:
            record.fail(section, f"{name}, nano={nano}, training={training}", error)
        bench.forget()


def one_work(
    bench: Bench,
    record: Record,
    section: str,
    model: Any,
    name: str,
    setting: Setting,
    nano: bool,
    until: float,
) -> None:
    work = bench.work(name, model.config.vocab_size)
    longest = int(work.tokens.lengths.max())
    large = 8 if bench.tiny else max(4, min(512, MAX_TOKENS["cuda"] // longest))
    engines = make_engines(bench, model, setting, large)
    found = time_engines(bench, engines, work, until)
    row = summary(found, work)
    operations = modernbert_operations(model.config, work.tokens.lengths, training=setting.training)
    ours = max((r for n, r in row["tokens_per_second"].items() if n.startswith("mbert")), default=0)
    row["tflops"] = operations / work.num_tokens * ours / 1e12
    row |= {"nano": nano, "precision": setting.machine.precision, "training": setting.training}
    record.add(section, row)


def compiled(bench: Bench, record: Record, section: str, until: float) -> None:
    """The mix in training and inference: mbert's option --compile, and transformers compiled whole."""
    for training in (True, False):
        setting = Setting(bench.machine, training=training)
        model = bench.model()
        work = bench.work("mix", model.config.vocab_size)
        plain, ours = LargeSteps("mbert", copy.deepcopy(model), setting), copy.deepcopy(model)
        started = time.perf_counter()
        fault = compile_layers(ours, bench.device)
        engines: list[Engine] = [plain]
        if not fault:
            engines.append(LargeSteps("mbert compiled", ours, setting))
        whole = Batched("transformers 32 sorted compiled", copy.deepcopy(model), setting, by_length=True)
        whole.model.forward = torch.compile(whole.model.forward, dynamic=True)
        if bench.left() > 60 and not bench.tiny:
            engines.append(whole)
        found = time_engines(bench, engines, work, until)
        row = summary(found, work) | {
            "fault": fault,
            "training": training,
            "precision": "bf16",
            "nano": False,
        }
        record.add(section, row | {"seconds_in_all": time.perf_counter() - started})
        bench.forget()
        if time.monotonic() > until:
            return
