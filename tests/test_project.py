"""What a packager, a citer or a new contributor reads: versions that agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

import modernbert

ROOT = Path(__file__).resolve().parents[1]


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_lock_file_satisfies_pyproject():
    lines = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8").splitlines()[1:]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", line) for line in lines), (
        "no build tags, paths or hosts"
    )
    locked = dict(line.split("==") for line in lines)
    extras = project()["optional-dependencies"]
    for wanted in map(Requirement, (*project()["dependencies"], *extras["demo"], *extras["dev"])):
        assert wanted.specifier.contains(locked[wanted.name.lower()]), wanted


def test_extras_that_documents_and_scripts_name_exist():
    """`pip install '.[search]'` outlived its extra in two scripts."""
    known = {*project()["optional-dependencies"]}
    paths = [p for suffix in ("md", "py", "sh", "ipynb") for p in ROOT.rglob(f"*.{suffix}")]
    for path in (p for p in paths if not any(part.startswith(".") for part in p.relative_to(ROOT).parts)):
        for named in re.findall(r"(?:mbert|'\.)\[([a-z,]+)\]", path.read_text(encoding="utf-8")):
            assert {*named.split(",")} <= known or path == Path(__file__), f"{path}: {named}"


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == modernbert.__version__
    assert citation["license"] == project()["license"]
    assert citation["keywords"] == project()["keywords"]


def test_ci_runs_what_a_contributor_runs():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert commands == [".ci/run"]
