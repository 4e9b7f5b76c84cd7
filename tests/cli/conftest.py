"""The command line in this process, and a trained run."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from collections_toy import write_collection
from helpers import FAST, toy_rows, write_csv
from modernbert.cli.main import app, main
from typer.testing import CliRunner


@pytest.fixture
def mbert(monkeypatch, capfd):
    """Run the command line in this process; return exit code, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mbert", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        shown = capfd.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture(scope="session")
def trained_once(tiny_modernbert, tmp_path_factory) -> Path:
    """The folder of a run trained on the toy reviews."""
    place = tmp_path_factory.mktemp("trained")
    reviews, store = write_csv(place / "reviews.csv", toy_rows(120)), place / "runs"
    command = ["finetune", reviews, "--model", tiny_modernbert, *FAST, "--name", "toy", "--runs-dir", store]
    done = CliRunner().invoke(app, [*map(str, command)])
    assert done.exit_code == 0, done.output
    return store / "toy"


@pytest.fixture
def trained(trained_once, reviews, tmp_path) -> str:
    """The name of a run trained on the toy reviews, in the test's own store."""
    shutil.copytree(trained_once, tmp_path / "runs" / "toy")
    return "toy"


@pytest.fixture
def toy(tmp_path) -> Path:
    """A small collection for search."""
    return write_collection(tmp_path / "toy")
