"""The house rules: who may import whom, what is packaged, and what starting up costs."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
INSTALLED_AS = {"modernbert": "modernbert", "cli": "modernbert.cli", "tasks": "modernbert.tasks"}


def files(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found, f"no files in {folder}"
    return found


def module_name(path: Path) -> str:
    top, *parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([INSTALLED_AS[top], *parts]).removesuffix(".__init__")


MODULES = {module_name(path): path for folder in INSTALLED_AS for path in files(folder)}


def imports_of(path: Path) -> set[str]:
    """Return what a file imports, at its top or inside functions; of ours, by module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # in our folders alone; elsewhere the base is what is written
                package = module_name(path).split(".")[: None if path.name == "__init__.py" else -1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            names = {f"{base}.{alias.name}" for alias in node.names}
            found |= (names & MODULES.keys()) or {base}
    return found


def package_of(module: str) -> str:
    """Return `data` for `modernbert.data.cells`, and `files` for `modernbert.files`."""
    return module.split(".")[1] if "." in module else ""


def layers() -> list[list[str]]:
    """Return the rows of ARCHITECTURE.md, the only place where they are written."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    return [
        row.split() for row in re.search(r"<!-- layers -->\n```\n(.*?)```", text, re.DOTALL)[1].splitlines()
    ]


def test_every_package_has_a_layer():
    listed = [name for row in layers() for name in row]
    assert sorted(listed) == sorted({package_of(module) for module in MODULES} - {""})


def test_packages_import_only_what_stands_in_layers_above():
    rows = {name: number for number, row in enumerate(layers()) for name in row}
    wrong = {
        f"{module} imports {imported}"
        for module, path in MODULES.items()
        for imported in imports_of(path) & MODULES.keys()
        if (here := package_of(module)) and (there := package_of(imported)) and here != there
        if rows[there] >= rows[here]
    }
    assert not wrong


def test_no_module_imports_itself_through_others():
    graph = {module: imports_of(path) & MODULES.keys() - {module} for module, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def test_the_core_shows_nothing():
    for path in files("modernbert"):
        wrong = {name for name in imports_of(path) if name.split(".")[0] in {"typer", "rich"}}
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
    for folder in ("modernbert", "cli", "tasks", "tests", "examples"):
        for path in files(folder):
            assert len(path.read_text(encoding="utf-8").splitlines()) < 300, path


@pytest.mark.parametrize("arguments", [["--help"], ["finetune", "--help"], ["--version"], ["runs", "--help"]])
def test_help_imports_neither_torch_nor_what_windows_lacks(arguments):
    code = (
        "import sys; sys.modules |= dict.fromkeys(['fcntl', 'resource', 'pwd', 'grp', 'termios'])\n"
        "from modernbert.cli.main import main; sys.argv[1:] = sys.argv[1:]\n"
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
    "modernbert/finetuning/record.py",
}


def test_json_is_read_in_one_place():
    """`modernbert.reading` names the file of what is damaged, too deep, too long or half a character."""
    for folder in ("modernbert", "cli", "tasks"):
        for path in files(folder):
            calls = [n.func for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)]
            found = {ast.unparse(c) for c in calls} & {"json.load", "json.loads", "json.JSONDecoder"}
            name = str(path.relative_to(ROOT))
            assert not found or name in {"modernbert/reading.py", *READ_THEMSELVES}, f"{name}: {found}"
