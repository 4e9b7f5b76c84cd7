"""Settings by name and in sections: TOML files of both forms, and the records of older runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import made_run

from modernbert.comparison.comparability import between_seeds
from modernbert.comparison.outcomes import read_outcomes
from modernbert.errors import BadOption
from modernbert.records.record import FORMAT
from modernbert.runs import RunStore
from modernbert.settings.config import PretrainingConfig, RetrievalTrainingConfig, TrainingConfig
from modernbert.settings.forms import by_name, given_settings, in_sections, read_settings, upgraded

# Records that mbert wrote before settings had sections.
OLDER = Path(__file__).parent / "format_1"
NAMES = {
    "classification": TrainingConfig,
    "lora": TrainingConfig,
    "retrieval": RetrievalTrainingConfig,
    "pretraining": PretrainingConfig,
}


@pytest.fixture
def older(tmp_path) -> RunStore:
    """Return a store with the older runs."""
    for name in NAMES:
        (tmp_path / "older" / name).mkdir(parents=True)
        shutil.copy(OLDER / f"{name}.json", tmp_path / "older" / name / "run.json")
    return RunStore(tmp_path / "older")


def flat(name: str) -> dict:
    return json.loads((OLDER / f"{name}.json").read_text())["config"]


@pytest.mark.parametrize(("name", "kind"), NAMES.items())
def test_an_older_runs_settings_are_those_that_it_was_trained_with(older, name, kind):
    record = older.read(name)
    assert record.as_dict()["format"] == FORMAT == 2
    kept = record.config.by_name()
    again = kind().with_values({n: v for n, v in kept.items() if n in kind().by_name()})
    now = by_name(json.loads(json.dumps(again.as_dict())))
    assert {n: v for n, v in now.items() if n in flat(name)} == kept == flat(name)


def test_an_older_records_values_are_where_they_belong(older):
    config = older.read("lora").config.as_dict()
    assert config["lora"] == {"enabled": True, "rank": 4, "alpha": 32.0, "dropout": 0.05, "targets": []}
    assert config["optimizer"]["name"] == "adamw" and config["schedule"]["shape"] == "linear"
    assert older.read("retrieval").config.by_name()["dims"] == [64]
    assert older.read("pretraining").config.by_name()["held_out"] == 0.1


def test_what_an_older_record_tells_of_other_trainings_is_read_too():
    inner = {"run": "first", "config": {"epochs": 1.0, "lora": False}, "init": "plain"}
    outer = {"run": "second", "config": {"seed": 1}, "init": {"name": "x", "training": inner}}
    record = {"kind": "evaluate", "config": {"max_length": 9}, "model": {"name": "m", "training": outer}}
    found = upgraded(record)
    assert found["config"] == {"max_length": 9}, "an evaluation has no training's settings"
    told = found["model"]["training"]
    assert told["config"] == {"run": {"seed": 1}}
    assert told["init"]["training"]["config"] == {"schedule": {"epochs": 1.0}, "lora": {"enabled": False}}


def test_what_no_version_here_knows_stays():
    assert in_sections({"epochs": 1.0, "new": 3}) == {"schedule": {"epochs": 1.0}, "new": 3}
    assert by_name({"schedule": {"epochs": 1.0, "new": 3}, "more": 4}) == {"epochs": 1.0, "new": 3, "more": 4}


def test_older_and_newer_seeds_of_one_model_are_compared_by_their_settings(tmp_path):
    store, right = RunStore(tmp_path / "runs"), np.arange(40) % 3 > 0
    made_run(store, "new", "one", right, seed=1)
    made_run(store, "old", "one", right, seed=2)
    path = store.path("old") / "run.json"

    def as_before(**changes) -> None:
        record = json.loads(path.read_text())
        record["config"] = by_name(record["config"]) | changes
        path.write_text(json.dumps(record | {"format": 1}))

    as_before()
    new, old = (read_outcomes(store, name)[0] for name in ("new", "old"))
    assert between_seeds(new, old) == {}
    as_before(learning_rate=0.5)
    assert between_seeds(new, read_outcomes(store, "old")[0]) == {"learning_rate": (3e-3, 0.5)}


def toml(tmp_path: Path, text: str) -> Path:
    (tmp_path / "x.toml").write_text(text)
    return tmp_path / "x.toml"


def test_a_toml_file_has_the_sections_of_the_config(tmp_path):
    sections = toml(
        tmp_path,
        '[optimizer]\nlearning_rate = 1e-4\nname = "stable_adamw"\n[lora]\nenabled = true\nrank = 8\n'
        '[schedule]\nshape = "cosine"\n',
    )
    found = read_settings(sections)
    assert found == {
        "learning_rate": 1e-4, "optimizer": "stable_adamw", "lora": True, "lora_rank": 8, "schedule": "cosine"
    }  # fmt: skip
    older = toml(
        tmp_path,
        'learning_rate = 1e-4\noptimizer = "stable_adamw"\nlora = true\nlora_rank = 8\nschedule = "cosine"\n',
    )
    assert read_settings(older) == found


@pytest.mark.parametrize("kind", NAMES.values())
def test_what_a_run_records_can_be_given_again(kind):
    config = kind().with_values({"epochs": 7.0, "seed": 3})
    given = given_settings(json.loads(json.dumps(config.as_dict())))
    assert kind().with_values({n: v for n, v in given.items() if n in config.by_name()}) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[optimiser]\nbeta1 = 0.5", r"x.toml: unknown section \[optimiser\]\nDid you mean \[optimizer\]\?"),
        ("[nosuch]\na = 1", r"unknown section \[nosuch\]\nKnown: schedule, optimizer, "),
        ("[lora]\nrnak = 1", r"unknown setting 'rnak' in \[lora\]\nDid you mean 'rank'\?"),
        ("[lora]\nepochs = 1", r"unknown setting 'epochs' in \[lora\]\nWrite it as 'epochs' in \[schedule\]"),
        ("[lora]\nlora_rank = 1", r"unknown setting 'lora_rank' in \[lora\]\nWrite it as 'rank' in \[lora\]"),
        ("lora_rank = 1\n[lora]\nrank = 1", "lora_rank is given twice"),
    ],
)
def test_a_setting_in_the_wrong_place_is_told(tmp_path, text, message):
    with pytest.raises(BadOption, match=message):
        read_settings(toml(tmp_path, text))
