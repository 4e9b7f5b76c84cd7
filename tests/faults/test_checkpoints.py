"""Checkpoints that were damaged or forged: refused in one sentence, and no code in them is run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from helpers import request_of, toy_rows, write_csv

from modernbert.errors import BadOption, BadRun, Interrupted
from modernbert.files import sha256, write_json
from modernbert.finetuning.finetune import finetune, resume
from modernbert.runs import RunStore
from modernbert.training.checkpoint import CheckpointStore, _digest
from modernbert.training.reports import StepReport


@pytest.fixture(scope="module")
def begun(tmp_path_factory, tiny_bert) -> Path:
    """A folder with a run that was stopped at step 5."""
    folder = tmp_path_factory.mktemp("begun")
    request = request_of(write_csv(folder / "reviews.csv", toy_rows(60)), tiny_bert, epochs=3.0)

    def observe(report):
        if isinstance(report, StepReport) and report.step == 5:
            os.kill(os.getpid(), 15)

    with pytest.raises(Interrupted):
        finetune(request, RunStore(folder / "runs"), observe=observe)
    (folder / "runs").rename(folder / "kept")
    return folder


@pytest.fixture
def run(begun, tmp_path) -> Path:
    """The folder of that run, a copy of its own."""
    shutil.copytree(begun / "kept", tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    return folder


def state_of(run: Path) -> Path:
    found = CheckpointStore(run / "checkpoints").last()
    assert found is not None
    return found


def refused(run: Path) -> str:
    """Resume the run, which must be refused; return the sentence."""
    with pytest.raises(BadRun) as caught:
        resume(run.name, RunStore(run.parent))
    assert "checkpoints" in str(caught.value) and caught.value.fix
    assert "weights_only" not in str(caught.value), "torch's advice to read it nevertheless"
    return str(caught.value)


def forge(folder: Path, **changes) -> None:
    """Change the progress and make every checksum fit."""
    kept = json.loads((folder / "progress.json").read_text())
    record = {name: value for name, value in (kept["record"] | changes).items() if value != "REMOVED"}
    digest = sha256(folder / "state.pt")
    write_json(
        folder / "progress.json",
        {"record": record, "state_sha256": digest, "record_sha256": _digest(record, digest)},
    )


def test_an_untouched_one_is_resumed(run):
    assert resume(run.name, RunStore(run.parent)).record.status == "finished"
    assert not (run / "checkpoints").exists()


@pytest.mark.parametrize("place", [0.02, 0.1, 0.3, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("file", ["progress.json", "state.pt"])
def test_a_flipped_bit_is_told(file, place, run):
    path = state_of(run) / file
    raw = bytearray(path.read_bytes())
    raw[int(len(raw) * place)] ^= 4
    path.write_bytes(raw)
    refused(run)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "[" * 100_000, '{"step": 1, "sha256": "x"}'])
def test_another_record_is_told(text, run):
    (state_of(run) / "progress.json").write_text(text)
    assert "progress.json" in refused(run)


@pytest.mark.parametrize("change", [{"step": 7}, {"best_score": 9.0}, {"since_best": 1}, {"more": 1}])
def test_edited_progress_is_told(change, run):
    path = state_of(run) / "progress.json"
    kept = json.loads(path.read_text())
    write_json(path, kept | {"record": kept["record"] | change})
    assert "checksum differs" in refused(run)


@pytest.mark.parametrize(
    "change",
    [{"step": 7}, {"step": "5"}, {"step": -1}, {"step": 10**30}, {"best_score": None}, {"more": 1},
     {"history": [{"step": 0}]}, {"history": "x"}, {"seconds": float("nan")}, {"tokens": "REMOVED"},
     {"max_tokens": 0}],
)  # fmt: skip
def test_forged_progress_is_told(change, run):
    forge(state_of(run), **change)
    assert "progress.json" in refused(run)


class Evil:
    def __reduce__(self):
        return os.system, ("touch was-here",)


def test_code_in_a_forged_state_is_never_run(run):
    folder = state_of(run)
    torch.save({"weights": Evil()}, folder / "state.pt")
    forge(folder)
    assert "state.pt: this is no checkpoint of mbert" in refused(run)
    (folder / "state.pt").write_bytes(pickle.dumps(Evil()))
    forge(folder)
    refused(run)
    assert not Path("was-here").exists()


def other_states(state: dict) -> dict[str, object]:
    """Return states that torch reads and that are not this model's."""
    weights, optimizer = state["weights"], state["optimizer"]
    name = next(iter(weights))
    moments = {key: {**value, "exp_avg": torch.zeros(3)} for key, value in optimizer["state"].items()}
    return {
        "a list": [1],
        "empty": {},
        "a tensor less": state | {"weights": {k: v for k, v in weights.items() if k != name}},
        "a tensor more": state | {"weights": weights | {"more": torch.zeros(1)}},
        "another shape": state | {"weights": weights | {name: weights[name][:1]}},
        "no tensors": state | {"weights": dict.fromkeys(weights, 1)},
        "no optimizer": state | {"optimizer": {}},
        "other moments": state | {"optimizer": optimizer | {"state": moments}},
        "another random state": state | {"random": {"cpu": torch.zeros(3), "cuda": []}},
    }


def test_another_models_state_is_told(run):
    folder = state_of(run)
    state = torch.load(folder / "state.pt", weights_only=True)
    for name, other in other_states(state).items():
        torch.save(other, folder / "state.pt")
        forge(folder)
        assert "checkpoint" in refused(run), name


def test_a_file_in_the_place_of_the_folder_is_told(run):
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").write_text("")
    with pytest.raises(BadOption, match="cannot write here"):
        resume(run.name, RunStore(run.parent))
