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
bootstrap samples of the test rows, and holds nothing of how another seed would come out. Minutes are of the
processor, on one thread.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _common import RESULTS, read_records, write_records
from _labelled_sets import read, write_sets
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
SETTINGS = {"epochs": 3.0, "batch_size": 16, "max_length": 96, "seed": SEED}
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
    rows = read(store.path(run.name) / "scores.jsonl")
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
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    from modernbert.evaluation.scoring import quick_metrics
    from modernbert.model.loading import load_classifier
    from modernbert.model.pretrained import quiet_transformers
    from modernbert.training.classification import make_dataset

    task, config = inputs.task, inputs.config
    best = config.evaluation.keep == "best"

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
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=config.schedule.epochs,
            per_device_train_batch_size=config.optimizer.batch_size,
            per_device_eval_batch_size=32,
            learning_rate=config.optimizer.learning_rate,
            weight_decay=config.optimizer.weight_decay,
            adam_beta1=config.optimizer.beta1,
            adam_beta2=config.optimizer.beta2,
            adam_epsilon=config.optimizer.epsilon,
            max_grad_norm=config.optimizer.clip,
            lr_scheduler_type="linear",
            warmup_steps=config.schedule.warmup,
            optim="adamw_torch_fused",
            bf16=inputs.machine.precision == "bf16",
            use_cpu=inputs.machine.device == "cpu",
            train_sampling_strategy="group_by_length",
            eval_strategy="epoch" if best else "no",
            save_strategy="epoch" if best else "no",
            save_total_limit=1,
            load_best_model_at_end=best,
            metric_for_best_model=task.metrics[0],
            greater_is_better=True,
            seed=config.run.seed,
            disable_tqdm=True,
            report_to="none",
            logging_strategy="no",
            dataloader_pin_memory=False,
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
        outputs = trainer.predict(list(rows(split))).predictions
    outputs = outputs.reshape(len(outputs), -1)
    return inputs.scale.to_labels(outputs) if inputs.scale else outputs


def measured(name: str, path: Path, settings: dict) -> list[dict]:
    """Return a record for each model on one set: scores of the three tools, differences, minutes."""
    from modernbert.runs import RunStore

    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        requests = {model: request_of(name, path, model, settings) for model in MODELS}
        labels = labels_of(name, requests[MODELS[0]], store)
        plain = timed(name, "scikit-learn", lambda: in_folds(name, requests[MODELS[0]], store, by_sklearn))
        records = []
        for model, request in requests.items():
            tools = {
                "mbert": timed(name, f"{model} mbert", lambda r=request: by_mbert(name, r, store)),
                "Trainer": timed(
                    name, f"{model} Trainer", lambda r=request: in_folds(name, r, store, by_trainer)
                ),
                "scikit-learn": plain,
            }
            records.append({"set": name, "model": model, "n": len(labels), **scored(name, labels, tools)})
    return records


def timed(name: str, what: str, solve) -> tuple[np.ndarray, float]:
    began = time.process_time()
    answers = solve()
    minutes = (time.process_time() - began) / 60
    print(f"{name}: {what}, {minutes:.2f} min", flush=True)
    return answers, minutes


def labels_of(name: str, request, store) -> np.ndarray:
    """Return the labels of the test rows; of rte those of all rows, in the order of the file."""
    from modernbert.finetuning.folds import of_fold
    from modernbert.finetuning.prepare import prepare

    if name != "rte":
        return prepare(request, store).examples["test"].labels
    parts = prepare(of_fold(request, 1, FOLDS), store).examples.values()
    pairs = [pair for part in parts for pair in zip(part.rows.numbers, part.labels, strict=True)]
    return np.array([label for _, label in sorted(pairs)])


def scored(name: str, labels: np.ndarray, tools: dict) -> dict:
    """Return each tool's score and minutes, and mbert's difference from the others with its 95 % interval."""
    metric, measure = METRICS[name]
    answers = {tool: found for tool, (found, _) in tools.items()}
    draw = np.random.default_rng(0)
    samples = [draw.integers(0, len(labels), len(labels)) for _ in range(1000)]
    again = {
        tool: np.array([measure(labels[s], found[s]) for s in samples]) for tool, found in answers.items()
    }
    scores = {tool: float(measure(labels, found)) for tool, found in answers.items()}
    differences = {
        tool: [
            scores["mbert"] - scores[tool],
            *np.quantile(again["mbert"] - again[tool], (0.025, 0.975)).tolist(),
        ]
        for tool in ("Trainer", "scikit-learn")
    }
    minutes = {tool: spent for tool, (_, spent) in tools.items()}
    return {"metric": metric, "scores": scores, "differences": differences, "minutes": minutes}


def table(records: list[dict]) -> str:
    lines = [
        "| set | model | metric | n | mbert | Trainer | scikit-learn | mbert - Trainer "
        "| mbert - scikit-learn | minutes, mbert | Trainer |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        scores = [f"{r['scores'][tool]:.4f}" for tool in ("mbert", "Trainer", "scikit-learn")]
        gaps = [
            "{:+.4f} ({:+.4f} to {:+.4f})".format(*r["differences"][t]) for t in ("Trainer", "scikit-learn")
        ]
        minutes = [f"{r['minutes'][tool]:.2f}" for tool in ("mbert", "Trainer")]
        cells = [r["set"], r["model"], r["metric"], str(r["n"]), *scores, *gaps, *minutes]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--data-dir", required=True, type=Path, help="bundle folder with glue/ and text/agnews/"
    )
    parser.add_argument(
        "--rows", type=int, default=1000, help="rows to train on; rare has three times, rte half as many"
    )
    parser.add_argument("--quick", action="store_true", help="60 rows and one epoch: shows that it runs")
    parser.add_argument("--sets", nargs="+", default=list(METRICS), choices=list(METRICS))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    rows, settings = (60, SETTINGS | {"epochs": 1.0}) if given.quick else (given.rows, SETTINGS)
    records = read_records(given.output)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_sets(given.data_dir, Path(folder), rows)
        for name in given.sets:
            found = measured(name, paths[name], settings)
            records = [r for r in records if r["set"] != name] + [r | {"rows": rows} for r in found]
            write_records(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
