"""What several processes cannot train, or cannot divide, is refused before it costs anything."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from helpers import request_of, toy_rows, write_csv

from modernbert import processes
from modernbert.errors import BadOption
from modernbert.finetuning.finetune import finetune
from modernbert.finetuning.followers import require_followable
from modernbert.finetuning.launch import led
from modernbert.model.device import choose_machine
from modernbert.pretraining.inputs import PretrainingRequest
from modernbert.runs import RunStore
from modernbert.settings.config import TrainingConfig


def test_what_cannot_be_divided_is_refused(monkeypatch):
    inputs = SimpleNamespace(
        job="distillation", machine=choose_machine("cpu", "fp32"), config=TrainingConfig()
    )
    require_followable(inputs)
    monkeypatch.setattr(processes, "count", lambda: 2)
    with pytest.raises(BadOption, match="several processes cannot train this: its loss compares the texts"):
        require_followable(inputs)


@pytest.mark.parametrize(
    ("asked", "job", "reason"),
    [
        ({"lora": True}, "classifier", "--lora trains so few weights"),
        ({"compile": True}, "classifier", "--compile needs weights that stay"),
        ({}, "masked language model", "runs each batch in as many passes as it has lengths"),
    ],
)
def test_weights_that_cannot_be_divided_are_refused(asked, job, reason, tiny_bert):
    config = TrainingConfig().with_values({**asked, "shard": True})
    machine = choose_machine("cpu", "fp32")
    inputs = SimpleNamespace(
        job=job, machine=machine, config=config, start=SimpleNamespace(folder=tiny_bert, base=None)
    )
    with pytest.raises(BadOption, match=f"--shard cannot be used here: .*{reason}"):
        require_followable(inputs)


def test_one_process_has_nobody_to_divide_with(tiny_modernbert, tmp_path):
    wanted = request_of(write_csv(tmp_path / "rows.csv", toy_rows(20)), tiny_modernbert, shard=True)
    with pytest.raises(BadOption, match="among several processes, and there is one"):
        finetune(wanted, RunStore(tmp_path))


def test_a_teacher_of_vectors_is_refused_before_anything_is_read(tiny_modernbert, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 2)
    wanted = PretrainingRequest(
        target="pretraining", files=("none.txt",), model=str(tiny_modernbert), teacher="minilm"
    )
    with pytest.raises(BadOption, match="cannot train with --teacher: its loss compares the texts"):
        finetune(wanted, RunStore(tmp_path))


def test_more_processes_than_the_launcher_started_are_refused(monkeypatch):
    for name, value in {"RANK": 0, "WORLD_SIZE": 4, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 4}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(BadOption, match="--processes 2, and torchrun started 4"), led(2):
        pass
