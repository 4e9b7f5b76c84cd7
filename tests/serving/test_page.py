"""The page, in a browser: it asks this server alone, and shows what it answers."""

from __future__ import annotations

import re
import shutil
from importlib.resources import files

import pytest
from served import opened

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="no Chromium here")


def test_it_names_no_other_host(serving):
    page = serving.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    text = files("modernbert.serving").joinpath("page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|innerHTML|eval\(", text)


@needs_chromium
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_predicts_embeds_and_searches(store, folders, index):
    from playwright.sync_api import sync_playwright

    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
    ]
    models = ("reviews", folders["reranker"])
    with opened(store, models=models, index=index, key="open-sesame") as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page(viewport={"width": 390, "height": 844})
        errors, requests = [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        page.fill("#key", "open-sesame")
        page.locator("#key").dispatch_event("change")
        page.wait_for_selector("#model option", state="attached")
        page.fill("#texts", "good w1\n<img src=x onerror=alert(1)>")
        page.click("#ask")
        page.wait_for_selector("#answer:not([hidden])")
        assert page.inner_text("#answer").count('"prediction"') == 2
        page.select_option("#model", label="reranker (reranker)")
        page.fill("#query", "good")
        page.click("#ask")
        page.locator("#answer", has_text="results").wait_for()
        page.select_option("#model", label="the index")
        assert not page.is_visible("#texts")
        page.click("#ask")
        page.locator("#answer", has_text="hits").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out on a phone"
        browser.close()
    assert errors == []
    assert all(address.startswith(url) or address == "data:," for address in requests)
