"""Every setting, on every kind of training and head: it is taken where it applies, and refused elsewhere."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from modernbert.errors import BadOption
from modernbert.settings.config import CONFIGS, TrainingConfig, every_setting
from modernbert.settings.fields import Setting

LABELS, SEARCH, WORDS, CORPUS = CONFIGS
# What each kind of training may be told first, in every combination that makes a difference.
STATES = [
    (LABELS, {}),
    (LABELS, {"lora": True}),
    (LABELS, {"schedule": "trapezoidal"}),
    (LABELS, {"teacher": "big"}),
    *(
        (SEARCH, {"head": head, "lora": lora})
        for head in ("vectors", "tokens", "reranker")
        for lora in (False, True)
    ),
    (WORDS, {}),
    (WORDS, {"lora": True}),
    (CORPUS, {"schedule": "trapezoidal"}),
    (CORPUS, {"schedule": "cosine"}),
]
EVERYWHERE = {
    "epochs", "schedule", "warmup", "batch_size", "optimizer", "learning_rate", "weight_decay", "beta1",
    "beta2", "epsilon", "clip", "max_length", "eval_every", "patience", "keep", "max_tokens", "recompute",
    "compile", "shard", "seed", "checkpoint_minutes", "log_every",
}  # fmt: skip


def applies(name: str, config: type[TrainingConfig], state: dict[str, Any]) -> bool:
    """Say by hand where a setting has an effect."""
    if name in EVERYWHERE:
        return True
    if name == "decay":
        default = "trapezoidal" if config is CORPUS else "linear"
        return state.get("schedule", default) == "trapezoidal"
    if name in ("metric", "positive", "threshold", "teacher", "pair_encoder"):
        return config is LABELS
    if name == "class_weights":
        return config is LABELS and not state.get("teacher")
    if name.startswith("teacher_"):
        return config is LABELS and bool(state.get("teacher"))
    if name in ("lora", "random_weights"):
        return config is not CORPUS
    if name.startswith("lora_"):
        return config is not CORPUS and state.get("lora", False)
    if name in ("mask", "held_out", "rotary_base"):
        return config is CORPUS
    heads = {
        "head": ("vectors", "tokens", "reranker"),
        "hard_negatives": ("vectors", "tokens", "reranker"),
        "loss": ("vectors", "tokens"),
        "temperature": ("vectors", "tokens"),
        "query_prompt": ("vectors", "tokens"),
        "document_prompt": ("vectors", "tokens"),
        "mine": ("vectors",),
        "dims": ("vectors",),
        "pooling": ("vectors",),
    }
    return config is SEARCH and state["head"] in heads[name]


def another(found: Setting) -> Any:
    """Return a value that is not the default."""
    if isinstance(found.default, bool):
        return not found.default
    if found.choices:
        return next(word for word in reversed(found.choices) if word and word != found.default)
    if isinstance(found.default, tuple):
        return (16,) if found.limits else ("query",)
    if isinstance(found.default, str):
        return "text"
    return next(n for n in (0.5, 1, 2, 100, 2000) if n != found.default and not found.rule_broken(n))


@pytest.mark.parametrize("name", every_setting())
def test_a_setting_is_taken_or_refused_with_the_reason(name):
    for config, state in STATES:
        if name in state or (name == "random_weights" and state.get("lora")):
            continue
        given = state | {name: another(every_setting()[name])}
        try:
            made = config().with_values(given, source="x")
            made.require_effect(given)
        except BadOption as error:
            assert not applies(name, config, state), (config, state, error)
            option = every_setting()[name].option
            assert f"{option} applies only " in error.what or f"{option} exclude each other" in error.what
        else:
            assert applies(name, config, state), (config, state)
            assert made.by_name()[name] == given[name]


@pytest.mark.parametrize(
    ("config", "given", "message"),
    [
        (LABELS, {"lora_rank": 4}, "--lora-rank applies only with --lora"),
        (LABELS, {"temperature": 1.0}, "--temperature applies only to retrieval"),
        (LABELS, {"mine": True}, "--mine applies only to retrieval"),
        (WORDS, {"metric": "f1"}, "--metric applies only to classification and regression"),
        (CORPUS, {"lora": True}, "--lora applies only to fine-tuning"),
        (LABELS, {"mask": 0.2}, "--mask applies only to pretraining"),
        (
            SEARCH,
            {"head": "reranker", "temperature": 0.1},
            "--temperature applies only with --head vectors or tokens, and --head is reranker",
        ),
        (
            LABELS,
            {"decay": 0.2},
            "--decay applies only with --schedule trapezoidal, and --schedule is linear",
        ),
    ],
)
def test_what_is_said(config, given, message):
    with pytest.raises(BadOption) as caught:
        config().with_values(given).require_effect(given)
    assert caught.value.what == message
    assert caught.value.fix


def test_what_other_settings_depend_on_can_be_told_from_the_options():
    """No recipe changes it: the command refuses before it reads the data."""
    needed = {found.applies_to.setting for found in every_setting().values()} - {""}
    assert needed == {"lora", "head", "schedule", "teacher"}
    from modernbert.pretraining.recipes import NAMES, pretraining_recipe
    from modernbert.training.recipes import _BASE, _LARGE, _PAPER_RETRIEVAL, default_recipe

    for name, scratch in itertools.product(NAMES, (True, False)):
        assert pretraining_recipe(name, scratch=scratch).settings["schedule"] == CORPUS().schedule.shape
    fine_tuning = [row.settings() for row in (*_BASE.values(), *_LARGE.values())]
    fine_tuning += [_PAPER_RETRIEVAL, default_recipe("bert", lora=False, train_rows=1).settings]
    for settings in fine_tuning:
        assert not settings.keys() & {"lora", "head"}
        assert settings.get("schedule", "linear") == LABELS().schedule.shape


@pytest.mark.parametrize(("config", "state"), STATES, ids=str)
def test_what_acts_applies_and_is_not_off(config, state):
    """Of the settings at their defaults, those that mean no, none or automatic do not act; others do."""
    made = config().with_values(state)
    off = {name for name, value in made.by_name().items() if value in (False, 0, "", (), "none")}
    expected = {name for name in made.by_name() if applies(name, config, state)} - off
    assert made.acting() == {name: made.by_name()[name] for name in made.by_name() if name in expected}


def test_what_was_switched_off_acts():
    assert LABELS().with_values({"warmup": 0.0, "clip": 0.0}).acting()["clip"] == 0.0
