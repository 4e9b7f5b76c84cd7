"""What is done with each shard: `mbert embed` or `mbert predict` of one file, on whichever machine."""

from __future__ import annotations

import json
import platform
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modernbert.cluster.shards import (
    MADE_FROM,
    Shard,
    is_made_from,
    local_copy,
    require_free,
    state_of,
    written,
)
from modernbert.errors import BadData, BadModel, BadOption, DiskFull, MbertError
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.embed_file import embed_file
from modernbert.evaluation.evaluate import Scorer, trained_length
from modernbert.evaluation.predict_file import predict_file
from modernbert.evaluation.temperature import require_temperature
from modernbert.evaluation.trained_task import task_to_predict
from modernbert.files import model_checksums
from modernbert.model.embedding import TextKind
from modernbert.model.locate import ModelSource, locate_model
from modernbert.model.tagger import is_tagger
from modernbert.runs import RunStore


@dataclass(frozen=True)
class ModelOnNodes:
    """A model that each machine of a cluster has, or can fetch, by the same name.

    Attributes:
        name: what the user called it; a folder as its whole path.
        source: where it is on the machine that asks.
        weights: which weights these are.
        data_dir, runs_dir: where it is looked for.
        device, precision: what computes it.
    """

    name: str
    source: ModelSource
    weights: str
    data_dir: Path | None = None
    runs_dir: Path | None = None
    device: str = "auto"
    precision: str = "auto"

    def found(self) -> ModelSource:
        """Return where it is here. Raises BadModel when its files are others than those of who asks."""
        store = RunStore.at(self.runs_dir)
        source = self.source
        if not source.folder.is_dir():
            source = locate_model(self.name, store=store, data_dir=self.data_dir)
        if source.weights != self.weights:
            raise BadModel(f"{platform.node()} has other weights of {self.name}", where=str(source.folder))
        return source


@dataclass(frozen=True)
class Job(ABC):
    """Something to be done with every shard, the model for it, and whether it may replace what is there."""

    model: ModelOnNodes
    overwrite: bool = False

    @abstractmethod
    def load(self, path: Path) -> Any:
        """Return the model, loaded for files such as this one."""

    @abstractmethod
    def made_from(self, loaded: Any) -> dict[str, Any]:
        """Return what an output depends on beside its input."""

    @abstractmethod
    def run(self, loaded: Any, path: Path, output: Path, notes: dict[str, str]) -> int:
        """Write the output, with notes in its footer; return how many rows it has."""


@dataclass(frozen=True)
class EmbedJob(Job):
    """Put a vector beside every row: see `embed_file`."""

    column: str | None = None
    kind: TextKind = "document"
    max_length: int = 0

    def load(self, path: Path) -> Embedder:
        """Load the encoder."""
        model = self.model
        return Embedder(
            model.found(), max_length=self.max_length, device=model.device, precision=model.precision
        )

    def made_from(self, loaded: Embedder) -> dict[str, Any]:
        """Return what vectors depend on."""
        prompt = loaded.settings.query_prompt if self.kind == "query" else loaded.settings.document_prompt
        return {**loaded.key, "kind": self.kind, "prompt": prompt, "column": self.column}

    def run(self, loaded: Embedder, path: Path, output: Path, notes: dict[str, str]) -> int:
        """Embed a file."""
        return embed_file(loaded, path, output, column=self.column, kind=self.kind, notes=notes).rows


@dataclass(frozen=True)
class PredictJob(Job):
    """Put a prediction beside every row: see `predict_file`."""

    text: tuple[str, ...] = ()
    prefix: str = ""
    top: int = 0
    calibrated: bool = False

    def load(self, path: Path) -> Scorer:
        """Load the classifier."""
        source = self.model.found()
        if is_tagger(source):
            raise BadOption(f"{source.name} tags words: a list of entities fits no column of Parquet",
                            fix="Leave --ray out and write a .jsonl file.")  # fmt: skip
        task = task_to_predict(source, path, self.text)
        if self.calibrated:
            require_temperature(task, source.name)
        machine = {"device": self.model.device, "precision": self.model.precision}
        return Scorer(source, task, max_length=trained_length(source), **machine)

    def made_from(self, loaded: Scorer) -> dict[str, Any]:
        """Return what predictions depend on."""
        source, task = loaded.source, loaded.task
        shown = {"text": self.text, "prefix": self.prefix, "top": self.top, "calibrated": self.calibrated}
        return {
            **shown,
            "weights": model_checksums(source.folder),
            "base": model_checksums(source.base.folder) if source.base else None,
            "labels": task.labels,
            "thresholds": task.thresholds,
            "temperature": task.temperature,
            "max_length": loaded.max_length,
            "machine": asdict(loaded.machine),
        }

    def run(self, loaded: Scorer, path: Path, output: Path, notes: dict[str, str]) -> int:
        """Predict a file."""
        shown: dict[str, Any] = {"prefix": self.prefix, "top": self.top, "calibrated": self.calibrated}
        return predict_file(loaded, path, output, text=self.text, notes=notes, **shown).rows


@dataclass(frozen=True)
class Done:
    """What became of a shard.

    Attributes:
        name: the shard's.
        rows: of the output.
        kept: was it finished before?
        machine: what computed it.
        error: a mistake that another try would not mend.
        hopeless: is it one of the model or the options, so that every shard would meet it?
    """

    name: str
    rows: int = 0
    kept: bool = False
    machine: str = ""
    error: MbertError | None = None
    hopeless: bool = False


def do_shard(job: Job, shard: Shard) -> Done:
    """Do a job with one shard, unless that was done before."""
    path, loaded = None, None
    try:
        with local_copy(shard.source) as path:
            loaded = _loaded(job, path)
            machine = f"{loaded.machine.device}, {loaded.machine.precision}"
            inputs = {"input": [shard.name, *state_of(shard.source)]}
            made_from = json.dumps(job.made_from(loaded) | inputs, sort_keys=True)
            if is_made_from(shard.target, made_from):
                return Done(shard.name, kept=True, machine=machine)
            require_free(shard.target, overwrite=job.overwrite)
            with written(shard.target) as output:
                rows = job.run(loaded, path, output, {MADE_FROM: made_from})
    except DiskFull:  # another machine may have space
        raise
    except MbertError as error:
        error.where = (error.where or "").replace(str(path), shard.source) or None
        return Done(shard.name, error=error, hopeless=loaded is None and not isinstance(error, BadData))
    return Done(shard.name, rows, machine=machine)


_models: dict[Job, Any] = {}


def _loaded(job: Job, path: Path) -> Any:
    """Return the job's model, which this process loads once."""
    if job not in _models:
        _models.clear()
        _models[job] = job.load(path)
    return _models[job]
