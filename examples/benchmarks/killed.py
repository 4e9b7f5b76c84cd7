"""Killed at random moments: how long the others go on, and whether anything is lost.

    python examples/benchmarks/killed.py --moments 10

A training of two processes, the same with divided weights (--shard), an embedding by two processes, and one
on a Ray cluster of two nodes, which the script starts on this machine. Each is begun again and again; at a
random moment one of its processes, or a whole node, gets SIGKILL. What has ended is gone on with, by the
command that mbert names. In the end weights must be those of one process that nobody disturbs, to 1e-5, and
vectors the same to the bit. Linux only.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import psutil
import pyarrow as arrow
import pyarrow.parquet as parquet
from _cluster import ENVIRONMENT, Cluster, children, command_of, kill
from _common import RESULTS, header, keep_record, line_of, processor_of, read_records
from safetensors.numpy import load_file

from modernbert.files import write_jsonl
from modernbert.model.device import describe_hardware
from modernbert.version import versions

OUTPUT = RESULTS / "killed.json"
MODEL = files("modernbert") / "nano"
PATIENCE_SECONDS = 600
Tensors = dict[str, np.ndarray]


def mbert(*given: object) -> subprocess.Popen:
    """Start a command with one thread."""
    command = [str(Path(sys.executable).with_name("mbert")), *map(str, given)]
    environment = os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
    piped = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, start_new_session=True, **piped)


def finish(process: subprocess.Popen) -> tuple[int, str]:
    """Return the exit code and what was said on stderr."""
    said = process.communicate(timeout=PATIENCE_SECONDS)[1]
    return process.returncode, said


class Work(ABC):
    """Something that several processes do, and one can do."""

    name: str
    tolerance = 0.0  # how much its result may differ from that of one process

    @abstractmethod
    def alone(self, folder: Path) -> None:
        """Let one process do it."""

    @abstractmethod
    def start(self, folder: Path) -> subprocess.Popen:
        """Let several begin it, or go on with what has ended."""

    @abstractmethod
    def result(self, folder: Path) -> Tensors:
        """Return what was made."""

    def victims(self, process: subprocess.Popen) -> list[list[psutil.Process]]:
        """Return what can be killed now: groups of processes, of which one is chosen."""
        return [[one] for one in children(process.pid)]


class Training(Work):
    """Two processes fine-tune."""

    tolerance = 1e-5

    def __init__(self, inputs: Path, *flags: str) -> None:
        self.name, self.flags = " ".join(["finetune --processes 2", *flags]), flags
        self.rows = inputs / "rows.jsonl"
        write_jsonl(self.rows, [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(texts(400))])

    def alone(self, folder: Path) -> None:
        code, said = finish(self._begin(folder))
        assert code == 0, said

    def start(self, folder: Path) -> subprocess.Popen:
        if (folder / "mine").is_dir():
            return mbert("resume", "mine", "--runs-dir", folder)
        return self._begin(folder, "--processes", "2", *self.flags)

    def _begin(self, folder: Path, *flags: str) -> subprocess.Popen:
        always = ["--name", "mine", "--runs-dir", folder, "--precision", "fp32", "--max-length", 64]
        always += ["--epochs", 2, "--keep", "last", "--checkpoint-minutes", 0.02]
        return mbert("finetune", self.rows, "--model", MODEL, *always, *flags)

    def result(self, folder: Path) -> Tensors:
        return load_file(folder / "mine" / "model" / "model.safetensors")


class Embedding(Work):
    """Two processes embed a file."""

    name, shards = "embed --processes 2", 1

    def __init__(self, inputs: Path) -> None:
        self.inputs = inputs / f"of {self.shards}"
        self.inputs.mkdir(exist_ok=True)
        for i in range(self.shards):
            some = arrow.table({"text": texts(1000, seed=i)})
            parquet.write_table(some, self.inputs / f"part-{i}.parquet")

    def alone(self, folder: Path) -> None:
        for path in self.inputs.iterdir():
            code, said = finish(mbert("embed", path, "--model", MODEL, "-o", folder / path.name))
            assert code == 0, said

    def start(self, folder: Path) -> subprocess.Popen:
        (path,) = self.inputs.iterdir()
        return mbert("embed", path, "--model", MODEL, "-o", folder / path.name, "--processes", 2)

    def victims(self, process: subprocess.Popen) -> list[list[psutil.Process]]:
        # Python has a process of its own beside them, which does no work.
        return [[one] for one in children(process.pid) if "spawn_main" in command_of(one)]

    def result(self, folder: Path) -> Tensors:
        tables = {path.name: parquet.read_table(path) for path in folder.glob("*.parquet")}
        return {name: np.stack(table["vector"].to_numpy()) for name, table in tables.items()}


class OnRay(Embedding):
    """A cluster of two nodes embeds six files; a process of one of them is killed."""

    name, shards = "embed --ray, a process", 6

    def __init__(self, inputs: Path, cluster: Cluster) -> None:
        super().__init__(inputs)
        self.cluster = cluster

    def start(self, folder: Path) -> subprocess.Popen:
        self.cluster.complete()
        return mbert("embed", self.inputs, "--model", MODEL, "--ray", self.cluster.address, "-o", folder)

    def victims(self, process: subprocess.Popen) -> list[list[psutil.Process]]:
        working = (one for node in self.cluster.nodes() for one in children(node.pid))
        return [[one] for one in working if "do_shard" in command_of(one)]


class NodeOfRay(OnRay):
    """The same; all processes of the second node are killed."""

    name = "embed --ray, a node"

    def victims(self, process: subprocess.Popen) -> list[list[psutil.Process]]:
        node = self.cluster.nodes()[-1]
        return [[node, *children(node.pid)]] if super().victims(process) else []


def texts(count: int, seed: int = 0) -> list[str]:
    """Return pieces of Python's own documentation, of 4 to 60 words."""
    draw, words = random.Random(seed), " ".join(topics.values()).split()
    starts = (draw.randrange(len(words) - 60) for _ in range(count))
    return [" ".join(words[start : start + draw.randint(4, 60)]) for start in starts]


