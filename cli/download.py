"""`mbert download`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from modernbert.wording import counted

from . import complete, options, output, values
from .progress import watch, with_verbose

if TYPE_CHECKING:
    from modernbert.download import Downloaded


@with_verbose
def download(
    names: Annotated[
        list[str],
        options.argument(
            "NAMES...", values.name, "Tasks, families (glue) and models.", [*options.TASKS, complete.models]
        ),
    ],
    to: Annotated[
        Path, options.option("--to", values.folder, "Folder of the bundle to write.", options.OUTPUT)
    ],
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Download tasks and models into a bundle with checksums, for machines without a network."""
    from modernbert.download import download as fetch
    from modernbert.runs import RunStore

    def show(item: Downloaded) -> None:
        size = f"{counted(item.files, 'file')}, {item.bytes / 2**20:.1f} MiB"
        output.print_line(f"{item.name} -> {item.folder}  ({size}, from {item.found_in})")
        if item.missing:
            output.print_warning(f"{item.name}: {', '.join(item.missing)} (labels hidden) is not available")

    quiet = (lambda item: None) if json else show
    with watch(quiet=json):
        done = fetch(names, to, store=RunStore.at(runs_dir), data_dir=data_dir, on_item=quiet)
    if json:
        return output.print_json([dataclasses.asdict(item) | {"folder": str(item.folder)} for item in done])
    output.print_line(f"Next: any command with --data-dir {to}; to check: cd {to} && sha256sum -c SHA256SUMS")
