"""How fast a user's model runs on their machine, at each length and on their own texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from modernbert.activity import phase
from modernbert.benchmark.engines import Engine, Setting, exact_logits, make_engines
from modernbert.benchmark.measure import Measurement, measure, modernbert_operations
from modernbert.benchmark.workloads import Workload, of_length, sample
from modernbert.data.columns import guess_text
from modernbert.data.examples import to_texts
from modernbert.data.own import OwnData, read_own
from modernbert.data.sources import bundle_folder, load_split
from modernbert.data.targets import resolve
from modernbert.data.task import FileData, Task
from modernbert.data.tokens import TokenLengths, tokenize
from modernbert.errors import BadOption
from modernbert.memory import prepare_cpu_memory
from modernbert.model.backends import ChosenBackend
from modernbert.model.device import MAX_TOKENS, Machine, choose_machine, describe_hardware
from modernbert.model.encoder import attention_of
from modernbert.model.loading import context_length, load_classifier, load_config, load_tokenizer
from modernbert.model.locate import ModelSource, locate_model
from modernbert.model.lora import add_lora
from modernbert.runs import RunStore
from modernbert.settings.sections import LoraConfig
from modernbert.version import versions
from modernbert.wording import percent

Mode = Literal["inference", "training", "lora"]
MODES: tuple[Mode, ...] = ("inference", "training", "lora")
LENGTHS = (32, 128, 512, 2048, 8192)
# Enough of a file to know its lengths.
SAMPLED_TEXTS = 5000


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """What to measure.

    Attributes:
        model: alias, run, folder or Hub id.
        target: a task, a file, a folder or a Hub data set whose lengths are those that matter.
        lengths: in tokens; longer ones than the model's context are left out, and named in the notes.
        mode: `inference`, `training` (forward, backward, AdamW) or `lora` (the same with adapters).
        rounds: how often each engine is timed.
    """

    model: str
    target: str | None = None
    text: tuple[str, ...] = ()
    lengths: tuple[int, ...] = LENGTHS
    mode: Mode = "inference"
    rounds: int = 3
    device: str = "auto"
    precision: str = "auto"
    data_dir: Path | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise BadOption(f"there is no mode '{self.mode}'", fix=f"Use {', '.join(MODES)}.")
        if self.rounds < 1:
            raise BadOption("at least one round is needed")
        if not self.lengths or min(self.lengths) < 3:
            raise BadOption("a length is at least 3 tokens: two special ones and a word")


@dataclass(frozen=True)
class BenchResult:
    """What was measured, where, and which attention was taken why.

    `quantiles` are lengths in tokens of the user's texts: {"p50", "p95", "max"}, empty without any.
    """

    model: str
    parameters: int
    mode: Mode
    machine: Machine
    attention: ChosenBackend
    quantiles: dict[str, int]
    points: tuple[Measurement, ...]
    notes: tuple[str, ...]
    hardware: dict[str, Any]
    versions: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def bench(
    request: BenchRequest, store: RunStore, observe: Callable[[Measurement], None] = lambda point: None
) -> BenchResult:
    """Measure mbert against transformers' own forward pass; `observe` is told each point as it is done.

    Raises:
        MbertError: the model, the file or a setting cannot be used.
    """
    machine = choose_machine(request.device, request.precision)
    if machine.device == "cpu":
        prepare_cpu_memory()
    data_dir = bundle_folder(request.data_dir)
    source = locate_model(request.model, store=store, data_dir=data_dir)
    config, notes = load_config(source), []
    context = context_length(config)
    budget = MAX_TOKENS[machine.device]
    works = [of_length(n, budget, config.vocab_size) for n in request.lengths if n <= context]
    if left_out := [str(n) for n in request.lengths if n > context]:
        notes.append(f"the context is {context} tokens: not measured at {', '.join(left_out)}")
    if not works and not request.target:
        raise BadOption(f"no length fits: {source.name} reads {context:,} tokens", fix="Lower --lengths.")
    quantiles: dict[str, int] = {}
    if request.target:
        own, full = _own_texts(request, source, context, budget, data_dir)
        works.append(own)
        quantiles = {"p50": full.quantile(0.5), "p95": full.quantile(0.95), "max": full.quantile(1.0)}
        if cut := full.share_over(context):
            notes.append(f"{percent(cut)} of the texts are longer than the context and were truncated")
    torch.manual_seed(0)
    model = load_classifier(source, _stand_in(source)).model.eval()
    exact = [exact_logits(model, w.tokens) if request.mode == "inference" else None for w in works]
    parameters = sum(p.numel() for p in model.parameters())
    attention = attention_of(model, machine)
    if request.mode == "lora":
        model = add_lora(model, LoraConfig(dropout=0.0))
    engines = make_engines(model, Setting(machine, training=request.mode != "inference"))
    points = []
    with phase("measuring", len(works), "lengths") as now:
        for work, true in zip(works, exact, strict=True):
            points.append(_point(engines, work, true, config, request))
            now.advance()
            observe(points[-1])
    return BenchResult(
        model=source.name,
        parameters=parameters,
        mode=request.mode,
        machine=machine,
        attention=attention,
        quantiles=quantiles,
        points=tuple(points),
        notes=tuple(notes),
        hardware=describe_hardware(),
        versions=versions(),
    )


def _point(
    engines: list[Engine], work: Workload, exact: np.ndarray | None, config: Any, request: BenchRequest
) -> Measurement:
    operations = None
    if config.model_type == "modernbert" and request.mode != "lora":  # adapters would need another count
        lengths = work.tokens.lengths
        operations = modernbert_operations(config, lengths, training=request.mode == "training")
    return measure(engines, work, rounds=request.rounds, exact=exact, operations=operations)


def _own_texts(
    request: BenchRequest, source: ModelSource, context: int, num_tokens: int, data_dir: Path | None
) -> tuple[Workload, TokenLengths]:
    """Return a sample of the target's texts, and how long they are."""
    assert request.target
    path, named = Path(request.target), resolve(request.target)
    if named.form == "collection":
        raise BadOption(f"{request.target} is a collection", fix=f"Give its texts: {path / 'corpus.jsonl'}")
    if named.form == "tasks":
        task = named.labelled_task()
        rows, columns = load_split(task, task.train, data_dir).rows, task.text
    else:
        rows = read_own(OwnData(path=request.target))["train"]
        columns = request.text or guess_text(rows)
    chosen = np.random.default_rng(0).permutation(len(rows))[:SAMPLED_TEXTS]
    tokens = tokenize(load_tokenizer(source), to_texts(rows.take(sorted(chosen.tolist())), columns), context)
    return sample(path.name, tokens, num_tokens), tokens.full


def _stand_in(source: ModelSource) -> Task:
    """Return a task of the model's own labels, or of two: speed does not depend on them."""
    labels = source.labels if source.labels is not None else ("0", "1")
    return Task(
        name="bench/none",
        summary="no data",
        kind="single_label" if labels else "regression",
        text=("text",),
        labels=labels,
        metrics=("none",),
        source=FileData({}, Path()),
    )
