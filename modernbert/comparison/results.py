"""What a comparison says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_jsonable_python

from modernbert.comparison.published import PublishedScore
from modernbert.evaluation.noise import Noise
from modernbert.evaluation.statistics import Difference
from modernbert.records.scores import Score

# Of the files that `mbert compare -o FILE.json` writes.
FORMAT = 2
LEVEL = 0.05
ONE_TRAINING = "one training: examples only"
UNDECIDED = "no difference shown"


@dataclass(frozen=True)
class Cost:
    """What a model costs on a task; None for what was not measured or does not apply.

    Attributes:
        parameters: all of them, trained or not.
        minutes: of training, the seeds' mean.
        examples_per_second, tokens_per_second: of inference at the task's own lengths, the seeds' mean.
        memory_mib: peak, the seeds' largest.
        truncated: share of the scored texts that were cut.
    """

    parameters: int | None = None
    minutes: float | None = None
    examples_per_second: float | None = None
    tokens_per_second: float | None = None
    memory_mib: float | None = None
    truncated: float | None = None


@dataclass(frozen=True)
class ModelScores:
    """One model on one task.

    Attributes:
        system: which of the ways of searching that each run tried, in its own words; None for labelled tasks.
        by_seed: the metric of each run; the key is the seed, or "-" for what has none.
        low, high: the mean's 95 % interval over examples and seeds; None where the data cannot say.
        deviation: sample standard deviation over seeds; None with one.
        published: what others report for this model and task, never computed with.
        trained: another training could come out differently; TF-IDF and BM25 cannot.
        noise: the mean's variance; None where the interval is, and in a comparison that was kept.
        calibration: expected calibration error and Brier score, the seeds' mean; none without probabilities.
        calibrated: the same with each run's temperature, 1 where it has none.
        on_front: no other model is both better and faster (the Pareto front); None without a speed.
        worst: of the seeds; None with one.
        collapsed: the seeds that learnt nothing while others did.
        differing: settings in which the seeds differ, which the user allowed.
        rows: how many rows it was trained on, of how many: `400 of 2490`; empty where it was all.
    """

    model: str
    runs: tuple[str, ...]
    system: str | None
    by_seed: dict[str, float]
    mean: float
    low: float | None
    high: float | None
    deviation: float | None
    cost: Cost
    published: tuple[PublishedScore, ...] = ()
    trained: bool = True
    noise: Noise | None = field(default=None, compare=False)
    calibration: tuple[Score, ...] = ()
    calibrated: tuple[Score, ...] = ()
    on_front: bool | None = None
    worst: float | None = None
    collapsed: tuple[str, ...] = ()
    differing: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    rows: str = ""

    @property
    def is_one_seed(self) -> bool:
        """Was it trained once, so that nobody knows how much trainings differ?"""
        return self.trained and len(self.by_seed) == 1


@dataclass(frozen=True)
class Contrast:
    """A model against a baseline on one task.

    Attributes:
        p_corrected: p after Holm's correction over all contrasts with this baseline.
        mcnemar: its exact p, where both have one run, the metric counts right answers, and no examples belong
            together.
        equivalent_corrected: `difference.p_equivalent` after the same correction; None without a margin.
        differing: conditions that differ, which the user allowed.
    """

    model: str
    baseline: str
    difference: Difference
    p_corrected: float
    mcnemar: float | None
    differing: dict[str, tuple[Any, Any]]
    equivalent_corrected: float | None = None

    @property
    def verdict(self) -> str:
        """`better`, `worse`, `equivalent`, or one of the two sentences that decide nothing.

        For the first two, interval and corrected p must agree. One training decides nothing: the next one may
        come out the other way round.
        """
        if self.difference.one_training:
            return ONE_TRAINING
        if self.is_decided:
            return "better" if self.difference.value > 0 else "worse"
        if self.equivalent_corrected is not None and self.equivalent_corrected <= LEVEL:
            return "equivalent"
        return UNDECIDED

    @property
    def is_decided(self) -> bool:
        """Is one of the two shown to be better?"""
        d = self.difference
        return not d.one_training and d.is_shown and self.p_corrected <= LEVEL

    def __str__(self) -> str:
        if self.is_decided:
            return f"{self.model} is {self.verdict} than {self.baseline}"
        verdict = self.verdict
        if verdict == UNDECIDED:
            verdict += f" (one of {self.difference.detectable:.4f} would be, in 80 % of such comparisons)"
        return f"{self.model} and {self.baseline}: {verdict}"


@dataclass(frozen=True)
class TaskComparison:
    """All models on one task, the best first.

    Attributes:
        clusters: clusters of examples that belong together; None where each stands for itself.
    """

    task: str
    kind: str
    split: str
    metric: str
    n: int
    models: tuple[ModelScores, ...]
    contrasts: tuple[Contrast, ...]
    clusters: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class AverageScore:
    """A model's mean over tasks, with its 95 % interval; None where the data of one task cannot say."""

    model: str
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """All tasks, and what models have in the mean.

    Attributes:
        averages: each model's mean over the tasks that every model has, when these are two or more.
        averaged: those tasks.
        average_contrasts: the models' means against each baseline's.
    """

    baselines: tuple[str, ...]
    tasks: tuple[TaskComparison, ...]
    averages: tuple[AverageScore, ...]
    averaged: tuple[str, ...]
    notes: tuple[str, ...]
    average_contrasts: tuple[Contrast, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return plain data: what is shown, without the noise that it was computed from."""
        plain = {"format": FORMAT, **to_jsonable_python(self)}
        for task, shown in zip(self.tasks, plain["tasks"], strict=True):
            _as_shown(task.contrasts, shown["contrasts"])
            for model in shown["models"]:
                del model["noise"]
        _as_shown(self.average_contrasts, plain["average_contrasts"])
        return plain


def _as_shown(contrasts: tuple[Contrast, ...], shown: list[dict[str, Any]]) -> None:
    for contrast, row in zip(contrasts, shown, strict=True):
        row["verdict"] = contrast.verdict
        del row["difference"]["noise"]
