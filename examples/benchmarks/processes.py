"""One process and two, side by side: training, training with divided weights (--shard), and embedding.

    python examples/benchmarks/processes.py

A ModernBERT of base width with random weights, fp32, one thread a process, texts of mixed lengths. Losses
must agree to 1e-5, and vectors to the bit. The ways take turns; what counts is the median over rounds of each
one's speed beside that of one process in the same round. Neither the start of the processes nor the first
step is part of it. At last each of two processes says how many bytes it holds: weights, gradients and the
optimiser's averages, after one step.

The machine must have two idle cores: two processes on one core show nothing.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import torch
from _common import RESULTS, header, keep_record, line_of, processor_of, read_records
from torch import distributed
from transformers import ModernBertConfig, ModernBertForSequenceClassification, ModernBertModel

from modernbert.data.batching import share_out
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.workers import shared_out
from modernbert.files import write_jsonl
from modernbert.finetuning.finetune import finetune
from modernbert.finetuning.launch import led
from modernbert.memory import prepare_cpu_memory
from modernbert.model.device import describe_hardware
from modernbert.model.locate import ModelSource, locate_model
from modernbert.ranks import Ranks
from modernbert.runs import RunStore
from modernbert.settings.sections import OptimizerConfig
from modernbert.training.inputs import Request
from modernbert.training.optim import make_optimizer
from modernbert.training.reports import StepReport
from modernbert.training.sharding import divide, own_part
from modernbert.version import versions

OUTPUT = RESULTS / "processes.json"
# How a training is carried out: in how many processes, and whether they divide the weights.
TRAININGS = {"one": (1, False), "two": (2, False), "two, divided": (2, True)}
BATCH = 32
# Words of a text, from and to; drawn evenly on a logarithmic scale.
WORDS = (4, 300)
# Texts of which the lengths of shares are compared.
SHARED = 4096


def make_model(folder: Path, layers: int) -> Path:
    """Save a random ModernBERT of base width that reads with the embedded model's tokenizer."""
    torch.manual_seed(0)
    nano = files("modernbert") / "nano"
    own = json.loads((nano / "config.json").read_text())
    words = {name: value for name, value in own.items() if name.endswith("_token_id") or name == "vocab_size"}
    ModernBertModel(ModernBertConfig(num_hidden_layers=layers, **words)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(str(nano / name), folder / name)
    return folder


def texts_of(count: int) -> list[str]:
    """Return pieces of Python's own documentation."""
    draw, words = random.Random(0), " ".join(topics.values()).split()
    low, high = WORDS
    found = []
    for _ in range(count):
        size = round(low * (high / low) ** draw.random())
        first = draw.randrange(len(words) - size)
        found.append(" ".join(words[first : first + size]))
    return found


def train(model: Path, rows: Path, way: str) -> tuple[float, list[float]]:
    """Return tokens a second after the first step, and the losses."""
    number, shard = TRAININGS[way]
    settings = {
        "epochs": 1.0, "batch_size": BATCH, "max_length": 512, "log_every": 1, "keep": "last", "shard": shard,
        "eval_every": 1_000_000,
    }  # fmt: skip
    given = {"settings": settings, "device": "cpu", "precision": "fp32"}
    request = Request(target=str(rows), model=str(model), **given)
    seen: list[StepReport] = []
    with tempfile.TemporaryDirectory() as runs, led(number):
        finetune(request, RunStore(Path(runs)), observe=lambda r: seen.append(r) if _is_step(r) else None)
    return statistics.harmonic_mean(r.tokens_per_second for r in seen[1:]), [r.loss for r in seen]


def _is_step(report: object) -> bool:
    return isinstance(report, StepReport)


def measure_training(model: Path, rows: Path, rounds: int) -> dict[str, Any]:
    losses: dict[str, list[float]] = {}

    def once(way: str) -> float:
        rate, losses[way] = train(model, rows, way)
        return rate

    found = in_turns({way: partial(once, way) for way in TRAININGS}, rounds)
    difference = max(float(np.abs(np.subtract(losses[way], losses["one"])).max()) for way in TRAININGS)
    assert difference < 1e-5, f"losses differ by {difference:.2g}"
    return {"work": "training", "rounds": found, "difference": difference}


def measure_embedding(model: Path, texts: list[str], rounds: int) -> dict[str, Any]:
    source = locate_model(str(model), store=RunStore(model.parent / "none"), data_dir=None)
    one = embedder_of(source)
    tokens = sum(len(ids) for ids in one.tokenizer(texts, truncation=True, max_length=512)["input_ids"])
    with shared_out(2):
        two = embedder_of(source)
        assert np.array_equal(two.encode(texts), one.encode(texts)), "vectors differ"
        ways = {"one": one, "two": two}
        found = in_turns({way: partial(rate_of, e, texts, tokens) for way, e in ways.items()}, rounds)
    return {"work": "embedding", "rounds": found, "difference": 0.0}


def embedder_of(source: ModelSource) -> Embedder:
    return Embedder(source, max_length=512, device="cpu", precision="fp32")


def rate_of(embedder: Embedder, texts: list[str], tokens: int) -> float:
    """Return tokens a second."""
    began = time.perf_counter()
    embedder.encode(texts)
    return tokens / (time.perf_counter() - began)


def in_turns(ways: dict[str, Callable[[], float]], rounds: int) -> list[dict[str, float]]:
    """Take turns, each time in another order; return of each round what each way gave."""
    found = []
    for _ in range(rounds):
        found.append({way: ways[way]() for way in random.sample(list(ways), len(ways))})
        print({way: round(rate) for way, rate in found[-1].items()}, flush=True)
    return found


def idle_shares(lengths: np.ndarray) -> dict[str, float]:
    """Return the share of time that two processes wait for the other, if time goes with tokens."""
    batches = np.array_split(np.random.default_rng(0).permutation(len(lengths)), len(lengths) // BATCH)
    by_tokens = [share_out(batch, lengths, 2) for batch in batches]
    by_examples = [np.array_split(batch, 2) for batch in batches]
    return {"by tokens": _idle(by_tokens, lengths), "by examples": _idle(by_examples, lengths)}


def _idle(shares: list[list[np.ndarray]], lengths: np.ndarray) -> float:
    tokens = np.array([[lengths[one].sum() for one in pair] for pair in shares])
    return 1 - float(tokens.sum() / (2 * tokens.max(axis=1).sum()))


def hold(number: int, meeting: str, layers: int, divided: bool, found: Any) -> None:
    """Take one step as one of two processes, and say how many bytes are held."""
    ranks = Ranks(number, 2, number, 2)
    os.environ |= ranks.environment()
    meeting.join(ranks, distributed.FileStore(meeting, 2))
    torch.manual_seed(0)
    whole = ModernBertForSequenceClassification(ModernBertConfig(num_hidden_layers=layers))
    network = divide(whole, torch.device("cpu")).network if divided else whole
    optimizer = make_optimizer(network, OptimizerConfig())
    ids = torch.randint(5, 1000, (1, 64))
    network(input_ids=ids, labels=torch.tensor([0])).loss.backward()
    optimizer.step()
    parameters = list(network.parameters())
    averages = [value for own in optimizer.state.values() for value in own.values()]
    every = [*parameters, *(p.grad for p in parameters if p.grad is not None), *averages]
    found.put(sum(own_part(tensor.detach()).nbytes for tensor in every))
    meeting.leave()


def bytes_held(layers: int, *, divided: bool) -> int:
    """Return the bytes that the fuller of two processes holds."""
    context = multiprocessing.get_context("spawn")
    found = context.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        given = (str(Path(folder) / "meeting"), layers, divided, found)
        both = [context.Process(target=hold, args=(number, *given)) for number in (0, 1)]
        for process in both:
            process.start()
        held = [found.get() for _ in both]
        for process in both:
            process.join()
    return max(held)


def ratios(record: dict, way: str) -> str:
    """Return how many times as fast a way is as one process: the median, and the range, of rounds."""
    found = [one[way] / one["one"] for one in record["rounds"] if way in one]
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})" if found else ""


