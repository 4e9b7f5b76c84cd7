"""Tiny models and toy data, built in code: nothing is fetched, nothing outside the test's folder is touched."""

from __future__ import annotations

import csv
import os
import random
from pathlib import Path

import pytest

# Before torch and tokenizers are imported: two test processes on two cores must not fight over them.
os.environ["TOKENIZERS_PARALLELISM"] = "false"

GOOD = ("good", "great", "fine", "lovely", "superb")
BAD = ("bad", "poor", "awful", "dull", "weak")
FILLER = tuple(f"w{i}" for i in range(60))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in its own folder, offline, with its own run store."""
    from modernbert.network import network

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MBERT_OFFLINE", "1")
    monkeypatch.delenv("MBERT_DATA", raising=False)
    monkeypatch.setenv("MBERT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    network.cache_clear()


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """A word-level tokenizer with BERT's special tokens, 100 words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *GOOD, *BAD, *FILLER]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


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


def _saved(model, tokenizer, folder: Path) -> Path:
    from modernbert.model.loading import quiet_transformers

    with quiet_transformers():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_modernbert(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer) -> Path:
    """The folder of a tiny ModernBERT encoder (no head), random weights."""
    import torch
    from transformers import ModernBertModel

    torch.manual_seed(0)
    model = ModernBertModel(tiny_modernbert_config())
    return _saved(model, tiny_tokenizer, tmp_path_factory.mktemp("tiny") / "tiny-modernbert")


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer) -> Path:
    """The folder of a tiny BERT encoder (no classifier), random weights."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=128,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
        pad_token_id=0,
    )
    model = BertModel(config)
    return _saved(model, tiny_tokenizer, tmp_path_factory.mktemp("tiny") / "tiny-bert")


def toy_rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Return reviews whose label is whether they hold a good or a bad word; two columns, text and label."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        label = draw.choice(["positive", "negative"])
        words = draw.choices(FILLER, k=draw.randint(2, 20)) + [draw.choice(GOOD if label == "positive" else BAD)]
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


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """A CSV file of 120 toy reviews."""
    return write_csv(tmp_path / "reviews.csv", toy_rows(120))


@pytest.fixture
def store(tmp_path: Path):
    """An empty run store."""
    from modernbert.runs import RunStore

    return RunStore(tmp_path / "runs")


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
needs_shared_data = pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="the real data sets are not here")
