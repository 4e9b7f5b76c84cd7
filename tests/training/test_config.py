"""Settings: each has a type and limits beside it, checked alike wherever a value comes from."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modernbert.errors import BadOption
from modernbert.training.config import CONFIGS, choices_of, rule_broken, without_effect

SETTINGS = [(config, field.name) for config in CONFIGS for field in dataclasses.fields(config)]
ODD: list[Any] = [math.inf, -math.inf, math.nan, 10**400, -(10**400), -1, 1e300, None, [], {}, "nosuch", b"x"]


@pytest.mark.parametrize(("config", "name"), SETTINGS)
def test_every_setting_refuses_what_makes_no_sense(config, name):
    default = getattr(config(), name)
    assert config.__dataclass_fields__[name].metadata["help"] and not rule_broken(config, name, default)
    for odd in ODD:
        if isinstance(default, tuple) and odd == []:
            continue  # none at all
        if isinstance(default, str) and isinstance(odd, str) and not choices_of(config, name):
            continue  # any text
        with pytest.raises(BadOption, match=rf"x\.toml: {name} is .*; it must be "):
            config().with_values({name: odd}, source="x.toml")


@given(st.sampled_from(SETTINGS), st.one_of(st.floats(), st.integers(), st.booleans(), st.text()))
def test_whatever_is_taken_is_finite(setting, value):
    config, name = setting
    if not rule_broken(config, name, value):
        assert not isinstance(value, (int, float)) or abs(value) <= 1e12


def test_every_number_has_limits():
    for config, name in SETTINGS:
        default = getattr(config(), name)
        number = isinstance(default, (int, float)) and not isinstance(default, bool)
        limits = config.__dataclass_fields__[name].metadata["limits"]
        assert (limits is not None) == (number or name == "dims"), name


def test_a_setting_that_does_nothing_is_named():
    assert without_effect({"lora_rank": 4}, ["lora_rank"]) == "lora_rank has no effect without lora"
    assert without_effect({"lora_rank": 4, "lora": True}, ["lora_rank", "lora"]) == ""
    assert without_effect({"head": "tokens", "loss": "kl"}, ["loss"]) == ""
    assert "without head vectors or tokens" in without_effect({"head": "reranker", "loss": "kl"}, ["loss"])