def wait_for_victims(work: Work, process: subprocess.Popen) -> None:
    while process.poll() is None and not work.victims(process):
        time.sleep(0.05)


def undisturbed(work: Work, folder: Path) -> float:
    """Return for how many seconds there is something to kill."""
    process = work.start(folder)
    wait_for_victims(work, process)
    began = time.monotonic()
    code, said = finish(process)
    assert code == 0, said
    return time.monotonic() - began


def disturbed(work: Work, folder: Path, moment: float) -> dict | None:
    """Kill at a moment, and go on; return what happened, or None where it was too late to kill."""
    process = work.start(folder)
    wait_for_victims(work, process)
    time.sleep(moment)
    groups = work.victims(process)
    if process.poll() is not None or not groups:
        finish(process)
        return None
    kill(random.choice(groups))
    began = time.monotonic()
    code, said = finish(process)
    seconds = time.monotonic() - began
    if code:
        again, why = finish(work.start(folder))
        assert again == 0, f"{said}\n{why}"
    errors = re.findall(r"^Error: .*", said, re.MULTILINE)
    assert len(errors) == bool(code) and "Traceback" not in said, said
    return {"moment": moment, "code": code, "seconds": seconds, "said": errors}


def kills(work: Work, folder: Path, count: int) -> Iterator[dict]:
    """Yield what became of each kill, with how much the result differs from that of one process."""
    for name in ("alone", "undisturbed"):
        (folder / name).mkdir()
    work.alone(folder / "alone")
    expected = work.result(folder / "alone")
    seconds = undisturbed(work, folder / "undisturbed")
    require_same(work, folder / "undisturbed", expected)
    for i in range(count):
        found = None
        while found is None:
            shutil.rmtree(folder / str(i), ignore_errors=True)
            (folder / str(i)).mkdir()
            found = disturbed(work, folder / str(i), random.uniform(0, seconds))
        found["difference"] = require_same(work, folder / str(i), expected)
        print(work.name, found, flush=True)
        yield found


def require_same(work: Work, folder: Path, expected: Tensors) -> float:
    """Return how much a result differs, which is not more than it may."""
    found = work.result(folder)
    assert found.keys() == expected.keys(), f"{found.keys()} instead of {expected.keys()}"
    largest = max(float(np.abs(found[name] - expected[name]).max()) for name in expected)
    assert largest <= work.tolerance, f"{work.name}: results differ by {largest}"
    return largest


def table(records: list[dict]) -> str:
    head = [
        "work",
        "processor, threads",
        "killed",
        "ended",
        "went on by itself",
        "seconds until then, at most",
    ]
    head += ["largest difference in the end"]
    lines = header(head)
    for record in records:
        every = record["kills"]
        ended = Counter(bool(one["code"]) for one in every)
        cells = [record["work"], processor_of(record), len(every), ended[True], ended[False]]
        stopped = [one["seconds"] for one in every if one["code"]]
        cells += [f"{max(stopped):.1f}" if stopped else "", f"{max(one['difference'] for one in every):.0e}"]
        lines.append(line_of(cells))
    return "\n".join(lines)


def read() -> list[dict]:
    return read_records(OUTPUT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--moments", type=int, default=10)
    parser.add_argument("--only", default="", metavar="WORDS", help="what is killed, or a part of its name")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure([Training(folder), Training(folder, "--shard"), Embedding(folder)], folder, given)
        kinds = [kind for kind in (OnRay, NodeOfRay) if given.only in kind.name]
        if kinds:
            cluster = Cluster()
            try:
                measure([kind(folder, cluster) for kind in kinds], folder, given)
            finally:
                cluster.close()
    print(table(read_records(given.output)))


def measure(works: list[Work], folder: Path, given: argparse.Namespace) -> None:
    for work in works:
        if given.only not in work.name:
            continue
        here = Path(tempfile.mkdtemp(dir=folder))
        record = {"work": work.name, "kills": list(kills(work, here, given.moments))}
        record |= {"load_average": os.getloadavg(), "hardware": describe_hardware(), "versions": versions()}
        keep_record(record, given.output, "work")


if __name__ == "__main__":
    main()
