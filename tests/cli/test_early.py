"""A mistyped model or column is told before torch is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

TOLD_EARLY = {
    "model": (["finetune", "rows.csv", "-m", "modernbert-nan"], "modernbert-nano"),
    "column": (["finetune", "rows.csv", "-m", "modernbert-nano", "--text-col", "txt"], "'text'"),
    "label": (["finetune", "rows.csv", "-m", "modernbert-nano", "--label-col", "lable"], "'label'"),
    "eval": (["eval", "rows.csv", "-m", "modernbert-nan"], "modernbert-nano"),
    "predict": (
        ["predict", "rows.csv", "-m", "modernbert-nano", "--text-col", "txt", "-o", "a.csv"],
        "'text'",
    ),
    "embed": (["embed", "rows.csv", "--text-col", "txt", "-o", "a.parquet"], "'text'"),
    "index": (["index", "rows.csv", "-m", "modernbert-nan"], "modernbert-nano"),
    "rerank": (["eval", "retrieval/scifact", "--rerank", "minlm"], "minilm"),
    "bench": (["bench", "rows.csv", "-m", "modernbert-nan"], "modernbert-nano"),
    "check": (["data", "check", "rows.csv", "--text-col", "txt"], "'text'"),
    "pretrain": (["pretrain", "rows.csv", "-m", "modernbert-nan"], "modernbert-nano"),
    "teacher": (["pretrain", "rows.csv", "-m", "modernbert-nano", "--teacher", "minlm"], "minilm"),
}
CODE = """
import sys
from modernbert.cli.main import main
sys.argv = ["mbert", *sys.argv[1:]]
try:
    main()
finally:
    print("torch" in sys.modules)
"""


@pytest.mark.parametrize("case", TOLD_EARLY)
def test_a_mistyped_name_is_told_before_torch_is_imported(case, tmp_path):
    arguments, meant = TOLD_EARLY[case]
    (tmp_path / "rows.csv").write_text("text,label\ngood,yes\nbad,no\n")
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert meant in done.stderr
    assert done.stdout.strip() == "False"
