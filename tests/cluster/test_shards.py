"""Shards are found, fetched and put back whole; one is skipped when it was made from just this."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from modernbert.cluster.jobs import EmbedJob, ModelOnNodes, do_shard
from modernbert.cluster.shards import Shard, find_shards, is_made_from, local_copy, written
from modernbert.errors import BadData, BadModel, BadOption, NotAvailable
from modernbert.evaluation.embed_file import embed_file
from modernbert.model.locate import locate_model


def put(path: Path, *texts: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(arrow.table({"text": list(texts)}), path)
    return path


@pytest.fixture
def memory():
    fs = fsspec.filesystem("memory")
    yield fs
    fs.store.clear()


def test_shards_of_a_folder_a_pattern_and_a_file(tmp_path):
    for name in ("b.parquet", "a.parquet", "sub/c.parquet", "_old/d.parquet", ".e.parquet", "f.csv"):
        put(tmp_path / "in" / name, "x")
    found = find_shards("in", "out")
    assert [s.name for s in found] == ["a.parquet", "b.parquet", "sub/c.parquet"]
    assert found[2].source == f"file://{tmp_path}/in/sub/c.parquet"
    assert found[2].target == f"file://{tmp_path}/out/sub/c.parquet"
    assert [s.name for s in find_shards("in/[ab].parquet", "out")] == ["a.parquet", "b.parquet"]
    assert [s.name for s in find_shards("i*/sub/*.parquet", "out")] == ["in/sub/c.parquet"]
    assert [s.name for s in find_shards("in/b.parquet", "out")] == ["b.parquet"]


def test_folders_that_cannot_be_worked_on(tmp_path):
    put(tmp_path / "in" / "a.parquet", "x")
    for inside in ("in", "in/out", "."):
        with pytest.raises(BadOption, match="in one folder"):
            find_shards("in", inside)
    for nothing in ("none", "in/*.csv", "memory://none"):
        with pytest.raises(BadData, match="no Parquet files"):
            find_shards(nothing, "out")
    with pytest.raises(NotAvailable, match="Install ocifs"):
        find_shards("oci://none/x", "out")
    with pytest.raises(BadOption, match=r"nosuch://x: it cannot be reached"):
        find_shards("nosuch://x", "out")
    with pytest.raises(NotAvailable, match=r"(?i)install"):
        find_shards("hdfs2://x" if False else "oci://x", "out")


def test_another_store_gets_whole_files_alone(tmp_path, memory):
    memory.pipe("/in/a.parquet", put(tmp_path / "a.parquet", "x").read_bytes())
    (shard,) = find_shards("memory://in", "memory://out")
    assert shard == Shard("a.parquet", "memory:///in/a.parquet", "memory:///out/a.parquet")
    with local_copy(shard.source) as path:
        assert path.read_bytes() == memory.cat("/in/a.parquet")
    assert not path.exists()
    memory.pipe("/out/.a.parquet.0123.mbert-tmp", b"of a process that was killed")
    with pytest.raises(ZeroDivisionError), written(shard.target) as path:
        path.write_bytes(b"half")
        raise ZeroDivisionError
    assert not memory.exists("/out/a.parquet")
    with written(shard.target) as path:
        path.write_bytes(b"whole")
    assert {name: memory.cat(name) for name in memory.find("/out")} == {"/out/a.parquet": b"whole"}


@pytest.fixture
def job(tiny_modernbert, store) -> EmbedJob:
    source = locate_model(str(tiny_modernbert), store=store)
    return EmbedJob(
        ModelOnNodes(str(tiny_modernbert), source, source.weights, None, store.root, "cpu", "fp32")
    )


def shard_of(path: Path) -> Shard:
    return Shard(path.name, f"file://{path}", f"file://{path.parent}/out/{path.name}")


def test_a_shard_is_what_embed_writes_and_is_made_again_only_when_something_changed(job, embedder, tmp_path):
    shard = shard_of(put(tmp_path / "a.parquet", "w1 good", "w2 bad"))
    out = tmp_path / "out" / "a.parquet"
    done = do_shard(job, shard)
    assert (done.rows, done.kept, done.machine, done.error) == (2, False, "cpu, fp32", None)
    embed_file(embedder, tmp_path / "a.parquet", tmp_path / "alone.parquet")
    alone, found = (parquet.read_table(path)["vector"] for path in (tmp_path / "alone.parquet", out))
    assert found.equals(alone)
    first = out.stat().st_mtime_ns
    assert do_shard(job, shard).kept and out.stat().st_mtime_ns == first
    refused = do_shard(replace(job, kind="query"), shard)
    assert "was made from something else\nAdd --overwrite" in str(refused.error) and not refused.hopeless
    job = replace(job, overwrite=True)
    assert do_shard(job, shard).kept, "what is finished is not replaced"
    for other in (replace(job, kind="query"), replace(job, max_length=16), replace(job, column="text")):
        assert not do_shard(other, shard).kept
    assert not do_shard(job, shard).kept, "the last one was another job's"
    put(tmp_path / "a.parquet", "w3 good", "w4")
    assert not do_shard(job, shard).kept, "the input has changed"
    out.write_bytes(out.read_bytes()[:-1])
    assert not is_made_from(shard.target, "") and not do_shard(job, shard).kept, "it was damaged"


def test_a_shard_in_another_store(job, tmp_path, memory):
    memory.pipe("/in/a.parquet", put(tmp_path / "a.parquet", "w1 good").read_bytes())
    memory.pipe("/in/b.parquet", put(tmp_path / "b.parquet", "w1", None).read_bytes())
    good, bad = find_shards("memory://in", "memory://out")
    assert do_shard(job, good).rows == 1 and do_shard(job, good).kept
    with memory.open("/out/a.parquet") as file:
        assert np.shape(parquet.read_table(file)["vector"].to_pylist()) == (1, 32)
    done = do_shard(job, bad)
    assert isinstance(done.error, BadData) and not done.hopeless
    assert str(done.error).startswith("memory:///in/b.parquet, row 2: the column 'text' is missing")
    assert memory.find("/out") == ["/out/a.parquet"]


def test_a_model_that_another_machine_has_in_another_state(job, tmp_path):
    shard = shard_of(put(tmp_path / "a.parquet", "w1"))
    done = do_shard(replace(job, model=replace(job.model, weights="others")), shard)
    assert isinstance(done.error, BadModel) and done.hopeless
    assert "has other weights of" in str(done.error)
