"""The Hub's own client library against a Hub in miniature: fetch, bundle, cache, offline."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from helpers import FAST, toy_rows
from hub import serve

from modernbert.data.registry import find_task
from modernbert.wording import one_line

# Every call is a process of its own, seconds each.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hub(tmp_path_factory, tiny_bert):
    """A Hub with SST-2 (toy rows), a tiny model, and a repository without one."""
    root = tmp_path_factory.mktemp("hub")
    rows = [{"sentence": r["text"], "label": int(r["label"] == "positive"), "idx": 0} for r in toy_rows(60)]
    folder = root / "datasets/nyu-mll/glue/sst2"
    folder.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        parquet.write_table(arrow.Table.from_pylist(rows), folder / f"{split}-00000-of-00001.parquet")
    shutil.copytree(tiny_bert, root / "models/someone/tiny")
    (root / "models/someone/no-model").mkdir()
    (root / "models/someone/no-model/README.md").write_text("nothing here")
    with serve(root) as (address, asked):
        yield address, asked


@pytest.fixture
def command(tmp_path, hub):
    """Run mbert in a process of its own, where the client library reads the Hub's address at import."""

    def run(*arguments, online=True):
        environment = {k: v for k, v in os.environ.items() if "OFFLINE" not in k and "proxy" not in k.lower()}
        environment |= {"HF_ENDPOINT": hub[0], "OMP_NUM_THREADS": "1"}
        environment |= {} if online else {"MBERT_OFFLINE": "1"}
        line = [sys.executable, "-m", "modernbert.cli", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, env=environment)

    return run


def test_fetch_into_a_bundle_then_train_offline(command, hub, tmp_path):
    done = command("download", "glue/sst2", "someone/tiny", "--to", "bundle")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    revision = find_task("glue/sst2").source.revision
    assert f"/datasets/nyu-mll/glue/resolve/{revision}/sst2/train-00000-of-00001.parquet" in hub[1]
    assert (
        "someone/tiny @ " + "a" * 40 in (tmp_path / "bundle/models/someone--tiny/PROVENANCE.txt").read_text()
    )
    shutil.rmtree(tmp_path / "hf")
    train = ("finetune", "glue/sst2", "-m", "someone/tiny", "--data-dir", "bundle", *FAST)
    done = command(*train, online=False)
    assert done.returncode == 0, done.stderr
    assert "(verified)" in done.stdout


def test_what_was_fetched_once_is_in_the_cache(command, hub):
    train = ("finetune", "glue/sst2", "-m", "someone/tiny", *FAST)
    assert command(*train).returncode == 0
    hub[1].clear()
    done = command(*train, online=False)
    assert done.returncode == 0, done.stderr
    assert not hub[1]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["glue/rte", "-m", "someone/tiny"], "the Hub does not give nyu-mll/glue/rte/train"),
        (["glue/sst2", "-m", "someone/absent"], "the Hub does not give someone/absent"),
        (["glue/sst2", "-m", "someone/no-model"], "has no config.json"),
    ],
)
def test_what_the_hub_does_not_have_is_one_sentence(command, arguments, part):
    done = command("finetune", *arguments)
    assert done.returncode == 2
    assert part in one_line(done.stderr)
    assert "Traceback" not in done.stderr
