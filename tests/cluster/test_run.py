"""Jobs on a cluster that really runs: processes die, shards fail, jobs start again; nothing is lost."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from modernbert.cluster import run
from modernbert.cluster.jobs import EmbedJob, ModelOnNodes
from modernbert.cluster.run import Finished, require_finished, run_job
from modernbert.cluster.shards import find_shards
from modernbert.errors import BadData, BadModel, NotAvailable
from modernbert.evaluation.embed_file import embed_file
from modernbert.model.locate import locate_model


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """By default Ray's processes wait for whatever else runs here."""
    monkeypatch.setenv("RAY_worker_niceness", "0")


@dataclass(frozen=True)
class Faulty(EmbedJob):
    """A job whose process is killed at the first try of a.parquet, and that cannot do b.parquet."""

    marks: Path = Path()

    def run(self, loaded, path, output, notes):
        with (self.marks / path.name).open("a") as file:
            tries = file.tell()
            file.write("x")
        if path.name == "a.parquet" and not tries:
            os.kill(os.getpid(), signal.SIGKILL)
        if path.name == "b.parquet":
            raise RuntimeError("out of luck")
        return embed_file(loaded, path, output, notes=notes).rows


def test_which_shards_failed_is_said():
    done = Finished("out", 3, 30, 4, {"b.parquet": "bad row", "c.parquet": "no"}, ("cpu, fp32",))
    with pytest.raises(BadData) as error:
        require_finished(done)
    assert error.value.exit_code == 2
    assert str(error.value).startswith("out: 2 of 9 shards failed: b.parquet: bad row (and c.parquet)\n")
    require_finished(Finished("out", 3, 30, 4, {}, ("cpu, fp32",)))


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(NotAvailable, match=r"not installed\n.*pip install 'mbert\[ray\]'"):
        run.require_ray()


@pytest.mark.slow
def test_a_killed_process_loses_nothing_and_another_job_does_what_is_left(
    tiny_modernbert, store, embedder, monkeypatch, tmp_path
):
    ray = run.require_ray()
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(run, "RETRIES", 1)
    for name in ("a", "b", "c", "d"):
        (tmp_path / "in").mkdir(exist_ok=True)
        rows = {"n": list(range(40)), "text": [f"w{n % 7} {name} good" for n in range(40)]}
        parquet.write_table(arrow.table(rows), tmp_path / "in" / f"{name}.parquet")
    (tmp_path / "marks").mkdir()
    source = locate_model(str(tiny_modernbert), store=store)
    model = ModelOnNodes(str(tiny_modernbert), source, source.weights, None, store.root, "auto", "fp32")
    faulty, shards = Faulty(model, marks=tmp_path / "marks"), find_shards("in", "out")
    done = run_job(faulty, shards, "out", "local")
    assert (done.shards, done.rows, done.kept) == (3, 120, 0)
    assert done.failed == {"b.parquet": "out of luck (RuntimeError, after 1 more tries)"}
    assert {mark.name: mark.stat().st_size for mark in (tmp_path / "marks").iterdir()} == {
        "a.parquet": 2, "b.parquet": 2, "c.parquet": 1, "d.parquet": 1,
    }  # fmt: skip
    again = run_job(EmbedJob(model), shards, "out", "local")
    assert (again.shards, again.kept, again.failed) == (1, 3, {})
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [shard.name for shard in shards]
    for shard in shards:
        embed_file(embedder, tmp_path / "in" / shard.name, tmp_path / "alone.parquet")
        found, alone = (parquet.read_table(p) for p in (tmp_path / "out" / shard.name, "alone.parquet"))
        assert found.equals(alone)


@pytest.mark.slow
def test_a_job_that_is_no_good_ends_at_once(tiny_modernbert, store, tmp_path):
    parquet.write_table(arrow.table({"text": ["w1"]}), tmp_path / "a.parquet")
    source = locate_model(str(tiny_modernbert), store=store)
    model = ModelOnNodes(str(tiny_modernbert), source, "others", None, store.root)
    with pytest.raises(BadModel, match="has other weights of"):
        run_job(EmbedJob(model), find_shards("a.parquet", "out"), "out", "local")


def test_a_cluster_that_is_not_there(tiny_modernbert, store):
    source = locate_model(str(tiny_modernbert), store=store)
    model = ModelOnNodes(str(tiny_modernbert), source, "", None, store.root)
    with pytest.raises(NotAvailable, match="cannot reach a Ray cluster at"):
        run_job(EmbedJob(model), [], "out", "127.0.0.1:1")
