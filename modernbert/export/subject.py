"""What is exported: each kind of model knows its graph, and the rows that prove it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from modernbert.benchmark.texts import Text, TextEngine, measure_texts
from modernbert.data.tokens import tokenize
from modernbert.export.formats import FormatName, Precision
from modernbert.export.graph import Signature, write_graph
from modernbert.export.proof import LENGTHS, SECONDS, Reading, compare_long, memory_of_long
from modernbert.memory import free_memory
from modernbert.model.device import bf16_support
from modernbert.model.embedding import EmbeddingSettings
from modernbert.model.loading import context_length, load_config, load_tokenizer
from modernbert.model.locate import ModelSource, read_export
from modernbert.records.export import ExportKind, LongText, Outputs, Proof, ProvenMetric
from modernbert.wording import counted

# Rows that are compared, unless the user says otherwise.
ROWS = 2000
# Texts that are read alone, to tell how much a batch changes in int8.
ALONE = 100


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What the user asked for.

    Attributes:
        model: alias, run, folder or Hub id.
        to: the format.
        output: the folder to make; None for one that is named after the model.
        int8: round the weights to 8 bits.
        tolerance: by how much the main metric may fall in int8; of an error, by which share it may rise.
        on: a labelled file, a collection or a task to prove it on; None for what scored the run.
        rows: how many of them at most.
        text, label: columns of `on`.
        overwrite: replace the folder if it is there.
        all_lengths: compare texts up to the context, however long that takes.
    """

    model: str
    to: FormatName = "onnx"
    output: Path | None = None
    int8: bool = False
    tolerance: float = 0.01
    on: str | None = None
    rows: int = ROWS
    text: tuple[str, ...] = ()
    label: str | None = None
    data_dir: Path | None = None
    overwrite: bool = False
    all_lengths: bool = False

    @property
    def precision(self) -> Precision:
        """Of the export."""
        return "int8" if self.int8 else "fp32"


class Subject(ABC):
    """A model that can be exported, and the rows of its proof."""

    kind: ClassVar[ExportKind]
    # How vectors are made, for a model without a head.
    settings: EmbeddingSettings | None = None

    def __init__(self, source: ModelSource, data: str, split: str, *, compared: int, of: int) -> None:
        """Say what is exported, and what it is proven on: `compared` rows `of` so many."""
        self.source, self.data, self.split = source, data, split
        self.compared, self.of = compared, of

    @abstractmethod
    def load(self) -> Any:
        """Return the model of transformers, in evaluation mode and fp32."""

    @abstractmethod
    def reading(self, source: ModelSource, precision: str) -> Reading:
        """Return a loaded model, of torch or an export, as it is compared."""

    @property
    @abstractmethod
    def texts(self) -> Sequence[Text]:
        """The task's texts: they are made longer, and timed."""

    @abstractmethod
    def compare(self, own: Reading, export: Reading) -> tuple[Outputs, tuple[ProvenMetric, ...]]:
        """Compare the outputs of torch and of an export, and their scores."""

    def write(self, model: Any, path: Path) -> Signature:
        """Write the model's graph."""
        types = "token_type_ids" in load_tokenizer(self.source).model_input_names
        context = context_length(model.config)
        return write_graph(model, path, types=types, context=context, settings=self.settings)

    def prove(self, exports: Mapping[str, ModelSource], kept: str, *, seconds: float = SECONDS) -> Proof:
        """Compare one of the exports (`fp32`, `int8`) with torch on rows and long texts; time all of them.

        Args:
            seconds: how long the comparison of ever longer texts may take.
        """
        own = self.reading(self.source, "fp32")
        found = {name: self.reading(source, "auto") for name, source in exports.items()}
        outputs, metrics = self.compare(own, found[kept])
        fits = partial(_fits, load_config(self.source).num_attention_heads, free_memory())
        long = compare_long(own, found[kept], self.texts, seconds=seconds, fits=fits)
        return Proof(
            data=self.data,
            split=self.split,
            outputs=outputs,
            long=long,
            metrics=metrics,
            speed=measure_texts(self._engines(own, found), self.texts),
            notes=(*self._notes(kept, found[kept]), *_length_notes(long, own.context, fits)),
        )

    def prove_copy(self, copy: ModelSource, *, seconds: float = SECONDS) -> Proof:
        """Compare the same weights in another folder, in fp32; neither is timed, as both run alike."""
        own, other = (self.reading(source, "fp32") for source in (self.source, copy))
        outputs, metrics = self.compare(own, other)
        long = compare_long(own, other, self.texts, seconds=seconds)
        notes = (*self._notes("fp32", other), *_length_notes(long, own.context))
        return Proof(
            data=self.data,
            split=self.split,
            outputs=outputs,
            long=long,
            metrics=metrics,
            speed=(),
            notes=notes,
        )

    def _engines(self, own: Reading, exports: Mapping[str, Reading]) -> list[TextEngine]:
        found = {"torch fp32 (mbert)": own}
        if bf16_support("cpu")[0]:
            found["torch bf16 (mbert)"] = self.reading(self.source, "bf16")
        for name, export in exports.items():
            found[f"{read_export(export.model.source.folder).runtime} {name}"] = export
        return [TextEngine(name, reading.run, partial(_lengths, reading)) for name, reading in found.items()]

    def _notes(self, name: str, export: Reading) -> tuple[str, ...]:
        notes = []
        if self.compared < self.of:
            notes.append(f"proven on {counted(self.compared, 'row')} of {self.of:,}, drawn at random")
        if name == "int8":
            texts = list(self.texts[:ALONE])
            alone = np.concatenate([export.run([text]) for text in texts])
            far = float(np.abs(alone - export.run(texts)).max())
            notes.append(f"int8: an output differs by up to {far:.2g} with the texts that it is read with")
        return tuple(notes)


def _fits(heads: int, free: float, length: int) -> bool:
    return memory_of_long(length, heads) <= free


def _length_notes(
    long: Sequence[LongText], context: int, fits: Callable[[int], bool] = lambda length: True
) -> tuple[str, ...]:
    """Say so where texts as long as the context, or as 8,192 tokens, were not compared."""
    left = [length for length in LENGTHS if length <= context][len(long) :]
    if not left:
        return ()
    why = "each would take minutes here (--all-lengths does it)"
    if not fits(left[0]):
        why = "the runtime would need more memory than is free"
    longest = f"texts of more than {long[-1].tokens:,} tokens" if long else "long texts"
    return (f"{longest} were not compared: {why}",)


def _lengths(reading: Reading, texts: list[Text]) -> np.ndarray:
    return tokenize(reading.tokenizer, texts, reading.length).lengths
