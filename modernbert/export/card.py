"""The card of an export, in the Hub's format: what it was made from, its proof, and code that runs it."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from modernbert.evaluation.shown import interval_text
from modernbert.finetuning.card import HUB_TASKS
from modernbert.model.catalogue import CHECKPOINTS, hub_id_of
from modernbert.model.loading import context_length, load_config
from modernbert.model.locate import ModelSource, record_of
from modernbert.records.export import ExportRecord, Proof, ProvenMetric
from modernbert.records.record import FinetuneRecord, RunRecord
from modernbert.wording import counted

CARD = "README.md"
PIPELINES = {
    "classifier": HUB_TASKS["single_label"],
    "reranker": "text-ranking",
    "embedder": HUB_TASKS["retrieval"],
    "tagger": HUB_TASKS["tokens"],
}
# What the graph's answer is.
ANSWERS = {
    "classifier": "a logit for each label of a text",
    "reranker": "a number for each query and document: the higher, the better the document answers",
    "embedder": "a vector for each text, pooled and normalised as the model says",
    "tagger": "a logit for each label of each token; a word has the tag of its first token",
}
PAIR, TEXT = '[("A query", "A document")]', '["What a lovely film", "Dull, and far too long"]'
LABELLED = "print([labels[str(place)] for place in answers.argmax(axis=1)])"
OPEN = {
    "onnxruntime": [
        'session = onnxruntime.InferenceSession(folder / export["graph"])',
        'answers = session.run(None, {name: inputs[name] for name in export["inputs"]})[-1]',
    ],
    "openvino": [
        'fp32 = {"INFERENCE_PRECISION_HINT": "f32"}  # else some processors compute in bf16',
        'session = openvino.Core().compile_model(folder / export["graph"], "CPU", fp32)',
        'answers = list(session({name: inputs[name] for name in export["inputs"]}).values())[-1]',
    ],
}


def export_card(record: ExportRecord, source: ModelSource, name: str) -> str:
    """Return the card of a proven export.

    Args:
        source: the model that it was made from.
        name: the export's.
    """
    assert record.proof is not None, "the card tells of the proof"
    run = record_of(source)
    run = run.without_paths() if run else None
    parts = [_about(record, name), _proof(record.proof), _use(record, source, run), _limits(run)]
    content = f"---\n{_metadata(record, source, run, name).to_yaml()}\n---\n\n" + "\n".join(parts)
    return str(ModelCard(content).content)


def write_export_card(folder: Path, record: ExportRecord, source: ModelSource, name: str) -> None:
    """Write the card into an export's folder."""
    (folder / CARD).write_text(export_card(record, source, name), encoding="utf-8")


def _metadata(record: ExportRecord, source: ModelSource, run: RunRecord | None, name: str) -> ModelCardData:
    assert record.proof is not None
    base = getattr(run, "model", record.model)
    known = CHECKPOINTS.get(base.name)
    licence = known.licence if known and " " not in known.licence else None
    results = [
        EvalResult(
            task_type=PIPELINES[record.kind], dataset_type=record.proof.data, dataset_name=record.proof.data,
            dataset_split=record.proof.split, metric_type=one.metric, metric_value=round(one.export, 6),
        )
        for one in record.proof.metrics
    ]  # fmt: skip
    return ModelCardData(
        base_model=hub_id_of(base.name, base.found_in) or None,
        license=licence,
        library_name=_library(record),
        pipeline_tag=PIPELINES[record.kind],
        tags=["mbert", _library(record), *(["int8"] if record.precision == "int8" else [])],
        model_name=name,
        eval_results=results or None,
    )


def _library(record: ExportRecord) -> str:
    return "openvino" if record.runtime == "openvino" else "onnx"


def _about(record: ExportRecord, name: str) -> str:
    rounded = ", with weights rounded to 8 bits" if record.precision == "int8" else " in fp32"
    program = "OpenVINO" if record.runtime == "openvino" else "ONNX Runtime"
    packages = ", ".join(f"{one} {v}" for one, v in record.versions.items() if v and one in _shown(record))
    return (
        f"# {name}\n\n`{Path(record.model.name).name}` as a graph for {program}{rounded}: "
        f"{ANSWERS[record.kind]}. Made with {packages}, {record.created}.\n"
    )


