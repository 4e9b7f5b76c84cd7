"""`mbert report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from . import options, output, values


def report(
    what: Annotated[
        str,
        options.argument(
            "RUN", values.name, "A finished run, or a file written by `mbert compare -o FILE.json`."
        ),
    ],
    out: Annotated[
        Path,
        options.option("--output -o", values.target(".html", ".htm"), "HTML file to write.", options.OUTPUT),
    ] = Path("report.html"),
    texts: options.Texts = True,
    runs_dir: options.RunsDir = None,
) -> None:
    """Write a run or a comparison as one HTML file, to be read offline, on paper or on a phone."""
    from modernbert.files import atomic_file
    from modernbert.report.report import report as make_report
    from modernbert.runs import RunStore

    text = make_report(what, RunStore.at(runs_dir), texts=texts)
    with atomic_file(out) as file:
        file.write(text)
    output.print_line(f"{out}: {len(text.encode()) / 2**20:.1f} MiB, opens in any browser")
