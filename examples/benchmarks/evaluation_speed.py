"""How long it takes to evaluate a retrieval collection: mbert, sentence-transformers, mteb.

    pip install '.[demo]' sentence-transformers mteb
    python examples/benchmarks/evaluation_speed.py BUNDLE/retrieval/scifact

The whole job from the model's files to nDCG@10: reading the collection, tokens, vectors, exact search and
scores. Every measurement is a process of its own with one thread, the tools alternate, and the clock is the
process's own, so that other work on the machine does not count. mbert keeps no vectors here and runs no BM25;
sentence-transformers (`InformationRetrievalEvaluator`) and mteb (its own loop around sentence-transformers)
sort texts by length; in bf16 both hold the model in bf16. sentence-transformers knows no grades: where
judgements exceed 1, its nDCG is another measure.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from _common import RESULTS, read_records, write_records

MODEL = "minilm"
TOOLS = ("mbert", "sentence-transformers", "mteb")
LENGTH = 256
OUTPUT = RESULTS / "evaluation_speed.json"


def read_collection(folder: Path):
    from modernbert.data.collections import folder_task, load_collection

    return load_collection(folder_task(folder), "test", None).collection


def run_mbert(folder: Path, precision: str) -> float:
    from modernbert.evaluation.embed import Embedder
    from modernbert.evaluation.ranking import ranking_of, score_ranking
    from modernbert.memory import prepare_cpu_memory
    from modernbert.model.locate import locate_model
    from modernbert.runs import RunStore

    prepare_cpu_memory()
    collection = read_collection(folder)
    embedder = Embedder(locate_model(MODEL, store=RunStore(Path())), max_length=LENGTH, precision=precision)
    queries = list(collection.queries.values())
    hits = embedder.search(queries, collection.documents.with_titles(), 1000)
    return score_ranking(ranking_of(collection, *hits), collection.judgements).main.value


def sentence_transformer(precision: str):
    import torch
    from sentence_transformers import SentenceTransformer

    from modernbert.model.locate import locate_model
    from modernbert.runs import RunStore

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    source = locate_model(MODEL, store=RunStore(Path()))
    model = SentenceTransformer(str(source.folder), device="cpu", model_kwargs={"dtype": dtype})
    model.max_seq_length = LENGTH
    return model


def run_sentence_transformers(folder: Path, precision: str) -> float:
    from sentence_transformers.evaluation import InformationRetrievalEvaluator

    collection = read_collection(folder)
    documents = dict(zip(collection.documents.ids, collection.documents.with_titles(), strict=True))
    relevant = {
        q: {d for d, grade in found.items() if grade > 0} for q, found in collection.judgements.items()
    }
    evaluator = InformationRetrievalEvaluator(
        dict(collection.queries), documents, relevant, show_progress_bar=False, write_csv=False
    )
    return float(evaluator(sentence_transformer(precision))["cosine_ndcg@10"])


def run_mteb(folder: Path, precision: str) -> float:
    import mteb
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.models import SentenceTransformerEncoderWrapper

    from modernbert.evaluation.via_mteb import mteb_task

    collection = read_collection(folder)
    task = mteb_task(AbsTaskRetrieval, mteb.TaskMetadata, collection)
    model = SentenceTransformerEncoderWrapper(sentence_transformer(precision))
    found = mteb.evaluate(model, task, cache=None, co2_tracker=False, show_progress_bar=False)
    return float(found.task_results[0].scores["test"][0]["ndcg_at_10"])


RUNNERS = {"mbert": run_mbert, "sentence-transformers": run_sentence_transformers, "mteb": run_mteb}


def work(folder: Path, tool: str, precision: str) -> None:
    import resource

    began = time.process_time()
    score = RUNNERS[tool](folder, precision)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"score": score, "seconds": time.process_time() - began, "peak_mib": peak}))


def measure(folder: Path, tool: str, precision: str) -> dict:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, __file__, str(folder), "--work", tool, "--precision", precision]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(records: list[dict]) -> str:
    lines = [
        "| collection | precision | tool | nDCG@10 | seconds | x mbert | MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in records:
        for tool in TOOLS:
            found = r["tools"][tool]
            cells = [
                r["collection"],
                r["precision"],
                tool,
                f"{found['score']:.4f}",
                f"{found['seconds']:.0f}",
            ]
            cells += [f"{found['ratio']:.2f}", f"{found['peak_mib']:,.0f}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run(folder: Path, precision: str, rounds: int) -> dict:
    from modernbert.model.device import describe_hardware
    from modernbert.version import versions

    runs = [{tool: measure(folder, tool, precision) for tool in TOOLS} for _ in range(rounds)]
    tools = {
        tool: {
            "score": runs[0][tool]["score"],
            "seconds": statistics.median(r[tool]["seconds"] for r in runs),
            "ratio": statistics.median(r[tool]["seconds"] / r["mbert"]["seconds"] for r in runs),
            "peak_mib": max(r[tool]["peak_mib"] for r in runs),
        }
        for tool in TOOLS
    }
    return {
        "collection": folder.name,
        "precision": precision,
        "rounds": rounds,
        "tools": tools,
        "hardware": describe_hardware(),
        "versions": versions(),
    }


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--precision", choices=("fp32", "bf16"), action="append")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--work", choices=TOOLS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        return work(given.folder, given.work, given.precision[0])
    records = [
        run(given.folder, precision, given.rounds) for precision in given.precision or ("fp32", "bf16")
    ]
    write_records(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
