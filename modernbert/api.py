"""The functions that `modernbert` offers: what the commands do, returning what the commands show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal

from modernbert.comparison.compare import compare as compare_runs
from modernbert.comparison.results import Comparison
from modernbert.data.targets import resolve
from modernbert.data.task import Kind
from modernbert.errors import BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.embed_file import Embedded, embed_file
from modernbert.evaluation.evaluate import EvaluationResult, Scorer, evaluate_model, trained_length
from modernbert.evaluation.loaded import Classifier, load_model
from modernbert.evaluation.predict_file import Predicted, predict_file
from modernbert.evaluation.retrieval_record import RetrievalResult
from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks, retrieval_tasks
from modernbert.evaluation.tag_file import tag_file
from modernbert.evaluation.tagging import Tagger, evaluate_tagger
from modernbert.evaluation.temperature import require_temperature
from modernbert.evaluation.trained_task import task_to_predict, task_to_score
from modernbert.evaluation.vectors import VectorCache
from modernbert.finetuning.finetune import TrainedRun
from modernbert.finetuning.finetune import finetune as train
from modernbert.finetuning.prepare import require_settings
from modernbert.model.locate import locate_model
from modernbert.model.tagger import is_tagger
from modernbert.places import require_new
from modernbert.runs import RunStore
from modernbert.settings.forms import given_settings
from modernbert.training.inputs import Request
from modernbert.training.reports import Observe

PathLike = str | Path


def finetune(
    target: PathLike,
    model: str = "modernbert-base",
    *,
    recipe: str = "default",
    init_from: str | None = None,
    validation: PathLike | None = None,
    test: PathLike | None = None,
    text: str | Sequence[str] = (),
    label: str | None = None,
    cluster: str | None = None,
    kind: Kind | Literal["retrieval", "tokens"] | None = None,
    limit: int = 0,
    name: str | None = None,
    tags: Sequence[str] = (),
    data_dir: PathLike | None = None,
    runs_dir: PathLike | None = None,
    device: str = "auto",
    precision: str = "auto",
    observe: Observe = lambda report: None,
    **settings: Any,
) -> TrainedRun:
    """Fine-tune a model, score it on held-out data and keep the run, as `mbert finetune` does.

    Args:
        target: a task such as `glue/sst2`, a file, a folder or a Hub data set.
        model: a short name, a run, a folder or a Hub id.
        text, label, kind: the columns of own data, and what the label is; guessed by default.
        cluster: the column whose equal values make rows of own data belong together, for intervals.
        limit: train on this many rows only; 0 for all.
        tags: words to find the run by.
        observe: told about each step, evaluation and notice.
        settings: by name, such as `epochs=2`, `lora=True` or `seed=43`; or in sections, such as
            `lora={"enabled": True, "rank": 8}` (see `modernbert.settings.sections`).

    Raises:
        MbertError: bad input (nothing was written), or the run ended early (it can be resumed).
    """
    request = Request(
        target=str(target),
        model=model,
        recipe=recipe,
        settings=given_settings(settings),
        init_from=init_from,
        data_dir=_absolute(data_dir),
        validation=_absolute(validation),
        test=_absolute(test),
        text=_names(text),
        label=label,
        cluster=cluster,
        kind=kind,
        device=device,
        precision=precision,
        limit=limit,
        name=name,
        tags=tuple(tags),
    )
    require_settings(request)
    return train(request, _store(runs_dir), observe=observe)


def evaluate(
    target: PathLike,
    model: str,
    *,
    split: str | None = None,
    text: str | Sequence[str] = (),
    label: str | None = None,
    cluster: str | None = None,
    max_length: int = 0,
    data_dir: PathLike | None = None,
    runs_dir: PathLike | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> EvaluationResult | list[RetrievalResult]:
    """Score a model on held-out data and keep the scores as a run, as `mbert eval` does.

    Args:
        target: a task, a labelled file, or one of tagged words; for retrieval a task, a family of tasks, or a
            collection's folder.
        max_length: longest text in tokens; 0 for the length that the model was trained with.

    Returns:
        The scores; for retrieval, those of each collection.

    Raises:
        MbertError: the labels are hidden, the model has no head for the task, or the data cannot be read.
    """
    store, tasks, named = _store(runs_dir), retrieval_tasks(str(target)), resolve(str(target), hub=False)
    if (text or label or cluster) and (tasks or not named.is_own):
        what = "is searched" if tasks else "has columns of its own"
        raise BadOption(f"text, label and cluster are for labelled files of your own, and {target} {what}")
    source = locate_model(model, store=store, data_dir=_path(data_dir))
    common: dict[str, Any] = {"data_dir": _path(data_dir), "device": device, "precision": precision}
    if tasks:
        search = SearchOptions(max_length=max_length, cache=VectorCache.default())
        return evaluate_tasks(tasks, source, store, search, split=split, **common)
    if named.is_own and (named.form == "tagged" or is_tagger(source)):
        if split or cluster:
            raise BadOption(f"split and cluster are for labelled texts, and {target} is of tagged words")
        columns: dict[str, Any] = {"text": _names(text), "label": label, "max_length": max_length}
        return evaluate_tagger(source, Path(target), store, **columns, device=device, precision=precision)
    if named.is_own:
        task = task_to_score(source, Path(target), text=_names(text), label=label, cluster=cluster)
    else:
        task = named.labelled_task()
    return evaluate_model(task, source, store, split=split, max_length=max_length, **common)


def compare(
    runs: Sequence[str] = (),
    *,
    baselines: str | Sequence[str] = (),
    tasks: Collection[str] = (),
    models: Sequence[str] = (),
    allow: bool = False,
    margin: float = 0.0,
    metric: str = "",
    runs_dir: PathLike | None = None,
) -> Comparison:
    """Compare finished runs with baselines, as `mbert compare --finished` does.

    Args:
        runs: their names; all of the run store by default.
        baselines: the models or runs to compare with; by default the first of the named runs.
        allow: compare also what was made under other conditions.
        margin: differences below this do not matter; 0 for no test of equivalence.
        metric: compare by this one instead of each run's main one.

    Raises:
        MbertError: there is nothing to compare, or the runs were made under conditions that differ.
    """
    named = _store(runs_dir), list(runs), _names(baselines)
    chosen: dict[str, Any] = {"tasks": tasks, "models": models, "metric": metric}
    return compare_runs(*named, **chosen, allow=allow, margin=margin)


def predict(
    file: PathLike,
    output: PathLike,
    model: str,
    *,
    text: str | Sequence[str] = (),
    prefix: str = "",
    top: int = 0,
    calibrated: bool = False,
    overwrite: bool = False,
    data_dir: PathLike | None = None,
    runs_dir: PathLike | None = None,
    device: str = "auto",
    precision: str = "auto",
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Predicted:
    """Predict every row of a file in constant memory, as `mbert predict` does.

    A call that was stopped goes on where it was when it is made again.

    Args:
        output: .jsonl, .csv or .parquet (of a model that tags words .jsonl); all input columns are kept.
        top: how many of the most probable labels to name, instead of all; 0 for all.
        calibrated: show probabilities with the temperature that the run fitted on its validation split.
        overwrite: replace the output if it is there already.
        on_progress: told the number of rows done.

    Raises:
        BadOption: the output is there already.
        MbertError: the model is no classifier, or a row cannot be read; nothing is written.
    """
    require_new(Path(output), overwrite=overwrite, how="Pass overwrite=True")
    source = locate_model(model, store=_store(runs_dir), data_dir=_path(data_dir))
    if is_tagger(source):
        if top or calibrated or len(_names(text)) > 1:
            what = "top, calibrated and pairs are for labels of whole texts"
            raise BadOption(f"{what}, and {model} tags words")
        tagger = Tagger(source, device=device, precision=precision)
        column = next(iter(_names(text)), None)
        return tag_file(tagger, Path(file), Path(output), text=column, prefix=prefix, on_progress=on_progress)
    task = task_to_predict(source, Path(file), _names(text))
    scorer = Scorer(source, task, max_length=trained_length(source), device=device, precision=precision)
    paths = Path(file), Path(output)
    if calibrated:
        require_temperature(task, model)
    shown: dict[str, Any] = {"prefix": prefix, "top": top, "calibrated": calibrated}
    return predict_file(scorer, *paths, text=_names(text), **shown, on_progress=on_progress)


def embed(
    file: PathLike,
    output: PathLike,
    model: str,
    *,
    text: str | None = None,
    queries: bool = False,
    max_length: int = 0,
    overwrite: bool = False,
    data_dir: PathLike | None = None,
    runs_dir: PathLike | None = None,
    device: str = "auto",
    precision: str = "auto",
    on_progress: Callable[[int], None] = lambda rows: None,
) -> Embedded:
    """Write a Parquet file with a vector for every row of a file, as `mbert embed` does.

    Args:
        text: the column; guessed by default.
        queries: the texts are queries, not documents.
        max_length: longest text in tokens; 0 for the model's own.
        overwrite: replace the output if it is there already.

    Raises:
        BadOption: the output is there already.
        MbertError: the model gives no vectors, or a row cannot be read; nothing is written.
    """
    require_new(Path(output), overwrite=overwrite, how="Pass overwrite=True")
    source = locate_model(model, store=_store(runs_dir), data_dir=_path(data_dir))
    embedder = Embedder(source, max_length=max_length, device=device, precision=precision)
    kind: Literal["query", "document"] = "query" if queries else "document"
    return embed_file(embedder, Path(file), Path(output), column=text, kind=kind, on_progress=on_progress)


def load(
    model: str,
    *,
    max_length: int = 0,
    data_dir: PathLike | None = None,
    runs_dir: PathLike | None = None,
    device: str = "auto",
    precision: str = "auto",
) -> Classifier | Tagger | Embedder:
    """Load a model for texts in memory.

    Args:
        model: a run, a short name, a folder or a Hub id.
        max_length: longest text in tokens; 0 for the length that the model was trained with.

    Returns:
        A `Classifier` (`predict`) for a model with a head for labels, a `Tagger` (`predict`) for one that
        tags words, else an `Embedder` (`encode`).

    Raises:
        MbertError: the model cannot be found or read.
    """
    source = locate_model(model, store=_store(runs_dir), data_dir=_path(data_dir))
    return load_model(source, max_length=max_length, device=device, precision=precision)


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _store(runs_dir: PathLike | None) -> RunStore:
    return RunStore.at(_path(runs_dir))


def _path(given: PathLike | None) -> Path | None:
    return None if given is None else Path(given)


def _absolute(given: PathLike | None) -> str | None:
    return None if given is None else str(Path(given).absolute())
