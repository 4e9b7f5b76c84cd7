"""Pretraining runs side by side: held-out loss and masked accuracy at the same steps, on the same tokens.

    python examples/benchmarks/nano_pretraining.py runs/small-nano runs/small-bert-nano

The runs are those of `mbert pretrain` (the commands stand in examples/pretrain_nano).
"""

import argparse
import json
from pathlib import Path

OUTPUT = Path(__file__).parent / "results" / "nano_pretraining.json"
KEPT = ("config", "seed", "parameters", "training", "results", "data", "hardware", "versions")


def record_of(run: Path) -> dict:
    record = json.loads((run / "run.json").read_text())
    if record["kind"] != "pretrain" or record["status"] != "finished":
        raise SystemExit(f"{run} is no finished pretraining")
    model_type = json.loads((run / "model" / "config.json").read_text())["model_type"]
    return {"model_type": model_type, **{name: record[name] for name in KEPT}}


def table(records: list[dict]) -> str:
    steps = [point["step"] for point in records[0]["training"]["history"]][1:-1]
    head = [f"loss at {step:,} steps" for step in steps]
    lines = [
        f"| network | parameters | tokens | {' | '.join(head)} | loss, all | masked accuracy | minutes |",
        "|---" * (len(head) + 6) + "|",
    ]
    for record in records:
        training = record["training"]
        losses = {point["step"]: point["metrics"]["loss"] for point in training["history"]}
        cells = [record["model_type"], f"{record['parameters']['trained']:,}", f"{training['tokens']:,}"]
        cells += [f"{losses[step]:.2f}" for step in steps]
        scores = {score["metric"]: score for score in record["results"][0]["scores"]}
        for name in ("loss", "masked_accuracy"):
            score = scores[name]
            cells.append(f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})")
        lines.append("| " + " | ".join([*cells, f"{training['minutes']:.0f}"]) + " |")
    return "\n".join(lines)


def read() -> list[dict]:
    return json.loads(OUTPUT.read_text()) if OUTPUT.is_file() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    records = [record_of(run) for run in given.runs]
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(records, indent=1) + "\n")
    print(table(records))


if __name__ == "__main__":
    main()
