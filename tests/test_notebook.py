"""The notebook: its cells run in order, and what it shows was printed by them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

CELLS = json.loads((Path(__file__).parents[1] / "examples/quickstart.ipynb").read_text())["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


def shown(cell: dict) -> str:
    return "".join("".join(output["text"]) for output in cell["outputs"])


def test_outputs_are_saved_and_free_of_paths_and_errors():
    for number, cell in enumerate(CODE, start=1):
        assert cell["execution_count"] == number
        assert [(o["output_type"], o["name"]) for o in cell["outputs"]] == [("stream", "stdout")]
        assert shown(cell).strip()
    assert not re.search(r"/(home|root|tmp|work|Users)/", json.dumps(CELLS))


def test_the_cells_use_the_python_interface():
    used = {
        node.attr
        for cell in CODE
        for node in ast.walk(ast.parse("".join(cell["source"])))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "modernbert"
    }
    assert used >= {"finetune", "evaluate", "compare", "predict", "embed", "load", "accelerate", "restore"}


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_every_cell_runs(capsys, monkeypatch, tmp_path):
    """In one folder and one namespace, as in a notebook; numbers may differ by machine, words may not."""
    monkeypatch.delenv("MBERT_RUNS")
    names: dict[str, object] = {}
    for cell in CODE:
        exec(compile("".join(cell["source"]), "a cell", "exec"), names)
        assert _words(capsys.readouterr().out.splitlines()[0]) == _words(shown(cell).splitlines()[0])
    assert (tmp_path / "runs/topics/run.json").is_file()
    assert "topics" in (tmp_path / "report.html").read_text(encoding="utf-8")


def _words(line: str) -> str:
    return re.sub(r"[\d.,+-]+", "0", line).partition(" such as ")[0]
