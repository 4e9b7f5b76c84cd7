"""ModernBERT's speed: mbert's packed forward pass against transformers', side by side.

    python examples/benchmarks/speed.py                       # base size, this machine's best device
    python examples/benchmarks/speed.py --work short mix --precision bf16 --mode inference

The model has random weights (speed does not depend on them), the texts random tokens in lengths drawn like
the named work. Engines take turns within each round, so that a machine that slows down slows them all; what
is reported are medians over rounds, and medians of the ratios. Before anything is timed, every engine's
logits are compared with transformers' own in fp32, each text alone.

    transformers         sdpa, batches of 32 in the order of arrival, padded to the longest
    transformers sorted  the same, texts sorted by length first
    accelerate           transformers' interface after modernbert.accelerate, batches as `transformers`
    mbert                packed batches by token budget, as mbert's commands run

In bf16, inference holds the weights in bf16 (mbert: those of linear layers) and training uses autocast.
For inference mbert lays its weights out once, as its commands do.
"""

import argparse
import copy
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import ModernBertConfig, ModernBertForSequenceClassification

import modernbert
from modernbert.data.batching import split_by_tokens
from modernbert.data.tokens import TokenLengths, Tokens
from modernbert.memory import prepare_cpu_memory
from modernbert.model.device import MAX_TOKENS, choose_machine, describe_hardware
from modernbert.model.encoder import PackedClassifier
from modernbert.model.inference import prepare_inference
from modernbert.model.packing import pack
from modernbert.versions import versions

BATCH = 32
RESULTS = Path(__file__).parent / "results"


def lengths_of(work: str, random: np.random.Generator) -> list[int]:
    """Lengths in tokens: `short` like SST-2's sentences (mean 13 words), `pairs` like MNLI's."""
    drawn = {
        "short": lambda: random.gamma(3.0, 6.0, 128).clip(3, 66),
        "pairs": lambda: random.gamma(5.0, 8.0, 64).clip(8, 128),
        "mix": lambda: random.integers(20, 513, 32),
        "512": lambda: np.full(8, 512),
        "2048": lambda: np.full(2, 2048),
        "8192": lambda: np.full(1, 8192),
        "long mix": lambda: np.exp(random.uniform(np.log(20), np.log(8192), 12)),
    }
    return [int(n) for n in drawn[work]()]


WORK = ("short", "pairs", "mix", "512", "2048", "8192", "long mix")


def random_tokens(lengths: list[int], random: np.random.Generator) -> Tokens:
    ids = random.integers(5, 50_000, sum(lengths)).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Tokens(ids, None, starts, TokenLengths(np.array(lengths)))


class Setting:
    """A model, a precision and texts; `engines` maps names to functions that run all texts once."""

    def __init__(self, model, tokens: Tokens, precision: str, machine, *, training: bool) -> None:
        self.tokens, self.training = tokens, training
        self.device = torch.device(machine.device)
        self.budget = MAX_TOKENS[machine.device]
        self.autocast = precision == "bf16" and training
        plain = copy.deepcopy(model).to(self.device).train(training)
        packed = copy.deepcopy(plain)
        if not training:
            plain = plain.bfloat16() if precision == "bf16" else plain
            packed = prepare_inference(packed, replace(machine, precision=precision))
        self.autocast_ours = precision == "bf16"
        faster = modernbert.accelerate(copy.deepcopy(plain))
        arrival = np.arange(len(tokens))
        by_length = np.argsort(tokens.lengths, kind="stable")
        self.engines = {
            "transformers": lambda: self.padded(plain, arrival),
            "transformers sorted": lambda: self.padded(plain, by_length),
            "accelerate": lambda: self.padded(faster, arrival),
            "mbert": lambda: self.packed(PackedClassifier(packed)),
        }
        self.models = {
            "transformers": plain,
            "transformers sorted": plain,
            "accelerate": faster,
            "mbert": packed,
        }
        self.optimizers = {
            id(m): torch.optim.AdamW(m.parameters(), lr=1e-6, fused=True) for m in self.models.values()
        }

    def padded(self, model, order: np.ndarray) -> np.ndarray:
        found = {}
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            batch = pack(self.tokens, part).to(self.device)
            inputs = {"input_ids": batch.pad(batch.ids_T, model.config.pad_token_id)}
            if not batch.is_rectangular:
                inputs["attention_mask"] = batch.pad(torch.ones_like(batch.ids_T), 0)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
                logits = model(**inputs).logits
            self.learn(model, logits)
            found.update(zip(part.tolist(), logits.detach().float().cpu().numpy(), strict=True))
            self.step(model)
        return np.stack([found[i] for i in range(len(order))])

    def packed(self, model: PackedClassifier) -> np.ndarray:
        found = {}
        order = np.arange(len(self.tokens))
        steps = [order[i : i + BATCH] for i in range(0, len(order), BATCH)] if self.training else [order]
        for step in steps:
            for part in split_by_tokens(step, self.tokens.lengths, self.budget):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast_ours):
                    logits = model(pack(self.tokens, part).to(self.device))
                self.learn(model, logits)
                found.update(zip(part.tolist(), logits.detach().float().cpu().numpy(), strict=True))
            self.step(model.model)
        return np.stack([found[i] for i in range(len(order))])

    def learn(self, model, logits: torch.Tensor) -> None:
        if self.training:
            logits.float().square().sum().backward()

    def step(self, model) -> None:
        if self.training:
            self.optimizers[id(model)].step()
            self.optimizers[id(model)].zero_grad()

    def run(self, engine: str) -> tuple[float, np.ndarray]:
        """Return seconds and logits."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        with torch.set_grad_enabled(self.training):
            logits = self.engines[engine]()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started, logits


def exact_logits(model, tokens: Tokens) -> np.ndarray:
    with torch.no_grad():
        rows = (tokens.ids[a:b] for a, b in zip(tokens.starts, tokens.starts[1:], strict=False))
        return np.concatenate(
            [model(torch.from_numpy(r.astype(np.int64))[None]).logits.numpy() for r in rows]
        )


def matmul_rate(precision: str, device: torch.device) -> float:
    """The machine's own ceiling: floating-point operations a second of one large matrix product."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    size = 8192 if device.type == "cuda" else 2048
    a, b = (
        torch.randn(size, size, dtype=dtype, device=device),
        torch.randn(size, size, dtype=dtype, device=device),
    )
    float((a @ b)[0, 0])
    started = time.perf_counter()
    float((a @ b)[0, 0])
    return 2 * size**3 / (time.perf_counter() - started)


