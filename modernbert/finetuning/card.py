"""The model card beside a saved model, in the Hub's format, made from the run's record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from modernbert.evaluation.shown import SHOWN, interval_text, label_columns, macro_average
from modernbert.evaluation.thresholds import tuned_thresholds
from modernbert.model.catalogue import CHECKPOINTS, EMBEDDED, hub_id_of
from modernbert.model.similarity import FILE
from modernbert.records.record import TrainingRecord
from modernbert.records.scores import SplitScores
from modernbert.records.training import Model
from modernbert.wording import counted, minutes_text

# What the Hub calls our kinds of tasks.
HUB_TASKS = {
    "single_label": "text-classification",
    "multi_label": "text-classification",
    "regression": "text-classification",
    "retrieval": "sentence-similarity",
    "tokens": "token-classification",
    "pretraining": "fill-mask",
}
CLASSES = {
    "text-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "fill-mask": "AutoModelForMaskedLM",
}


def model_card(record: TrainingRecord, name: str, *, merged: bool = False) -> str:
    """Return the card of a finished run's model, as README.md.

    Args:
        record: the run's, with its results.
        name: the run's.
        merged: adapters, if it has any, are part of the weights.
    """
    record = record.without_paths()
    data = _metadata(record, name)
    parts = [
        _about(record, name),
        _scores(record),
        _made(record),
        _use(record, name, merged),
        _limits(record),
    ]
    content = f"---\n{data.to_yaml()}\n---\n\n" + "\n".join(parts)
    return str(ModelCard(content).content)


def write_card(folder: Path, record: TrainingRecord, name: str) -> None:
    """Write the card into a model's folder."""
    (folder / "README.md").write_text(model_card(record, name), encoding="utf-8")


def _hub_task(record: TrainingRecord) -> str:
    if record.config.head == "reranker":
        return "text-ranking"
    if record.config.pairs_apart:
        return "sentence-similarity"
    return HUB_TASKS[record.task.kind]


def _base(model: Model) -> tuple[str | None, str | None]:
    """Return the base model's Hub id and its licence, where it has one and they are known."""
    found = CHECKPOINTS.get(model.name)
    return hub_id_of(model.name, model.found_in) or None, found.licence if found else None


def _metadata(record: TrainingRecord, name: str) -> ModelCardData:
    base, licence = _base(record.model)
    splits = record.data.splits
    results = [
        EvalResult(
            task_type=_hub_task(record),
            dataset_type=record.task.name,
            dataset_name=record.task.name,
            dataset_split=result.split,
            dataset_revision=splits[result.split].revision or None,
            metric_type=score.metric,
            metric_value=round(score.value, 6),
            metric_name=f"{score.metric} ({interval_text(score.low, score.high)}, n {score.n})",
        )
        for result in record.results
        for score in result.scores
    ]
    retrieval = _hub_task(record) == "sentence-similarity" and not _has_token_vectors(record)
    return ModelCardData(
        base_model=None if record.config.model.random_weights else base,
        license=licence if licence and " " not in licence else None,
        library_name="sentence-transformers" if retrieval else "transformers",
        pipeline_tag=_hub_task(record),
        tags=["mbert", *(["lora"] if record.config.lora.enabled else [])],
        model_name=name,
        eval_results=results,
    )


def _about(record: TrainingRecord, name: str) -> str:
    base, _ = _base(record.model)
    method = "with LoRA adapters" if record.config.lora.enabled else "all weights"
    kept = base or Path(record.model.name).name
    verb = "trained by masked language modelling" if record.task.kind == "pretraining" else "fine-tuned"
    start = "" if record.init == "plain" else f", starting from {record.init.found_in}"
    if record.config.model.random_weights:
        verb, start = "trained", ", from random weights: only its architecture and tokenizer are that model's"
    teacher = record.data.teacher if record.config.teacher else None
    taught = f" It also learnt the probabilities of a teacher ({teacher['name']})." if teacher else ""
    return f"# {name}\n\n`{kept}` {verb} on {record.task.name} ({method}){start}.{taught}\n"


def _scores(record: TrainingRecord) -> str:
    lines = ["## Scores", "", "| split | metric | score | 95 % interval | n |", "|---|---|---:|---|---:|"]
    for result in record.results:
        for key, what in SHOWN:
            lines += [
                f"| {result.split} | {s.metric}{what} | {s.value:.4f} "
                f"| {interval_text(s.low, s.high)} | {s.n:,} |"
                for s in getattr(result, key)
            ]
    notes = [f"- {note}" for note in record.notes]
    return "\n".join([*lines, "", *notes, "", *_labels(record.results)])


