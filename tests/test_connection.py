"""Offline is decided in under three seconds, whatever the network does."""

from __future__ import annotations

import http.server
import socket
import threading
import time

import pytest

from modernbert.connection import connection


@pytest.fixture
def asking(monkeypatch):
    monkeypatch.delenv("MBERT_OFFLINE")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def ask(address):
        monkeypatch.setenv("HF_ENDPOINT", address)
        connection.cache_clear()
        started = time.monotonic()
        found = connection()
        assert time.monotonic() - started < 3
        return found

    return ask


@pytest.mark.parametrize("variable", ["MBERT_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_by_choice_asks_nobody(monkeypatch, variable):
    monkeypatch.delenv("MBERT_OFFLINE")
    monkeypatch.setenv(variable, "1")
    connection.cache_clear()
    assert connection().reason == f"offline, as {variable} says"


def test_a_host_that_never_answers_is_offline(asking):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        found = asking(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert not found.online


def test_a_closed_door_and_a_nonsense_address_are_offline(asking):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert "cannot be reached" in asking(f"http://127.0.0.1:{port}").reason
    assert not asking("nonsense").online


@pytest.mark.parametrize(("code", "online"), [(200, True), (403, False), (503, False)])
def test_only_a_proper_answer_is_online(asking, code, online):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = asking(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert found.online is online
