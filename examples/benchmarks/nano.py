"""What pretraining is worth: the embedded model, the same network with random weights, simpler methods.

    python examples/benchmarks/nano.py --data-dir BUNDLE --runs runs/nano

SST-2 beside TF-IDF with logistic regression, search in Python's library beside BM25. Both networks have three
seeds, which draw the random weights too. What is in `--runs` already is not trained again.
"""

import argparse
from pathlib import Path

from _common import RESULTS, read_records, write_records

from modernbert.comparison.baselines import run_baseline
from modernbert.comparison.compare import compare
from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks, retrieval_tasks
from modernbert.evaluation.shown import interval_text
from modernbert.finetuning.finetune import finetune
from modernbert.model.catalogue import EMBEDDED
from modernbert.model.device import describe_hardware
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.training.inputs import Request
from modernbert.version import versions

OUTPUT = RESULTS / "nano.json"
SETTINGS = {
    "glue/sst2": {"epochs": 1.0, "max_length": 128, "learning_rate": 5e-4},
    "codesearch/stdlib": {"epochs": 1.0, "max_length": 128, "learning_rate": 2e-4, "max_tokens": 16384},
}
# Random weights get more: the rate at which `mbert pretrain` starts from scratch, and in search, where one
# epoch is 66 steps, a second one, which helped them on the validation queries.
RANDOM = {"random_weights": True, "learning_rate": 1e-3}
MORE = {"glue/sst2": RANDOM, "codesearch/stdlib": {**RANDOM, "epochs": 2.0}}
WITHOUT_NETWORK = {"glue/sst2": "tfidf", "codesearch/stdlib": "bm25 (code)"}


def train(task: str, seed: int, *, random: bool, given: argparse.Namespace) -> None:
    store = RunStore(given.runs)
    name = f"{Path(task).name}-{EMBEDDED}{'-random' if random else ''}-s{seed}"
    if store.has(name) and store.read(name).status == "finished":
        return
    settings = {**SETTINGS[task], **(MORE[task] if random else {}), "seed": seed}
    request = Request(target=task, model=EMBEDDED, settings=settings, data_dir=given.data_dir, name=name)
    done = finetune(request, store)
    score, minutes = done.headline.main.value, done.record.training.minutes
    print(name, f"{score:.4f}", f"{minutes:.1f} min", flush=True)


def without_network(task: str, given: argparse.Namespace) -> None:
    """TF-IDF is a run of its own; BM25 comes with an evaluation of the embedded model as it is."""
    store = RunStore(given.runs)
    kinds = {(store.read(name).kind, store.read(name).task.name) for name in store.names()}
    if task == "glue/sst2" and ("baseline", task) not in kinds:
        run_baseline("tfidf", Request(target=task, model="tfidf", data_dir=given.data_dir), store)
    elif task == "codesearch/stdlib" and ("retrieval", task) not in kinds:
        source = locate_model(EMBEDDED, store=store)
        evaluate_tasks(retrieval_tasks(task), source, store, SearchOptions(max_length=128))


def compared(task: str, given: argparse.Namespace) -> dict:
    """Return the comparison of everything in the store, without the fusion with BM25."""
    trained = "" if task == "glue/sst2" else " trained"
    bases = [WITHOUT_NETWORK[task], f"{EMBEDDED}{trained} random"]
    # What random weights get more is allowed, and kept with the differences.
    found = compare(
        RunStore(given.runs), [], bases, tasks=[task], models=[f"{EMBEDDED}{trained}"], allow=True
    )
    return found.as_dict()["tasks"][0]


def table(records: list[dict]) -> str:
    lines = [
        "| task | metric | n | model | score | 95 % interval | each seed | minutes "
        "| vs. random init | vs. TF-IDF or BM25 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for record in records:
        task = record["comparison"]
        for model in task["models"]:
            cells = [task["task"], task["metric"], f"{task['n']:,}", model["model"], f"{model['mean']:.4f}"]
            cells += [interval_text(model["low"], model["high"])]
            cells += ["  ".join(f"{value:.4f}" for value in model["by_seed"].values())]
            minutes = model["cost"]["minutes"]
            cells += [f"{minutes:.1f}" if minutes and "-" not in model["by_seed"] else ""]
            for base in (f"{EMBEDDED}", WITHOUT_NETWORK[task["task"]]):
                cells += [_difference(task["contrasts"], model["model"], base)]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _difference(contrasts: list[dict], model: str, base: str) -> str:
    for contrast in contrasts:
        if contrast["model"] == model and contrast["baseline"].startswith(base):
            found = contrast["difference"]
            return f"{found['value']:+.4f} ({interval_text(found['low'], found['high'], '+.4f')})"
    return ""


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-dir", help="bundle folder with glue/sst2")
    parser.add_argument("--runs", type=Path, default=Path("runs/nano"))
    parser.add_argument("--tasks", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    for task in given.tasks:
        without_network(task, given)
        for seed in given.seeds:
            for random in (True, False):
                train(task, seed, random=random, given=given)
    facts = {"hardware": describe_hardware(), "versions": versions(), "settings": SETTINGS, "more": MORE}
    records = [{**facts, "comparison": compared(task, given)} for task in given.tasks]
    write_records(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
