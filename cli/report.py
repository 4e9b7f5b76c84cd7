"""`mbert report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from modernbert.activity import phase
from modernbert.places import require_new

from . import complete, options, output, values
from .progress import watch, with_verbose


@with_verbose
def report(
    what: Annotated[
        str,
        options.argument(
            "RUN",
            values.name,
            "A finished run, or a file written by `mbert compare -o FILE.json`.",
            [complete.runs],
        ),
    ],
    out: Annotated[
        Path | None,
        options.output_file(
            "--output -o", (".html", ".htm"), "The HTML file; named after what it is of by default."
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    texts: options.Texts = True,
    runs_dir: options.RunsDir = None,
) -> None:
    """Write a run or a comparison as one HTML file, to be read offline, on paper or on a phone."""
    from modernbert.files import atomic_file

    # NAME.html, here, after its run or comparison.
    path = out or Path(f"{Path(what).name.removesuffix('.json')}.html")
    require_new(path, overwrite=overwrite)
    with watch():
        from modernbert.report.report import report as make_report
        from modernbert.runs import RunStore

        with phase("writing the report"):
            text = make_report(what, RunStore.at(runs_dir), texts=texts)
    replaced = path.exists()
    with atomic_file(path) as file:
        file.write(text)
    size = len(text.encode()) / 1024
    output.print_line(f"{path}: {size:,.0f} KiB{', replaced' if replaced else ''}; opens in any browser")
