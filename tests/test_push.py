"""A run's model on the Hub: one commit by huggingface_hub's own client, or a sentence."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from helpers import keep_run, made_run, running_record
from hub_uploads import reached

from modernbert.errors import BadModel, BadOption, BadRun, NotAvailable
from modernbert.files import model_checksums
from modernbert.finetuning.card import write_card
from modernbert.push import PushRequest, push
from modernbert.runs import RunStore

REPO = "someone/toy"
# Of huggingface_hub's own way to send a large file.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


def finished(store, name, model, base):
    """Keep a finished run with this model, and its card."""
    made_run(store, name, str(base), np.ones(4), record={"model_files": model_checksums(model)})
    folder = shutil.copytree(model, store.path(name) / "model")
    write_card(folder, store.read(name), name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_modernbert):
    """A store with the run `toy`, one of adapters, and one that never ended."""
    place = tmp_path_factory.mktemp("push")
    store = RunStore(place / "runs")
    finished(store, "toy", tiny_modernbert, tiny_modernbert)
    adapters = place / "adapters"
    adapters.mkdir()
    (adapters / "adapter_config.json").write_text("{}")
    (adapters / "adapter_model.safetensors").write_text("weights")
    finished(store, "lora", adapters, tiny_modernbert)
    keep_run(store, "stopped", running_record())
    return store


@pytest.fixture
def folder(runs, tmp_path):
    """A copy of the run's model, to be changed."""
    return shutil.copytree(runs.path("toy") / "model", tmp_path / "copy")


@pytest.fixture
def hub(monkeypatch):
    """An empty Hub that is reachable, and a token for it."""
    with reached(monkeypatch) as found:
        yield found


def of(runs, model="toy", **more):
    return push(PushRequest(model=str(model), repo=REPO, **more), runs)


def test_all_files_of_the_model_go_up_in_one_commit(runs, hub):
    done = of(runs)
    there = hub.repos[REPO].files()
    model = runs.path("toy") / "model"
    assert there.keys() - {".gitattributes"} == {path.name for path in model.iterdir()}
    assert there["model.safetensors"] == (model / "model.safetensors").read_bytes()
    assert len([line for line in hub.asked if "/commit/" in line]) == 1
    assert (done.created, done.commit, done.removed) == (True, hub.repos[REPO].branches["main"], ())
    assert sum(file.bytes for file in done.files) == sum(len(content) for content in there.values())
    assert b'from_pretrained("someone/toy")' in there["README.md"], "the card's code works there"
    assert not hub.repos[REPO].private


def test_a_vector_models_layout_goes_up_with_its_folders(folder, runs, hub):
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text("{}")
    (folder / ".cache").mkdir()
    (folder / ".cache/x.json").write_text("{}")
    (folder / "optimizer.pt").write_text("x")
    done = of(runs, folder, private=True)
    assert "1_Pooling/config.json" in hub.repos[REPO].files()
    assert done.left_out == ("optimizer.pt",)
    assert hub.repos[REPO].private


def test_files_that_are_there_stay_unless_they_may_be_replaced(runs, hub):
    repo = hub.add(REPO, **{"adapter_config.json": b"{}", "config.json": b"old"})
    with pytest.raises(BadOption, match=r"has files at main already \(adapter_config.json, config.json\)"):
        of(runs)
    assert repo.files()["config.json"] == b"old" and len(repo.commits) == 1
    done = of(runs, overwrite=True)
    assert done.removed == ("adapter_config.json",), "else the model would be taken for adapters"
    assert repo.files()["config.json"] != b"old"
    assert not done.created


def test_a_new_branch_leaves_main_as_it_is(runs, hub):
    repo = hub.add(REPO, **{"config.json": b"old", "vocab.txt": b"x"})
    assert of(runs, revision="v2").removed == ("vocab.txt",)
    assert repo.files()["config.json"] == b"old"
    assert "vocab.txt" not in repo.files("v2") and repo.files("v2")["config.json"] != b"old"
    with pytest.raises(BadOption, match="has files at v2 already"):
        of(runs, revision="v2")


def test_an_own_model_that_should_be_private_never_goes_to_a_public_place(runs, hub):
    hub.add(REPO)
    with pytest.raises(BadOption, match="is public, and --private was asked for"):
        of(runs, private=True)
    assert not hub.large


