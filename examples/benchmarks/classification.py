"""mbert on labelled data of several kinds, beside scikit-learn's plain recipe and transformers' Trainer.

    python examples/benchmarks/classification.py --data-dir BUNDLE [--rows 1000] [--quick]

Five sets are made of a bundle's real texts (GLUE and AG News, see _labelled_sets.py):

- price: news articles; the price is made: topic and length set it, with noise (the best R2 is about 0.8).
- stsb: pairs of sentences and how alike they are (STS-B).
- topics: one or two news articles joined; the labels are their topics, so that a text has one or two.
- rare: SST-2 of which 5 % are positive.
- rte: RTE, cross-validated in folds.

mbert and Trainer start from the same checkpoint and have the same rows, optimiser, schedule, batch size,
maximum length, precision, seed, epochs and choice of the epoch. scikit-learn has TF-IDF of words and word
pairs with ridge, logistic regression or one-vs-rest, its strength chosen by cross-validation. Scores are of
test rows that nothing was chosen on (rte: of each fold). Differences are paired: the interval is of 1,000
bootstrap samples of the test rows; other seeds are not in it. Minutes are of the processor, on one thread.
"""

import argparse
import os
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _common import RESULTS, find, in_order, read_records, trainer_arguments, write_records
from _labelled_sets import read_lines, write_sets
from scipy import sparse, stats
from sklearn import metrics as sk
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier

OUTPUT = RESULTS / "classification.json"
MODELS = ("minilm", "modernbert-nano")
FOLDS, SEED = 3, 42
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
SAMPLES = 1000  # of the bootstrap
SETTINGS = {"batch_size": 16, "max_length": 96, "seed": SEED}
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


def by_sklearn(inputs, split: str) -> np.ndarray:
    """Return outputs as a network gives them, shape (N, C)."""
    task, train = inputs.task, inputs.examples["train"]
    terms = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True) for _ in task.text]

    def features(texts, how):
        return sparse.hstack(
            [getattr(t, how)(s) for t, s in zip(terms, zip(*texts, strict=True), strict=True)]
        ).tocsr()

    model, strength = LogisticRegression(max_iter=1000), "C"
    if task.kind == "regression":
        model, strength = Ridge(), "alpha"
    elif task.kind == "multi_label":
        model, strength = OneVsRestClassifier(model), "estimator__C"
    scoring = {"average_precision": "average_precision"}.get(task.metrics[0])
    search = GridSearchCV(model, {strength: STRENGTHS}, cv=3, scoring=scoring)
    search.fit(features(train.texts, "fit_transform"), train.labels)
    asked = features(inputs.examples[split].texts, "transform")
    if task.kind == "regression":
        return search.predict(asked).reshape(-1, 1)
    odds = search.decision_function(asked)
    return odds if odds.ndim == 2 else np.stack([np.zeros(len(odds)), odds], axis=1)


def by_trainer(inputs, split: str) -> np.ndarray:
    """Return a network's outputs after transformers' Trainer, shape (N, C)."""
    import torch
    from transformers import DataCollatorWithPadding, Trainer

    from modernbert.evaluation.scoring import quick_metrics
    from modernbert.model.loading import load_classifier
    from modernbert.model.pretrained import quiet_transformers
    from modernbert.training.classification import make_dataset

    task, config = inputs.task, inputs.config

    def rows(part):
        data = make_dataset(inputs, part)
        tokens = data.tokens
        for start, end, target in zip(tokens.starts, tokens.starts[1:], data.targets, strict=False):
            kinds = {} if tokens.type_ids is None else {"token_type_ids": tokens.type_ids[start:end].tolist()}
            ids = {"input_ids": tokens.ids[start:end].tolist(), "attention_mask": [1] * int(end - start)}
            yield {**ids, **kinds, "labels": target.tolist(), "length": int(end - start)}

    def metrics(prediction):
        logits = prediction.predictions.reshape(len(prediction.predictions), -1)
        return quick_metrics(task, prediction.label_ids, logits)

    torch.manual_seed(config.run.seed)
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        choosing = {
            "eval_strategy": "epoch",
            "save_strategy": "epoch",
            "save_total_limit": 1,
            "load_best_model_at_end": True,
            "metric_for_best_model": task.metrics[0],
            "greater_is_better": True,
        }
        last = {"eval_strategy": "no", "save_strategy": "no"}
        arguments = trainer_arguments(
            inputs, folder, logging_strategy="no", **(choosing if config.evaluation.keep == "best" else last)
        )
        trainer = Trainer(
            model=load_classifier(inputs.start, task).model,
            args=arguments,
            train_dataset=list(rows("train")),
            eval_dataset=list(rows(task.validation[0])),
            data_collator=DataCollatorWithPadding(inputs.tokenizer),
            compute_metrics=metrics,
        )
        trainer.train()
        outputs = in_order(trainer, list(rows(split)))
    outputs = outputs.reshape(len(outputs), -1)
    return inputs.scale.to_labels(outputs) if inputs.scale else outputs


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
        request = request_of(name, path, MODELS[1] if tool == "scikit-learn" else model, settings)
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
        "labels": labels.tolist(),
        "answers": np.round(answers.astype(float), 5).tolist(),
        "versions": versions(),
    }


