"""A second model in the shadow of the first: nobody sees its answers, and disagreements are kept."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from helpers import toy_rows
from served import started

from modernbert.errors import BadModel, BadOption
from modernbert.migration.migrate import MigrationRequest, migrate
from modernbert.serving.limits import Limits

TEXTS = [row["text"] for row in toy_rows(60, seed=5)]


def answers(store, model):
    with started(store, models=(model,)) as serving:
        return [one["prediction"] for one in serving.ask("/predict", texts=TEXTS)["predictions"]]


def test_disagreements_are_kept_and_migrate_reads_them(store, tmp_path):
    first, second = answers(store, "reviews"), answers(store, "weak")
    path = tmp_path / "differ.jsonl"
    with started(store, models=("reviews",), shadow="weak", shadow_file=path) as serving:
        found = serving.ask("/predict", texts=TEXTS)["predictions"]
        assert [one["prediction"] for one in found] == first
        assert [one["id"] for one in serving.client.get("/v1/models").json()["data"]] == ["reviews"]
        shadow = serving.service.shadow
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    flips = [i for i in range(60) if first[i] != second[i]]
    assert flips, "else this tests nothing"
    assert [row["text"] for row in rows] == [TEXTS[i] for i in flips]
    assert [(row["answered"], row["shadow"]) for row in rows] == [(first[i], second[i]) for i in flips]
    counted = {name: shadow.metrics.shadow.labels(name)._value.get() for name in ("same", "different")}
    assert counted == {"same": 60 - len(flips), "different": len(flips)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    request = MigrationRequest(old="reviews", new="weak", on=path, device="cpu", precision="fp32")
    migration = migrate(request, store)
    assert migration.texts == len(flips)
    assert migration.agreement.agreement == 0


def test_the_file_is_added_to(store, tmp_path):
    path = tmp_path / "differ.jsonl"
    for _ in range(2):
        with started(store, models=("reviews",), shadow="weak", shadow_file=path) as serving:
            serving.ask("/predict", texts=TEXTS)
    lines = path.read_text().splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]


def test_a_shadow_that_cannot_keep_up_holds_nobody_up(store, tmp_path):
    asked = {"models": ("reviews",), "shadow": "weak", "shadow_file": tmp_path / "differ.jsonl"}
    with started(store, **asked, limits=Limits(max_waiting=1000)) as serving:
        serving.service.shadow.batcher.close()  # it takes no more
        assert len(serving.ask("/predict", texts=TEXTS)["predictions"]) == 60
        serving.service.shadow.reader.shutdown()  # nobody waited for it until now
        assert serving.counted('mbert_shadow_texts_total{outcome="left out"}') == 60


def test_a_full_disk_holds_nobody_up(store):
    with started(store, models=("reviews",), shadow="weak", shadow_file=Path("/dev/full")) as serving:
        assert len(serving.ask("/predict", texts=TEXTS)["predictions"]) == 60
        shadow = serving.service.shadow
    assert shadow.metrics.shadow.labels("not written")._value.get() > 0


def test_only_classifiers_of_the_same_labels_are_compared(store, folders, tmp_path):
    path = tmp_path / "differ.jsonl"
    for model, shadow, error in (
        ("several", "reviews", BadOption),
        (folders["encoder"], "reviews", BadOption),
        ("reviews", "several", BadModel),
    ):
        with pytest.raises(error), started(store, models=(model,), shadow=shadow, shadow_file=path):
            pass
    missing = started(store, models=("reviews",), shadow="weak", shadow_file=tmp_path / "no" / "x.jsonl")
    with pytest.raises(BadOption, match="cannot write here"), missing:
        pass
