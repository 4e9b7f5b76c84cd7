"""Keys, limits, time-outs and the log: what is refused, with which status, and what is never written."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from served import started

from modernbert.errors import BadOption
from modernbert.serving import service
from modernbert.serving.guard import Guard
from modernbert.serving.limits import Limits
from modernbert.serving.logs import Log
from modernbert.serving.metrics import Metrics
from modernbert.serving.server import ServeRequest, is_loopback, read_key, require_key

JSON = {"Content-Type": "application/json"}
SECRET = "zanzibar"


@pytest.fixture(scope="module")
def small(store):
    """A server of one model with small limits and a key."""
    limits = Limits(max_body=2000, max_texts=4, max_waiting=20)
    with started(store, models=("reviews",), key="open-sesame", limits=limits) as serving:
        serving.client.headers["Authorization"] = "Bearer open-sesame"
        yield serving


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer open-sesam", "Bearer é", "Basic open-sesame", "open-sesame"]
)
def test_without_the_key_only_the_state_is_told(small, given):
    client = small.client
    headers = {"Authorization": given.encode()}
    for path in ("/v1/models", "/metrics", "/nosuch"):
        refused = client.get(path, headers=headers)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert client.post("/predict", json={"texts": ["good"]}, headers=headers).status_code == 401
    for path in ("/health", "/ready", "/", "/openapi.json"):
        assert client.get(path, headers=headers).status_code == 200


def test_with_the_key_all_is_told(small):
    assert small.ask("/predict", texts=["good"])["predictions"]


def test_bodies_texts_and_forms_have_limits(small):
    assert "2,000 bytes" in small.ask("/predict", 413, texts=["a" * 2000])
    chunks = (b'{"texts": ["' + b"a" * 500 + b'"' for _ in range(5))
    assert small.client.post("/predict", content=chunks, headers=JSON).status_code == 413
    assert (
        small.client.post("/predict", content=b"{}", headers={"Content-Length": "9" * 30}).status_code == 413
    )
    assert "at most 4" in small.ask("/predict", 413, texts=["a"] * 5)
    assert small.ask("/predict", 422, texts=[]).startswith("body.texts: ")
    assert "top" in small.ask("/predict", 422, texts=["a"], top="1")
    assert "nosuch" in small.ask("/predict", 422, texts=["a"], nosuch=1)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{", b'{"texts": ["\xff"]}', b'{"texts": ["\\ud800"]}', b'{"texts": [1]}',
        b'{"texts": ["a"], "top": 1e400}', b'{"texts": ["a"], "top": ' + b"9" * 900 + b"}",
        b'{"texts": ["a"], "model": "\\u0000"}', b'{"texts": [[]]}', b'{"texts": [["a", "b", "c"]]}',
        b"[" * 1500, b'{"texts":' * 200, b"\x00\x01", b'{"texts": ["a"], "top": NaN}',
    ],
)  # fmt: skip
def test_nonsense_is_the_asker_s_mistake(small, body):
    refused = small.client.post("/predict", content=body, headers=JSON)
    assert 400 <= refused.status_code < 500, refused.text
    assert refused.json()["error"]["message"]


def test_odd_texts_are_texts(small):
    odd = ["", " ", "\x00\x07\u202e", "\U0001f600" * 50]
    assert len(small.ask("/predict", texts=odd)["predictions"]) == 4


def test_a_full_queue_answers_429(small):
    batcher = small.service.batchers["reviews"]
    batcher.waiting += batcher.max_waiting  # as if others waited, and nothing was done
    refused = small.client.post("/predict", json={"texts": ["good"] * 4})
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    batcher.waiting -= batcher.max_waiting
    assert small.ask("/predict", texts=["good"])


def test_texts_that_wait_to_be_tokenised_are_limited_too(small, monkeypatch):
    """Long ones take long to tokenise: whoever comes later is told so at once."""
    monkeypatch.setattr(service, "UNREAD", 10)
    freed = threading.Event()
    small.service.reader.submit(freed.wait)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(small.client.post, "/predict", json={"texts": ["good " * 4]})
        try:
            while not small.service.unread:
                time.sleep(0.01)
            assert small.client.post("/predict", json={"texts": ["good"]}).status_code == 429
            assert small.client.get("/ready").status_code == 503
        finally:
            freed.set()
        assert first.result().status_code == 200
    assert small.ask("/predict", texts=["good"]) and small.service.unread == 0


def test_an_answer_that_takes_too_long_is_504(store):
    with started(store, models=("reviews",), limits=Limits(timeout=0.05)) as serving:
        with serving.service.turn:
            assert "0.05 seconds" in serving.ask("/predict", 504, texts=["good"])
            assert "0.05 seconds" in serving.ask("/predict", 504, texts=["good"])
        serving.service.limits = Limits()
        assert serving.ask("/predict", texts=["good"])


def guarded(app, **limits) -> Guard:
    return Guard(app, Limits(**limits), Metrics(), Log(), key=None, only_loopback=False)


def test_a_request_that_does_not_arrive_is_408():
    sent = []

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": []}
    asyncio.run(guarded(None, body_timeout=0.01)(scope, receive, send))
    assert sent[0]["status"] == 408


def test_a_mistake_of_ours_is_500_and_its_text_is_not_logged(capsys):
    sent = []

    async def app(scope, receive, send):
        raise ValueError(SECRET)

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": f"/{SECRET}", "headers": []}
    asyncio.run(guarded(app)(scope, receive, send))
    assert sent[0]["status"] == 500
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[0]["error"] == "ValueError"
    assert any("test_guard.py" in place for place in lines[0]["at"])
    assert SECRET not in json.dumps(lines)


def test_another_host_s_name_is_refused_without_a_key(serving):
    """A page whose name resolves to this machine must not use the models."""
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"):
        assert serving.client.get("/v1/models", headers={"Host": host}).status_code == 400
    for host in ("localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000"):
        assert serving.client.get("/v1/models", headers={"Host": host}).status_code == 200


def test_the_log_tells_what_was_asked_and_no_text(serving):
    before = len(serving.lines)
    texts = [f"{SECRET} good", "good w1"]
    serving.ask("/predict", texts=texts, model="reviews")
    serving.ask("/predict", 404, texts=texts, model=SECRET)
    serving.ask("/predict", 422, texts=texts, top=SECRET)
    serving.client.get(f"/{SECRET}?{SECRET}={SECRET}")
    serving.client.request(SECRET.upper(), "/predict")
    lines = serving.lines[before:]
    assert lines[0].items() >= {
        "event": "request", "path": "/predict", "status": 200, "model": "reviews", "texts": 2, "tokens": 8,
        "truncated": 0,
    }.items()  # fmt: skip
    assert [line["status"] for line in lines] == [200, 404, 422, 404, 405]
    assert SECRET not in serving.stream.getvalue().lower()
    assert SECRET not in serving.client.get("/metrics").text.lower()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_this_machine_needs_no_key(host):
    assert is_loopback(host)
    require_key(ServeRequest(models=("m",), host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "localhost.example.com"])
def test_other_machines_need_one(host):
    with pytest.raises(BadOption, match="no API key"):
        require_key(ServeRequest(models=("m",), host=host))
    require_key(ServeRequest(models=("m",), host=host, key="k"))
    require_key(ServeRequest(models=("m",), host=host, without_key=True))


def test_a_key_is_read_from_a_file_or_the_environment(tmp_path, monkeypatch):
    assert read_key(None) is None
    monkeypatch.setenv("MBERT_API_KEY", "from-there")
    assert read_key(None) == "from-there"
    path = tmp_path / "key"
    path.write_text("from-the-file\n")
    assert read_key(path) == "from-the-file"
    for wrong in ("", " \n", "two words", "zwölf", "a\nb"):
        path.write_text(wrong)
        with pytest.raises(BadOption):
            read_key(path)
