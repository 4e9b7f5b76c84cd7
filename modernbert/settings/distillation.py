"""The settings of learning from a teacher's probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from modernbert.ranges import Range
from modernbert.settings.fields import CLASSIFICATION, AppliesTo, Section, setting

_IN_CLASSIFICATION = AppliesTo((CLASSIFICATION,))
_WITH_TEACHER = AppliesTo((CLASSIFICATION,), "teacher")


@dataclass(frozen=True, kw_only=True)
class DistillationConfig(Section):
    """Learning a teacher's probabilities beside the labels (Hinton et al. 2015, arXiv:1503.02531)."""

    panel: ClassVar[str] = "Distillation"

    teacher: str = setting(
        "Run or classifier whose probabilities are learnt too; columns: those that the file has, as mbert "
        "predict writes them",
        "",
        applies_to=_IN_CLASSIFICATION,
    )
    weight: float = setting(
        "Share of the loss that the teacher's probabilities have; 1 leaves the labels out",
        0.5,
        Range(0, 1, above=True),
        name="teacher_weight",
        applies_to=_WITH_TEACHER,
    )
    temperature: float = setting(
        "Temperature that the teacher's and the model's probabilities are softened with",
        2.0,
        Range(0, 100, above=True),
        name="teacher_temperature",
        applies_to=_WITH_TEACHER,
    )
