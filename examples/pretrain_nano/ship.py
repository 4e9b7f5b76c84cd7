"""Put a finished pretraining run into mbert as its embedded model: half precision, with its cards.

python examples/pretrain_nano/ship.py runs/nano --corpus CORPUS
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from modernbert.files import replaced_folder

TARGET = Path(__file__).parents[2] / "modernbert" / "nano"
LIMIT = 12 * 2**20


def card(record: dict, notes: str) -> str:
    """Return the model card: what it is, how it was made, its loss curve."""
    training, result = record["training"], record["results"][0]
    scores = {score["metric"]: score for score in result["scores"]}
    shown = [
        f"| {name} | {s['value']:.4f} | {s['low']:.4f} to {s['high']:.4f} | {s['n']:,} |"
        for name, s in scores.items()
    ]
    curve = [
        f"| {point['step']} | {point['metrics']['loss']:.3f} | {point['metrics']['masked_accuracy']:.3f} |"
        for point in training["history"]
    ]
    return notes.format(
        steps=training["steps"],
        tokens=f"{training['tokens']:,}",
        minutes=f"{training['minutes']:.0f}",
        parameters=f"{sum(record['parameters'].values()):,}",
        scores="\n".join(shown),
        curve="\n".join(curve),
        settings=json.dumps(record["config"]),
    )


def main() -> None:
    """Write the folder, and refuse one that is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--corpus", type=Path, required=True)
    options = parser.parse_args()
    record = json.loads((options.run / "run.json").read_text())
    model = AutoModelForMaskedLM.from_pretrained(options.run / "model", dtype=torch.float32).half()
    notes = (Path(__file__).parent / "model_card.md").read_text()
    with replaced_folder(TARGET) as folder:
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(options.run / "model").save_pretrained(folder)
        shutil.copyfile(options.corpus / "data_card.md", folder / "DATA.md")
        (folder / "README.md").write_text(card(record, notes))
        size = sum(file.stat().st_size for file in folder.iterdir())
    assert size <= LIMIT, f"{size:,} bytes"
    print(f"{TARGET}: {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