def table(records: list[dict]) -> str:
    head = ["work", "layers", "processor, threads", "rounds", "tokens/s, one process", "two, times as fast"]
    head += ["two with --shard", "largest difference", "MiB held by each of two", "with --shard"]
    lines = header(head)
    for r in records:
        cells = [r["work"], str(r["layers"]), processor_of(r), str(len(r["rounds"]))]
        cells += [f"{statistics.median(one['one'] for one in r['rounds']):,.0f}"]
        cells += [ratios(r, "two"), ratios(r, "two, divided"), f"{r['difference']:.0e}"]
        held = r.get("bytes", {})
        cells += [f"{held[way] / 2**20:,.0f}" if held else "" for way in ("copied", "divided")]
        lines.append(line_of(cells))
    return "\n".join(lines)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--steps", type=int, default=4, help="of each training")
    parser.add_argument("--texts", type=int, default=200, help="to embed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    prepare_cpu_memory()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder) / "model", given.layers)
        texts = texts_of(max(given.texts, BATCH * given.steps, SHARED))
        rows = Path(folder) / "rows.jsonl"
        # A tenth is held out for validation.
        labelled = texts[: BATCH * given.steps * 10 // 9 + 1]
        write_jsonl(rows, [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(labelled)])
        training = measure_training(model, rows, given.rounds)
        embedding = measure_embedding(model, texts[: given.texts], given.rounds)
    training["bytes"] = {
        way: bytes_held(given.layers, divided=way == "divided") for way in ("copied", "divided")
    }
    training["idle"] = idle_shares(np.array([len(text.split()) for text in texts[:SHARED]]))
    hardware = describe_hardware()
    for record in (training, embedding):
        record |= {"layers": given.layers, "load_average": os.getloadavg()}
        keep_record(record | {"hardware": hardware, "versions": versions()}, given.output, "work", "layers")
    print(table(read_records(given.output)))
    print("waiting for the other process:", {way: f"{share:.1%}" for way, share in training["idle"].items()})


if __name__ == "__main__":
    main()
