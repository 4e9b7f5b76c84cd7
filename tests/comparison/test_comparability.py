"""What seeds of one model, and models beside each other, must have in common."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import made_run

from modernbert.comparison.compare import compare
from modernbert.comparison.tables import comparison_tables
from modernbert.errors import BadRun

RIGHT = np.arange(100) < 90
WRONG = np.arange(100) < 50
MACHINE = {"device": "cpu", "precision": "bf16"}


def notes_of(found):
    return [note for table in comparison_tables(found) for note in table.notes]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"settings": {"learning_rate": 1e-5}}, "learning_rate: 1e-05 and 0.003"),
        ({"settings": {"max_length": 32}}, "max_length: 32 and 64"),
        ({"settings": {"batch_size": 8}}, "batch_size: 8 and 16"),
        ({"record": {"machine": MACHINE}}, "precision: 'bf16' and 'fp32'"),
        ({"record": {"versions": {"mbert": "0", "torch": "2.9"}}}, "torch's version: '2.9' and '2.8'"),
        ({"record": {"versions": {"mbert": "1", "torch": "2.8"}}}, "mbert's version: '1' and '0'"),
    ],
)
def test_seeds_of_one_model_were_trained_alike(changes, told, store):
    """What training used counts, whoever asked for it."""
    known = {"record": {"versions": {"mbert": "0", "torch": "2.8"}}}
    made_run(store, "a", "one", RIGHT, seed=1, **known)
    made_run(store, "b", "one", RIGHT, seed=2, **(known | changes))
    made_run(store, "c", "other", WRONG, **known)
    with pytest.raises(BadRun, match="were not made alike") as caught:
        compare(store, [], ["other"])
    assert told in caught.value.what
    found = compare(store, [], ["other"], allow=True)
    assert any(note.startswith("* the seeds of one were not made alike: ") for note in notes_of(found))
    assert comparison_tables(found)[0].rows[0][0] == "one *"


def test_what_only_carries_a_training_out_is_free(store):
    made_run(store, "a", "one", RIGHT, seed=1, settings={"max_tokens": 99, "log_every": 3, "recompute": True})
    made_run(store, "b", "one", RIGHT, seed=2)
    made_run(store, "c", "other", WRONG)
    (contrast,) = compare(store, [], ["other"]).tasks[0].contrasts
    assert contrast.differing == {}


@pytest.mark.parametrize("settings", [{"learning_rate": 1e-5}, {"epochs": 1.0}])
def test_each_model_may_have_its_own_rate_and_ask_for_what_it_has(settings, store):
    made_run(store, "a", "one", RIGHT, settings=settings)
    made_run(store, "b", "other", WRONG)
    (contrast,) = compare(store, [], ["other"]).tasks[0].contrasts
    assert contrast.differing == {}


GPU = {"hardware": {"gpu": "H100"}, "machine": {"device": "cuda", "precision": "fp32"}}


def test_speed_is_neither_averaged_nor_ranked_over_unlike_machines(store):
    made_run(store, "a", "one", RIGHT, seed=1)
    made_run(store, "b", "one", RIGHT, seed=2, record=GPU)
    made_run(store, "c", "other", WRONG)
    one, other = compare(store, [], ["other"]).tasks[0].models
    assert (one.cost.examples_per_second, one.cost.minutes, one.cost.memory_mib) == (None, None, None)
    assert one.cost.parameters == 15
    assert other.cost.examples_per_second == 100.0
    notes = notes_of(compare(store, [], ["other"]))
    assert any(note.startswith("one: its runs were made with unlike machines") for note in notes)


# One name, and a third of the speed where matrices are multiplied without units of their own.
XEON = {"hardware": {"cpu": "Intel Xeon", "instructions": "AVX-512"}}


@pytest.mark.parametrize("changes", [GPU, XEON, {"machine": MACHINE}])
def test_there_is_no_front_over_unlike_machines_or_precisions(changes, store):
    for seed in (1, 2):
        made_run(store, f"a{seed}", "one", RIGHT, seed=seed, record=changes)
        made_run(store, f"b{seed}", "other", WRONG, seed=seed)
    found = compare(store, [], ["other"])
    assert [m.on_front for m in found.tasks[0].models] == [None, None]
    assert [m.cost.examples_per_second for m in found.tasks[0].models] == [100.0, 100.0]
    assert any(note.startswith("no front: ") for note in notes_of(found))


def start(name):
    return {"init": {"name": name, "found_in": f"run {name}"}}


def test_trainings_that_started_from_one_task_are_compared(store):
    """Every model starts from its own run on MNLI, and every seed too."""
    for model, share in (("one", 90), ("other", 50)):
        for seed in (1, 2):
            made_run(store, f"mnli-{model}-{seed}", model, RIGHT, seed=seed, task="glue/mnli")
            made_run(store, f"rte-{model}-{seed}", model, np.arange(100) < share, seed=seed, task="glue/rte",
                     record=start(f"mnli-{model}-{seed}"))  # fmt: skip
    (task,) = compare(store, [], ["other"], tasks=["glue/rte"]).tasks
    assert task.contrasts[0].differing == {}
    assert task.contrasts[0].difference.seeds == (2, 2)


def test_another_start_is_another_training(store):
    made_run(store, "mnli", "one", RIGHT, task="glue/mnli")
    made_run(store, "rte", "one", RIGHT, task="glue/rte", record=start("mnli"))
    made_run(store, "plain", "other", WRONG, task="glue/rte")
    with pytest.raises(BadRun, match="started from: 'glue/mnli default' and 'the model as it comes'"):
        compare(store, [], ["other"])


def test_a_retrieval_trainings_own_evaluation_has_a_protocol(store):
    """It reads titles, as mteb does; `coir` does not."""
    known = {"kind": "retrieval", "task": "codesearch/x", "head": "vectors"}
    made_run(store, "a", "one", RIGHT, **known)
    coir = {"name": "coir", "titles": False, "max_length": 512, "source": "", "identical": None}
    made_run(store, "b", "other", WRONG, **known, record={"protocol": coir})
    with pytest.raises(BadRun, match="protocol: 'coir' and 'mteb'"):
        compare(store, ["a", "b"], [])
    assert compare(store, ["a", "b"], [], allow=True).tasks[0].contrasts[0].differing


def test_a_length_that_was_chosen_is_no_protocol(store):
    """A training with --max-length reads less than its protocol says, in its own evaluation too."""
    known = {"kind": "retrieval", "task": "codesearch/x", "head": "vectors"}
    made_run(store, "a", "one", RIGHT, **known, settings={"max_length": 32})
    made_run(store, "b", "other", WRONG, **known)
    with pytest.raises(BadRun, match="protocol: 'mteb' and 'mteb, but 32 tokens'"):
        compare(store, ["a", "b"], [])


def test_how_the_kept_step_was_chosen_stands_under_the_table(store):
    made_run(store, "a", "one", RIGHT)
    made_run(store, "b", "other", WRONG)
    made_run(store, "c", "third", WRONG, settings={"keep": "last"})
    notes = notes_of(compare(store, ["a", "b"], []))
    assert any(note.startswith("one, other: the step that is kept was chosen on these") for note in notes)
    with pytest.raises(BadRun, match="selection: 'the last step' and 'the best step on these examples'"):
        compare(store, ["a", "c"], [])


def test_seeds_that_learnt_nothing_are_counted(store):
    for seed, share in ((1, 90), (2, 88), (3, 51)):
        made_run(store, f"a{seed}", "one", np.arange(100) < share, seed=seed)
        made_run(store, f"b{seed}", "weak", np.arange(100) < 50 + seed, seed=seed)
    one, weak = compare(store, [], ["weak"]).tasks[0].models
    assert (one.worst, one.collapsed) == (pytest.approx(0.51), ("3",))
    assert weak.collapsed == ()  # nobody learnt: chance it is, not a collapse
    notes = notes_of(compare(store, [], ["weak"]))
    assert any(note.startswith("one: 1 of 3 seeds collapsed (3: 0.5100)") for note in notes)
