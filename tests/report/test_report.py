"""Reports: complete, escaped, and right in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from collections_toy import QUERIES, write_collection
from helpers import made_run, request_of, toy_rows, write_csv
from modernbert.cli.main import app
from typer.testing import CliRunner

from modernbert.comparison.analysis import disagreement
from modernbert.comparison.compare import compare
from modernbert.comparison.outcomes import read_outcomes
from modernbert.errors import BadData, UnknownName
from modernbert.evaluation.calibration import calibration
from modernbert.evaluation.retrieve import SearchOptions, evaluate_tasks, retrieval_tasks
from modernbert.finetuning.finetune import finetune
from modernbert.model.locate import locate_model
from modernbert.report.report import comparison_report, report, run_report

HOSTILE = "<img src=x onerror=\"document.title='hit'\"></script><script>document.title='hit'</script>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here")


class Page(HTMLParser):
    """Collects the text and the tags of a page, scripts and styles aside."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.is_code = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.is_code = tag in ("script", "style")
        assert not [name for name, _ in attrs if name.startswith("on")], "no handlers"

    def handle_endtag(self, tag):
        self.is_code = False

    def handle_data(self, data):
        if not self.is_code:
            self.text += data


@pytest.fixture
def runs(tmp_path, store, tiny_modernbert, tiny_bert):
    """Two trained models on texts, labels and a model name that attack the page."""
    rows = [{**row, "text": f"{row['text']} {HOSTILE}"} for row in toy_rows(120)]
    rows = [{**row, "label": f"{row['label']} {HOSTILE}"} for row in rows]
    path = write_csv(tmp_path / "reviews.csv", rows)
    for model in (tiny_bert, tiny_modernbert):
        finetune(request_of(path, model, epochs=2.0, learning_rate=1e-5), store)
    return store


def test_a_run_is_told_whole_and_hostile_text_stays_text(runs):
    (name,) = [name for name in runs.names() if "modernbert" in name]
    text = run_report(name, runs)
    page = Page(text)
    assert "img" not in page.tags
    assert HOSTILE in page.text
    score = runs.read(name).results[0].main
    assert f"{score.value:.4f}" in page.text
    for title in ("Summary", "Scores", "Learning curves", "By class", "Precision and recall", "Calibration",
                  "Confusion", "Worst errors", "Provenance"):  # fmt: skip
        assert title in page.text
    assert not re.search(r"""(src|href)=["']?https?:""", text)
    assert "script" not in page.tags
    assert len(text.encode()) < 2**18, "a small run's page is small"


