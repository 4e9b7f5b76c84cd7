"""`RunRecord`: what a run keeps in its `run.json`.

Each kind of run has its class. The classes are all that is known of the format: they check what is read and
what is written, and the JSON schema (`mbert runs schema`) is made from them. Records of older formats are
turned into today's before they are checked.
"""

from __future__ import annotations

import datetime
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, FiniteFloat, model_validator
from pydantic_core import PydanticCustomError

from modernbert.errors import BadRun
from modernbert.reading import checked_json
from modernbert.records.base import Amount, Config, Count, Digest, Part, Text, Time
from modernbert.records.data import Data, StoredTask
from modernbert.records.scores import SplitScores
from modernbert.records.settings import ScoringSettings, SearchSettings, Settings, StoredProtocol
from modernbert.records.training import (
    Effort,
    LocatedModel,
    Model,
    Parameters,
    StoredAttention,
    StoredMachine,
    StoredPretrainingRequest,
    StoredRecipe,
    StoredRequest,
    StoredStudy,
    Training,
    TrainingFacts,
)
from modernbert.without_paths import without_paths
from modernbert.wording import counted

FORMAT: Final = 2


class RunRecord(Part):
    """What the records of all kinds of runs have, and what some have.

    Attributes:
        kind: what was done.
        status: `interrupted` is never written: it is a run that says `running` while no process holds it.
        created: when it began, in UTC.
        task: what is predicted.
        model: what was trained or scored; a baseline has its name alone.
        seed: of the training that made the model; None for what has none.
        config: the settings that it was carried out with.
        data: what was trained or scored on.
        hardware, versions: of the machine and of packages.
        results: the scores.
        study: the runs that one command made, if it made several.
        request: what the user asked for.
        recipe: where settings come from.
        init: what a training started from: the model itself (`plain`), or another training's.
        protocol: how a training for retrieval searches its held-out queries; an evaluation's is in `config`.
        machine: the device and the precision.
        attention: which implementation of attention was used.
        parameters: how many are trained, and how many are frozen.
        new_tensors: what the model it started from did not have.
        training: what the training took.
        inference: examples and tokens a second.
        thresholds: by label, the probability above which it is given.
        temperature: what logits are divided by for calibrated probabilities; 1 where none was fitted.
        folds: of a cross-validation that is scored as one, the runs of its folds, by name.
        truncated: the share of texts that were cut.
        reranker: what read the best documents again.
        notes: what a reader of the scores should know.
        tags: the user's own words.
        former_names: what the run was called before, for whatever still names it so, such as an index.
        model_files: the checksum of each file of the saved model.
        format: of the record.
    """

    kind: Literal["finetune", "pretrain", "evaluate", "retrieval", "baseline"]
    status: Literal["running", "interrupted", "finished"]
    created: Time
    task: StoredTask
    model: Model
    seed: Count | None
    config: Config
    data: Data
    hardware: dict[str, Any]
    versions: dict[str, str | None]
    results: tuple[SplitScores, ...] = ()
    study: StoredStudy | None = None
    request: StoredRequest | None = None
    recipe: StoredRecipe | None = None
    init: Literal["plain"] | Model = "plain"
    protocol: StoredProtocol | None = None
    machine: StoredMachine | None = None
    attention: StoredAttention | None = None
    parameters: Parameters | None = None
    new_tensors: tuple[str, ...] = ()
    training: Effort | None = None
    inference: dict[str, Amount] = Field(default_factory=dict)
    thresholds: dict[str, FiniteFloat] = Field(default_factory=dict)
    temperature: Annotated[FiniteFloat, Field(gt=0)] = 1.0
    folds: tuple[Text, ...] = ()
    truncated: Amount | None = None
    reranker: Model | None = None
    notes: tuple[str, ...] = ()
    tags: tuple[Text, ...] = ()
    former_names: tuple[Text, ...] = ()
    model_files: dict[str, Digest] = Field(default_factory=dict)
    format: Literal[2] = FORMAT

    # What must be there once the run is finished.
    finished_with: ClassVar[tuple[str, ...]] = ("results",)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.status == "finished":
            for key in self.finished_with:
                _require(key in self.model_fields_set, f"{key}: field required")
            _require(self.results, "results: there are none")
        labelled = self.task.kind in ("single_label", "multi_label", "tokens")
        _require(
            labelled == bool(self.task.labels),
            f"task: kind {self.task.kind} with {counted(len(self.task.labels), 'label')}",
        )
        for result in self.results:
            _require(result.split in self.data.splits, f"results: '{result.split}' is no split of its data")
        return self

    def facts(self, run: str) -> TrainingFacts | None:
        """Return how a finished run's model was trained; None where it came as it is, or that is unknown.

        Args:
            run: the run's name.
        """
        return self.model.training

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, as it is written."""
        return {**super().as_dict(), "format": FORMAT}

    def without_paths(self) -> Self:
        """Return the record with each path's last part alone: reports and cards are for others to read."""
        return checked_json(type(self), without_paths(self.as_dict()), where="the record", error=BadRun)


