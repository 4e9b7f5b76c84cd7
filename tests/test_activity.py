"""What the library tells of its work: phases inside each other, and nothing without a watcher."""

from __future__ import annotations

import numpy as np
import pytest

from modernbert.activity import Phase, explain, phase, say, watched_by


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple] = []

    def began(self, now: Phase) -> None:
        self.events.append(("began", now.name, now.total))

    def advanced(self, now: Phase) -> None:
        self.events.append(("advanced", now.name, now.done))

    def ended(self, now: Phase) -> None:
        self.events.append(("ended", now.name))

    def explained(self, name: str, reason: str) -> None:
        self.events.append(("explained", name, reason))

    def said(self, text: str) -> None:
        self.events.append(("said", text))


@phase("loading")
def loading() -> int:
    return 5


def test_a_watcher_is_told_of_phases_in_order():
    recorder = Recorder()
    with watched_by(recorder), phase("embedding", 3, "texts") as now:
        assert loading() == 5
        now.advance(2)
        explain("device", "cpu")
        say("stopping")
    assert recorder.events == [
        ("began", "embedding", 3),
        ("began", "loading", None),
        ("ended", "loading"),
        ("advanced", "embedding", 2),
        ("explained", "device", "cpu"),
        ("said", "stopping"),
        ("ended", "embedding"),
    ]


def test_an_error_ends_a_phase_too():
    recorder = Recorder()
    with pytest.raises(ZeroDivisionError), watched_by(recorder), phase("dividing"):
        raise ZeroDivisionError
    assert recorder.events[-1] == ("ended", "dividing")


def test_nobody_is_told_afterwards():
    recorder = Recorder()
    with watched_by(recorder):
        pass
    with phase("late", 2) as now:
        now.advance()
        explain("device", "cpu")
    assert (now.done, recorder.events) == (1, [])


def test_training_and_prediction_tell_of_every_step(tmp_path, reviews, tiny_bert, store):
    """Each step of the training and each text of each evaluation is counted, up to the total."""
    from helpers import request_of

    from modernbert.finetuning.finetune import finetune

    recorder = Recorder()
    with watched_by(recorder):
        run = finetune(request_of(reviews, tiny_bert, epochs=1.0), store)
    steps = [event[2] for event in recorder.events if event[:2] == ("advanced", "training")]
    assert steps == list(range(run.record.training.planned_steps + 1))
    running = [e for e in recorder.events if e[1] == "running the model"]
    totals = [e[2] for e in running if e[0] == "began"]
    reached = [running[i - 1][2] for i, e in enumerate(running) if e[0] == "ended"]
    assert totals == reached and set(totals) == {12}
    assert np.count_nonzero([e[0] == "began" for e in recorder.events]) == sum(
        e[0] == "ended" for e in recorder.events
    )
    names = {e[1] for e in recorder.events}
    assert {"tokenising", "loading the model", "evaluating", "saving", "device", "attention"} <= names
