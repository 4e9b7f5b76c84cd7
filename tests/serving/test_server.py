"""The command in a process of its own: it starts, answers, and stops as it should."""

from __future__ import annotations

import json
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from commands import finish, start, wait_until
from modernbert.cli.main import app
from typer.testing import CliRunner

from modernbert.errors import BadOption, MbertError, NotAvailable

PATIENCE = 60


def served(store, *arguments):
    """Start `mbert serve` on a free port; return the process and its address."""
    line = ["serve", "reviews", "--port", 0, "--runs-dir", store.root, "--device", "cpu", *arguments]
    process = start(*line)
    told = process.stdout.readline()
    assert " at http" in told, finish(process)
    return process, told.partition(" at ")[2].split()[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_what_was_taken_and_refuses_the_rest(store, number):
    process, url = served(store, "--wait-ms", 300)
    with ThreadPoolExecutor(8) as pool:
        futures = [
            pool.submit(httpx2.post, f"{url}/predict", json={"texts": ["good w1"]}, timeout=PATIENCE)
            for _ in range(8)
        ]
        wait_until(lambda: _opened(url) >= 8, process)
        process.send_signal(number)
        answers = [future.result() for future in futures]
    assert [answer.status_code for answer in answers] == [200] * 8
    assert {answer.headers.get("connection") for answer in answers} == {"close"}
    code, _, err = finish(process)
    assert code == 0, err
    assert "Traceback" not in err
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert sum(line.get("path") == "/predict" for line in lines) == 8
    assert [lines[0]["event"], lines[-1]["event"]] == ["started", "stopped"]
    assert len(lines) == len(err.splitlines()), "the log is JSON throughout"
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/health")


def _opened(url):
    """Return how many requests have come, this one left out."""
    text = httpx2.get(f"{url}/metrics").text
    return (
        sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith("mbert_open_requests "))
        - 1
    )


def test_a_port_that_is_taken_is_said_before_the_models_are_loaded(store):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        line = ["serve", "reviews", "--port", str(other.getsockname()[1]), "--runs-dir", str(store.root)]
        failure = CliRunner().invoke(app, line).exception
    assert isinstance(failure, BadOption)
    assert "cannot listen" in str(failure)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "no API key"),
        (["--shadow", "weak"], "go together"),
        (["--shadow-file", "x.jsonl"], "go together"),
        (["reviews"], "two models are called reviews"),
        (["nosuch"], "nosuch"),
        (["--index", "."], "no index here"),
    ],
)
def test_mistakes_are_said(store, arguments, said):
    line = ["serve", "reviews", "--port", "0", "--runs-dir", str(store.root), *arguments]
    failure = CliRunner().invoke(app, line).exception
    assert isinstance(failure, MbertError)
    assert said in str(failure)


def test_without_the_extra_it_says_what_to_install(store, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "uvicorn" else find(name, *a)
    )
    failure = CliRunner().invoke(app, ["serve", "reviews", "--runs-dir", str(store.root)]).exception
    assert isinstance(failure, NotAvailable)
    assert "pip install 'mbert[serve]'" in str(failure)


def test_the_command_line_starts_without_the_server_s_packages():
    import subprocess

    code = (
        "import sys; from modernbert.cli.main import app; "
        "print({'fastapi', 'uvicorn', 'torch', 'prometheus_client'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
