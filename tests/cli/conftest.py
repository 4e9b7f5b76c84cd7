"""The command line in this process, and a trained run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from collections_toy import write_collection
from helpers import FAST
from modernbert.cli.main import main


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


@pytest.fixture
def trained(mbert, reviews, tiny_modernbert) -> str:
    """The name of a run trained on the toy reviews."""
    code, _, err = mbert("finetune", reviews, "--model", tiny_modernbert, *FAST, "--name", "toy")
    assert code == 0, err
    return "toy"


@pytest.fixture
def toy(tmp_path) -> Path:
    """A small collection for search."""
    return write_collection(tmp_path / "toy")
