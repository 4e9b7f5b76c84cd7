"""Downloads into one bundle, killed or side by side: it always verifies, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from faults import kill_at

from modernbert.data.bundle import verify
from modernbert.temporary import sweep_below

MODEL = "modernbert-nano"
DOWNLOAD = ["download", MODEL, "--to", "bundle"]
# More than an undisturbed download into a bundle that has the model makes; `test_the_count` checks it.
CHANGES = 40


def check(bundle) -> None:
    """Assert that everything in the bundle is listed, right, and nothing else is there."""
    done = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=bundle, capture_output=True)
    assert done.returncode == 0, done
    assert verify(bundle, bundle / "models" / MODEL) == "verified"
    assert sorted(path.name for path in bundle.iterdir()) == [".lock", "SHA256SUMS", "models"]
    assert [path.name for path in (bundle / "models").iterdir()] == [MODEL]


def killed_at_every(step: int, bundle) -> None:
    """Kill downloads at every `step`-th change; after each the bundle has the whole model or, first, none."""
    for at in range(1, CHANGES, step):
        killed = kill_at.was_killed(kill_at.run(DOWNLOAD, at=at))
        sweep_below(bundle)  # as any command does that looks into it
        if (bundle / "models" / MODEL).exists():
            assert verify(bundle, bundle / "models" / MODEL) == "verified", at
        if not killed:
            break
    assert not killed, "the last one came to its end"
    assert kill_at.run(DOWNLOAD).returncode == 0
    check(bundle)


def test_a_bundle_survives_kills(tmp_path):
    killed_at_every(6, tmp_path / "bundle")


@pytest.mark.slow
def test_a_bundle_survives_a_kill_at_every_change(tmp_path):
    assert kill_at.run(DOWNLOAD).returncode == 0
    killed_at_every(1, tmp_path / "bundle")


def test_the_count():
    kill_at.run(DOWNLOAD)
    assert 10 < kill_at.changes_of(kill_at.run(DOWNLOAD)) < CHANGES


def start(*names):
    line = [sys.executable, "-m", "modernbert.cli", "download", *names, "--to", "bundle"]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_downloads_at_once_lose_nothing(tmp_path, monkeypatch):
    """Three processes: two bring the same model, and one another that lies in another bundle."""
    source = tmp_path / "other/models/someone--tiny"
    source.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (source / name).write_text("{}")
    monkeypatch.setenv("MBERT_DATA", str(tmp_path / "other"))
    for process in [start(MODEL), start("someone/tiny"), start(MODEL)]:
        _, said = process.communicate()
        assert process.returncode == 0, said
    bundle = tmp_path / "bundle"
    done = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=bundle)
    assert done.returncode == 0
    listed = (bundle / "SHA256SUMS").read_text()
    for name in (MODEL, "someone--tiny"):
        assert verify(bundle, bundle / "models" / name) == "verified"
        assert f"models/{name}/model.safetensors" in listed


def test_a_smaller_model_in_the_place_of_another(tmp_path):
    """What the old one had more is gone from the list too."""
    bundle = tmp_path / "bundle"
    kill_at.run(DOWNLOAD)
    own = bundle / "models" / MODEL / "SHA256SUMS"
    (own.parent / "old.json").write_text("{}")
    own.write_text(own.read_text() + f"{'0' * 64}  old.json\n")
    (bundle / "SHA256SUMS").write_text(
        (bundle / "SHA256SUMS").read_text() + f"{'0' * 64}  models/{MODEL}/old.json\n"
    )
    kill_at.run(DOWNLOAD)
    check(bundle)


@pytest.mark.parametrize("to", ["file/bundle", "file", "", "read-only/bundle", "/proc/nowhere"])
def test_where_nothing_can_be_written(to, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "read-only").mkdir(mode=0o555)
    if to.startswith("read-only") and os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    done = kill_at.run(["download", MODEL, "--to", to])
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "read-only"]
