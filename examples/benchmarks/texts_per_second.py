"""Short texts to vectors, from strings to numbers: mbert beside sentence-transformers.

    pip install sentence-transformers
    python examples/benchmarks/texts_per_second.py --cores 1
    python examples/benchmarks/texts_per_second.py --cores 2
    python examples/benchmarks/texts_per_second.py --cores 2 --model minilm --texts 10000

Both read the same texts (3 to 20 words of Python's documentation) with the same model, in fp32, and
tokenise them themselves. sentence-transformers sorts them by length; it has the faster one of its batch
sizes 32 and 128. Vectors are compared first. Both take turns; the ratio is the median over rounds. The
process keeps to as many cores as it is told, with its tokenizer, too.
"""

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
from _common import RESULTS, header, keep_record, line_of, processor_of, read_records

OUTPUT = RESULTS / "texts_per_second.json"
WORDS = (3, 20)
BATCH_SIZES = (32, 128)
MAX_LENGTH = 128


def texts_of(count: int) -> list[str]:
    draw, words = random.Random(0), " ".join(topics.values()).split()
    starts = (draw.randrange(len(words) - WORDS[1]) for _ in range(count))
    return [" ".join(words[start : start + draw.randint(*WORDS)]) for start in starts]


def keep_to(cores: int) -> None:
    """Leave this process so many cores; it must not have begun with torch or a tokenizer."""
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
    os.environ |= {"OMP_NUM_THREADS": str(cores), "RAYON_NUM_THREADS": str(cores)}


def encoders(name: str) -> dict[str, Callable[[list[str]], np.ndarray]]:
    """Return each way of encoding; all give vectors of length 1, or all do not."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    from modernbert.evaluation.embed import Embedder
    from modernbert.model.locate import locate_model
    from modernbert.runs import RunStore

    source = locate_model(name, store=RunStore(Path("none")), data_dir=None)
    own = Embedder(source, max_length=MAX_LENGTH, device="cpu", precision="fp32")
    # The embedded model's file is in half precision, which transformers would keep.
    transformer = Transformer(str(source.folder), model_kwargs={"dtype": torch.float32})
    transformer.max_seq_length = MAX_LENGTH
    pooling = Pooling(transformer.get_embedding_dimension(), own.settings.pooling)
    modules = [transformer, pooling, *([Normalize()] if own.settings.normalize else [])]
    other = SentenceTransformer(modules=modules, device="cpu")
    ways: dict[str, Callable[[list[str]], np.ndarray]] = {"mbert": own.encode}
    for size in BATCH_SIZES:
        ways[str(size)] = lambda texts, size=size: other.encode(texts, batch_size=size)
    return ways


def rate_of(encode: Callable[[list[str]], np.ndarray], texts: list[str]) -> float:
    began = time.perf_counter()
    encode(texts)
    return len(texts) / (time.perf_counter() - began)


def measure(name: str, texts: list[str], rounds: int) -> dict[str, Any]:
    ways = encoders(name)
    few = texts[:500]
    expected, *others = [way(few) for way in ways.values()]
    largest = max(float(np.abs(other - expected).max()) for other in others)
    assert largest < 1e-4, f"vectors differ by {largest}"
    found = []
    for _ in range(rounds):
        order = random.sample(list(ways), len(ways))
        found.append({way: rate_of(ways[way], texts) for way in order})
        print({way: round(rate) for way, rate in found[-1].items()}, flush=True)
    return {"model": name, "texts": len(texts), "rounds": found, "difference": largest}


def table(records: list[dict]) -> str:
    head = [
        "model",
        "processor, threads",
        "texts",
        "rounds",
        "mbert, texts/s",
        "sentence-transformers",
        "times as fast",
    ]
    head += ["largest difference"]
    lines = header(head)
    for r in records:
        other = [max(one[str(size)] for size in BATCH_SIZES) for one in r["rounds"]]
        ratios = [one["mbert"] / best for one, best in zip(r["rounds"], other, strict=True)]
        cells = [r["model"], processor_of(r), f"{r['texts']:,}", str(len(ratios))]
        cells += [
            f"{statistics.median(one['mbert'] for one in r['rounds']):,.0f}",
            f"{statistics.median(other):,.0f}",
        ]
        cells += [
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            f"{r['difference']:.0e}",
        ]
        lines.append(line_of(cells))
    return "\n".join(lines)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="modernbert-nano")
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    keep_to(given.cores)

    from modernbert.memory import prepare_cpu_memory
    from modernbert.model.device import describe_hardware
    from modernbert.version import versions

    prepare_cpu_memory()
    record = measure(given.model, texts_of(given.texts), given.rounds)
    record |= {"load_average": os.getloadavg(), "hardware": describe_hardware(), "versions": versions()}
    keep_record(record, given.output, "model", "texts")
    print(table(read_records(given.output)))


if __name__ == "__main__":
    main()
