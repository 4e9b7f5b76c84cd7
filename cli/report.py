"""`mbert report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from modernbert.activity import phase

from . import options, output, values
from .progress import watch, with_verbose


@with_verbose
def report(
    what: Annotated[
        str,
        options.argument(
            "RUN", values.name, "A finished run, or the file that `mbert compare -o FILE.json` wrote."
        ),
    ],
    out: Annotated[
        Path, options.option("--output -o", values.target(".html", ".htm"), "The HTML file to write.")
    ] = Path("report.html"),
    texts: options.Texts = True,
    runs_dir: options.RunsDir = None,
) -> None:
    """Write one HTML file about a run or a comparison: readable offline, on paper and on a phone."""
    from modernbert.files import atomic_file

    with watch():
        from modernbert.report.report import report as make_report
        from modernbert.runs import RunStore

        with phase("writing the report"):
            text = make_report(what, RunStore.at(runs_dir), texts=texts)
    with atomic_file(out) as file:
        file.write(text)
    output.print_line(f"{out}: {len(text.encode()) / 2**20:.1f} MiB, opens in any browser")
