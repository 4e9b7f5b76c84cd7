"""Put the two finished trainings into mbert as its embedded model: half precision, with its cards.

    python examples/pretrain_nano/ship.py runs/nano runs/nano-pairs --corpus CORPUS

The encoder's weights lie between those of distillation and those of contrastive training (Wortsman et al.
2022, arXiv:2109.01903): the first knows more of language, the second more of what a search is for.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from modernbert.evaluation.shown import interval_text
from modernbert.files import replaced_folder
from modernbert.model.embedding import EmbeddingSettings, save_embedder
from modernbert.settings.forms import by_name

TARGET = Path(__file__).parents[2] / "modernbert" / "nano"
LIMIT = 24 * 2**20
# How far from the first training's encoder (0) to the second's (1); chosen with validate.py, see README.md.
SHARE = 1.0
# Tokens of a text that its vector is made of, unless another number is given: those of the first training.
LENGTH = 256


def blended(taught: Any, encoder: Any, share: float) -> Any:
    """Return the taught model with its encoder's weights moved by `share` towards `encoder`'s."""
    towards: Mapping[str, torch.Tensor] = encoder.state_dict()
    with torch.no_grad():
        for name, weight in taught.base_model.named_parameters():
            weight.lerp_(towards[name], share)
    return taught


def card(taught: dict, pairs: dict, shape: Any, notes: str) -> str:
    """Return the model card: what it is, how it was made, its curves."""
    training, search = taught["training"], pairs["training"]
    config = by_name(taught["config"])
    return notes.format(
        steps=f"{training['steps']:,}",
        tokens=f"{training['tokens']:,}",
        seen=f"{(training['tokens'] + search['tokens']) / 1e6:.0f}",
        minutes=f"{training['minutes']:.1f}",
        hardware=taught["hardware"]["gpu"] or f"{taught['hardware']['cores']} CPU cores",
        texts=f"{taught['data']['splits']['train']['pieces']:,}",
        parameters=f"{sum(taught['parameters'].values()):,}",
        held_out=f"{100 * config['held_out']:g}",
        scores=scores(taught),
        curve=curve(training, {"cosine to the teacher": "teacher_cosine", "masked loss": "loss"}),
        settings=json.dumps(config),
        share=SHARE,
        pair_count=f"{search['steps'] * by_name(pairs['config'])['batch_size']:,}",
        pair_tokens=f"{search['tokens']:,}",
        pair_minutes=f"{search['minutes']:.1f}",
        pair_scores=scores(pairs),
        pair_curve=curve(search, {"nDCG@10": "ndcg_at_10"}),
        pair_settings=json.dumps(by_name(pairs["config"])),
        vocabulary=f"{shape.vocab_size:,}",
        size=shape.hidden_size,
    )


def scores(record: dict) -> str:
    """Return the rows of a training's final scores."""
    return "\n".join(
        f"| {s['metric']} | {s['value']:.4f} | {interval_text(s['low'], s['high'])} | {s['n']:,} |"
        for s in record["results"][0]["scores"]
    )


def curve(training: dict, columns: dict[str, str]) -> str:
    """Return a table of what was measured on held-out data during a training."""
    lines = [f"| step | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for point in training["history"]:
        values = [f"{point['metrics'][metric]:.3f}" for metric in columns.values()]
        lines.append(f"| {point['step']} | {' | '.join(values)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the folder, and refuse one that is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("taught", type=Path, help="run of mbert pretrain --teacher")
    parser.add_argument("pairs", type=Path, help="run of mbert finetune on the pairs")
    parser.add_argument("--corpus", type=Path, required=True)
    options = parser.parse_args()
    taught, pairs = (json.loads((run / "run.json").read_text()) for run in (options.taught, options.pairs))
    model = AutoModelForMaskedLM.from_pretrained(options.taught / "model", dtype=torch.float32)
    model.config.classifier_pooling = "mean"  # of all tokens, as in the second training
    encoder = AutoModel.from_pretrained(options.pairs / "model", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(options.taught / "model")
    notes = (Path(__file__).parent / "model_card.md").read_text()
    with replaced_folder(TARGET) as folder:
        folder.rmdir()  # save_embedder makes it
        settings = EmbeddingSettings(max_length=LENGTH)
        save_embedder(blended(model, encoder, SHARE).half(), tokenizer, settings, folder)
        sources = [(options.corpus / name).read_text() for name in ("data_card.md", "pairs_card.md")]
        (folder / "DATA.md").write_text("\n## Pairs\n\n".join(sources))
        (folder / "README.md").write_text(card(taught, pairs, model.config, notes))
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert size <= LIMIT, f"{size:,} bytes"
    print(f"{TARGET}: {size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
