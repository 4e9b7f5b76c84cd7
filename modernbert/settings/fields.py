"""One setting, as its field declares it: help, unit, limits, and where it applies.

Users write a setting by its name: `lora_rank` is the option `--lora-rank`, and `rank` in the section `[lora]`
of a TOML file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from modernbert.errors import BadOption
from modernbert.ranges import Range

# Kinds of training.
CLASSIFICATION, RETRIEVAL, PRETRAINING = "classification and regression", "retrieval", "pretraining"
TOKENS = "token classification"
FINE_TUNING = (CLASSIFICATION, RETRIEVAL, TOKENS)
TASKS = (*FINE_TUNING, PRETRAINING)
_TYPES = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class AppliesTo:
    """Where a setting has any effect.

    Attributes:
        tasks: kinds of training.
        setting: the name of another setting; empty if it depends on none.
        values: what that one must be; empty for anything that is given.
    """

    tasks: tuple[str, ...] = TASKS
    setting: str = ""
    values: tuple[str | bool, ...] = ()

    def __str__(self) -> str:
        return "fine-tuning" if self.tasks == FINE_TUNING else " and ".join(self.tasks)


EVERYWHERE = AppliesTo()


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a field of a section declares.

    Attributes:
        name: what users write.
        section, attribute: where its value is in a config.
        kind: its type.
        unit: of a number, such as `tokens`.
        zero: what 0 means, if it is no number of units.
        panel: the heading that it has in `--help`.
    """

    name: str
    section: str
    attribute: str
    kind: Any
    default: Any
    help: str
    limits: Range | None
    unit: str
    zero: str
    panel: str
    applies_to: AppliesTo

    @property
    def option(self) -> str:
        """The option's name, such as `--lora-rank`."""
        return option_name(self.name)

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it may be; none if it is no word."""
        return tuple(word for kind in self._kinds if get_origin(kind) is Literal for word in get_args(kind))

    @property
    def otherwise(self) -> type[float] | type[str] | None:
        """What a setting that is a word may be instead: a number, or (text) a file; None for nothing."""
        return next((kind for kind in self._kinds if kind in (float, str)), None) if self.choices else None

    @property
    def _kinds(self) -> tuple[Any, ...]:
        return get_args(self.kind) if get_origin(self.kind) in (Union, UnionType) else (self.kind,)

    def rule_broken(self, value: Any) -> str:
        """Return what the setting must be, if `value` is not that; else nothing."""
        if self.choices:
            right = value in self.choices or (self.otherwise and _fits(value, self.otherwise, self.limits))
            others = {float: f" or a number, {self.limits}", str: " or a file"}
            more = others[self.otherwise] if self.otherwise else ""
            return "" if right else f"one of {', '.join(filter(None, self.choices))}{more}"
        if get_origin(self.kind) is tuple:
            kind = get_args(self.kind)[0]
            right = isinstance(value, (list, tuple)) and all(_fits(v, kind, self.limits) for v in value)
            each = f", each {self.limits}" if self.limits else ""
            return "" if right else f"a list of {'whole numbers' if kind is int else 'names'}{each}"
        if _fits(value, self.kind, self.limits):
            return ""
        return str(self.limits) if _fits(value, self.kind, None) else _TYPES[self.kind]

    def is_off(self, value: Any) -> bool:
        """Is it at a default that means no, none or automatic?"""
        return not any(one and one != "none" for one in (value, self.default))

    def why_without_effect(self, values: Mapping[str, Any]) -> str:
        """Say why the setting does nothing beside other settings' `values`, by name; else nothing."""
        rule = self.applies_to
        if not rule.setting:
            return ""
        found, other = values.get(rule.setting), option_name(rule.setting)
        if found in rule.values or (found and not rule.values):
            return ""
        if rule.values in ((True,), ()):
            return f"{self.option} applies only with {other}"
        wanted = " or ".join(map(str, rule.values))
        return f"{self.option} applies only with {other} {wanted}, and {other} is {found}"


def option_name(name: str) -> str:
    """Return the option of a setting."""
    return f"--{name.replace('_', '-')}"


def _fits(value: Any, kind: type[Any], limits: Range | None) -> bool:
    """Is it of this type (a whole number is a number, true is none) and within the limits?"""
    expected = (int, float) if kind is float else kind
    if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
        return False
    return limits is None or value in limits


def setting(
    help: str,
    default: Any,
    limits: Range | None = None,
    *,
    name: str = "",
    unit: str = "",
    zero: str = "",
    applies_to: AppliesTo = EVERYWHERE,
) -> Any:
    """Declare a setting as a field of a section; it is called as its field unless it has another `name`."""
    metadata = {"help": help, "limits": limits, "name": name, "unit": unit, "zero": zero}
    return dataclasses.field(default=default, metadata={**metadata, "applies_to": applies_to})


@dataclass(frozen=True, kw_only=True)
class Section:
    """Settings that belong together: a section of a TOML file, and a heading in `--help`."""

    panel: ClassVar[str]

    def __post_init__(self) -> None:
        for found in describe("", type(self)):
            require(found, getattr(self, found.attribute))


def require(found: Setting, value: Any, source: str | None = None) -> None:
    """Raise BadOption, naming the `source`, unless `value` is one that the setting may have."""
    if rule := found.rule_broken(value):
        raise BadOption(f"{found.name} is {value!r}; it must be {rule}", where=source)


def describe(section: str, kind: type[Section]) -> list[Setting]:
    """Return the settings that a class of sections declares."""
    hints = get_type_hints(kind)
    return [
        Setting(
            **{
                **field.metadata,
                "name": field.metadata["name"] or field.name,
                "section": section,
                "attribute": field.name,
                "kind": hints[field.name],
                "default": field.default,
                "panel": kind.panel,
            }
        )
        for field in dataclasses.fields(kind)
    ]
