"""An index of a million chunks: time, disk and memory to build its graph, and to search it.

    pip install .
    python examples/benchmarks/million.py

A small encoder needs hours for a million chunks, so vectors are made up: random points of 24 dimensions, laid
into 384 with a little noise, since texts' vectors do not fill their space either. Chunks have a line of text.
What is measured does not depend on the model: the store takes the chunks and their vectors, the graph is
built, and a fresh process searches it as `mbert search` does: it compares both files with their checksums
(`seconds_to_check`), and maps the graph into memory. `recall` is the share of the ten nearest, found by
comparing with every vector, that the graph finds. Below 100,000 chunks there is no graph.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import RESULTS, read_records, write_records

from modernbert.index.chunks import Chunk
from modernbert.index.nearest import Nearest
from modernbert.index.record import FORMAT, About, checked_chunks, read_record, switch_to
from modernbert.index.store import IndexStore, open_store
from modernbert.index.write import with_graph, write_chunks
from modernbert.memory import peak_memory, start_measuring_memory
from modernbert.model.device import describe_hardware
from modernbert.reading import checked
from modernbert.version import versions

OUTPUT = RESULTS / "million.json"
SIZE, INNER, PART, QUERIES = 384, 24, 10_000, 200


def vectors(part: int, count: int) -> np.ndarray:
    """Return unit vectors (N, D) of one part of the collection; the queries are part -1."""
    laid = np.random.default_rng(0).standard_normal((INNER, SIZE), np.float32)
    random = np.random.default_rng(part + 2)
    points = random.standard_normal((count, INNER), np.float32) @ laid
    points += 0.5 * random.standard_normal((count, SIZE), np.float32)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def about(folder: Path) -> About:
    key = {
        "weights": {},
        "pooling": "mean",
        "normalize": True,
        "max_length": 512,
        "prompt": "",
        "lower_case": False,
        "special_tokens": "read as text",
    }
    record = {
        "format": FORMAT,
        "root": str(folder),
        "model": "none",
        "key": key,
        "light": None,
        "exclude": [],
        "table": None,
        "created": "",
        "versions": {},
    }
    return checked(About, record, where="the benchmark")


def build(folder: Path, chunks: int) -> dict:
    def fill(store: IndexStore) -> None:
        for part in range(0, chunks, PART):
            count = min(PART, chunks - part)
            text = [Chunk(1, 1, f"f{part + i}", f"def f{part + i}(): return {i}") for i in range(count)]
            store.add(f"file{part}.py", str(part), text, vectors(part // PART, count))

    started = time.perf_counter()
    record = write_chunks(folder, about(folder), fill)
    stored = time.perf_counter()
    record, _ = with_graph(folder, record, SIZE)
    switch_to(folder, record)
    done = time.perf_counter()
    size = {path.name: path.stat().st_size / 2**20 for path in folder.iterdir()}
    return {
        "minutes": {"store": (stored - started) / 60, "graph": (done - stored) / 60},
        "mib_on_disk": size,
        "peak_mib": peak_memory()["process"],
    }


def search(folder: Path, chunks: int) -> dict:
    """Search in this process, which has built nothing."""
    start_measuring_memory()
    queries = vectors(-1, QUERIES)
    best = [(np.empty(0), np.empty(0, int)) for _ in queries]
    taken, found = [], []
    started = time.perf_counter()
    record = read_record(folder)
    path = checked_chunks(folder, record)
    with open_store(path) as store:
        nearest = Nearest(folder, record, store, SIZE)
        opened = time.perf_counter() - started
        for query in queries:
            started = time.perf_counter()
            ids = [i for i, _ in nearest.find(store, query, 10)]
            store.get(ids)
            taken.append((time.perf_counter() - started) * 1000)
            found.append(set(ids))
    peak = peak_memory()["process"]
    for part in range(0, chunks, PART):
        scores = queries @ vectors(part // PART, min(PART, chunks - part)).T
        for i, row in enumerate(scores):
            top = np.argpartition(-row, 10)[:10]
            values = np.concatenate([best[i][0], row[top]])
            ids = np.concatenate([best[i][1], part + 1 + top])
            order = np.argsort(-values)[:10]
            best[i] = values[order], ids[order]
    shares = [len(ids & set(exact[1].tolist())) / 10 for ids, exact in zip(found, best, strict=True)]
    return {
        "milliseconds": {f"p{share}": float(np.percentile(taken, share)) for share in (50, 95, 99)},
        "first_milliseconds": taken[0],
        "seconds_to_check": opened,
        "search_peak_mib": peak,
        "recall": float(np.mean(shares)),
    }


def table(records: list[dict]) -> str:
    lines = [
        "| chunks | store, minutes | graph, minutes | MiB on disk | peak MiB, building | searching "
        "| search, ms (p50 / p95 / p99) | recall |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        cells = [f"{r['chunks']:,}", f"{r['minutes']['store']:.1f}", f"{r['minutes']['graph']:.1f}"]
        cells += [f"{sum(r['mib_on_disk'].values()):,.0f}", f"{r['peak_mib']:,.0f}"]
        cells += [f"{r['search_peak_mib']:,.0f}", " / ".join(f"{v:.1f}" for v in r["milliseconds"].values())]
        lines.append("| " + " | ".join([*cells, f"{r['recall']:.3f}"]) + " |")
    return "\n".join(lines)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.search:
        return print(json.dumps(search(given.search, given.chunks)))
    with tempfile.TemporaryDirectory() as folder:
        found = build(Path(folder), given.chunks)
        command = [sys.executable, __file__, "--search", folder, "--chunks", str(given.chunks)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found |= json.loads(done.stdout.splitlines()[-1])
    record = {"chunks": given.chunks, **found, "hardware": describe_hardware(), "versions": versions()}
    write_records([record], given.output)
    print(table([record]))


if __name__ == "__main__":
    main()
