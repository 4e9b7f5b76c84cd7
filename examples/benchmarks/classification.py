"""mbert on labelled data of several kinds, beside scikit-learn's plain recipe and transformers' Trainer.

    python examples/benchmarks/classification.py --data-dir BUNDLE [--rows 1000] [--seeds 42 43 44] [--quick]

Five sets are made of a bundle's real texts (GLUE and AG News, see _labelled_sets.py):

- price: news articles; the price is made: topic and length set it, with noise (the best R2 is about 0.8).
- stsb: pairs of sentences and how alike they are (STS-B).
- topics: one or two news articles joined; the labels are their topics, so that a text has one or two.
- rare: SST-2 of which 5 % are positive.
- rte: RTE, cross-validated in folds.

mbert and Trainer start from the same checkpoint and have the same rows, optimiser, schedule, batch size,
maximum length, precision, seed, epochs and choice of the epoch. scikit-learn has TF-IDF of words and word
pairs with ridge, logistic regression or one-vs-rest, its strength chosen by cross-validation. Scores are of
test rows that nothing was chosen on (rte: of each fold). Of a difference of means over seeds, the 95 %
interval is that of `mbert compare`: paired by test row, with the noise of rows and of seeds in it.
Minutes are of the processor, on one thread.
"""

import argparse
import os
import statistics
import tempfile
import time
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _classifiers import by_sklearn, by_trainer
from _common import RESULTS, find, read_records, write_records
from _labelled_sets import read_lines, write_sets
from scipy import stats
from sklearn import metrics as sk

OUTPUT = RESULTS / "classification.json"
MODELS = ("minilm", "modernbert-nano")
PLAIN, TRAINED = "scikit-learn", ("mbert", "Trainer")
FOLDS = 3
SETTINGS = {"batch_size": 16, "max_length": 96}
# By set: its metric, of labels and answers.
METRICS = {
    "price": ("r2", sk.r2_score),
    "stsb": ("spearman", lambda labels, answers: stats.spearmanr(labels, answers).statistic),
    "topics": ("micro_f1", lambda labels, answers: sk.f1_score(labels, answers, average="micro")),
    "rare": ("average_precision", sk.average_precision_score),
    "rte": ("accuracy", sk.accuracy_score),
}


def request_of(name: str, path: Path, model: str, settings: dict):
    from modernbert.training.inputs import Request

    columns = {"price": (("text",), "price"), "stsb": (("sentence1", "sentence2"), "score")}.get(name)
    given = dict(settings) | ({"metric": METRICS[name][0], "positive": "positive"} if name == "rare" else {})
    given |= {"metric": "spearman"} if name == "stsb" else {}
    more = {"text": columns[0], "label": columns[1], "kind": "regression"} if columns else {}
    return Request(target=str(path), model=model, settings=given, **more)


def answers_of(name: str, logits_NC: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
    """Return what the set's metric takes: outputs, or answers that follow a rule of their own."""
    if name in ("price", "stsb"):
        return logits_NC[:, 0]
    if name == "rare":
        return logits_NC[:, 1] - logits_NC[:, 0]
    if given is not None:
        return given
    return (logits_NC > 0).astype(int) if name == "topics" else logits_NC.argmax(axis=1)


def by_mbert(name: str, request, store) -> np.ndarray:
    """Return the answers to the test rows; of rte, each by the model that was not trained on it."""
    from modernbert.finetuning.study import plan_study, run_study

    study = plan_study(request, [request.target], 1, store, folds=FOLDS if name == "rte" else 0)
    (run,) = run_study(request, study, store).runs
    rows = read_lines(store.path(run.name) / "scores.jsonl")
    split = "out-of-fold" if name == "rte" else "test"
    rows = sorted((r for r in rows if r["id"].startswith(split)), key=lambda r: int(r["id"].split("/")[1]))
    logits, given = (np.array([row[key] for row in rows]) for key in ("logits", "prediction"))
    return answers_of(name, logits, given)


def in_folds(name: str, request, store, solve) -> np.ndarray:
    """Return a tool's answers to the same rows as mbert's."""
    from modernbert.finetuning.folds import of_fold
    from modernbert.finetuning.prepare import prepare

    if name != "rte":
        return answers_of(name, solve(prepare(request, store), "test"))
    found = {}
    for fold in range(1, FOLDS + 1):
        inputs = prepare(of_fold(request, fold, FOLDS), store)
        logits_NC = solve(inputs, "fold")
        found |= dict(zip(inputs.examples["fold"].rows.numbers, answers_of(name, logits_NC), strict=True))
    return np.array([found[number] for number in sorted(found)])


def labels_of(name: str, request, store) -> np.ndarray:
    """Return the labels of the test rows; of rte those of all rows, in the order of the file."""
    from modernbert.finetuning.folds import of_fold
    from modernbert.finetuning.prepare import prepare

    if name != "rte":
        return prepare(request, store).examples["test"].labels
    parts = prepare(of_fold(request, 1, FOLDS), store).examples.values()
    pairs = [pair for part in parts for pair in zip(part.rows.numbers, part.labels, strict=True)]
    return np.array([label for _, label in sorted(pairs)])


def measured(name: str, path: Path, settings: dict, model: str, tool: str) -> dict:
    """Return the record of one tool: its answers to the test rows, their score, and minutes."""
    from modernbert.runs import RunStore
    from modernbert.version import versions

    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        request = request_of(name, path, MODELS[1] if tool == PLAIN else model, settings)
        labels = labels_of(name, request, store)
        began = time.process_time()
        if tool == "mbert":
            answers = by_mbert(name, request, store)
        else:
            answers = in_folds(
                name, request, store, {"Trainer": by_trainer, "scikit-learn": by_sklearn}[tool]
            )
        minutes = (time.process_time() - began) / 60
    metric, measure = METRICS[name]
    return {
        "metric": metric,
        "score": float(measure(labels, answers)),
        "minutes": round(minutes, 3),
        "labels": written(labels),
        "answers": written(answers),
        "versions": versions(),
    }


def written(numbers: np.ndarray) -> list[str]:
    """Return numbers as one line for each column; `numbers_in` reads them."""
    return [" ".join(f"{n:.6g}" for n in column) for column in numbers.reshape(len(numbers), -1).T]


def numbers_in(lines: list[str]) -> np.ndarray:
    """Return the numbers of a record, shape (N,), of several columns (N, C)."""
    columns = [np.array(line.split(), float) for line in lines]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1).astype(int)