def operations(config, tokens: Tokens, *, training: bool) -> float:
    """Multiplications and additions of the layers' linear maps and attention (backward: twice forward)."""
    hidden, inner = config.hidden_size, config.intermediate_size
    linear = 2 * tokens.lengths.sum() * (4 * hidden**2 + 3 * hidden * inner) * config.num_hidden_layers
    attention = 0.0
    for kind in config.layer_types:
        seen = tokens.lengths
        if kind != "full_attention":
            seen = np.minimum(seen, 2 * (config.local_attention // 2) + 1)
        attention += float(4 * hidden * (tokens.lengths * seen).sum())
    return float(linear + attention) * (3 if training else 1)


def measure(model, work: str, precision: str, mode: str, rounds: int, machine) -> dict:
    random = np.random.default_rng(0)
    tokens = random_tokens(lengths_of(work, random), random)
    setting = Setting(model, tokens, precision, machine, training=mode == "training")
    exact = exact_logits(model, tokens) if mode == "inference" else None
    far = {}
    for name in setting.engines:  # the first run warms up, and is the one that is compared
        _, logits = setting.run(name)
        if exact is not None:
            far[name] = float(np.abs(logits - exact).max())
    if exact is not None:
        limit = 1e-4 if precision == "fp32" else 1.5 * far["transformers"]
        assert far["mbert"] <= limit, f"mbert's logits are off by {far['mbert']:.2g}"
    seconds: dict[str, list[float]] = {name: [] for name in setting.engines}
    ceilings = []
    for _ in range(rounds):
        ceilings.append(matmul_rate(precision, setting.device))
        for name in setting.engines:
            seconds[name].append(setting.run(name)[0])
    rate = operations(model.config, tokens, training=setting.training) / statistics.median(seconds["mbert"])
    count = int(tokens.lengths.sum())
    return {
        "work": work,
        "texts": len(tokens),
        "tokens": count,
        "precision": precision,
        "mode": mode,
        "tokens_per_second": {n: round(count / statistics.median(s), 1) for n, s in seconds.items()},
        "ratio": {
            n: round(statistics.median(p / o for p, o in zip(s, seconds["mbert"], strict=True)), 3)
            for n, s in seconds.items()
        },
        "share_of_matmul_rate": round(rate / statistics.median(ceilings), 3),
        "largest_difference_from_fp32": far,
        "seconds": seconds,
    }


def table(records: list[dict]) -> str:
    lines = [
        "| work | texts | tokens | | precision | mbert tokens/s | of matmul rate | x transformers "
        "| x transformers sorted | x accelerate |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        ratios = [f"{r['ratio'][n]:.2f}" for n in ("transformers", "transformers sorted", "accelerate")]
        cells = [r["work"], r["texts"], f"{r['tokens']:,}", r["mode"], r["precision"]]
        cells += [f"{r['tokens_per_second']['mbert']:,.0f}", f"{r['share_of_matmul_rate']:.0%}", *ratios]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", nargs="+", default=list(WORK), choices=list(WORK))
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--mode", nargs="+", default=["inference", "training"])
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    machine = choose_machine(given.device)
    if machine.device == "cpu":
        prepare_cpu_memory()
    torch.manual_seed(0)
    config = ModernBertConfig(num_hidden_layers=given.layers, classifier_pooling="mean")
    config._attn_implementation = "sdpa"
    model = ModernBertForSequenceClassification(config).eval()
    records = []
    for work in given.work:
        for mode in given.mode:
            for precision in given.precision:
                records.append(measure(model, work, precision, mode, given.rounds, machine))
                print(table(records[-1:]).splitlines()[-1], flush=True)
    output = given.output or RESULTS / f"speed-{machine.device}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    facts = {"layers": given.layers, "hardware": describe_hardware(), "versions": versions()}
    output.write_text(json.dumps({**facts, "records": records}, indent=1) + "\n")
    print(table(records))


if __name__ == "__main__":
    main()
