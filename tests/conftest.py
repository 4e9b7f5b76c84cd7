"""Tiny models and toy data, built in code: nothing is fetched, and only the test's folder is touched."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import huggingface_hub.constants  # noqa: F401 - reads its environment once: before a test says offline
import pytest
from helpers import BAD, FILLER, GOOD, tiny_modernbert_config, toy_rows, write_csv

# Before torch and tokenizers are imported: test processes side by side must not fight over the cores.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what runs in its background with SIGINT ignored: the tests of Ctrl-C would wait for nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test works in its own folder, offline, with its own run store."""
    from modernbert.connection import connection

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MBERT_OFFLINE", "1")
    # `mbert --offline` sets it in this process; the next test must not inherit it.
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("MBERT_DATA", raising=False)
    monkeypatch.setenv("MBERT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("MBERT_CACHE", str(tmp_path / "cache"))
    connection.cache_clear()


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


def _saved(model, tokenizer, folder: Path) -> Path:
    from modernbert.model.pretrained import quiet_transformers

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


@pytest.fixture(scope="module")
def embedder(tiny_modernbert: Path, tmp_path_factory: pytest.TempPathFactory):
    """The tiny ModernBERT, giving vectors on the CPU."""
    from modernbert.evaluation.embed import Embedder
    from modernbert.model.locate import locate_model
    from modernbert.runs import RunStore

    store = RunStore(tmp_path_factory.mktemp("none"))
    return Embedder(locate_model(str(tiny_modernbert), store=store), device="cpu", precision="fp32")


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """A CSV file of 120 toy reviews."""
    return write_csv(tmp_path / "reviews.csv", toy_rows(120))


@pytest.fixture
def store(tmp_path: Path):
    """An empty run store."""
    from modernbert.runs import RunStore

    return RunStore(tmp_path / "runs")
