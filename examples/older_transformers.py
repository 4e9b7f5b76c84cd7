"""Does an older transformers give the outputs of a run? It reads what `mbert export RUN --to hf` wrote.

    python examples/older_transformers.py RUN FOLDER --python OTHER_ENVIRONMENT/bin/python

The other environment needs torch and transformers 4.48 or later; for a model of vectors also
sentence-transformers. Texts are short, and longer than the windows of local attention. The exit code is 1
where an output differs by more than 1e-4.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

TOLERANCE = 1e-4
WORDS = ("the", "film", "was", "good", "but", "its", "second", "half", "is", "dull", "and", "w1", "w2")
TEXTS = [" ".join(WORDS[i % len(WORDS)] for i in range(size)) for size in (1, 7, 40, 300, 900)]


def outputs(model, tokenizer, kind: str) -> list:
    """Return logits, by transformers' own forward pass: of texts, of pairs for a reranker, of all tokens."""
    import torch

    found = []
    for text in TEXTS:
        pair = ("which one is good", text) if kind == "reranker" else (text,)
        with torch.no_grad():
            found.append(model(**tokenizer(*pair, return_tensors="pt")).logits.flatten().tolist())
    batch = tokenizer(TEXTS[:3], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**batch).logits
    mask = batch["attention_mask"].bool()
    found.append((logits[mask] if kind == "tagger" else logits).flatten().tolist())
    return found


def of_the_run(run: str) -> tuple[str, list]:
    """Return what a run is, and its outputs here."""
    from modernbert.evaluation.embed import Embedder
    from modernbert.evaluation.rerank import load_reranker
    from modernbert.model.loading import load_tokenizer
    from modernbert.model.locate import locate_model, record_of
    from modernbert.model.tagger import is_tagger, load_trained_tagger
    from modernbert.runs import RunStore

    source = locate_model(run, store=RunStore.at(None))
    record = record_of(source)
    tokenizer = load_tokenizer(source)
    if is_tagger(source):
        return "tagger", outputs(load_trained_tagger(source), tokenizer, "tagger")
    if record.config.by_name().get("head") == "reranker":
        return "reranker", outputs(load_reranker(source), tokenizer, "reranker")
    if record.task.kind == "retrieval":
        return "embedder", Embedder(source, device="cpu", precision="fp32").encode(TEXTS).tolist()
    from modernbert.evaluation.predict_rows import task_of_texts
    from modernbert.model.loading import load_trained

    return "classifier", outputs(load_trained(source, task_of_texts(source)), tokenizer, "classifier")


def of_a_folder(folder: str, kind: str) -> list:
    """Return the outputs of a folder by the libraries of this environment alone."""
    if kind == "embedder":
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(folder, device="cpu").encode(TEXTS).tolist()
    import transformers

    head = "TokenClassification" if kind == "tagger" else "SequenceClassification"
    model = getattr(transformers, f"AutoModelFor{head}").from_pretrained(folder).float().eval()
    return outputs(model, transformers.AutoTokenizer.from_pretrained(folder), kind)


def versions() -> str:
    """Name the libraries of this environment."""
    import importlib.metadata

    names = ("transformers", "tokenizers", "sentence-transformers", "torch")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def main() -> int:
    """Compare, or (`--read KIND`) answer for the other environment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("folder")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--read", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        print(json.dumps({"outputs": of_a_folder(given.folder, given.read), "versions": versions()}))
        return 0
    kind, own = of_the_run(given.run)
    line = [given.python, str(Path(__file__).resolve()), given.run, given.folder, "--read", kind]
    answer = json.loads(
        subprocess.run(line, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    )
    pairs = [
        (a, b)
        for one, other in zip(own, answer["outputs"], strict=True)
        for a, b in zip(one, other, strict=True)
    ]
    far = max(abs(a - b) for a, b in pairs)
    print(f"{given.run} ({kind}): {len(pairs):,} outputs, largest difference {far:.2g}; {answer['versions']}")
    return int(far > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
