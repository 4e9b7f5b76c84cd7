"""What an export keeps in its `export.json`: the model that it was made from, and the proof."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, FiniteFloat

from modernbert.records.base import Amount, Count, Digest, Part, Text, Time
from modernbert.records.training import LocatedModel

EXPORT_FILE: Final = "export.json"
EXPORT_FORMAT: Final = 1
# What the graph gives: labels of texts, one number of a pair, a vector of a text, tags of words.
ExportKind = Literal["classifier", "reranker", "embedder", "tagger"]
RuntimeName = Literal["onnxruntime", "openvino"]
Agreement = Literal["same answer", "correlation", "least cosine"]


class Outputs(Part):
    """How far the export's outputs are from torch's on the same rows.

    Attributes:
        rows: how many were compared.
        largest, mean: absolute difference of the outputs, over all rows and outputs.
        allowed: how far outputs of this size may be apart in fp32.
        agreement: of both sides.
        agreement_is: what that is: the share of rows with the same answer, the correlation of two numbers, or
            the least cosine of two vectors.
    """

    rows: Count
    largest: Amount
    mean: Amount
    allowed: Amount
    agreement: FiniteFloat
    agreement_is: Agreement


class LongText(Part):
    """The same for one long text: local attention and positions are right beyond the first window."""

    tokens: Count
    largest: Amount
    padded: bool


class ProvenMetric(Part):
    """A metric of both on the same rows.

    Attributes:
        torch, export: its values.
        low, high: 95 % interval of export less torch, paired by example; None where it cannot be estimated.
    """

    metric: Text
    torch: FiniteFloat
    export: FiniteFloat
    low: FiniteFloat | None
    high: FiniteFloat | None
    n: Count


class Speed(Part):
    """Texts to answers, tokenising included.

    Attributes:
        engine: what ran, and in which precision.
        p50_ms, p95_ms, p99_ms: latency of one text alone, over `texts` texts.
        texts_per_second, tokens_per_second: of many texts at once; the median of the rounds.
    """

    engine: Text
    texts: Count
    p50_ms: Amount
    p95_ms: Amount
    p99_ms: Amount
    texts_per_second: Amount
    tokens_per_second: Amount
    threads: Count


class Proof(Part):
    """What was compared, on which data.

    Attributes:
        data, split: the rows: a task or a file, and its split.
        metrics: empty where the rows have no labels.
    """

    data: Text
    split: str
    outputs: Outputs
    long: tuple[LongText, ...]
    metrics: tuple[ProvenMetric, ...]
    speed: tuple[Speed, ...]
    notes: tuple[str, ...] = ()


class ExportRecord(Part):
    """What an export is.

    Attributes:
        runtime: what runs the graph.
        run: the record of the run that it was made from, without paths; None for a model that is no run's.
        labels: what its head predicts, for a run.
        graph: the file that is run, from the folder.
        inputs, outputs: the graph's, by name; of several outputs, the last is the answer.
        pad: the token that a batch is filled up with.
        opset: of ONNX, in which torch wrote the graph.
        files: checksums of the graph's files.
        proof: None only while it is being made.
    """

    format: Literal[1] = EXPORT_FORMAT
    created: Time
    model: LocatedModel
    kind: ExportKind
    precision: Literal["fp32", "int8"]
    runtime: RuntimeName = "onnxruntime"
    run: dict[str, Any] | None
    labels: tuple[str, ...] | None
    graph: Text
    opset: Count
    inputs: Annotated[tuple[str, ...], Field(min_length=1)]
    outputs: Annotated[tuple[str, ...], Field(min_length=1)]
    pad: Count
    files: Annotated[dict[str, Digest], Field(min_length=1)]
    proof: Proof | None
    hardware: dict[str, Any]
    versions: dict[str, str | None]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as it is written."""
        return {"format": EXPORT_FORMAT, **super().as_dict()}
