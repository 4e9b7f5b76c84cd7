"""ModernBERT against BERT and DeBERTaV3 of base size: tokens a second on the same texts, side by side.

    python examples/benchmarks/architectures.py

The four kinds of texts are those of the ModernBERT paper's efficiency table (arXiv:2412.13663, table 10 says
how they were drawn), with fewer documents: 512 tokens each, 256 +- 64, 8,192, and 4,096 +- 1,024. Weights are
random. Every model runs as mbert runs it: ModernBERT packed, the others through transformers' own forward in
batches sorted by length, all with weights laid out once. Only useful tokens are counted, never padding.

BERT reads 512 tokens at most. DeBERTaV3's attention needs memory by the square of the length, several times
over: on a CPU it is left out of the long texts.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _common import RESULTS, read_records, write_records
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
)

from modernbert.benchmark.engines import Mbert, Setting
from modernbert.benchmark.measure import measure
from modernbert.benchmark.workloads import of_lengths
from modernbert.memory import prepare_cpu_memory
from modernbert.model.device import choose_machine, describe_hardware
from modernbert.version import versions

OUTPUT = RESULTS / "architectures.json"
VOCABULARY = 30_000  # every model's vocabulary is larger
# Mean and deviation of the lengths, and documents on a CPU; a GPU gets 64 times as many.
SHAPES = {
    "short, fixed": (512, 0, 8),
    "short, variable": (256, 64, 16),
    "long, fixed": (8192, 0, 1),
    "long, variable": (4096, 1024, 2),
}


def deberta_v3_config(layers: int) -> DebertaV2Config:
    """The shape of microsoft/deberta-v3-base, from its configuration file."""
    return DebertaV2Config(
        vocab_size=128_100, hidden_size=768, num_hidden_layers=layers, num_attention_heads=12,
        intermediate_size=3072, max_position_embeddings=512, type_vocab_size=0, relative_attention=True,
        position_buckets=256, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"],
        position_biased_input=False, max_relative_positions=-1, pad_token_id=0,
    )  # fmt: skip


def make_models(share: float) -> dict[str, torch.nn.Module]:
    """Random models; `mbert` is ModernBERT. `share` of their layers, for trials."""
    torch.manual_seed(0)
    few = max(1, round(12 * share))
    return {
        "mbert": ModernBertForSequenceClassification(ModernBertConfig(num_hidden_layers=round(22 * share))),
        "bert-base": BertForSequenceClassification(BertConfig(num_hidden_layers=few)),
        "deberta-v3-base": DebertaV2ForSequenceClassification(deberta_v3_config(few)),
    }


def can_read(name: str, longest: int, device: str) -> bool:
    return longest <= 512 or name == "mbert" or (name != "bert-base" and device == "cuda")


def run(engines: list[Mbert], shape: str, rounds: int) -> dict:
    setting = engines[0].setting
    mean, deviation, documents = SHAPES[shape]
    if setting.machine.device == "cuda":
        documents *= 64
    drawn = np.random.default_rng(0).normal(mean, deviation, documents).clip(16, 2 * mean)
    workload = of_lengths(shape, [min(8192, round(n)) for n in drawn], VOCABULARY)
    longest = int(workload.tokens.lengths.max())
    able = [e for e in engines if can_read(e.name, longest, setting.machine.device)]
    found = measure(able, workload, rounds=rounds).as_dict()
    return {"precision": setting.machine.precision, **found}


def table(records: list[dict]) -> str:
    """Tokens a second of each, and how many times as fast ModernBERT is."""
    names = ("bert-base", "deberta-v3-base")
    lines = [
        "| texts | documents | precision | ModernBERT tokens/s | BERT | DeBERTaV3 | x BERT | x DeBERTaV3 "
        "| MiB, ModernBERT | BERT | DeBERTaV3 |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in records:
        cells = [r["work"], r["texts"], r["precision"]]
        for values, shown in ((r["tokens_per_second"], ",.0f"), (r["speedup"], ".2f")):
            chosen = names if values is r["speedup"] else ("mbert", *names)
            cells += [format(values[name], shown) if name in values else "" for name in chosen]
        memory = r["working_memory_mib"]
        cells += [f"{memory[name]:,.0f}" if name in memory else "" for name in ("mbert", *names)]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def place(record: dict) -> tuple[int, int]:
    return ("fp32", "bf16").index(record["precision"]), list(SHAPES).index(record["work"])


def keep(records: list[dict], path: Path) -> None:
    """Put records into the file, in the place of older ones of the same work."""
    old = read_records(path)
    every = {place(r): r for r in [*old, *records]}
    write_records([every[key] for key in sorted(every)], path)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--shape", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0, help="of the layers of each model, for a trial")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    machine = choose_machine()
    if machine.device == "cpu":
        prepare_cpu_memory()
    facts = {"share": given.share, "hardware": describe_hardware(), "versions": versions()}
    records = []
    for precision in given.precision:
        setting = Setting(replace(machine, precision=precision), training=False)
        engines = [Mbert(name, model.eval(), setting) for name, model in make_models(given.share).items()]
        records += [facts | run(engines, shape, given.rounds) for shape in given.shape]
    keep(records, given.output)
    print(table(records))


if __name__ == "__main__":
    main()
