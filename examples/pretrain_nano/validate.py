"""How well a model finds what is held out of the corpus: what its makers choose by.

    python examples/pretrain_nano/validate.py CORPUS runs/nano/model [runs/nano-pairs/model --share 0 0.6 1]

Each query of CORPUS/held_out is to find its text among the thousand of its kind: docstrings their code,
titles of Debian packages their descriptions, headings and sentences their paragraphs. With two models, their
encoders' weights are blended as ship.py blends them. Prints nDCG@10 by length and share.
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
from modernbert.evaluation.embed import Embedder
from modernbert.model.embedding import EmbeddingSettings, save_embedder
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore


def ndcg_at_10(model: Path, snippets: list[Snippet], length: int) -> float:
    """Return the mean over snippets: each summary asks for its own code among all."""
    embedder = Embedder(locate_model(str(model), store=RunStore.at(None)), max_length=length)
    queries_ND = embedder.encode([snippet.summary for snippet in snippets], "query")
    documents_ND = embedder.encode([snippet.code for snippet in snippets])
    scores_NN = queries_ND @ documents_ND.T
    rank_N = (scores_NN > scores_NN.diagonal()[:, None]).sum(axis=1)
    return float(np.where(rank_N < 10, 1 / np.log2(rank_N + 2), 0).mean())


def main() -> None:
    """Print a line for each share and length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("models", type=Path, nargs="+", help="one folder, or two to blend")
    parser.add_argument("--share", type=float, nargs="+", default=[0.0])
    parser.add_argument("--length", type=int, nargs="+", default=[256])
    options = parser.parse_args()
    first, second = options.models[0], options.models[-1]
    kinds = {path.stem: read(path) for path in sorted((options.corpus / "held_out").glob("*.jsonl"))}
    tokenizer = AutoTokenizer.from_pretrained(first)
    for share in options.share:
        model = AutoModelForMaskedLM.from_pretrained(first)
        model.config.classifier_pooling = "mean"
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "blended"
            blend = blended(model, AutoModel.from_pretrained(second), share)
            save_embedder(blend, tokenizer, EmbeddingSettings(), place)
            for length in options.length:
                found = [
                    f"{kind} {ndcg_at_10(place, snippets, length):.3f}" for kind, snippets in kinds.items()
                ]
                print(f"share {share:g}, {length} tokens: {', '.join(found)}", flush=True)


if __name__ == "__main__":
    main()