def test_a_comparison_can_be_kept_and_reported(runs, tmp_path):
    done = CliRunner().invoke(app, ["compare", "--baseline", "tiny-bert", "-o", "c.json", "--json"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["report", "c.json", "-o", "c.html"])
    assert done.exit_code == 0, done.output
    page = Page((tmp_path / "c.html").read_text(encoding="utf-8"))
    assert "tiny-modernbert against tiny-bert" in page.text
    assert "Who is right" in page.text
    assert (text := toy_rows(120)[0]["text"].split()[1]) in page.text
    assert "Ids alone" not in page.text
    done = CliRunner().invoke(app, ["report", "c.json", "-o", "c.html", "--no-texts", "--overwrite"])
    assert done.exit_code == 0, done.output
    page = Page((tmp_path / "c.html").read_text(encoding="utf-8"))
    assert "Ids alone" in page.text and text not in page.text
    assert not list(tmp_path.glob(".c.html*"))


@pytest.mark.parametrize("name", ["queries.jsonl", "corpus.jsonl", "qrels/test.tsv"])
def test_queries_are_shown_only_while_their_data_is_what_the_run_read(name, tmp_path, store, tiny_modernbert):
    folder = write_collection(tmp_path / "coll")
    source = locate_model(str(tiny_modernbert), store=store)
    (result,) = evaluate_tasks(retrieval_tasks(str(folder)), source, store, SearchOptions(), device="cpu")
    text = Page(report(result.name, store)).text
    assert QUERIES["q2"] in text
    assert "Ids alone" not in text
    path = folder / name
    path.write_text(path.read_text().replace("awful", "lovely").replace("q1\td3\t1", "q1\td3\t2"))
    text = Page(report(result.name, store)).text
    assert "Ids alone are shown" in text
    assert QUERIES["q2"] not in text and "lovely" not in text


def test_what_cannot_be_reported_is_told(tmp_path, store):
    with pytest.raises(UnknownName):
        report("nothing", store)
    (tmp_path / "x.json").write_text(json.dumps({"tasks": 3}))
    with pytest.raises(BadData, match="no comparison"):
        report(str(tmp_path / "x.json"), store)


def test_numbers_are_reported_too(tmp_path, store):
    rows = [{"text": row["text"], "label": str(i % 7 + 0.5)} for i, row in enumerate(toy_rows(80))]
    path = write_csv(tmp_path / "numbers.csv", rows)
    done = CliRunner().invoke(
        app, ["compare", "-b", "majority", "-t", str(path), "-m", "tfidf", "--yes", "-o", "n.html"]
    )
    assert done.exit_code == 0, done.output
    page = Page((tmp_path / "n.html").read_text())
    assert "Largest gains" in page.text
    assert "Predicted against true" in page.text and "Residuals" in page.text


def test_calibration_is_the_mean_distance_from_the_diagonal():
    confidence = np.array([0.95, 0.95, 0.65, 0.65])
    found = calibration(confidence, np.array([True, True, True, False]))
    assert found.counts == (2, 2)
    assert found.error == pytest.approx((2 * 0.15 + 2 * 0.05) / 4)
    assert calibration(np.array([1.0]), np.array([True])).error == 0


def test_disagreement_adds_up(store):
    random = np.random.default_rng(0)
    made_run(store, "a", "one", random.random(100) < 0.8)
    made_run(store, "b", "other", random.random(100) < 0.7)
    (first,), (second,) = read_outcomes(store, "a"), read_outcomes(store, "b")
    groups = disagreement(first, second, np.arange(100))
    total = groups[0]
    assert total.n == total.both + total.only_first + total.only_second + total.neither == 100
    for by in ("label", "characters"):
        parts = [group for group in groups if group.by == by]
        assert sum(part.n for part in parts) == 100
        assert sum(part.only_first for part in parts) == total.only_first


def test_without_a_name_the_page_is_named_after_the_run_and_never_replaced_unasked(tmp_path, store):
    made_run(store, "mine", "toy", np.arange(60) % 3 > 0)
    invoke = CliRunner().invoke
    done = invoke(app, ["report", "mine"])
    assert done.exit_code == 0 and "mine.html: " in done.output, done.output
    (tmp_path / "mine.html").write_text("my own")
    done = invoke(app, ["report", "mine"])
    assert done.exit_code != 0 and "--overwrite" in str(done.exception.fix)
    assert (tmp_path / "mine.html").read_text() == "my own"
    done = invoke(app, ["report", "mine", "--overwrite"])
    assert done.exit_code == 0 and "replaced" in done.output
    assert "<h1>mine: glue/sst2</h1>" in (tmp_path / "mine.html").read_text()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


@needs_chromium
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_browser_shows_it_without_errors_or_requests(runs, tmp_path, browser):
    path = tmp_path / "report.html"
    path.write_text(comparison_report(compare(runs, [], ["tiny-bert"]), runs), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    errors: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    assert errors == []
    assert requests == [path.as_uri()]
    assert page.title() != "hit"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out on a phone"
    assert page.locator("figure svg[role=img]").count() >= 5
    names = page.locator("figure svg text.name")
    assert names.first.evaluate("e => getComputedStyle(e).fill") == "rgb(230, 237, 243)", (
        "light letters when dark"
    )
    assert page.evaluate(OUTSIDE) == [], "letters outside their picture"
    letters = page.locator("figure > svg[role=img] text").first.evaluate(
        "e => e.getBoundingClientRect().height"
    )
    assert letters >= 10, "letters that can be read on a phone"
    page.close()


# Texts of pictures that lie outside of them, and cells that lie outside of the page.
OUTSIDE = """[...document.querySelectorAll('figure > svg[role=img]')].flatMap(svg => {
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text')].filter(text => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
    }).map(text => text.textContent);
})"""
CUT = """[...document.querySelectorAll('td, th, figure')]
    .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(e => e.textContent)"""


@needs_chromium
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_nothing_is_cut_on_paper(runs, tmp_path, browser):
    """A4 is 186 mm, 703 units, wide between margins of 12 mm."""
    path = tmp_path / "report.html"
    path.write_text(comparison_report(compare(runs, [], ["tiny-bert"]), runs), encoding="utf-8")
    page = browser.new_page(viewport={"width": 703, "height": 1000})
    page.goto(path.as_uri())
    assert page.evaluate(CUT), "on screen wide tables scroll"
    page.emulate_media(media="print")
    assert page.evaluate(CUT) == []
    page.close()


# Heads of the columns that lie outside of their table's place, and are reached only by scrolling.
SCROLLED = """[...document.querySelectorAll('.scroll thead th')].filter(head => {
    const place = head.closest('.scroll').getBoundingClientRect();
    return head.getBoundingClientRect().right > place.right + 1;
}).map(head => head.textContent)"""
SCORES = {"metric", "score", "difference", "95 % interval", "n"}
# Of a comparison, on a desktop.
ALL = SCORES | {"accuracy", "truncated", "front", "Holm", "verdict"}


@needs_chromium
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("width", "seen"), [(390, SCORES), (1280, ALL)], ids=["phone", "desktop"])
def test_scores_are_seen_without_scrolling(runs, tmp_path, browser, width, seen):
    name = next(name for name in runs.names() if runs.read(name).kind == "finetune")
    pages = run_report(name, runs), comparison_report(compare(runs, [], ["tiny-bert"]), runs)
    for number, text in enumerate(pages):
        (tmp_path / f"{number}.html").write_text(text, encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": 844})
        page.goto((tmp_path / f"{number}.html").as_uri())
        assert not {*page.evaluate(SCROLLED)} & seen
        page.close()
