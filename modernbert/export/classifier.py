"""Classifiers and models of numbers as a subject of an export."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.benchmark.texts import Text, TextEngine, measure_texts
from modernbert.data.tokens import tokenize
from modernbert.evaluation.evaluate import Scorer, trained_length
from modernbert.export.graph import Signature, write_graph
from modernbert.export.proof import compare_long, compare_metrics, compare_outputs
from modernbert.export.rows import proof_rows
from modernbert.export.subject import ExportRequest
from modernbert.model.device import bf16_support
from modernbert.model.loading import context_length, load_tokenizer, load_trained
from modernbert.model.locate import ModelSource
from modernbert.records.export import ExportKind, Proof
from modernbert.wording import counted


class ClassifierSubject:
    """A model that gives labels, or a number, of texts or pairs."""

    kind: ExportKind = "classifier"

    def __init__(self, source: ModelSource, request: ExportRequest) -> None:
        """Find the rows of the proof first. Raises as `proof_rows`."""
        self.source = source
        self.rows = proof_rows(
            source, request.on, request.rows, data_dir=request.data_dir, text=request.text,
            label=request.label,
        )  # fmt: skip
        self.length = trained_length(source)

    def load(self) -> Any:
        """Return the classifier."""
        return load_trained(self.source, self.rows.task)

    def write(self, model: Any, path: Path) -> Signature:
        """Write its graph."""
        types = "token_type_ids" in load_tokenizer(self.source).model_input_names
        return write_graph(model, path, types=types, context=context_length(model.config))

    def prove(self, exports: Mapping[str, ModelSource]) -> dict[str, Proof]:
        """Compare exports with torch on the rows, on long texts and in speed."""
        texts = self.rows.examples.texts
        torch_own = self._scorer(self.source, "fp32")
        scorers = {name: self._scorer(source, "auto") for name, source in exports.items()}
        logits = {name: scorer.logits(texts) for name, scorer in scorers.items()}
        expected = torch_own.logits(texts)
        long = {name: compare_long([torch_own, scorer], texts) for name, scorer in scorers.items()}
        speed = measure_texts(self._engines(torch_own, scorers), texts)
        return {
            name: Proof(
                data=self.rows.data,
                split=self.rows.split,
                outputs=compare_outputs(self.rows, expected, logits[name]),
                long=long[name],
                metrics=compare_metrics(self.rows, expected, logits[name]),
                speed=speed,
                notes=self._notes(name, scorers[name], logits[name]),
            )
            for name in exports
        }

    def _scorer(self, source: ModelSource, precision: str) -> Scorer:
        length = self.length
        return Scorer(source, self.rows.task, max_length=length, device="cpu", precision=precision)

    def _engines(self, torch_own: Scorer, scorers: Mapping[str, Scorer]) -> list[TextEngine]:
        found = {"torch fp32 (mbert)": torch_own}
        if bf16_support("cpu")[0]:
            found["torch bf16 (mbert)"] = self._scorer(self.source, "bf16")
        found |= {f"onnxruntime {name}": scorer for name, scorer in scorers.items()}
        return [TextEngine(name, s.logits, partial(_lengths, s)) for name, s in found.items()]

    def _notes(self, name: str, scorer: Scorer, logits_NC: np.ndarray) -> tuple[str, ...]:
        rows, notes = self.rows, []
        if len(rows.examples) < rows.of:
            notes.append(f"proven on {counted(len(rows.examples), 'row')} of {rows.of:,}, drawn at random")
        if name == "int8":
            alone = np.concatenate([scorer.logits([text]) for text in rows.examples.texts[:ALONE]])
            far = float(np.abs(alone - logits_NC[:ALONE]).max())
            notes.append(f"int8: an output differs by up to {far:.2g} with the texts that it is read with")
        return tuple(notes)


# Texts that are read alone, to tell how much a batch changes in int8.
ALONE = 100


def _lengths(scorer: Scorer, texts: list[Text]) -> np.ndarray:
    return tokenize(scorer.tokenizer, texts, scorer.max_length or scorer.context).lengths
