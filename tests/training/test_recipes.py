"""Recipes: the paper's numbers, torch's convention, and what there is no recipe for."""

from __future__ import annotations

import pytest

from modernbert.data.registry import find_tasks
from modernbert.errors import BadData, BadOption
from modernbert.settings.config import TrainingConfig
from modernbert.settings.forms import read_settings
from modernbert.training.recipes import find_recipe


def paper(task: str, model: str = "modernbert-base", *, lora: bool = False):
    return find_recipe("paper", task=task, model=model, family="modernbert", lora=lora, train_rows=10**6)


@pytest.mark.parametrize(
    ("task", "rate", "decay", "epochs"),
    [
        ("glue/cola", 8e-5, 0.0125, 5),
        ("glue/mnli", 5e-5, 0.1, 1),
        ("glue/rte", 5e-5, 0.2, 3),
        ("glue/sst2", 8e-5, 0.125, 2),
        ("glue/stsb", 8e-5, 0.0625, 10),
    ],
)
def test_the_papers_weight_decay_is_converted_to_torchs(task, rate, decay, epochs):
    settings = paper(task).settings
    assert settings["learning_rate"] == rate
    assert settings["weight_decay"] == pytest.approx(decay)
    assert settings["epochs"] == epochs
    assert settings["batch_size"] == 64


def test_rte_mrpc_and_stsb_start_from_mnli():
    starts = {t.name for t in find_tasks("glue") if t.in_average and paper(t.name).init_from == "glue/mnli"}
    assert starts == {"glue/rte", "glue/mrpc", "glue/stsb"}


def test_every_averaged_task_has_a_paper_recipe_for_both_sizes():
    for model in ("modernbert-base", "modernbert-large"):
        for task in find_tasks("glue"):
            if task.in_average:
                TrainingConfig().with_values(paper(task.name, model).settings, source="paper")


@pytest.mark.parametrize(
    ("task", "model", "lora"),
    [
        ("glue/wnli", "modernbert-base", False),
        ("glue/sst2", "bert-base", False),
        ("glue/sst2", "modernbert-base", True),
    ],
)
def test_the_paper_has_no_recipe_for_what_it_did_not_do(task, model, lora):
    with pytest.raises(BadOption, match="gives no recipe") as caught:
        paper(task, model, lora=lora)
    assert "--recipe default" in caught.value.fix


def test_lora_takes_ten_times_the_rate():
    full, lora = (
        find_recipe("default", task="glue/rte", model="minilm", family="minilm", lora=lora, train_rows=9)
        for lora in (False, True)
    )
    assert lora.settings["learning_rate"] == pytest.approx(10 * full.settings["learning_rate"])


@pytest.mark.parametrize(
    ("family", "lora", "rate", "retrieval"),
    [
        ("bert", False, 3e-5, False),
        ("bert", False, 3e-5, True),
        ("bert", True, 3e-4, False),
        ("bert", True, 3e-4, True),
        ("nano", False, 5e-4, False),
        ("nano", False, 2e-4, True),
        ("nano", True, 2e-3, False),
        ("nano", True, 2e-3, True),
    ],
)
def test_adapters_take_ten_times_the_rate_but_not_the_embedded_models(family, lora, rate, retrieval):
    recipe = find_recipe(
        "default", task="x", model="m", family=family, lora=lora, train_rows=10**6, retrieval=retrieval
    )
    assert recipe.settings["learning_rate"] == pytest.approx(rate)


def test_an_unknown_recipe_is_refused():
    with pytest.raises(BadOption, match="no recipe called 'best'"):
        find_recipe("best", task="glue/rte", model="minilm", family="minilm", lora=False, train_rows=9)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lerning_rate": 1.0}, "unknown setting 'lerning_rate'"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; it must be a number"),
        ({"epochs": True}, "epochs is True; it must be a number"),
        ({"epochs": 0}, "epochs is 0; it must be greater than 0"),
        ({"warmup": 1.5}, "it must be at least 0 and below 1"),
        ({"schedule": "constant"}, "one of linear, cosine, trapezoidal"),
        ({"batch_size": 2.5}, "batch_size is 2.5; it must be a whole number"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, message):
    with pytest.raises(BadOption, match=message):
        TrainingConfig().with_values(values, source="x.toml")


def test_a_misspelt_setting_names_the_closest():
    with pytest.raises(BadOption, match=r"Did you mean 'learning_rate'\?"):
        TrainingConfig().with_values({"lerning_rate": 1.0}, source="x.toml")


def test_settings_are_read_from_toml(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('learning_rate = 1e-4\nlora_targets = ["query"]\n')
    config = TrainingConfig().with_values(read_settings(path), source=str(path))
    assert (config.optimizer.learning_rate, config.lora.targets) == (1e-4, ("query",))


def test_broken_toml_names_the_file(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("learning_rate =")
    with pytest.raises(BadData, match=r"run.toml: not valid TOML"):
        read_settings(path)


@pytest.mark.parametrize(
    ("family", "lora", "rate"),
    [
        ("minilm", False, 3e-4),
        ("minilm", True, 5e-4),
        ("nano", False, 1.5e-3),
        ("nano", True, 2e-3),
        ("modernbert", False, 5e-5),
    ],
)
def test_a_small_model_tags_words_at_a_higher_rate(family, lora, rate):
    recipe = find_recipe(
        "default", task="own/names", model=family, family=family, lora=lora, train_rows=900, tagging=True
    )
    assert recipe.settings["learning_rate"] == pytest.approx(rate)


@pytest.mark.parametrize(("rows", "tagging", "size"), [(1999, True, 8), (2000, True, 32), (1999, False, 32)])
def test_few_sentences_are_tagged_in_small_batches(rows, tagging, size):
    recipe = find_recipe(
        "default", task="own/x", model="bert", family="bert", lora=False, train_rows=rows, tagging=tagging
    )
    assert recipe.settings["batch_size"] == size
