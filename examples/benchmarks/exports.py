"""Six models and kinds as exports: both runtimes, fp32 and int8, beside torch.

    pip install -e '.[onnx,openvino,demo]'
    python examples/benchmarks/exports.py --data-dir BUNDLE

Each model is fine-tuned for a moment, or taken as it is, and exported four times. All figures are those of
the proof that `mbert export` makes. An int8 model may be as bad as it likes here, so that the table shows it,
and says whether `mbert export` would have refused it. Texts of 8,192 tokens take 11 GB: `--memory 3` ends at
4,096.

    python examples/benchmarks/exports.py --base --data-dir BUNDLE

makes a classifier with the shape of ModernBERT-base (22 layers, 768, a vocabulary of 50,368) and random
weights, and exports it in fp32. Time and memory are recorded; each export is a process of its own.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from pydoc_data.topics import topics

from _common import RESULTS, header, keep_record, processor_of, read_records

import modernbert
from modernbert.benchmark import texts
from modernbert.errors import BadModel
from modernbert.export import subject
from modernbert.export.export import Exported, export_model, require_proven
from modernbert.export.subject import ExportRequest
from modernbert.memory import peak_memory
from modernbert.records.export import Proof
from modernbert.runs import RunStore

OUTPUT = RESULTS / "exports.json"
MODELS = {"nano": "modernbert-nano", "minilm": "minilm"}
TRAINED = 1000
# Each query of Vaswani's brings its eight right documents; a reranker reads 20 for each query.
QUERIES = 30
TOLERANCE = ExportRequest(model="").tolerance
# Of code in Python's documentation; it depends on the version.
QUOTE = re.compile('``|"')


def classifier(alias: str, place: Path, data: Path) -> tuple[str, str | None]:
    run = modernbert.finetune("glue/sst2", alias, limit=TRAINED, epochs=1, data_dir=data, runs_dir=place)
    return run.name, None


def embedder(alias: str, place: Path, data: Path) -> tuple[str, str | None]:
    return alias, str(data / "retrieval/vaswani")


def reranker(alias: str, place: Path, data: Path) -> tuple[str, str | None]:
    """Learn which paragraph goes on from a first sentence, in Python's documentation; BM25 finds some."""
    paragraphs = [" ".join(part.split()) for text in topics.values() for part in text.split("\n\n")]
    parts = [paragraph.partition(". ") for paragraph in paragraphs]
    rows = [{"query": first, "positive": rest} for first, _, rest in parts if first and len(rest) > 60]
    path = place / "topics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = modernbert.finetune(path, alias, limit=200, epochs=1, runs_dir=place, head="reranker")
    return run.name, None


def tagger(alias: str, place: Path, data: Path) -> tuple[str, str | None]:
    """Learn which words of Python's documentation are code: they stand between quotes there."""
    lines = []
    for paragraph in (part for text in topics.values() for part in text.split("\n\n")):
        pieces = QUOTE.split(paragraph)  # every other one was quoted
        if len(pieces) % 2 and len(pieces) > 1 and 4 < len(paragraph.split()) < 60:
            for quoted, piece in zip(cycle((False, True)), pieces, strict=False):
                tags = ["B-CODE", "I-CODE"] if quoted else ["O", "O"]
                lines += [f"{word} {tags[number > 0]}" for number, word in enumerate(piece.split())]
            lines.append("")
    path = place / "code.conll"
    path.write_text("\n".join(lines))
    run = modernbert.finetune(path, alias, limit=TRAINED, epochs=1, runs_dir=place)
    return run.name, None


WORK = {
    "classifier, ModernBERT": (classifier, "nano"),
    "classifier, BERT": (classifier, "minilm"),
    "bi-encoder, ModernBERT": (embedder, "nano"),
    "bi-encoder, BERT": (embedder, "minilm"),
    "reranker, ModernBERT": (reranker, "nano"),
    "tagger, ModernBERT": (tagger, "nano"),
}

# Rows of a proof, where a row is not a text with a label.
READ = {embedder: QUERIES, reranker: 20 * QUERIES}


def measure(work: str, given: argparse.Namespace, place: Path) -> None:
    """Export one model four times."""
    make, model = WORK[work]
    name, on = make(MODELS[model], place, given.data_dir)
    for to in ("onnx", "openvino"):
        for int8 in (False, True):
            request = ExportRequest(
                model=name, to=to, int8=int8, tolerance=1.0, on=on,
                rows=READ.get(make, given.rows),
                data_dir=given.data_dir, output=place / f"{to}-{int8}",
            )  # fmt: skip
            made = export_model(request, RunStore(place))
            keep(made, given.output, work=work, model=MODELS[model])


