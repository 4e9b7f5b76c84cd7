"""What several tests share: toy rows, a tiny configuration, the real data if it is there."""

from __future__ import annotations

import contextlib
import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from modernbert.data.tokens import TokenLengths, Tokens
from modernbert.settings.forms import in_sections

# Flags of a run that takes a second.
FAST = ["--epochs", "2", "--batch-size", "16", "--lr", "0.003", "--precision", "fp32"]
GOOD = ("good", "great", "fine", "lovely", "superb")
BAD = ("bad", "poor", "awful", "dull", "weak")
FILLER = tuple(f"w{i}" for i in range(60))


def tiny_modernbert_config(**changes):
    """Return a ModernBERT of four layers (global, local, local, global) with a window of 8 tokens."""
    from transformers import ModernBertConfig

    values = {
        "vocab_size": 128,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "max_position_embeddings": 256,
        "local_attention": 8,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "cls_token_id": 2,
        "sep_token_id": 3,
        "classifier_pooling": "mean",
    }
    return ModernBertConfig(**{**values, **changes})


def toy_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Return reviews whose label is whether they hold a good or a bad word; two columns, text and label."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        label = draw.choice(["positive", "negative"])
        telling = draw.choice(GOOD if label == "positive" else BAD)
        words = [*draw.choices(FILLER, k=draw.randint(2, 20)), telling]
        draw.shuffle(words)
        rows.append({"text": " ".join(words), "label": label})
    return rows


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows to a CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_shared_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real data sets are not here")


def tokens_of(texts: list[list[int]]) -> Tokens:
    """Return the given token ids as `Tokens`."""
    lengths = np.array([len(text) for text in texts])
    ids = np.array([i for text in texts for i in text], np.int32)
    return Tokens(ids, None, np.concatenate([[0], np.cumsum(lengths)]), TokenLengths(lengths))


def tokens_of_lengths(lengths: list[int], seed: int = 0) -> Tokens:
    """Return random token ids, one text of each length."""
    draw = np.random.default_rng(seed)
    return tokens_of([draw.integers(5, 100, length).tolist() for length in lengths])


SHORT = {"epochs": 4.0, "batch_size": 16, "learning_rate": 3e-3, "log_every": 1}


def parse_command(arguments: list[str]) -> None:
    """Parse what follows `mbert` as the program would; nothing is run."""
    import typer
    from modernbert.cli.main import app

    command = typer.main.get_command(app)
    context = command.make_context("mbert", arguments, resilient_parsing=False)
    name, sub, rest = command.resolve_command(context, [*context._protected_args, *context.args])
    sub.make_context(name, rest, parent=context)


def request_of(target, model, **settings):
    """Return a short training of a tiny model, in fp32."""
    from modernbert.training.inputs import Request

    return Request(target=str(target), model=str(model), settings={**SHORT, **settings}, precision="fp32")


def _request(target: str, model: str, settings: dict) -> dict:
    from modernbert.training.inputs import Request

    return Request(target=target, model=model, settings=settings).as_dict()


def record_of(plain: dict):
    """Return the record that plain data describes, as it is read from a file."""
    from modernbert.records.read import read_record
    from modernbert.records.record import FORMAT

    return read_record({**plain, "format": FORMAT}, "a test")


def keep_run(store, name: str, record: dict) -> Path:
    """Write a run with this record and return its folder."""
    from modernbert.runs import write_run

    with store.new_run(name, exact=True) as folder:
        write_run(folder, record_of(record))
    return folder


# What every training's record has of its settings.
SETTINGS = {
    "seed": 42,
    "epochs": 1.0,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "keep": "best",
    "max_length": 64,
}
SETTINGS |= {"lora": False, "random_weights": False}


def running_record() -> dict:
    """Return the record of a training that has begun."""
    return {
        "kind": "finetune",
        "status": "running",
        "created": "2026-01-01T00:00:00+00:00",
        "task": {"name": "own/toy", "kind": "single_label", "labels": ["a", "b"], "metrics": ["accuracy"]},
        "model": {"name": "toy", "found_in": "a test", "revision": "1", "family": "bert"},
        "init": "plain",
        "seed": 42,
        "recipe": {"name": "default"},
        "config": in_sections(SETTINGS),
        "request": _request("toy.csv", "toy", {}),
        "data": {
            "text": ["text"],
            "label": "label",
            "splits": {"train": {"rows": 1, "fingerprint": "t"}},
        },
        "parameters": {"trained": 1, "frozen": 0},
        "machine": {"device": "cpu", "precision": "fp32"},
        "hardware": {},
        "versions": {"mbert": "0"},
    }


