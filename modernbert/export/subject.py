"""What is exported: each kind of model knows its graph, and the rows that prove it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from modernbert.export.graph import Signature
from modernbert.model.locate import ModelSource
from modernbert.records.export import ExportKind, Proof

# Rows that are compared, unless the user says otherwise.
ROWS = 2000


@dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What the user asked for.

    Attributes:
        model: alias, run, folder or Hub id.
        output: the folder to make; None for one that is named after the model.
        int8: round the weights to 8 bits.
        tolerance: by how much the main metric may fall in int8; of an error, by which share it may rise.
        on: labelled rows to prove it on; None for those that scored the run.
        rows: how many of them at most.
        text, label: columns of `on`.
        force: replace the folder if it is there.
    """

    model: str
    output: Path | None = None
    int8: bool = False
    tolerance: float = 0.01
    on: Path | None = None
    rows: int = ROWS
    text: tuple[str, ...] = ()
    label: str | None = None
    data_dir: Path | None = None
    force: bool = False


class Subject(Protocol):
    """A model that can be exported."""

    kind: ExportKind

    def load(self) -> Any:
        """Return the model of transformers, in evaluation mode and fp32."""
        ...

    def write(self, model: Any, path: Path) -> Signature:
        """Write its graph."""
        ...

    def prove(self, exports: Mapping[str, ModelSource]) -> dict[str, Proof]:
        """Compare exports with torch, by name: `fp32`, `int8`."""
        ...