def _shown(record: ExportRecord) -> tuple[str, ...]:
    return ("mbert", "torch", record.runtime, *(["nncf"] if record.precision == "int8" else []))


def _proof(proof: Proof) -> str:
    same = proof.outputs
    is_share = same.agreement_is == "same answer"
    agreement = f"{same.agreement:.2%}" if is_share else f"{same.agreement:.6f}"
    lines = [
        "## Proof", "",
        f"Beside the same model in torch (fp32), on {counted(same.rows, 'row')} of {proof.data} "
        f"({proof.split}): outputs differ by {same.largest:.2g} at most and {same.mean:.2g} on average; "
        f"{same.agreement_is} {agreement}.",
    ]  # fmt: skip
    if proof.long:
        long = ", ".join(f"{text.largest:.1g} at {text.tokens:,} tokens" for text in proof.long)
        lines.append(f"Long texts differ by {long}.")
    if proof.metrics:
        lines += [
            "",
            "| metric | torch | export | difference, 95 % interval | n |",
            "|---|---:|---:|---|---:|",
        ]
        lines += [_row(metric) for metric in proof.metrics]
    if proof.speed:
        lines += ["", "| engine | p50 ms, a text alone | texts/s, many at once |", "|---|---:|---:|"]
        lines += [f"| {s.engine} | {s.p50_ms:.1f} | {s.texts_per_second:,.1f} |" for s in proof.speed]
        lines += [
            "",
            f"Measured with {counted(proof.speed[0].threads, 'thread')} on the machine that made it.",
        ]
    return "\n".join([*lines, "", *(f"- {note}" for note in proof.notes), ""])


def _row(metric: ProvenMetric) -> str:
    ends = interval_text(metric.low, metric.high, "+.4f")
    return f"| {metric.metric} | {metric.torch:.4f} | {metric.export:.4f} | {ends} | {metric.n:,} |"


def _use(record: ExportRecord, source: ModelSource, run: RunRecord | None) -> str:
    reads_pairs = record.kind == "reranker" or (run is not None and len(run.data.text) > 1)
    one_label = record.kind == "classifier" and run is not None and run.task.kind == "single_label"
    length = run.config.data.max_length if isinstance(run, FinetuneRecord) else 0
    code = [
        "import json", "from pathlib import Path", "", "import numpy as np", f"import {record.runtime}",
        "from tokenizers import Tokenizer", "", 'folder = Path(".")',
        'export = json.loads((folder / "export.json").read_text())',
        *(['labels = json.loads((folder / "config.json").read_text())["id2label"]'] if one_label else []),
        'tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))',
        'tokenizer.enable_padding(pad_id=export["pad"])',
        f"tokenizer.enable_truncation({length or context_length(load_config(source))})",
        f"texts = tokenizer.encode_batch({PAIR if reads_pairs else TEXT})",
        "inputs = {", '    "input_ids": np.array([text.ids for text in texts]),',
        '    "attention_mask": np.array([text.attention_mask for text in texts]),',
        '    "token_type_ids": np.array([text.type_ids for text in texts]),', "}",
        *OPEN[record.runtime], LABELLED if one_label else "print(answers)",
    ]  # fmt: skip
    packages = f"`pip install {record.runtime} tokenizers numpy`"
    said = f"{packages} is all that it needs. On the Hub, download the repository first. In the folder:"
    own = "mbert runs it too: `--model FOLDER` of its commands."
    return "\n".join(["## Use", "", said, "", "```python", *code, "```", "", own, ""])


def _limits(run: RunRecord | None) -> str:
    lines = ["This export was compared with its own model. How good the model is stands in the model's card."]
    if isinstance(run, FinetuneRecord):
        if cuts := ", ".join(f"`{name}` {cut:.4f}" for name, cut in run.thresholds.items()):
            lines.append(f"The run gives a label where its probability is above a threshold ({cuts});")
            lines.append("the code above has no thresholds.")
        if run.temperature != 1:
            lines.append(f"For calibrated probabilities, divide logits by {run.temperature:.4f}.")
    return "\n".join(["## Limits", "", *lines, ""])
