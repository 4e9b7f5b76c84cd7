"""How long it takes to index and to search many chunks of code, and to embed many short texts.

    pip install '.[demo]'
    python examples/benchmarks/search.py --path SITE_PACKAGES --chunks 100000

Chunks are of the Python files below a folder, cut as `mbert index` does, up to `--max-length` tokens.
Queries are first lines of docstrings; each is searched alone, model and all, as `mbert search` does after
its model is loaded. The short texts are the chunks' first lines, embedded as `mbert embed` does, in constant
memory. Everything runs in this one process, on the threads that torch is given.
"""

import argparse
import ast
import json
import resource
import shutil
import sysconfig
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import RESULTS, read_records, write_records

from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.embed_file import embed_file
from modernbert.index.build import build_index
from modernbert.index.chunks import cut_file
from modernbert.index.query import Searcher
from modernbert.memory import prepare_cpu_memory
from modernbert.model.device import describe_hardware
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.version import versions

OUTPUT = RESULTS / "search.json"
QUERIES = 200


def gather(source: Path, target: Path, wanted: int) -> tuple[int, list[str], list[str]]:
    """Copy files until they make `wanted` chunks; return the count, first lines, and queries."""
    chunks, lines, queries = 0, [], []
    for path in sorted(source.rglob("*.py")):
        try:
            text = path.read_text(encoding="utf-8")
            if len(text) > 2**20:
                continue
            found = cut_file(path, text)
            docstring = ast.get_docstring(ast.parse(text))
        except (UnicodeDecodeError, SyntaxError, ValueError):
            continue
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        chunks += len(found)
        lines += [next(line for line in chunk.text.split("\n") if line.strip()) for chunk in found]
        queries += [docstring.splitlines()[0]] if docstring and len(docstring.split()) > 4 else []
        if chunks >= wanted:
            break
    return chunks, lines, queries


def latencies(searcher: Searcher, queries: list[str], *, hybrid: bool) -> dict[str, float]:
    """Return percentiles in milliseconds."""
    taken = []
    for query in queries:
        started = time.perf_counter()
        searcher.search(query, 10, hybrid=hybrid)
        taken.append((time.perf_counter() - started) * 1000)
    return {f"p{share}": round(float(np.percentile(taken, share)), 1) for share in (50, 95, 99)}


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run(given: argparse.Namespace, folder: Path) -> dict:
    (folder / "files").mkdir()
    _, lines, queries = gather(given.path, folder / "files", given.chunks)
    source = locate_model(given.model, store=RunStore(folder / "runs"))
    embedder = Embedder(source, max_length=given.max_length)
    (folder / "lines.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    before = peak_mib()
    started = time.perf_counter()
    embed_file(embedder, folder / "lines.jsonl", folder / "vectors.parquet")
    embed_minutes, embed_peak = (time.perf_counter() - started) / 60, peak_mib()
    started = time.perf_counter()
    done = build_index(folder / "files", embedder, folder / "index")
    minutes = (time.perf_counter() - started) / 60
    started = time.perf_counter()
    build_index(folder / "files", embedder, folder / "index")
    again = (time.perf_counter() - started) / 60
    searcher = Searcher(folder / "index", embedder)
    chosen = [queries[i] for i in np.random.default_rng(0).permutation(len(queries))[:QUERIES]]
    searcher.search(chosen[0])
    size = sum(path.stat().st_size for path in (folder / "index").iterdir())
    return {
        "chunks": done.chunks,
        "files": done.files,
        "max_length": given.max_length,
        "minutes": {"embed": embed_minutes, "index": minutes, "unchanged": again},
        "short_texts": len(lines),
        "milliseconds": {h: latencies(searcher, chosen, hybrid=h == "hybrid") for h in ("dense", "hybrid")},
        "index_mib": size / 2**20,
        "peak_mib": {"before": before, "after_embed": embed_peak, "end": peak_mib()},
    }


def table(records: list[dict]) -> str:
    lines = [
        "| chunks | index, minutes | unchanged | MiB on disk | search, ms (p50 / p95 / p99) | hybrid "
        "| short texts a second | peak MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        shown = [" / ".join(f"{v:.0f}" for v in r["milliseconds"][h].values()) for h in ("dense", "hybrid")]
        rate = r["short_texts"] / r["minutes"]["embed"] / 60
        cells = [f"{r['chunks']:,}", f"{r['minutes']['index']:.1f}", f"{r['minutes']['unchanged']:.1f}"]
        cells += [f"{r['index_mib']:,.0f}", *shown, f"{rate:,.0f}", f"{r['peak_mib']['end']:,.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--path", type=Path, default=Path(sysconfig.get_paths()["purelib"]))
    parser.add_argument("--chunks", type=int, default=100_000)
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    prepare_cpu_memory()
    with tempfile.TemporaryDirectory() as folder:
        found = run(given, Path(folder))
    records = [found | {"hardware": describe_hardware(), "versions": versions()}]
    write_records(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
