"""Options that several commands share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Bundle folder to look in first (or MBERT_DATA).")
]
RunsDir = Annotated[
    Path | None, typer.Option("--runs-dir", help="Where runs are kept (or MBERT_RUNS; default ./runs).")
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Precision = Annotated[str, typer.Option("--precision", help="auto, fp32 or bf16.")]
TextCol = Annotated[
    list[str] | None, typer.Option("--text-col", help="Text column; give it twice for a pair.")
]
LabelCol = Annotated[str | None, typer.Option("--label-col", help="Label column.")]
_MODEL = typer.Option("--model", "-m", help="Alias (see `mbert models`), run, folder, or Hub id.")
Model = Annotated[str, _MODEL]
MaybeModel = Annotated[str | None, _MODEL]
Texts = Annotated[
    bool, typer.Option("--texts/--no-texts", help="In an HTML report: show examples with their text, or ids.")
]
MaxLength = Annotated[
    str | None, typer.Option("--max-length", help="Longest text in tokens, or auto (the 99th percentile).")
]
