"""Nothing that a user's folder holds is run: models, adapters, and no call that could do it elsewhere."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import toy_rows, write_csv

ROOT = Path(__file__).resolve().parents[2]
# Where a loader that could run code may be called; every call there is guarded.
GATE = "modernbert/model/pretrained.py"
LOADERS = {"from_pretrained", "from_config", "for_model", "load_adapter", "get_class_from_dynamic_module"}
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def calls() -> list[tuple[str, str, ast.Call]]:
    """Every call in the package: (file, name of what is called, the call)."""
    found = []
    for folder in ("modernbert", "cli", "tasks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    found.append((path.relative_to(ROOT).as_posix(), name, node))
    assert len(found) > 1000
    return found


def test_models_are_loaded_in_one_place():
    elsewhere = {(file, name) for file, name, _ in calls() if name in LOADERS and file != GATE}
    assert elsewhere <= {("modernbert/model/lora.py", "load_adapter")}  # the gate's own function
    assert any(file == GATE and name == "from_pretrained" for file, name, _ in calls())


def test_nothing_is_unpickled():
    for file, name, call in calls():
        values = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if ast.unparse(call.func) == "torch.load":
            assert values.get("weights_only") == "True", file
        assert values.get("allow_pickle", "False") == "False", file
        assert values.get("trust_remote_code", "False") == "False", file
        assert name not in ("eval", "exec", "execfile") or isinstance(call.func, ast.Attribute), file
    for folder in ("modernbert", "cli", "tasks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    # pretrained.py names pickle's error, and loads nothing with it; execute.py speaks with
                    # a process that it started itself, through a pipe that nobody else has.
                    names = {alias.name for alias in node.names} & PICKLES
                    assert not names or path.name in ("pretrained.py", "execute.py"), path
                if isinstance(node, ast.ImportFrom):
                    assert node.module not in PICKLES, path


COMMANDS = {
    "embed": "embed new.csv --model model -o out.parquet",
    "finetune": "finetune new.csv --model model --epochs 1",
    "pretrain": "pretrain new.csv --model model",
    "index": "index . --model model",
    "bench": "bench --model model --lengths 16",
    "eval": "eval codesearch/stdlib --model model",
}


@pytest.mark.parametrize(
    "command", [name if name == "embed" else pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS]
)
def test_a_models_code_does_not_run_when_standard_input_says_yes(tmp_path, tiny_modernbert, command):
    canary = tmp_path / "canary"
    write_csv(tmp_path / "new.csv", toy_rows(30))
    (tmp_path / "model").mkdir()
    for file in tiny_modernbert.iterdir():
        (tmp_path / "model" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model/code.py").write_text(f"open({str(canary)!r}, 'w')\n")
    (tmp_path / "model/config.json").write_text(
        '{"model_type": "x", "auto_map": {"AutoConfig": "code.C", "AutoModel": "code.M"}}'
    )
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "modernbert.cli", *COMMANDS[command].split()],
        cwd=tmp_path,
        env={**os.environ, "MBERT_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        input="y\n" * 20,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "Error: model: transformers has no architecture 'x'" in done.stderr
    assert not canary.exists()
    assert sorted(tmp_path.rglob("*")) == before
