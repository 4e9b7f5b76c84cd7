"""`mbert migrate` of MiniLM to the embedded model on SST-2: do its bounds hold the truth that was held back?

    pip install -e '.[demo]'
    python examples/benchmarks/migration.py --data-dir BUNDLE

Both are fine-tuned for an epoch on the same 2,000 sentences of SST-2's training split. The texts are its
validation split, which neither has seen, without labels. `mbert migrate --to-label` names the flips to label;
the first of them get the labels that were held back, and `mbert migrate --labels` makes its report.

Then the labels of so many flips are drawn 200 times at random. How often does the 95 % interval hold the
change of the accuracy that all labels give? Once the texts stay as they are; once they are drawn anew as well
(with replacement), as texts of another week would be: this is what the interval is made for.
"""

import argparse
import csv
import json
import os
import tempfile
from pathlib import Path

import numpy as np
from _common import RESULTS, header, keep_record, processor_of, read_records

import modernbert
from modernbert.benchmark import texts as speed
from modernbert.migration.change import Change, change_of_accuracy
from modernbert.migration.migrate import Migration, MigrationRequest, migrate
from modernbert.migration.page import write_page
from modernbert.migration.texts import UNKNOWN
from modernbert.model.device import describe_hardware
from modernbert.runs import RunStore
from modernbert.version import versions

OUTPUT = RESULTS / "migration.json"
MODELS = {"old": "minilm", "new": "modernbert-nano"}
# Sentences of the training split that choose the best step; the texts of the migration choose nothing.
VALIDATION = 200
COUNTS = (10, 30, 100)
NAMES = ("negative", "positive")


def rows_of(path: Path) -> list[dict]:
    """Return SST-2's rows with named labels."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{"text": row["sentence"], "label": NAMES[row["label"]]} for row in rows]


def write(path: Path, rows: list[dict]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def train(place: Path, data: Path, count: int, epochs: float) -> None:
    """Fine-tune both models on the same sentences."""
    rows = rows_of(data / "glue/sst2/train.jsonl")
    chosen = np.random.default_rng(0).permutation(len(rows))[: count + VALIDATION]
    drawn = [rows[i] for i in chosen.tolist()]
    files = [write(place / f"{n}.csv", part) for n, part in enumerate((drawn[:count], drawn[count:]))]
    for name, alias in MODELS.items():
        run = modernbert.finetune(
            files[0], alias, validation=files[1], label="label", epochs=epochs, runs_dir=place, name=name
        )
        print(name, run.headline.main, flush=True)


def ask(place: Path, texts: Path, **more: Path) -> Migration:
    request = MigrationRequest(
        old="old", new="new", on=texts, device="cpu", precision="fp32", labels_from=more.get("labels")
    )
    return migrate(request, RunStore(place), more.get("to_label"))


def by_hand(place: Path, texts: Path, truth: list[str], count: int) -> Migration:
    """Ask which flips to label, label the first of them, and ask again."""
    ask(place, texts, to_label=(sheet := place / "sheet.csv"))
    with sheet.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows[:count]:
        row["label"] = truth[int(row["row"]) - 1]
    return ask(place, texts, labels=write(place / "labelled.csv", rows))


def answers(place: Path, name: str, texts: list[str]) -> np.ndarray:
    """Return the place of each text's answer in `NAMES`, shape (N,)."""
    model = modernbert.load(name, runs_dir=place, device="cpu", precision="fp32")
    return np.array([NAMES.index(found["prediction"]) for found in model.predict(texts)])


def drawn(
    old_N: np.ndarray, new_N: np.ndarray, labels_N: np.ndarray, count: int, draw: np.random.Generator
) -> Change:
    """Return what is told of the change with the labels of so many flips, drawn at random."""
    flips = np.flatnonzero(old_N != new_N)
    some_N = np.full(len(labels_N), UNKNOWN)
    labelled = draw.permutation(flips)[:count]
    some_N[labelled] = labels_N[labelled]
    return change_of_accuracy(old_N, new_N, some_N, margin=0.01)


def coverage(sides: tuple[np.ndarray, ...], count: int, times: int) -> dict:
    """Draw labels, and texts, many times; return how often the interval holds the change of all labels."""
    old_N, new_N, labels_N = sides
    truth = float((new_N == labels_N).mean() - (old_N == labels_N).mean())
    draw, held, anew, half = np.random.default_rng(count), 0, 0, []
    for _ in range(times):
        found = drawn(*sides, count, draw)
        held += found.low <= truth <= found.high
        half.append((found.high - found.low) / 2)
        places = draw.integers(len(old_N), size=len(old_N))
        again = drawn(old_N[places], new_N[places], labels_N[places], count, draw)
        anew += again.low <= truth <= again.high
    return {
        "labelled": count, "times": times, "held": held, "held_anew": anew,
        "half": float(np.mean(half)),
    }  # fmt: skip


def measure(given: argparse.Namespace, place: Path) -> dict:
    train(place, given.data_dir, given.rows, given.epochs)
    rows = rows_of(given.data_dir / "glue/sst2/validation.jsonl")
    truth, texts = [row["label"] for row in rows], [row["text"] for row in rows]
    file = write(place / "texts.csv", [{"text": text} for text in texts])
    found = by_hand(place, file, truth, COUNTS[1])
    if given.report:
        write_page(found, given.report)
    labels_N = np.array([NAMES.index(label) for label in truth])
    old_N, new_N = (answers(place, name, texts) for name in MODELS)
    assert int((old_N != new_N).sum()) == found.change.flips
    return {
        "models": MODELS, "rows": given.rows, "epochs": given.epochs, "texts": len(texts),
        "flips": found.change.flips,
        "accuracy": [float((side_N == labels_N).mean()) for side_N in (old_N, new_N)],
        "verdict": found.verdict.word, "reasons": found.verdict.reasons,
        "change": [found.change.value, found.change.low, found.change.high],
        "coverage": [coverage((old_N, new_N, labels_N), count, given.times) for count in COUNTS],
    }  # fmt: skip


def table(records: list[dict]) -> str:
    head = [
        "accuracy, OLD -> NEW",
        "flips",
        "labelled",
        "drawn",
        "interval holds the change, texts as they are",
    ]
    head += ["texts drawn anew", "half width", "processor, threads"]
    lines = header(head)
    for record in records:
        old, new = record["accuracy"]
        for one in record["coverage"]:
            shares = (one[name] / one["times"] for name in ("held", "held_anew"))
            cells = [
                f"{old:.4f} -> {new:.4f}",
                f"{record['flips']} of {record['texts']}",
                one["labelled"],
                one["times"],
            ]
            cells += [*(f"{share:.1%}" for share in shares), f"{one['half']:.4f}"]
            lines.append("| " + " | ".join(map(str, [*cells, processor_of(record)])) + " |")
    return "\n".join(lines)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="a bundle with glue (mbert download)")
    parser.add_argument("--rows", type=int, default=2000, help="that both are trained on")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--report", type=Path, help="where to write the report as HTML")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    speed.TOKENS = 2048  # how fast they are is not the question here
    with tempfile.TemporaryDirectory() as folder:
        record = measure(given, Path(folder))
    record |= {"load_average": os.getloadavg(), "hardware": describe_hardware(), "versions": versions()}
    keep_record(record, given.output, "rows")
    print(table([record]))


if __name__ == "__main__":
    main()