@pytest.mark.parametrize("token", ["hf_other", ""])
def test_who_is_not_logged_in_is_told_how(runs, hub, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(NotAvailable) as caught:
        of(runs)
    assert "hf auth login" in caught.value.fix
    assert not hub.repos


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [("/lfs/", 403, "403"), (f"/api/models/{REPO}/commit", 412, "412"), ("/api/repos", 403, "403")],
)
def test_a_hub_that_does_not_take_it_has_no_part_of_it(runs, hub, path, status, said):
    hub.refused[path] = status
    with pytest.raises(NotAvailable, match=f"the Hub does not take it: .*{said}") as caught:
        of(runs)
    assert len(str(caught.value).splitlines()) <= 2
    assert all(len(repo.commits) == 1 for repo in hub.repos.values())


def test_a_file_that_the_hub_leaves_out_is_told(runs, hub):
    hub.ignored = ("config.json",)
    with pytest.raises(NotAvailable, match=r"left out config\.json"):
        of(runs)


def test_offline_is_said_and_a_dry_run_needs_no_hub(runs):
    with pytest.raises(NotAvailable, match="nothing was uploaded: offline, as MBERT_OFFLINE says"):
        of(runs)
    found = of(runs, dry_run=True)
    assert {file.name for file in found.files} >= {"README.md", "config.json", "model.safetensors"}
    assert not found.commit


def test_what_is_no_model_of_the_users_is_refused(runs, folder):
    with pytest.raises(BadRun, match="is interrupted: it has no model yet"):
        of(runs, "stopped")
    with pytest.raises(BadOption, match="is no run of yours"):
        of(runs, "minilm")
    (folder / "README.md").unlink()
    with pytest.raises(BadModel, match="no model card"):
        of(runs, folder, dry_run=True)
    (folder / "model.safetensors").unlink()
    with pytest.raises(BadModel, match="no weights"):
        of(runs, folder, dry_run=True)


@pytest.mark.parametrize("repo", ["toy", "a/b/c", "a/b c", "a/..", "a/x.git", "a--b/c", "-/b"])
def test_names_that_the_hub_does_not_take(runs, repo):
    with pytest.raises(BadOption, match="no repository of the Hub"):
        push(PushRequest(model="toy", repo=repo, dry_run=True), runs)


def test_an_export_for_openvino_goes_up_whole(runs, folder):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickled")
    (folder / "openvino").mkdir()
    for name in ("openvino_model.xml", "openvino_model.bin"):
        (folder / "openvino" / name).write_text("<net/>")
    found = of(runs, folder, dry_run=True)
    assert {"openvino/openvino_model.xml", "openvino/openvino_model.bin"} < {f.name for f in found.files}
    assert "pytorch_model.bin" in found.left_out


def test_a_path_of_this_machine_stays_here(runs, folder, tmp_path):
    card = folder / "README.md"
    before = card.read_text()
    card.write_text(before + "\nSee /api/v1/models and and/or https://example.org/a/b.\n")
    of(runs, folder, dry_run=True)
    card.write_text(before + f"\nLearnt from {tmp_path}/copy.\n")
    with pytest.raises(BadModel, match="names a path of this machine") as caught:
        of(runs, folder, dry_run=True)
    assert caught.value.where.endswith(f"README.md, line {before.count(chr(10)) + 2}")
    card.write_text(before)
    config = json.loads((folder / "config.json").read_text()) | {"_name_or_path": str(tmp_path / "copy")}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadModel, match="names a path of this machine"):
        of(runs, folder, dry_run=True)


def test_adapters_on_a_model_that_is_not_on_the_hub_are_refused(runs):
    with pytest.raises(BadModel, match="has adapters alone") as caught:
        of(runs, "lora", dry_run=True)
    assert "mbert export lora --to hf" in caught.value.fix


def test_the_command_shows_what_went_where(runs, hub):
    from modernbert.cli.main import app
    from typer.testing import CliRunner

    def mbert(*more):
        line = ["push", "toy", REPO, "--runs-dir", str(runs.root), *more]
        done = CliRunner().invoke(app, line, catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    assert "5 files" in (shown := mbert("--dry-run")) and "would go to someone/toy (main)" in shown
    assert not hub.repos
    assert "someone/toy (main, made for it)" in (shown := mbert()) and "/commit/" in shown
    assert json.loads(mbert("--overwrite", "--json"))["commit"] == hub.repos[REPO].branches["main"]


def test_a_hub_that_is_sent_a_large_file_may_be_silent(monkeypatch):
    """Bytes that go up count as those that come: a slow line is no dead one."""
    from modernbert import patience

    clock = iter([0.0, 20.0, 20.0, 40.0, 40.0])
    monkeypatch.setattr(patience.time, "monotonic", lambda: next(clock))
    watch = patience.Watch(limit=30, asked=1, silent_since=0.0)
    chunks = [b"x" * patience.LEAST] * 2
    assert list(patience._sent(chunks, watch)) == chunks
    assert watch.silent_since == 40.0
