"""Embeddings of sentence-transformers, before and after `modernbert.accelerate`, side by side.

    pip install sentence-transformers
    python examples/benchmarks/encode.py

A ModernBERT of base size with random weights inside a SentenceTransformer; `encode` as it comes (sorted by
length, batches of 32), in turns with the same call after `modernbert.accelerate`. Vectors are compared first.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from _common import RESULTS, read_records, write_records
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import ModernBertConfig, ModernBertModel, PreTrainedTokenizerFast

import modernbert
from modernbert.benchmark.workloads import named
from modernbert.memory import prepare_cpu_memory
from modernbert.model.device import choose_machine, describe_hardware
from modernbert.version import versions

WORK = ("short", "pairs", "mix", "512")
OUTPUT = RESULTS / "encode.json"


def make(folder: Path, layers: int, device: str) -> SentenceTransformer:
    """Save a random ModernBERT with a tokenizer of one word per token, and load both."""
    torch.manual_seed(0)
    config = ModernBertConfig(num_hidden_layers=layers)
    vocabulary = {"[PAD]": config.pad_token_id, "[UNK]": 0} | {f"w{i}": i for i in range(1000, 50_000)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ModernBertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        folder
    )
    transformer = Transformer(str(folder))
    pooling = Pooling(config.hidden_size, "mean")
    return SentenceTransformer(modules=[transformer, pooling], device=device)


def texts_of(work: str) -> list[str]:
    tokens = named(work, 50_000).tokens
    words = [f"w{i}" for i in tokens.ids]
    return [" ".join(words[a:b]) for a, b in zip(tokens.starts, tokens.starts[1:], strict=False)]


def run(model: SentenceTransformer, texts: list[str], *, accelerated: bool) -> tuple[float, np.ndarray]:
    """Return seconds and vectors."""
    (modernbert.accelerate if accelerated else modernbert.restore)(model)
    started = time.perf_counter()
    vectors = model.encode(texts, batch_size=32, convert_to_numpy=True)
    return time.perf_counter() - started, vectors


def measure(model: SentenceTransformer, work: str, rounds: int) -> dict:
    texts = texts_of(work)
    (_, before), (_, after) = (run(model, texts, accelerated=flag) for flag in (False, True))
    scale = np.abs(before).max()
    difference = float(np.abs(before - after).max() / scale)
    seconds = [[run(model, texts, accelerated=flag)[0] for flag in (False, True)] for _ in range(rounds)]
    return {
        "work": work,
        "texts": len(texts),
        "difference": difference,
        "seconds": seconds,
        "speedup": statistics.median(plain / packed for plain, packed in seconds),
    }


def table(records: list[dict]) -> str:
    lines = [
        "| work | texts | layers | precision | times as fast | largest difference |",
        "|---|---|---|---|---|---|",
    ]
    for r in records:
        cells = [r["work"], r["texts"], r["layers"], r["precision"]]
        cells += [f"{r['speedup']:.2f}", f"{r['difference']:.1g}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", nargs="+", default=list(WORK), choices=WORK)
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    machine = choose_machine()
    if machine.device == "cpu":
        prepare_cpu_memory()
    records = []
    for precision in given.precision:
        with tempfile.TemporaryDirectory() as folder:
            model = make(Path(folder), given.layers, machine.device).eval()
        if precision == "bf16":
            model.bfloat16()
        for work in given.work:
            found = {"precision": precision, "layers": given.layers, **measure(model, work, given.rounds)}
            limit = 1e-4 if precision == "fp32" else 5e-2
            assert found["difference"] <= limit, f"vectors differ by {found['difference']:.2g}"
            records.append(found | {"versions": versions(), "hardware": describe_hardware()})
    write_records(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