class TrainingRecord(RunRecord):
    """A training of a network."""

    model: LocatedModel
    seed: Count
    config: Settings
    request: StoredRequest
    recipe: StoredRecipe
    init: Literal["plain"] | Model
    machine: StoredMachine
    parameters: Parameters
    training: Training | None = None

    finished_with = ("results", "training", "inference", "notes", "model_files")

    @property
    def start(self) -> Model:
        """What the training started from."""
        return self.model if self.init == "plain" else self.init

    @model_validator(mode="after")
    def _is_a_whole_training(self) -> Self:
        seed = self.config.run.seed
        _require(self.seed == seed, f"seed {self.seed} and config.run.seed {seed} differ")
        _require(self.status != "finished" or self.model_files, "model_files: there are none")
        return self


class FinetuneRecord(TrainingRecord):
    """`mbert finetune`."""

    kind: Literal["finetune"] = "finetune"

    @model_validator(mode="after")
    def _names_its_columns(self) -> Self:
        if self.task.kind != "retrieval":
            _require(self.data.text, "data.text: field required")
            _require(self.data.label, "data.label: field required")
        return self

    def facts(self, run: str) -> TrainingFacts | None:
        """Return how this finished training went, for whoever evaluates its model or starts from it."""
        splits = self.data.splits
        return TrainingFacts(
            run=run,
            created=self.created,
            task=self.task.name,
            kind=self.task.kind,
            seed=self.seed,
            model=self.model,
            init=self.init,
            recipe=self.recipe.name,
            config=self.config,
            settings=self.request.settings,
            limit=self.request.limit,
            data=splits["train"].fingerprint if "train" in splits else None,
            chosen_on=splits[self.results[0].split].fingerprint,
            precision=self.machine.precision,
            versions={name: self.versions.get(name) for name in ("mbert", "torch")},
        )


class PretrainRecord(TrainingRecord):
    """`mbert pretrain`."""

    kind: Literal["pretrain"] = "pretrain"
    request: StoredPretrainingRequest


class EvaluateRecord(RunRecord):
    """`mbert eval` on labels."""

    kind: Literal["evaluate"] = "evaluate"
    model: LocatedModel
    machine: StoredMachine
    config: ScoringSettings


class RetrievalRecord(RunRecord):
    """`mbert eval` on a collection of documents."""

    kind: Literal["retrieval"] = "retrieval"
    model: LocatedModel
    machine: StoredMachine
    config: SearchSettings
    reranker: LocatedModel | None = None
    truncated: Amount
    notes: tuple[str, ...]


class BaselineRecord(RunRecord):
    """What needs no network: the majority's answer, TF-IDF."""

    kind: Literal["baseline"] = "baseline"
    request: StoredRequest
    training: Effort


def now() -> str:
    """Return the time, as records have it: UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _require(fits: object, message: str) -> None:
    if not fits:
        raise PydanticCustomError("record", "{said}", {"said": message})
