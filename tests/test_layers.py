"""The house rules: who may import whom, what is packaged, and what starting up costs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A package may import those before it; `cli` everything, `tasks` only what describes data.
ORDER = ["settings", "data", "model", "benchmark", "evaluation", "training"]


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def files(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"no files in {folder}"
    return found


def test_the_core_knows_neither_commands_nor_tasks():
    for path in files("modernbert"):
        wrong = {
            n
            for n in imports_of(path)
            if n.startswith(("modernbert.cli", "modernbert.tasks", "typer", "rich"))
        }
        assert not wrong, f"{path.name} imports {wrong}"


@pytest.mark.parametrize("package", ORDER)
def test_packages_import_only_what_stands_before_them(package):
    later = tuple(f"modernbert.{name}" for name in ORDER[ORDER.index(package) + 1 :])
    for path in files(f"modernbert/{package}"):
        wrong = {name for name in imports_of(path) if later and name.startswith(later)}
        assert not wrong, f"{path.name} imports {wrong}"


def test_tasks_are_data_sheets():
    for path in files("tasks"):
        ours = {name for name in imports_of(path) if name.startswith("modernbert")}
        assert all(name.startswith("modernbert.data") for name in ours), f"{path.name} imports {ours}"


def test_nothing_imports_the_folders_by_their_own_names():
    for folder in ("modernbert", "cli", "tasks", "examples", "tests"):
        for path in files(folder):
            tops = {name.split(".")[0] for name in imports_of(path)}
            assert not tops & {"cli", "tasks"}, path


def test_every_folder_with_code_is_packaged():
    """An editable install would hide a forgotten package; a wheel would not."""
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    core = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "modernbert").rglob("*.py")}
    assert listed == core | {"modernbert.cli", "modernbert.tasks"}


def test_files_stay_short():
    for folder in ("modernbert", "cli", "tasks"):
        for path in files(folder):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


@pytest.mark.parametrize("arguments", [["--help"], ["finetune", "--help"], ["--version"], ["runs", "--help"]])
def test_help_does_not_import_torch(arguments):
    code = (
        "import sys; from modernbert.cli.main import main; sys.argv[1:] = sys.argv[1:]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = {'torch', 'transformers', 'numpy', 'datasets', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, cwd="/")


def test_importing_the_package_imports_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import modernbert\n"
        "new = set(sys.modules) - before\n"
        "print({name for name in new if name.split('.')[0] not in sys.stdlib_module_names})"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="/"
    ).stdout
    assert ast.literal_eval(shown) == {"modernbert", "modernbert.version"}


# Files that read JSON by themselves still; the list must shrink.
READ_THEMSELVES = {
    "modernbert/comparison/outcomes.py",
    "modernbert/comparison/published.py",
    "modernbert/index/store.py",
    "modernbert/model/embedding.py",
    "modernbert/model/late_interaction.py",
    "modernbert/model/locate.py",
    "modernbert/pretraining/store.py",
    "modernbert/report/report.py",
    "modernbert/runs.py",
    "modernbert/training/checkpoint.py",
    "modernbert/training/record.py",
}


def test_json_is_read_in_one_place():
    """`modernbert.reading` names the file of what is damaged, too deep, too long or half a character."""
    for folder in ("modernbert", "cli", "tasks"):
        for path in files(folder):
            calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            found = {ast.unparse(c) for c in calls} & {"json.load", "json.loads", "json.JSONDecoder"}
            name = str(path.relative_to(ROOT))
            assert not found or name in {"modernbert/reading.py", *READ_THEMSELVES}, f"{name}: {found}"


# Files that take the settings of a record as a whole, or those of an evaluation, which have no sections.
TAKE_WHOLE = {
    "modernbert/comparison/agreement.py",
    "modernbert/comparison/systems.py",
    "modernbert/lineage.py",
    "modernbert/record_schema.py",
    "modernbert/settings/forms.py",
    "modernbert/training/record.py",
}


def test_settings_of_a_record_are_read_by_name():
    """`record["config"]` has sections: `.get("lora")` of it would be true of every run."""
    for folder in ("modernbert", "cli"):
        for path in files(folder):
            tree = ast.parse(path.read_text())
            wrapped = {
                id(part)
                for call in ast.walk(tree)
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "by_name"
                for part in ast.walk(call)
            }
            found = [
                part.lineno
                for part in ast.walk(tree)
                if isinstance(part, ast.Subscript) and ast.unparse(part.slice) == "'config'"
                if isinstance(part.ctx, ast.Load) and id(part) not in wrapped
            ]
            name = str(path.relative_to(ROOT))
            assert not found or name in TAKE_WHOLE, f"{name}, lines {found}: by_name(record['config'])"
