"""The evaluations of retrieval in a run store, as one table.

    mbert eval BUNDLE/retrieval/scifact --model minilm --runs-dir evaluations    # and others
    python examples/benchmarks/evaluations.py --runs-dir evaluations

Nothing is computed here: every figure is read from a finished run's record.
"""

import argparse
from pathlib import Path

from _common import RESULTS, read_records, write_records

from modernbert.runs import RunStore

OUTPUT = RESULTS / "evaluations.json"
KEPT = ("task", "model", "config", "data", "results", "notes", "machine", "hardware", "versions", "created")


def table(records: list[dict]) -> str:
    lines = [
        "| collection | queries | documents | model | reads | model alone | BM25 | both |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(records, key=lambda r: (r["task"]["name"], r["config"]["passages"])):
        split = next(iter(r["data"]["splits"].values()))
        scores = [system["scores"][0] for system in r["results"][:3]]
        dense, bm25, both = ([s["value"], s["low"], s["high"]] for s in scores)
        reads = f"{r['config']['max_length']} tokens"
        reads = f"passages of {r['config']['passages']}" if r["config"]["passages"] else reads
        cells = [Path(r["task"]["name"]).name, f"{split['rows']:,}", f"{split['documents']:,}"]
        cells += [r["model"]["name"], reads, "{:.4f} ({:.3f} to {:.3f})".format(*dense)]
        cells += [f"{bm25[0]:.4f}", f"{both[0]:.4f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs-dir", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    store = RunStore(given.runs_dir)
    runs = [store.read(name) for name in store.names()]
    found = [run for run in runs if run.kind == "retrieval" and run.status == "finished"]
    plain = [run.without_paths().as_dict() for run in found]
    records = [{key: run[key] for key in KEPT} for run in plain]
    write_records(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