def keep(made: Exported, output: Path, **facts: object) -> None:
    shown = made.as_dict()
    kept = {
        name: shown[name] for name in ("kind", "precision", "runtime", "megabytes", "hardware", "versions")
    }
    kept |= facts | {"proof": shown["proof"]}
    keep_record(kept, output, "work", "runtime", "precision")
    print(table([kept]).splitlines()[-1], flush=True)


def make_base(folder: Path, data: Path) -> None:
    """Write a classifier of ModernBERT-base's shape with random weights."""
    import torch
    from transformers import AutoTokenizer, ModernBertConfig, ModernBertForSequenceClassification

    torch.manual_seed(0)
    AutoTokenizer.from_pretrained(data / "tokenizer/modernbert").save_pretrained(folder)
    names = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}
    ModernBertForSequenceClassification(ModernBertConfig(**names)).save_pretrained(folder)


def export_base(given: argparse.Namespace) -> None:
    """Export the model of base size to one format, and keep how long it took, and how much memory."""
    began, used = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        make_base(Path(folder) / "base", given.data_dir)
        request = ExportRequest(
            model=str(Path(folder) / "base"), to=given.base, on="glue/sst2", rows=given.rows,
            data_dir=given.data_dir, output=Path(folder) / "export", all_lengths=True,
        )  # fmt: skip
        made = export_model(request, RunStore(Path(folder)))
    facts = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}
    keep(made, given.output, work="base size", model="random", memory_mib=peak_memory()["process"], **facts)


def table(records: list[dict]) -> str:
    head = ["kind", "model", "runtime", "precision", "MB", "rows", "largest difference", "agreement"]
    head += ["metric, torch -> export (95 % interval of the difference)", "p50 ms, torch fp32", "export"]
    head += ["texts/s, torch fp32", "export", "refused", "processor, threads"]
    lines = header(head)
    order = [*WORK, "base size"]
    for record in sorted(records, key=lambda one: order.index(one["work"])):
        cells = [record["work"].split(",")[0], record["model"], record["runtime"], record["precision"]]
        lines.append("| " + " | ".join([*cells, *_figures(record)]) + " |")
    return "\n".join(lines)


def _figures(record: dict) -> list[str]:
    outputs, speed = record["proof"]["outputs"], {one["engine"]: one for one in record["proof"]["speed"]}
    far = max([outputs["largest"], *(text["largest"] for text in record["proof"]["long"])])
    is_share = outputs["agreement_is"] == "same answer"
    agreement = f"{outputs['agreement']:.2%}" if is_share else f"{outputs['agreement']:.6f}"
    sides = [speed["torch fp32 (mbert)"], speed[f"{record['runtime']} {record['precision']}"]]
    return [
        f"{record['megabytes']:,.1f}", f"{outputs['rows']:,}", f"{far:.1g}",
        f"{agreement} {outputs['agreement_is']}", _metric(record["proof"]["metrics"]),
        *(f"{side['p50_ms']:.1f}" for side in sides), *(f"{side['texts_per_second']:,.0f}" for side in sides),
        _refused(record), processor_of(record),
    ]  # fmt: skip


def _refused(record: dict) -> str:
    """Say whether `mbert export` would have made it with its own tolerance."""
    try:
        require_proven(Proof.model_validate_json(json.dumps(record["proof"])), record["precision"], TOLERANCE)
    except BadModel:
        return "yes"
    return "no"


def _metric(metrics: list[dict]) -> str:
    if not metrics:
        return ""
    one = metrics[0]
    ends = "none differs" if one["low"] is None else f"{one['low']:+.4f} to {one['high']:+.4f}"
    return f"{one['metric']} {one['torch']:.4f} -> {one['export']:.4f} ({ends})"


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True, help="a bundle (mbert download)")
    parser.add_argument("--work", nargs="+", default=list(WORK), choices=WORK)
    parser.add_argument("--base", nargs="?", const="both", choices=("both", "onnx", "openvino"))
    parser.add_argument("--rows", type=int, help="of the proof (default: 200; with --base 20)")
    parser.add_argument(
        "--tokens", type=int, default=texts.TOKENS, help="of the texts that are timed at once"
    )
    parser.add_argument("--memory", type=float, help="GB that a comparison of long texts may take")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    given.rows = given.rows or (20 if given.base else 200)
    texts.TOKENS = given.tokens
    if given.memory:
        subject.free_memory = lambda: given.memory * 1e9
    if given.base == "both":
        for to in ("onnx", "openvino"):
            line = [sys.executable, __file__, "--base", to, "--data-dir", str(given.data_dir)]
            subprocess.run([*line, "--rows", str(given.rows), "--output", str(given.output)], check=True)
        return
    if given.base:
        return export_base(given)
    for work in given.work:
        with tempfile.TemporaryDirectory() as folder:
            measure(work, given, Path(folder))
    print(table(read_records(given.output)))


if __name__ == "__main__":
    main()
