"""ModernBERT's speed: mbert's packed forward pass against its peers, side by side.

    python examples/benchmarks/speed.py                       # base size, this machine's best device
    python examples/benchmarks/speed.py --work short mix --precision bf16 --mode inference

The model has random weights (speed does not depend on them), the texts random tokens in lengths drawn like
the named work. Engines take turns within each round, so that a machine that slows down slows them all; what
is reported are medians over rounds, and medians of the ratios. Before anything is timed, logits are compared
with transformers' own in fp32, each text alone.

    transformers         sdpa, batches of 32 in the order of arrival, padded to the longest
    transformers sorted  the same, texts sorted by length first
    accelerate           transformers' interface after modernbert.accelerate, batches as `transformers`
    mbert                packed batches by token budget, as mbert's commands run
    onnxruntime          the model exported, texts sorted (inference, fp32: its CPU kernels know no bf16)
    openvino             the model converted, texts sorted (inference)

The last two run when their packages are installed: pip install onnx onnxscript onnxruntime openvino

In bf16, inference holds the weights in bf16 (mbert: those of linear layers; OpenVINO converts by itself) and
training uses autocast. For inference mbert lays its weights out once, as its commands do. Results are added
to a JSON file: what is there already from the same kind of processor, threads and layers is replaced.
"""

import argparse
import importlib.util
import logging
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from _common import RESULTS, keep_record, processor_of, read_records
from transformers import ModernBertConfig, ModernBertForSequenceClassification

from modernbert.benchmark.engines import Setting, Transformers, exact_logits, make_engines
from modernbert.benchmark.measure import measure, modernbert_operations
from modernbert.benchmark.workloads import MIXES, named
from modernbert.memory import prepare_cpu_memory
from modernbert.model.device import choose_machine, describe_hardware
from modernbert.model.lora import add_lora
from modernbert.model.packing import pack
from modernbert.settings.sections import LoraConfig
from modernbert.version import versions

OTHERS = ("transformers", "transformers sorted", "accelerate", "onnxruntime", "openvino")


class Logits(torch.nn.Module):
    """What is exported: ids and mask in, logits out."""

    def __init__(self, model) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


class Exported(Transformers):
    """Texts sorted by length, padded batches of 32, through another runtime."""

    def __init__(self, name, model, setting, call) -> None:
        super().__init__(name, model, setting, by_length=True)
        self.call = call

    def logits(self, tokens, part):
        batch = pack(tokens, part)
        ids = batch.pad(batch.ids_T, self.model.config.pad_token_id).numpy()
        mask = batch.pad(torch.ones_like(batch.ids_T), 0).numpy()
        return torch.from_numpy(self.call(ids, mask))


def onnxruntime_engine(model, setting):
    import onnxruntime

    example = (torch.full((2, 16), 1000), torch.ones(2, 16, dtype=torch.long))
    shapes = ({0: "texts", 1: "tokens"},) * 2
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = str(Path(folder) / "model.onnx")
        torch.onnx.export(Logits(model), example, path, dynamo=True, dynamic_shapes=shapes, verbose=False)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]

    def call(*inputs):
        return session.run(None, dict(zip(names, inputs, strict=True)))[0]

    return Exported("onnxruntime", model, setting, call)


