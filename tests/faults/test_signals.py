"""SIGINT, SIGTERM and SIGHUP, sent to real processes: they end soon, say how to go on, and leave nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from collections_toy import write_collection
from commands import children_of, finish, is_alive, run, start, unfinished, wait_until
from helpers import request_of, toy_rows, write_csv
from modernbert.cli.interrupted import KEPT

from modernbert.runs import RunStore

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists a process's children")


def slowly(*values: object) -> object:
    return pytest.param(*values, marks=pytest.mark.slow)


def test_what_an_interrupted_first_index_leaves_is_no_older_index():
    assert "The index is as it was" not in KEPT["index"] and "one that was there" in KEPT["index"]


def ended_well(process: subprocess.Popen, number: int) -> str:
    """The process ends as the signal says, with one sentence, and leaves nothing half-written."""
    code, _, err = finish(process)
    assert code == 128 + number, err
    assert "Traceback" not in err
    assert err.count("Error: stopped by " + signal.Signals(number).name) == 1, err
    assert not unfinished(Path.cwd())
    return err


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A file whose reading takes a while."""
    return write_csv(tmp_path / "many.csv", toy_rows(40_000))


def embed_arguments(model: Path, many: Path) -> list[object]:
    return ["embed", many, "-o", "out.parquet", "--model", model]


def predict_arguments(model: Path, many: Path) -> list[object]:
    from modernbert.finetuning.finetune import finetune

    rows = write_csv(Path("few.csv"), toy_rows(60))
    run = finetune(request_of(rows, model, epochs=1.0), RunStore(Path("runs")))
    return ["predict", many, "-o", "out.jsonl", "--model", run.name]


def index_arguments(model: Path, many: Path) -> list[object]:
    for number in range(200):
        Path("src").mkdir(exist_ok=True)
        Path("src", f"{number}.txt").write_text("\n\n".join(row["text"] for row in toy_rows(200, number)))
    return ["index", "src", "--model", model]


def eval_arguments(model: Path, many: Path) -> list[object]:
    folder = write_collection(Path("toy"))
    rows = ({"_id": str(i), "title": "", **row} for i, row in enumerate(toy_rows(20_000)))
    with (folder / "corpus.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return ["eval", "toy", "--model", model]


def pretrain_arguments(model: Path, many: Path) -> list[object]:
    text = "\n".join(row["text"] for row in toy_rows(300_000))
    Path("words.txt").write_text(text)
    return ["pretrain", "words.txt", "--model", model, "--max-length", "32"]


BEGIN = {
    "embed": embed_arguments,
    "predict": predict_arguments,
    "index": index_arguments,
    "eval": eval_arguments,
    "pretrain": pretrain_arguments,
}
CASES = [
    (name, number) if (name, number) == ("embed", signal.SIGTERM) else slowly(name, number)
    for name in BEGIN
    for number in SIGNALS
]


@pytest.mark.parametrize(("name", "number"), CASES)
def test_a_command_that_writes_cleans_up(name, number, many, tiny_modernbert, tmp_path):
    process = start(*BEGIN[name](tiny_modernbert, many))
    wait_until(lambda: unfinished(tmp_path), process)
    process.send_signal(number)
    err = ended_well(process, number)
    assert f"Next: mbert {name} " in err and KEPT[name] in err, err
    assert not Path("out.parquet").exists() and not Path("out.jsonl").exists()


def training(many: Path, model: Path, **options) -> subprocess.Popen:
    flags = ["--epochs", "1", "--batch-size", "16", "--precision", "fp32", "--name", "mine"]
    process = start("finetune", many, "--model", model, *flags, **options)
    wait_until(lambda: Path("runs/mine/log.jsonl").exists(), process)
    return process


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_training_saves_and_can_go_on(number, many, tiny_modernbert):
    process = training(many, tiny_modernbert)
    process.send_signal(number)
    err = ended_well(process, number)
    assert "everything is saved" in err and "mbert resume mine" in err
    assert err.count(": stopping after this step, and saving. A second ") == 1
    assert RunStore(Path("runs")).read("mine").status == "interrupted"
    assert any(Path("runs/mine/checkpoints").iterdir())


@pytest.mark.slow
def test_a_hang_up_that_is_ignored_stays_ignored(tiny_modernbert, tmp_path):
    rows = write_csv(tmp_path / "rows.csv", toy_rows(400))

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = training(rows, tiny_modernbert, preexec_fn=ignore)
    process.send_signal(signal.SIGHUP)
    code, _, err = finish(process)
    assert code == 0, err


@pytest.mark.parametrize(
    ("module", "code"), [("modernbert.signals", -signal.SIGINT), ("modernbert.cli.main", 128 + signal.SIGINT)]
)
def test_a_ctrl_c_while_everything_is_still_imported_shows_no_traceback(module, code):
    script = (
        "import signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from modernbert.cli.entry import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def comparing(many: Path, model: Path) -> tuple[subprocess.Popen, int]:
    """Return a comparison whose child has begun to train, and the child's id."""
    from modernbert.finetuning.finetune import finetune

    settings = {"epochs": 1.0, "batch_size": 16, "log_every": 1}
    rows = write_csv(Path("rows.csv"), toy_rows(4_000))
    finetune(request_of(rows, model, **settings), RunStore(Path("runs")))
    process = start("compare", "--baseline", "tfidf", "--seeds", "2", "--yes")
    wait_until(lambda: len(logs := list(Path("runs").glob("*/log.jsonl"))) == 2 and logs, process)
    (child,) = children_of(process)
    return process, child


@linux
@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *map(slowly, SIGNALS)],
)
def test_the_training_that_a_comparison_started_ends_with_it(number, many, tiny_modernbert):
    process, child = comparing(many, tiny_modernbert)
    process.send_signal(number)
    if number == signal.SIGKILL:
        wait_until(lambda: not is_alive(child))
        assert finish(process)[0] == -signal.SIGKILL
    else:
        err = ended_well(process, number)
        assert "everything is saved" in err
        assert "Next: mbert compare --baseline tfidf --seeds 2 --yes" in err
        assert not is_alive(child)
    store = RunStore(Path("runs"))
    statuses = sorted(store.read(name).status for name in store.names())
    assert statuses == ["finished", "interrupted"]
    interrupted = next(name for name in store.names() if store.read(name).status == "interrupted")
    assert any((store.path(interrupted) / "checkpoints").iterdir())


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on_to_the_undisturbed_result(many, tiny_modernbert):
    process, _ = comparing(many, tiny_modernbert)
    process.send_signal(signal.SIGTERM)
    ended_well(process, signal.SIGTERM)
    code, out, err = run("compare", "--baseline", "tfidf", "--seeds", "2", "--yes", "--json")
    assert code == 0, err
    assert len(json.loads(out)["tasks"]) == 1
    store = RunStore(Path("runs"))
    assert [store.read(name).status for name in store.names()] == ["finished"] * 3
