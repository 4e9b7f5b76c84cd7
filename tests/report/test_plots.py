"""Pictures: axes, places of marks, and one colour for each model."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from helpers import made_run

from modernbert.comparison.compare import compare
from modernbert.report import plots, svg
from modernbert.report.report import comparison_report


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0, 1234, ["0", "500", "1,000"]),
        (0.871, 0.894, ["0.875", "0.880", "0.885", "0.890"]),
        (-0.003, 0.0021, ["-0.003", "-0.002", "-0.001", "0.000", "0.001", "0.002"]),
    ],
)
def test_axes_have_round_numbers(low, high, expected):
    assert [text for _, text in svg.Scale(low, high, 0, 400).ticks(70)] == expected


def test_a_logarithmic_axis_has_equal_ratios_equally_long():
    scale = svg.Scale(1, 1000, 0, 300, is_log=True)
    assert [scale(v) for v in (1, 10, 100, 1000)] == [0, 100, 200, 300]
    assert [text for _, text in scale.ticks(70)] == ["1", "10", "100", "1,000"]


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5], [0.0], [3e-9, 3.1e-9], [-1e6, 1e6]])
@pytest.mark.parametrize("is_log", [False, True])
def test_every_axis_can_be_drawn(values, is_log):
    values = [abs(v) or 1.0 for v in values] if is_log else values
    low, high = svg.spread(values, is_log=is_log)
    scale = svg.axis_x((low, high), is_log=is_log)
    assert low < min(values) and max(values) < high
    assert all(0 <= scale(v) <= svg.WIDTH for v in values)
    assert all(low <= v <= high * (1 + 1e-9) for v, _ in scale.ticks(70))


def test_long_names_stay_different():
    same = "the same sixty characters at the beginning of each of the names, "
    cut = {plots.cut_name(f"{same}{end}") for end in ("one", "other")}
    assert len(cut) == 2
    assert all(len(name) <= plots.LONGEST_NAME for name in cut)


def test_no_two_of_twenty_models_look_alike():
    styles = plots.styles_of([f"m{i}" for i in range(20)])
    assert len(set(styles.values())) == 20


def test_points_lie_where_their_numbers_are():
    points = np.array([[0.0, 0.0], [10.0, 5.0]])
    style = plots.styles_of(["m"])["m"]
    drawn = ElementTree.fromstring(str(plots.scatter("A", points, ("x", "y"), "diagonal", style)))
    cloud = drawn.find(".//path[@class='cloud']").get("d")
    (x0, y0), (x1, y1) = [tuple(map(float, p)) for p in re.findall(r"M(\S+) (\S+)h0", cloud)]
    left = svg.RIGHT + svg.DIGIT  # numbers of one digit
    assert (x1 - x0) / (svg.WIDTH - svg.RIGHT - left) == pytest.approx(1 / 1.12, abs=1e-2)
    assert (y0 - y1) / (svg.HEIGHT - svg.TOP - svg.BOTTOM) == pytest.approx(1 / 1.12, abs=1e-2)


def test_a_model_has_one_colour_through_a_whole_page(store):
    """Whatever its rank on a task."""
    draw = np.random.default_rng(0)
    shares = {"glue/sst2": (0.9, 0.7, 0.5), "glue/mrpc": (0.5, 0.7, 0.9)}
    for task, chances in shares.items():
        for model, chance in zip(("one", "two", "three"), chances, strict=True):
            for seed in (1, 2):
                name = f"{task[5:]}-{model}-{seed}"
                made_run(store, name, model, draw.random(200) < chance, seed=seed, task=task)
    page = comparison_report(compare(store, [], ["two"]), store)
    colours: dict[str, set[str]] = {}
    for path, title in re.findall(r"<path([^>]*)><title>([^<]*)</title>", page):
        model = re.match("one|two|three", title)[0]
        colours.setdefault(model, set()).add(re.search('fill="(#......)"', path)[1])
    for mark, name in re.findall(r"<li><svg[^>]*><path([^>]*)></path></svg> (one|two|three)", page):
        colours[name].add(re.search('fill="(#......)"', mark)[1])
    assert set(colours) == {"one", "two", "three"}
    assert all(len(found) == 1 for found in colours.values())
    assert len(set.union(*colours.values())) == 3