def difference(name: str, ours: dict, theirs: dict) -> list[float]:
    """Return what mbert scores more than another tool, and the 95 % interval of that."""
    measure, draw = METRICS[name][1], np.random.default_rng(0)
    labels, a, b = (np.array(part) for part in (ours["labels"], ours["answers"], theirs["answers"]))
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a sample of a small set may lack the rare class
        for _ in range(SAMPLES):
            rows = draw.integers(0, len(labels), len(labels))
            found.append(measure(labels[rows], a[rows]) - measure(labels[rows], b[rows]))
    return [ours["score"] - theirs["score"], *np.quantile(found, (0.025, 0.975)).tolist()]


def read() -> list[dict]:
    return read_records(OUTPUT)


def table(records: list[dict]) -> str:
    lines = [
        "| set | model | metric | test rows | mbert | Trainer | scikit-learn | mbert - Trainer "
        "| mbert - scikit-learn | minutes, mbert | Trainer |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for ours in (r for r in records if r["tool"] == "mbert" and "differences" in r):
        name, model = ours["set"], ours["model"]
        theirs = find(records, set=name, model=model, tool="Trainer")
        plain = find(records, set=name, model="", tool="scikit-learn")
        gaps = ["{:+.4f} ({:+.4f} to {:+.4f})".format(*gap) for gap in ours["differences"].values()]
        scores = [f"{r['score']:.4f}" for r in (ours, theirs, plain)]
        minutes = [f"{r['minutes']:.2f}" for r in (ours, theirs)]
        cells = [name, model, ours["metric"], str(len(ours["labels"])), *scores, *gaps, *minutes]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--data-dir", required=True, type=Path, help="bundle folder with glue/ and text/agnews/"
    )
    parser.add_argument("--rows", type=int, default=1000, help="training rows (rte: half as many in all)")
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--quick", action="store_true", help="nano, 40 rows, one epoch: shows that it runs")
    parser.add_argument("--sets", nargs="+", default=list(METRICS), choices=list(METRICS))
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    rows, settings, models = given.rows, SETTINGS | {"epochs": given.epochs}, given.models
    if given.quick:
        rows, settings, models = 40, SETTINGS | {"epochs": 1.0, "max_length": 32}, ["modernbert-nano"]
    records = read_records(given.output)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_sets(given.data_dir, Path(folder), rows)
        for name in given.sets:
            tools = [("", "scikit-learn"), *((m, tool) for m in models for tool in ("mbert", "Trainer"))]
            for model, tool in tools:
                key = {"set": name, "model": model, "tool": tool, "rows": rows, "settings": settings}
                if find(records, **key) is None:
                    records.append(key | measured(name, paths[name], settings, model, tool))
                    print(name, model, tool, f"{records[-1]['score']:.4f}", flush=True)
                    write_records(records, given.output)
            for model in models:
                ours = find(records, set=name, model=model, tool="mbert")
                others = {"Trainer": model, "scikit-learn": ""}
                ours["differences"] = {
                    tool: difference(name, ours, find(records, set=name, model=m, tool=tool))
                    for tool, m in others.items()
                }
            write_records(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
