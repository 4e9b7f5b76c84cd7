"""Which job trains which inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modernbert.pretraining.distillation import DistillationJob
from modernbert.pretraining.job import PretrainingJob
from modernbert.training.classification import ClassificationJob
from modernbert.training.inputs import Inputs, Job
from modernbert.training.late_interaction import LateInteractionJob
from modernbert.training.reranking import RerankingJob
from modernbert.training.retrieval import RetrievalJob
from modernbert.training.signals import StopRequest
from modernbert.training.similarity import SimilarityJob
from modernbert.training.tagging import TaggingJob

# By `Inputs.job`.
JOBS: Mapping[str, Callable[[Any, Any, StopRequest], Job]] = {
    "classifier": ClassificationJob,
    "similarity": SimilarityJob,
    "tagger": TaggingJob,
    "bi-encoder": RetrievalJob,
    "late interaction": LateInteractionJob,
    "reranker": RerankingJob,
    "masked language model": PretrainingJob,
    "distillation": DistillationJob,
}


# Which of them one process alone can train, and why.
ALONE: Mapping[str, str] = {
    "distillation": "its loss compares the texts that are in memory together",
}


def load_job(inputs: Inputs, accelerator: Any, stop: StopRequest) -> Job:
    """Load model and data. The random state is seeded: what is new in the model is drawn from it."""
    return JOBS[inputs.job](inputs, accelerator, stop)
