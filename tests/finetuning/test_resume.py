"""Runs that were broken off: resumed to the same bits, or refused with the reason."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import pytest
import torch
from helpers import keep_run, request_of, running_record, toy_rows, write_csv

from modernbert.errors import BadOption, BadRun, Interrupted
from modernbert.finetuning.finetune import finetune, resume
from modernbert.finetuning.record import logged
from modernbert.finetuning.study import plan_study, resume_any, run_study
from modernbert.runs import RunStore, lock
from modernbert.settings.forms import by_name
from modernbert.training.inputs import Request
from modernbert.training.reports import Notice, StepReport


def interrupted(request: Request, store: RunStore, step: int) -> str:
    """Start a run and send it SIGTERM after `step`; return its name."""

    def observe(report):
        if isinstance(report, StepReport) and report.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted) as caught:
        finetune(request, store, observe=observe)
    assert caught.value.exit_code == 143
    assert "mbert resume" in caught.value.fix
    return request.name or store.names()[-1]


@pytest.mark.parametrize("lora", [False, True])
def test_a_resumed_run_equals_an_uninterrupted_one(lora, reviews, tmp_path, tiny_modernbert):
    from safetensors.torch import load_file

    request = request_of(reviews, tiny_modernbert, lora=lora)
    whole, broken = RunStore(tmp_path / "a"), RunStore(tmp_path / "b")
    expected = finetune(request, whole)
    name = interrupted(request, broken, step=10)
    assert broken.read(name).status == "interrupted"
    found = resume(name, broken)
    file = "adapter_model.safetensors" if lora else "model.safetensors"
    first, second = (load_file(s.path(name) / "model" / file) for s in (whole, broken))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert [s.as_dict() for s in found.splits] == [s.as_dict() for s in expected.splits]
    scores = [(s.path(name) / "scores.jsonl").read_bytes() for s in (whole, broken)]
    assert scores[0] == scores[1]


def test_a_run_that_an_older_version_began_is_resumed(reviews, tmp_path, tiny_bert):
    request = request_of(reviews, tiny_bert)
    whole, broken = RunStore(tmp_path / "a"), RunStore(tmp_path / "b")
    expected = finetune(request, whole)
    name = interrupted(request, broken, step=10)
    path = broken.path(name) / "run.json"
    record = json.loads(path.read_text())
    record["config"] = by_name(record["config"])
    path.write_text(json.dumps(record | {"format": 1}))
    found = resume(name, broken)
    assert found.record.model_files == expected.record.model_files
    assert json.loads(path.read_text())["format"] == 2
    assert broken.read(name).config == whole.read(name).config


def test_a_finished_run_is_not_resumed(reviews, store, tiny_bert):
    name = finetune(request_of(reviews, tiny_bert, epochs=1.0), store).name
    with pytest.raises(BadRun, match="nothing to resume"):
        resume(name, store)


def test_changed_data_cannot_be_resumed(reviews, store, tiny_bert):
    name = interrupted(request_of(reviews, tiny_bert), store, step=3)
    write_csv(reviews, toy_rows(120, seed=9))
    with pytest.raises(BadRun, match="the data changed since the run began"):
        resume(name, store)


def test_an_interrupted_study_goes_on_where_it_stopped(reviews, store, tiny_bert):
    request = replace(request_of(reviews, tiny_bert, epochs=1.0), name="mine")
    study = plan_study(request, [str(reviews)], 3, store)
    steps, notices = [], []

    def observe(report):
        if isinstance(report, StepReport):
            steps.append(report.step)
            if len(steps) == 10:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        run_study(request, study, store, observe=observe)
    assert len(store.names()) == 2
    result = resume_any(study.name, store, observe=notices.append)
    assert [run.name for run in result.runs] == ["mine-s42", "mine-s43", "mine-s44"]
    texts = [notice.text for notice in notices if isinstance(notice, Notice)]
    assert "resuming at step 3" in texts[0]
    with pytest.raises(BadRun, match="finished"):
        resume_any(study.name, store)


def test_a_study_has_a_name_of_its_own(reviews, store, tiny_bert):
    request = request_of(reviews, tiny_bert)

    def name_of(name=None):
        return plan_study(replace(request, name=name), [str(reviews)], 2, store).name

    first = name_of()
    assert first.endswith("study")
    study = {"name": first, "targets": [str(reviews)], "seeds": [42, 43]}
    keep_run(store, "toy", running_record() | {"study": study})
    assert name_of() == f"{first}-2"
    assert name_of("other") == "other"
    with pytest.raises(BadOption, match="there is a run called 'toy'"):
        name_of("toy")
    with pytest.raises(BadOption, match="there is a study called") as caught:
        name_of(first)
    assert f"mbert resume {first}" in caught.value.fix


def test_a_damaged_run_stops_no_study(reviews, store, tiny_bert):
    (keep_run(store, "broken", running_record()) / "run.json").write_text("{")
    request = replace(request_of(reviews, tiny_bert, epochs=0.1), name="mine")
    notices = []
    result = run_study(request, plan_study(request, [str(reviews)], 2, store), store, observe=notices.append)
    assert [run.name for run in result.runs] == ["mine-s42", "mine-s43"]
    assert "broken/run.json" in next(notice.text for notice in notices if isinstance(notice, Notice))
    name = interrupted(replace(request_of(reviews, tiny_bert), name="toy"), store, step=2)
    assert resume_any(name, store).runs[0].record.status == "finished"


def test_a_torn_line_of_the_log_is_cut_off(tmp_path):
    path = tmp_path / "log.jsonl"
    for kept, torn in (('{"event": "Notice"}\n', '{"eve'), ("", "{"), ('{"event": "Notice"}\n', "")):
        path.write_text(kept + torn)
        logged(path, lambda report: None)(Notice("on"))
        lines = [json.loads(line) for line in path.read_text().split("\n")[:-1]]
        assert len(lines) == kept.count("\n") + 1 and lines[-1]["text"] == "on"


def test_two_processes_never_share_a_run(reviews, store, tiny_bert):
    name = interrupted(request_of(reviews, tiny_bert), store, step=2)
    with lock(store.path(name)):
        assert store.read(name).status == "running"
        with pytest.raises(BadRun, match="another process"):
            resume(name, store)


def test_a_record_that_says_running_without_a_process_is_interrupted(store):
    keep_run(store, "gone", running_record())
    assert store.read("gone").status == "interrupted"