def difference(ours: list[dict], theirs: list[dict]) -> str:
    """Return how much higher mbert's mean over seeds is, with its 95 % interval."""
    from modernbert.evaluation.statistics import difference
    from modernbert.evaluation.sums import sums_of

    sides = [
        [sums_of(r["metric"], numbers_in(r["labels"]), numbers_in(r["answers"])) for r in runs]
        for runs in (ours, theirs)
    ]
    found = difference(*sides, trained=(True, theirs[0]["tool"] != PLAIN))
    return f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


def read() -> list[dict]:
    return read_records(OUTPUT)


def table(records: list[dict]) -> str:
    lines = [
        "| set | trained on | tested on | model | metric | mbert | Trainer | scikit-learn | mbert - Trainer "
        "| mbert - scikit-learn | minutes, mbert | Trainer |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple, dict[str, list[dict]]] = {}
    for record in records:
        key = record["set"], record["rows"], record["model"]
        groups.setdefault(key, {}).setdefault(record["tool"], []).append(record)
    places = {name: place for place, name in enumerate(METRICS)}
    for name, rows, model in sorted((key for key in groups if key[2]), key=lambda k: (places[k[0]], k[1:])):
        of, plain = groups[name, rows, model], groups[name, rows, ""][PLAIN]
        if len(of) < 2:
            continue
        ours, theirs = of["mbert"], of["Trainer"]
        trained = rows // 2 * (FOLDS - 1) // FOLDS if name == "rte" else rows
        tested = len(numbers_in(ours[0]["labels"]))
        scores = [_scores(runs) for runs in (ours, theirs, plain)]
        gaps = [difference(ours, runs) for runs in (theirs, plain)]
        minutes = [f"{statistics.mean(r['minutes'] for r in runs):.2f}" for runs in (ours, theirs)]
        cells = [name, str(trained), str(tested), model, ours[0]["metric"], *scores, *gaps, *minutes]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _scores(runs: list[dict]) -> str:
    values = [run["score"] for run in runs]
    if len(values) == 1:
        return f"{values[0]:.4f}"
    return f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f} ({len(values)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--data-dir", required=True, type=Path, help="bundle folder with glue/ and text/agnews/"
    )
    parser.add_argument("--rows", type=int, default=1000, help="training rows (rte: half as many in all)")
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--quick", action="store_true", help="nano, 40 rows, one epoch: shows that it runs")
    parser.add_argument("--sets", nargs="+", default=list(METRICS), choices=list(METRICS))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    rows, settings, models, seeds = given.rows, SETTINGS | {"epochs": given.epochs}, given.models, given.seeds
    if given.quick:
        rows, models, seeds = 40, ["modernbert-nano"], seeds[:1]
        settings = SETTINGS | {"epochs": 1.0, "max_length": 32}
    records = read_records(given.output)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_sets(given.data_dir, Path(folder), rows)
        # A seed at a time: whatever is measured when it is stopped, the tools have the same seeds.
        runs = [("", PLAIN, seeds[0]), *((m, tool, s) for s in seeds for m in models for tool in TRAINED)]
        for (model, tool, seed), name in product(runs, given.sets):
            key = {"set": name, "model": model, "tool": tool, "rows": rows, "settings": settings}
            if tool != PLAIN:
                key["settings"] = settings | {"seed": seed}
            if find(records, **key) is None:
                records.append(key | measured(name, paths[name], key["settings"], model, tool))
                print(name, model, tool, seed, f"{records[-1]['score']:.4f}", flush=True)
                write_records(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
