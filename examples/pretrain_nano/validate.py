"""How well a model finds what is held out of the corpus: what its makers choose by.

    python examples/pretrain_nano/validate.py CORPUS minilm
    python examples/pretrain_nano/validate.py CORPUS runs/nano/model runs/nano-pairs/model --share 0 0.6 1

Each query of CORPUS/held_out is to find its text among the thousand of its kind: docstrings their code,
titles of Debian packages their descriptions, headings and sentences their paragraphs. With two models, their
encoders' weights are blended as ship.py blends them. Prints nDCG@10 of the model, of BM25 and of both fused.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from pairs import read
from ship import blended
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from modernbert.data.docstrings import Snippet
from modernbert.evaluation.bm25 import Bm25
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.fusion import DEPTH, fuse
from modernbert.model.embedding import EmbeddingSettings, save_embedder
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore

# How BM25 reads each kind.
CODE = ("docstrings",)


def measures(model: str, kind: str, snippets: list[Snippet], length: int) -> str:
    """Return nDCG@10 of a model, of BM25 and of both: each summary asks for its own code among all."""
    embedder = Embedder(locate_model(model, store=RunStore.at(None)), max_length=length)
    queries, texts = [snippet.summary for snippet in snippets], [snippet.code for snippet in snippets]
    dense = embedder.search(queries, texts, DEPTH)
    sparse = Bm25(texts, "code" if kind in CODE else "english").search(queries, DEPTH)
    systems = {"": dense, "bm25 ": sparse, "both ": fuse([dense, sparse], DEPTH)}
    told = (f"{name}{ndcg_at_10(numbers_NK):.3f}" for name, (_, numbers_NK) in systems.items())
    return f"{kind} {', '.join(told)}"


def ndcg_at_10(numbers_NK: np.ndarray) -> float:
    """Return the mean over queries, each with one right document: that of its own number."""
    right_NK = numbers_NK[:, :10] == np.arange(len(numbers_NK))[:, None]
    return float((right_NK / np.log2(np.arange(right_NK.shape[1]) + 2)).sum(axis=1).mean())


def main() -> None:
    """Print a line for each share and length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("models", nargs="+", help="one model, or the folders of two to blend")
    parser.add_argument("--share", type=float, nargs="+", default=[0.0])
    parser.add_argument("--length", type=int, nargs="+", default=[256])
    options = parser.parse_args()
    kinds = {path.stem: read(path) for path in sorted((options.corpus / "held_out").glob("*.jsonl"))}

    def show(model: str, said: str) -> None:
        for length in options.length:
            found = [measures(model, kind, snippets, length) for kind, snippets in kinds.items()]
            print(f"{said}, {length} tokens: {'; '.join(found)}", flush=True)

    if len(options.models) == 1:
        return show(options.models[0], options.models[0])
    first, second = options.models
    tokenizer = AutoTokenizer.from_pretrained(first)
    for share in options.share:
        model = AutoModelForMaskedLM.from_pretrained(first)
        model.config.classifier_pooling = "mean"
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "blended"
            blend = blended(model, AutoModel.from_pretrained(second), share)
            save_embedder(blend, tokenizer, EmbeddingSettings(), place)
            show(str(place), f"share {share:g}")


if __name__ == "__main__":
    main()