def made_run(store, name: str, model: str, right: np.ndarray, *, seed: int | None = 42, **changes) -> None:
    """Write a finished run, of a binary task or of retrieval, that is right where `right` says so."""
    from modernbert.evaluation.metrics import METRICS

    labels = np.arange(len(right)) % 2
    predictions = np.where(right, labels, 1 - labels)
    kind = changes.pop("kind", "single_label")
    metric, value = "accuracy", METRICS["accuracy"](labels, predictions)
    if kind == "retrieval":
        metric, value = "ndcg_at_10", float(np.mean(right))
    score = {"metric": metric, "value": value, "low": 0.0, "high": 1.0, "n": len(right), "interval": "none"}
    target = changes.pop("task", "glue/sst2")
    clusters = changes.pop("clusters", None)
    config = {"lora": changes.pop("lora", False), "head": changes.pop("head", "")}
    config = SETTINGS | config | {"random_weights": changes.pop("random", False), "seed": seed}
    settings = changes.pop("settings", {})
    split = {"rows": len(right), "found_in": "a test", "revision": "1"}
    kept_as = changes.pop("kept_as", "finetune")
    config |= settings
    record = running_record() | {
        "kind": kept_as,
        "status": "finished",
        "created": changes.pop("created", "2026-01-01T00:00:00+00:00"),
        "task": {
            "name": target,
            "kind": kind,
            "labels": [] if kind == "retrieval" else ["a", "b"],
            "metrics": [metric],
        },
        "model": {"name": model, "found_in": "a test", "revision": "1", "family": "bert"},
        "seed": seed,
        "recipe": {"name": changes.pop("recipe", "default")},
        "config": in_sections(config) if kept_as == "finetune" else config,
        "request": _request(target, model, {"seed": seed, **settings}),
        "data": {
            "text": ["text"],
            "label": "label",
            "splits": {
                "train": split | {"fingerprint": "t"},
                "validation": split | {"fingerprint": changes.pop("fingerprint", "v")},
            },
        },
        "parameters": {"trained": 10, "frozen": 5},
        "inference": {"examples_per_second": changes.pop("speed", 100.0)},
        "results": [{"split": "validation", "scores": [score], "notes": []}],
        "training": {
            "minutes": 2.0,
            "peak_memory_mib": {"process": 100.0},
            "steps": 1,
            "planned_steps": 1,
            "best_step": 1,
            "history": [{"step": 0, "metrics": {metric: value}}],
            "tokens": 1,
            "tokens_per_second": 1.0,
        },
        "notes": [],
        "model_files": {"model.safetensors": "0" * 64},
    }
    record |= changes.pop("record", {})
    assert not changes
    folder = keep_run(store, name, record)
    rows = [
        {
            "id": f"validation/{i}",
            "label": int(label),
            "prediction": int(prediction),
            "ndcg_at_10": float(right[i]),
            "logits": [0.0, 2.0 * int(prediction) - 1.0],
            **({} if clusters is None else {"cluster": int(clusters[i])}),
        }
        for i, (label, prediction) in enumerate(zip(labels, predictions, strict=True))
    ]
    (folder / "scores.jsonl").write_text("\n".join(json.dumps(row) for row in rows))


def toy_sentences(count: int, seed: int = 0) -> list[tuple[list[str], list[str]]]:
    """Return words with their tags: one or two good words in a row are PLUS, one or two bad ones MINUS."""
    draw = random.Random(seed)
    sentences = []
    for _ in range(count):
        words, tags = [], []
        for _ in range(draw.randint(1, 4)):
            label, known = draw.choice([("PLUS", GOOD), ("MINUS", BAD)])
            size = draw.randint(1, 2)
            words += draw.choices(known, k=size)
            tags += [f"B-{label}", f"I-{label}"][:size]
            between = draw.randint(1, 4)
            words += draw.choices(FILLER, k=between)
            tags += ["O"] * between
        sentences.append((words, tags))
    return sentences


def write_conll(path: Path, sentences: list[tuple[list[str], list[str]]]) -> Path:
    """Write a CoNLL file: a word and its tag a line, a blank line after each sentence."""
    blocks = ("".join(f"{w}\t{t}\n" for w, t in zip(*one, strict=True)) for one in sentences)
    path.write_text("\n".join(blocks), encoding="utf-8")
    return path


@contextlib.contextmanager
def short_measurements() -> Iterator[None]:
    """Let models be timed on few texts and once: for tests that do not look at how fast they are."""
    from modernbert.benchmark import texts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "TOKENS", 256)
        patch.setattr(texts, "SECONDS", 0.0)
        yield
