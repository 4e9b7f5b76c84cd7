"""A Hub that misbehaves: one sentence in good time, and nothing stays behind."""

from __future__ import annotations

import ast
import hashlib
import threading
import time
from pathlib import Path

import hub_faults
import pytest
from hub import serve

from modernbert import hub
from modernbert.connection import connection
from modernbert.errors import BadOption, NotAvailable
from modernbert.patience import LEAST, Watch, hub_timeout

PATIENCE = 0.4
CONFIG = '{"model_type": "bert"}'
PARTS = {"api": hub_faults.API_FAULTS, "head": hub_faults.HEAD_FAULTS, "body": hub_faults.BODY_FAULTS}
# Those that take as long as the Hub is waited for. What is left is tried by default.
SLOW = {"broken", "close", "garbage", "hang", "short"}


@pytest.fixture
def served(tmp_path):
    """The folder that the Hub serves: a model and a data set."""
    root = tmp_path / "served"
    for name, content in {
        "models/some/model/config.json": CONFIG,
        "models/some/model/model.safetensors": "weights" * 1000,
        "datasets/some/data/rows.csv": "text,label\ngood,1\nbad,0\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.fixture
def online(served, tmp_path, monkeypatch):
    """Start a Hub with a fault in it; return the folder of the Hub's cache."""
    import datasets
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "prepared")
    monkeypatch.delenv("MBERT_OFFLINE")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)  # set by commands that ran in this process
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("MBERT_HUB_TIMEOUT", str(PATIENCE))
    servers = []

    def start(fault=None):
        servers.append(serve(served, fault))
        address, _ = servers[-1].__enter__()
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(datasets.config, "HF_ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        connection.cache_clear()
        return tmp_path / "hub"

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def blobs(cache: Path) -> list[Path]:
    """Return the content in the Hub's cache, whole or not."""
    return [path for path in cache.glob("*/blobs/*") if path.is_file()]


def faults():
    for part, found in PARTS.items():
        for name in found:
            marks = [pytest.mark.slow] if name in SLOW and part != "api" else []
            yield pytest.param(part, name, marks=marks, id=f"{part}: {name}")


@pytest.mark.parametrize(("part", "name"), list(faults()))
def test_a_model_that_the_hub_does_not_give(part, name, online):
    cache = online((part, PARTS[part][name]))
    started = time.monotonic()
    with pytest.raises(NotAvailable) as caught:
        hub.hub_model("some/model", None)
    assert time.monotonic() - started < PATIENCE + 10
    lines = str(caught.value).splitlines()
    assert len(lines) <= 2
    assert all(line.isprintable() and len(line) < 400 for line in lines)
    # The thread that waits for a header's end is left behind with its file: the next download sweeps it.
    assert not blobs(cache) or name == "drip headers"


def test_a_model_comes_whole_and_its_configuration_last(online):
    """A folder with a configuration and weights counts as whole: a killed download must not leave one."""
    cache = online()
    folder = hub.hub_model("some/model", None)
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert (folder / "config.json").read_text() == CONFIG
    assert hub._listed("some/model", None)[1][-1] == "config.json"
    assert len(blobs(cache)) == 2


def test_a_model_that_comes_after_all(online):
    online(("body", hub_faults.BODY_FAULTS["wrong byte"]))
    with pytest.raises(NotAvailable, match="is not what it announced"):
        hub.hub_model("some/model", None)
    online()
    assert (hub.hub_model("some/model", None) / "config.json").read_text() == CONFIG


def test_a_data_set(online):
    online()
    assert hub.hub_data("some/data", None, None)["train"].to_dict()["text"] == ["good", "bad"]


@pytest.mark.parametrize("name", ["page", "another JSON", "wait an hour", "hang"])
def test_a_data_set_that_the_hub_does_not_give(name, online):
    online(("api", hub_faults.API_FAULTS[name]))
    with pytest.raises(NotAvailable):
        hub.hub_data("some/data", None, None)


def test_a_data_set_with_a_wrong_byte_is_kept_nowhere(online, tmp_path):
    cache = online(("body", hub_faults.BODY_FAULTS["wrong byte"]))
    with pytest.raises(NotAvailable, match="is not what it announced"):
        hub.hub_data("some/data", None, None)
    assert not blobs(cache)
    assert not list((tmp_path / "prepared").rglob("*.arrow"))


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("kind", ["sha256", "git"])
def test_files_are_checked_against_the_hashes_that_the_hub_uses(kind, damaged, tmp_path):
    content = b"content"
    name = hashlib.sha256(content).hexdigest()
    if kind == "git":
        name = hashlib.sha1(b"blob 7\0" + content).hexdigest()
    blob = tmp_path / name
    blob.write_bytes(b"Content" if damaged else content)
    if not damaged:
        return hub._require_announced(blob, "it")
    with pytest.raises(NotAvailable):
        hub._require_announced(blob, "it")
    assert not blob.exists()


def test_what_a_killed_download_left_is_swept(online):
    cache = online()
    left = cache / "models--some--model/blobs" / f"{'a' * 64}.1234abcd.incomplete"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    hub.hub_model("some/model", None)
    assert not left.exists()


@pytest.mark.parametrize("value", ["x", "0", "-1", "nan", "inf"])
def test_a_wrong_time_is_an_error(value, monkeypatch):
    monkeypatch.setenv("MBERT_HUB_TIMEOUT", value)
    with pytest.raises(BadOption, match="MBERT_HUB_TIMEOUT"):
        hub_timeout()


def test_a_slow_hub_is_waited_for_and_one_that_drips_is_not():
    watch = Watch(limit=0.3)
    watch.ask()
    for _ in range(8):
        time.sleep(0.1)
        watch.receive(LEAST)
    watch.end()
    time.sleep(0.4)  # nothing was asked: our own work takes its time
    watch.ask()
    with pytest.raises(NotAvailable):
        for _ in range(20):
            time.sleep(0.1)
            watch.receive(1)


def test_everything_comes_through_one_door():
    """Whoever fetched past it would wait for ever, and keep what nobody checked."""
    fetching = {"hf_hub_download", "snapshot_download", "HfApi", "HfFileSystem", "load_dataset", "urlopen"}
    doors = {"hub.py": fetching - {"urlopen"}, "connection.py": {"urlopen"}, "upload.py": {"HfApi"}}
    root = Path(hub.__file__).parent
    files = [*root.rglob("*.py"), *(root.parent / "cli").glob("*.py"), *(root.parent / "tasks").glob("*.py")]
    for file in files:
        nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
        names = {n.attr for n in nodes if isinstance(n, ast.Attribute)}
        names |= {n.name for n in nodes if isinstance(n, ast.alias)}
        assert not (names & fetching) - doors.get(file.name, set()), file


def test_a_call_that_fails_leaves_no_thread(online):
    online()
    before = threading.active_count()
    with pytest.raises(NotAvailable, match="404"):
        hub.hub_model("some/absent", None)
    assert threading.active_count() <= before + 1, "the server's own"