def openvino_engine(model, setting):
    import openvino

    example = {"input_ids": torch.full((2, 16), 1000), "attention_mask": torch.ones(2, 16, dtype=torch.long)}
    hint = {"fp32": "f32", "bf16": "bf16"}[setting.machine.precision]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        converted = openvino.convert_model(Logits(model), example_input=example)
    threads = torch.get_num_threads()
    compiled = openvino.compile_model(
        converted, "CPU", {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
    )
    return Exported("openvino", model, setting, lambda *inputs: compiled(inputs)[0])


def exported_engines(model, setting):
    """Other runtimes where they can be had; one that cannot export the model is named and left out."""
    makers = {"openvino": openvino_engine}
    if setting.machine.precision == "fp32":
        makers["onnxruntime"] = onnxruntime_engine
    for name, make in makers.items():
        if importlib.util.find_spec(name) is None:
            continue
        exact = Setting(replace(setting.machine, precision="fp32"), training=False)
        try:
            engine = make(model, exact if name == "onnxruntime" else setting)
            engine.run(named("pairs", 50_000).tokens)
        except Exception as error:  # whatever an exporter raises, the other engines still run
            print(f"{name} left out: {str(error).splitlines()[0]}")
            continue
        yield engine


def run_one(model, work: str, precision: str, mode: str, rounds: int, machine, others: bool) -> dict:
    workload = named(work, model.config.vocab_size)
    setting = Setting(replace(machine, precision=precision), training=mode != "inference")
    exact = exact_logits(model, workload.tokens) if mode == "inference" else None
    operations = None
    if mode == "lora":
        model = add_lora(model, LoraConfig(dropout=0.0))
    else:
        operations = modernbert_operations(model.config, workload.tokens.lengths, training=mode == "training")
    engines = make_engines(model, setting, accelerated=True)
    if mode == "inference" and others and machine.device == "cpu":
        engines += exported_engines(model, setting)
    found = measure(engines, workload, rounds=rounds, exact=exact, operations=operations)
    assert found.agrees is not False, f"mbert's logits are off: {found.difference}"
    return {"mode": mode, "precision": precision, **found.as_dict()}


def table(records: list[dict]) -> str:
    """Tokens a second of mbert, and how many times as fast it is as each of the others."""
    lines = [
        "| work | texts | tokens | layers | mode | precision | processor, threads | tokens/s | of ceiling "
        "| x transformers | x length-sorted | x accelerate | x onnxruntime | x openvino "
        "| MiB, mbert | transformers |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in sorted(records, key=_place):
        share = r["share_of_ceiling"]
        cells = [r["work"], r["texts"], f"{r['tokens']:,}", r["layers"], r["mode"], r["precision"]]
        cells += [processor_of(r)]
        cells += [f"{r['tokens_per_second']['mbert']:,.0f}", f"{share:.0%}" if share else ""]
        cells += [f"{r['speedup'][name]:.2f}" if name in r["speedup"] else "" for name in OTHERS]
        cells += [f"{r['working_memory_mib'][name]:,.0f}" for name in ("mbert", "transformers")]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _place(record: dict) -> tuple:
    """Order by mode, then by work."""
    mode = ("inference", "training", "lora").index(record["mode"])
    work = list(MIXES).index(record["work"])
    return mode, work, record["layers"], record["precision"], processor_of(record)


def read() -> list[dict]:
    path = RESULTS / "speed-cpu.json"
    return read_records(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", nargs="+", default=list(MIXES), choices=list(MIXES))
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16"])
    parser.add_argument("--mode", nargs="+", default=["inference", "training", "lora"])
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--no-exports", action="store_true", help="leave ONNX Runtime and OpenVINO out")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    machine = choose_machine(given.device)
    if machine.device == "cpu":
        prepare_cpu_memory()
    facts = {"layers": given.layers, "hardware": describe_hardware(), "versions": versions()}
    records = []
    for work in given.work:
        for mode in given.mode:
            for precision in given.precision:
                torch.manual_seed(0)
                config = ModernBertConfig(num_hidden_layers=given.layers, classifier_pooling="mean")
                config._attn_implementation = "sdpa"
                model = ModernBertForSequenceClassification(config).eval()
                found = run_one(
                    model, work, precision, mode, given.rounds, machine, others=not given.no_exports
                )
                records.append(facts | found)
                path = given.output or RESULTS / f"speed-{machine.device}.json"
                keep_record(records[-1], path, "layers", "work", "mode", "precision")
                print(table(records[-1:]).splitlines()[-1], flush=True)
    print(table(records))


if __name__ == "__main__":
    main()
