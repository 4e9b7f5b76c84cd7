"""Settings: each has a type, limits and help beside it, checked alike wherever a value comes from."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modernbert.errors import BadOption
from modernbert.settings.config import CONFIGS, PretrainingConfig, TrainingConfig, settings_of
from modernbert.settings.sections import LoraConfig

SETTINGS = [(config, found) for config in CONFIGS for found in settings_of(config).values()]
ODD: list[Any] = [math.inf, -math.inf, math.nan, 10**400, -(10**400), -1, 1e300, None, [], {}, "nosuch", b"x"]


@pytest.mark.parametrize(("config", "found"), SETTINGS, ids=lambda value: getattr(value, "name", ""))
def test_every_setting_refuses_what_makes_no_sense(config, found):
    assert found.help and not found.rule_broken(found.default)
    for odd in ODD:
        if isinstance(found.default, tuple) and odd == []:
            continue  # none at all
        if (
            isinstance(found.default, str)
            and isinstance(odd, str)
            and (not found.choices or found.otherwise is str)
        ):
            continue  # any text
        with pytest.raises(BadOption, match=rf"x\.toml: {found.name} is .*; it must be "):
            config().with_values({found.name: odd}, source="x.toml")


def test_a_section_made_by_hand_is_checked_too():
    with pytest.raises(BadOption, match="lora_rank is 0; it must be from 1 to 4,096"):
        LoraConfig(rank=0)
    with pytest.raises(BadOption, match="--lora and --random-weights exclude each other"):
        TrainingConfig().with_values({"lora": True, "random_weights": True})


@given(st.sampled_from(SETTINGS), st.one_of(st.floats(), st.integers(), st.booleans(), st.text()))
def test_whatever_is_taken_is_finite(setting, value):
    _, found = setting
    if not found.rule_broken(value):
        assert not isinstance(value, (int, float)) or abs(value) <= 1e12


def test_every_number_has_limits():
    for _, found in SETTINGS:
        number = isinstance(found.default, (int, float)) and not isinstance(found.default, bool)
        assert (found.limits is not None) == (number or found.name in ("dims", "threshold")), found.name


def test_a_setting_has_one_place_and_one_name_in_every_config():
    places = {(found.name, found.section, found.attribute) for _, found in SETTINGS}
    assert len(places) == len({name for name, _, _ in places}) == len({place[1:] for place in places})


def test_every_field_of_a_config_is_a_setting_of_some_kind_of_training():
    fields = {
        (section.name, field.name)
        for config in CONFIGS
        for section in dataclasses.fields(config)
        for field in dataclasses.fields(getattr(config(), section.name))
    }
    assert fields == {(found.section, found.attribute) for _, found in SETTINGS}


def test_values_by_name_are_those_in_the_sections():
    config = PretrainingConfig().with_values({"mask": 0.2, "schedule": "linear"})
    assert (config.masking.mask, config.schedule.shape) == (0.2, "linear")
    assert (config.by_name()["mask"], config.by_name()["schedule"]) == (0.2, "linear")
    assert "lora" not in config.by_name()
