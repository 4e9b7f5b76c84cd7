"""`RunRecord`: one description that reads, checks, writes, and makes the schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import record_of, running_record
from modernbert.cli.main import app
from pydantic import ValidationError
from typer.testing import CliRunner

from modernbert.errors import BadRun
from modernbert.records.read import KINDS, read_record, record_schema
from modernbert.records.record import RunRecord

ROOT = Path(__file__).resolve().parents[2]
SEVEN = json.loads(Path(__file__).with_name("seven_runs.json").read_text())
# What the stored runs have masked.
MASKED = {
    "created": "2026-01-01T00:00:00+00:00",
    "hardware": {},
    "versions": {"mbert": "0"},
    "peak_memory_mib": {"process": 1.0},
    "model_files": {"model.safetensors": "0" * 64},
    **dict.fromkeys(("minutes", "tokens_per_second", "examples_per_second", "max_tokens"), 1),
}


def whole(part):
    """Return a stored record with values in place of what is masked."""
    if isinstance(part, list):
        return [whole(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {key: MASKED.get(key, "x") if value == "..." else whole(value) for key, value in part.items()}


@pytest.mark.parametrize("kind", SEVEN)
def test_what_is_read_is_written_again_as_it_was(kind):
    written = whole(SEVEN[kind])
    record = read_record(written, "a file")
    assert type(record) is KINDS[written["kind"]]
    assert record.as_dict() == written
    assert record_of(json.loads(json.dumps(record.as_dict()))) == record


def test_what_another_version_wrote_is_kept():
    written = json.loads(json.dumps(running_record() | {"new": {"a": [1]}, "format": 2}))
    written["model"]["new"] = 2
    record = read_record(written, "a file").with_values(tags=("best",))
    assert record.as_dict() == written | {"tags": ["best"]}


def test_a_record_is_frozen_and_checked_when_it_is_made():
    record = record_of(running_record())
    with pytest.raises(ValidationError, match="frozen"):
        record.seed = 1
    for changes in ({"seed": "1"}, {"seed": 7}, {"status": "finished"}, {"tags": ["list"]}):
        with pytest.raises(ValidationError):
            record.with_values(**changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "other"}, "kind: "),
        ({"kind": []}, "kind: "),
        ({"format": 3}, "the run has format 3; this version of mbert reads formats 1 to 2"),
        ({"format": []}, r"the run has format \[\]"),
        ({"format": True}, "the run has format True"),
        ({"seed": -1}, "seed: "),
        ({"seed": 1}, "seed 1 and config.run.seed 42 differ"),
        ({"status": "finished"}, "results: field required"),
        ({"results": [{"split": "test", "scores": []}]}, "results.0.scores: "),
        ({"data": {"splits": {"train": {"rows": 1, "fingerprint": "t"}}}}, "data.text: field required"),
        ({"task": running_record()["task"] | {"labels": []}}, "task: kind single_label with 0 labels"),
    ],
)
def test_what_cannot_be_is_named_by_its_key(changes, said):
    with pytest.raises(BadRun, match=said) as caught:
        read_record({"format": 2, **running_record(), **changes}, "a file")
    assert caught.value.where == "a file"


def test_every_field_is_described():
    described = RunRecord.__doc__.split("Attributes:")[1]
    assert [name for name in RunRecord.model_fields if f" {name}" not in described] == []
    assert all(kind.model_fields.keys() == RunRecord.model_fields.keys() for kind in KINDS.values())


def test_the_schema_is_that_of_the_repository():
    """`mbert runs schema > cli/run.schema.json` makes it anew."""
    kept = json.loads((ROOT / "cli" / "run.schema.json").read_text())
    assert kept == record_schema() == json.loads(CliRunner().invoke(app, ["runs", "schema"]).output)


def test_the_schema_names_every_kind_and_what_each_must_have():
    schema = record_schema()
    assert {*schema["discriminator"]["mapping"]} == {*KINDS}
    required = {name: {*schema["$defs"][kind.__name__]["required"]} for name, kind in KINDS.items()}
    everywhere = {"status", "created", "task", "model", "seed", "config", "data", "hardware", "versions"}
    assert all(everywhere <= found for found in required.values())
    assert {"recipe", "request", "parameters"} <= required["finetune"]
    assert "recipe" not in required["evaluate"]
