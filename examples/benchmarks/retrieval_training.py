"""mbert against sentence-transformers' own trainer: the same bi-encoder, side by side.

    python examples/benchmarks/retrieval_training.py --data-dir BUNDLE

Both train the same checkpoint on the same pairs with in-batch negatives, the same temperature, optimiser,
schedule, batch size, maximum length, precision, seed and number of epochs; both search the same validation
queries at step 0 and after each epoch, keep the best, and search the same test queries at the end.
sentence-transformers runs at its best settings: no duplicates in a batch, fused AdamW, texts sorted by
length when they are embedded; large batches with cached gradients, as in mbert. Every measurement is a
process of its own; the two tools alternate.

Minutes are of the whole job: model, tokens, training, evaluation, saving, test. On a CPU both tools get one
thread and the clock is the process's own, so that other work on the machine does not count; on a GPU it is
the wall clock. Results are added to a JSON file; what is there already is not measured again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _common import RESULTS, read_records, trainer_settings, write_records

MODEL = "minilm"
TASKS = ("codesearch/stdlib", "codesearch/so-python")
COMMON = {"epochs": 2.0, "max_length": 128}
SETTINGS = {
    "codesearch/stdlib": {**COMMON, "batch_size": 64, "learning_rate": 5e-5},
    # Chosen on its validation queries: in batches of 64, at 5e-5 and 1e-4 and with mined negatives, mbert
    # gained less.
    "codesearch/so-python": {**COMMON, "batch_size": 512, "learning_rate": 2e-4},
}
CACHED = 64  # sentence-transformers takes larger batches in pieces of as many, as mbert always does
OUTPUT = RESULTS / "retrieval_training.json"


def run_mbert(inputs, store) -> dict:
    from modernbert.finetuning.finetune import finetune

    result = finetune(inputs.request, store)
    return {
        "test": result.headline.main.value,
        "history": [entry.metrics["ndcg_at_10"] for entry in result.record.training.history],
        "peak_memory_mib": result.record.training.peak_memory_mib,
        "notes": result.headline.notes,
    }


def run_sentence_transformers(inputs, store) -> dict:
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.evaluation import InformationRetrievalEvaluator
    from sentence_transformers.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )
    from sentence_transformers.training_args import BatchSamplers

    from modernbert.evaluation.hits import unit
    from modernbert.evaluation.ranking import ranking_of, score_ranking
    from modernbert.evaluation.search import exact_search
    from modernbert.memory import peak_memory, start_measuring_memory
    from modernbert.training.retrieval import EVALUATION_DOCUMENTS, sample

    start_measuring_memory()
    config, train = inputs.config, inputs.train
    documents = dict(zip(train.documents.ids, train.documents.with_titles(), strict=True))
    pairs = [
        {"anchor": train.queries[query], "positive": documents[document]}
        for query, grades in train.judgements.items()
        for document, grade in grades.items()
        if grade > 0
    ]
    model = SentenceTransformer(str(inputs.source.folder), device=inputs.machine.device)
    model.max_seq_length = config.data.max_length
    validation, *others = inputs.held_out.values()
    quick = sample(validation, EVALUATION_DOCUMENTS)
    evaluator = InformationRetrievalEvaluator(
        dict(quick.queries),
        dict(zip(quick.documents.ids, quick.documents.with_titles(), strict=True)),
        {q: {d for d, grade in grades.items() if grade > 0} for q, grades in quick.judgements.items()},
        show_progress_bar=False,
    )
    main = "eval_cosine_ndcg@10"
    scale = 1 / config.retrieval.temperature
    loss = MultipleNegativesRankingLoss(model, scale=scale)
    if config.optimizer.batch_size > CACHED:
        loss = CachedMultipleNegativesRankingLoss(model, scale=scale, mini_batch_size=CACHED)
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            **trainer_settings(inputs, folder),
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            load_best_model_at_end=True,
            metric_for_best_model=main,
            greater_is_better=True,
            eval_on_start=True,
            logging_steps=config.run.log_every,
        )
        trainer = SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(pairs),
            loss=loss,
            evaluator=evaluator,
        )
        trainer.train()
        model.save_pretrained(folder)
        test = others[0] if others else validation
        queries, documents = list(test.queries.values()), test.documents.with_titles()
        found = exact_search(unit(model.encode(queries)), [unit(model.encode(documents))], 1000)
    return {
        "test": score_ranking(ranking_of(test, *found), test.judgements).main.value,
        "history": [entry[main] for entry in trainer.state.log_history if main in entry],
        "peak_memory_mib": peak_memory(),
    }


def before(inputs) -> dict:
    """Return the test nDCG@10 of the untrained model, read at the same length, and of BM25."""
    from modernbert.evaluation.bm25 import Bm25
    from modernbert.evaluation.embed import Embedder
    from modernbert.evaluation.hits import unit
    from modernbert.evaluation.ranking import ranking_of, score_ranking
    from modernbert.evaluation.search import exact_search

    *_, test = inputs.held_out.values()
    queries, documents = list(test.queries.values()), test.documents.with_titles()
    embedder = Embedder(inputs.source, max_length=inputs.config.data.max_length)
    dense = exact_search(unit(embedder.encode(queries, "query")), [unit(embedder.encode(documents))], 1000)
    sparse = Bm25(documents, "code").search(queries, 1000)
    scores = [
        score_ranking(ranking_of(test, *found), test.judgements).main.value for found in (dense, sparse)
    ]
    return {"before": scores[0], "bm25": scores[1]}


TOOLS = {"mbert": run_mbert, "sentence-transformers": run_sentence_transformers}


def measure_one(tool: str, task: str, seed: int, data_dir: str, keep: Path | None) -> None:
    """Measure in this process and print one JSON line."""
    from modernbert.finetuning.prepare import prepare
    from modernbert.model.device import describe_hardware
    from modernbert.runs import RunStore
    from modernbert.training.inputs import Request
    from modernbert.version import versions

    made_here = task == "codesearch/stdlib"
    target = task if made_here else str(Path(data_dir) / task)
    request = Request(target=target, model=MODEL, settings={**SETTINGS[task], "seed": seed})
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(keep or Path(folder))
        inputs = prepare(request, store)
        clock = time.process_time if inputs.machine.device == "cpu" else time.perf_counter
        started = clock()
        found = TOOLS[tool](inputs, store)
        minutes = (clock() - started) / 60
        found |= before(inputs) if tool == "mbert" else {}
    record = {"tool": tool, "task": task, "seed": seed, "minutes": minutes, **found}
    record |= {"settings": inputs.config.as_dict(), "precision": inputs.machine.precision}
    print(json.dumps(record | {"versions": versions(), "hardware": describe_hardware()}))


def measure(tool: str, task: str, seed: int, given: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, "--one", tool, task, str(seed), "--data-dir", given.data_dir]
    command += ["--keep", str(given.keep)] if given.keep else []
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def table(records: list[dict]) -> str:
    """Mean over seeds: before, after, minutes, and the median ratio of times where both ran the same seed."""
    lines = [
        "| task | before | BM25 | mbert | sentence-transformers | minutes, mbert | sentence-transformers "
        "| ratio | MiB, mbert | sentence-transformers |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for task in TASKS:
        runs = {t: {r["seed"]: r for r in records if (r["tool"], r["task"]) == (t, task)} for t in TOOLS}
        ours, theirs = runs.values()
        if ours and theirs:
            ratios = [theirs[seed]["minutes"] / ours[seed]["minutes"] for seed in ours if seed in theirs]
            first = next(iter(ours.values()))
            cells = [task, f"{first['before']:.4f}", f"{first['bm25']:.4f}"]
            cells += [_scores(ours), _scores(theirs), _mean(ours, "minutes"), _mean(theirs, "minutes")]
            cells += [f"{statistics.median(ratios):.2f}", _memory(ours), _memory(theirs)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _scores(runs: dict) -> str:
    values = [run["test"] for run in runs.values()]
    if len(values) < 2:
        return f"{values[0]:.4f}"
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f} ({len(values)})"


def _mean(runs: dict, key: str) -> str:
    return f"{statistics.mean(run[key] for run in runs.values()):.1f}"


def _memory(runs: dict) -> str:
    peaks = [run["peak_memory_mib"] for run in runs.values()]
    return f"{statistics.median(peak.get('gpu', peak['process']) for peak in peaks):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-dir", required=True, help="bundle folder with codesearch/")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--tools", nargs="+", default=list(TOOLS), choices=list(TOOLS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42])
    parser.add_argument("--keep", type=Path, help="keep mbert's runs in this folder, for mbert compare")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        tool, task, seed = given.one
        return measure_one(tool, task, int(seed), given.data_dir, given.keep)
    for seed in given.seeds:
        for task in given.tasks:
            for tool in given.tools:
                add(tool, task, seed, given)
    print(table(read()))


def read() -> list[dict]:
    return read_records(OUTPUT)


def add(tool: str, task: str, seed: int, given: argparse.Namespace) -> None:
    key = {"tool": tool, "task": task, "seed": seed}
    if any(all(record[k] == v for k, v in key.items()) for record in read()):
        return
    record = measure(tool, task, seed, given)
    print(*key.values(), f"nDCG@10 {record['test']:.4f}", f"{record['minutes']:.2f} min", flush=True)
    write_records([*read(), record], OUTPUT)


if __name__ == "__main__":
    main()