def _labels(results: Sequence[SplitScores]) -> list[str]:
    """Return the figures of each label, of a task with several a text or of entities."""
    lines = []
    for result in (r for r in results if r.labels):
        names = label_columns(result.labels)
        if "threshold" in names:
            said = "a label is given where its probability is above its threshold."
        else:
            said = "an entity is right where its bounds and its label are; n counts the true ones."
        lines += [f"{result.split}: {said}", ""]
        lines += [f"| label | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
        for label in result.labels:
            numbers = (_number(getattr(label, name)) for name in names)
            name = label.label.replace("|", "\\|")
            lines.append(f"| {name} | {' | '.join(numbers)} |")
        means = macro_average(result.labels)
        numbers = (_number(means[name]) if name in means else "" for name in names)
        lines += [f"| macro average | {' | '.join(numbers)} |", ""]
    return lines


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"


def _made(record: TrainingRecord) -> str:
    config, training = record.config.by_name(), record.training
    assert training is not None, "the card is of a run that was trained"
    wanted = ("epochs", "batch_size", "learning_rate", "optimizer", "schedule", "max_length", "keep")
    settings = ", ".join(f"{key} {config[key]}" for key in wanted if key in config)
    rows = ", ".join(f"{split} {part.shown_rows}" for split, part in record.data.splits.items())
    revisions = {part.revision or "unknown" for part in record.data.splits.values()}
    versions = record.versions
    packages = ", ".join(f"{p} {versions[p]}" for p in ("mbert", "torch", "transformers") if versions.get(p))
    facts = [
        f"- data: {record.task.name}, revision {', '.join(sorted(revisions))}; rows: {rows}",
        f"- recipe: {record.recipe.name} ({record.recipe.source})",
        f"- settings: {settings}, seed {record.seed}, {record.machine.precision}",
        f"- {counted(training.steps, 'step')} in {minutes_text(training.minutes)} on {record.machine.device}",
        f"- made with {packages}, {record.created}",
    ]
    return "\n".join(["## How it was made", "", *facts, ""])


def _use(record: TrainingRecord, name: str, merged: bool) -> str:
    task = _hub_task(record)
    if _has_token_vectors(record):
        said = "It has a vector for each token (late interaction). To search with it:"
        return "\n".join(["## Use", "", said, "", f"    mbert eval COLLECTION --model {name}", ""])
    note: list[str] = []
    if task == "sentence-similarity":
        code = ["from sentence_transformers import SentenceTransformer", "", f'SentenceTransformer("{name}")']
    elif (
        record.config.lora.enabled and not merged and task in ("text-classification", "token-classification")
    ):
        note, code = _use_adapters(record, name)
    else:
        kind = CLASSES.get(task, "AutoModelForSequenceClassification")
        code = [f"from transformers import {kind}", "", f'{kind}.from_pretrained("{name}")']
    return "\n".join(["## Use", "", *note, "```python", *code, "```", "", *_decision(record)])


def _decision(record: TrainingRecord) -> list[str]:
    """Say what a reader of other libraries' answers must know: these take the more probable class."""
    task, found, lines = record.task, record.thresholds, []
    if record.config.pairs_apart:
        said = f"The number for two texts is weight x cosine of their vectors + bias: both are in `{FILE}`"
        lines = [f"{said}, and `mbert predict` gives it.", ""]
    if task.kind == "single_label" and found:
        name = task.positive
        said = f"Its scores are of this rule: `{name}` where its probability is above {found[name]:.4f}"
        lines = [f"{said}. `pipeline` and `argmax` take the more probable class instead.", ""]
    if record.temperature != 1:
        lines += [
            f"For calibrated probabilities, divide its logits by {record.temperature:.4f} (Guo et al. 2017).",
            "",
        ]
    return lines


def _has_token_vectors(record: TrainingRecord) -> bool:
    return record.config.head == "tokens"


def _use_adapters(record: TrainingRecord, name: str) -> tuple[list[str], list[str]]:
    """Return a note and the code for adapters: a base that is not on the Hub must be named by the reader."""
    # The adapters were trained on fp32 weights, whatever the base's file holds.
    outputs = f'num_labels={max(1, len(record.task.labels))}, dtype="float32"'
    start, whole = record.start, CLASSES[_hub_task(record)]
    if hub_id_of(start.name, start.found_in):
        kind = whole.replace("Auto", "AutoPeft")
        return [], [f"from peft import {kind}", "", f'{kind}.from_pretrained("{name}", {outputs})']
    if start.name == EMBEDDED:
        note = f"The adapters lie on `{EMBEDDED}`, which comes with mbert and is not on the Hub."
        first = ["from pathlib import Path", "", "import modernbert"]
        base = 'base = Path(modernbert.__file__).parent / "nano"'
    else:
        kept = Path(start.name).name
        note = f"The adapters lie on `{kept}`, which is not on the Hub: name the folder that holds it."
        first, base = [], f'base = "{kept}"'
    code = [
        *first,
        "from peft import PeftModel",
        f"from transformers import {whole}",
        "",
        base,
        f"model = {whole}.from_pretrained(base, {outputs})",
        f'PeftModel.from_pretrained(model, "{name}")',
    ]
    return [note, ""], code


def _limits(record: TrainingRecord) -> str:
    length = record.config.data.max_length
    chosen = ""
    if record.config.evaluation.keep == "best":
        tuned = tuned_thresholds(record)
        more = f" and {tuned} were" if tuned else " was"
        chosen = f" The best step{more} chosen on the first split above: its score is slightly optimistic."
    return (
        f"## Limits\n\nScores are of one training (seed {record.seed}) on the splits above; texts longer "
        f"than {length} tokens are truncated.{chosen} It was measured on nothing else.\n"
    )
