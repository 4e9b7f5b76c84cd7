"""`--ray` of `mbert embed` and `mbert predict`: shards on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modernbert.wording import counted

from . import output, values
from .screen import one_line

if TYPE_CHECKING:
    from modernbert.cluster.jobs import Job, ModelOnNodes
    from modernbert.cluster.run import Finished

# Why options that are for one file or one machine are refused.
ONE_MACHINE = "is for one machine: with --ray, every core or GPU of the cluster works"


def one_output(out: str, *suffixes: str) -> Path:
    """Return the file to write without `--ray`. Raises BadOption for a folder."""
    return values.target(*suffixes)(out, "--out")


def model_on_nodes(
    name: str, data_dir: Path | None, runs_dir: Path | None, device: str, precision: str
) -> ModelOnNodes:
    """Return a model that the cluster's machines are to find."""
    from modernbert.cluster.jobs import ModelOnNodes
    from modernbert.model.locate import locate_model
    from modernbert.runs import RunStore

    store = RunStore.at(runs_dir)
    source = locate_model(name, store=store, data_dir=data_dir)
    data_dir = data_dir.absolute() if data_dir else None
    return ModelOnNodes(name, source, source.weights, data_dir, store.root.absolute(), device, precision)


def run_shards(job: Job, source: str, out: str, address: str) -> Finished:
    """Do a job with every shard of a folder."""
    from modernbert.cluster.run import require_ray, run_job
    from modernbert.cluster.shards import find_shards

    require_ray()
    return run_job(job, find_shards(source, out), out, address)


def show_shards(done: Finished, *, as_json: bool) -> None:
    """Print what was written; raise BadData if shards failed."""
    from modernbert.cluster.run import require_finished

    if as_json and not done.failed:
        return output.print_json(vars(done))
    if not as_json:
        kept = f"  ({done.kept:,} were finished before)" if done.kept else ""
        written = f"{counted(done.shards, 'shard')}, {counted(done.rows, 'row')}"
        output.print_line(f"{written} -> {one_line(done.output)}{kept}")
        if len(done.machines) > 1:
            output.print_warning(
                f"machines differ ({'; '.join(done.machines)}), and so do the last digits: "
                "--device and --precision make them alike"
            )
    require_finished(done)
