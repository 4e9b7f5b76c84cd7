"""Tables fit the terminal: words wrap, numbers are never broken."""

from __future__ import annotations

import pytest
from modernbert.cli import output
from modernbert.cli.screen import Screen

COLUMNS = ("model", "accuracy", "95 % interval", "sd", "seeds", "parameters", "tokens/s", "cut", "verdict")
ROWS = [
    ("minilm lora", "0.8123", "0.7803 to 0.8400", "0.0123", 5, "22,713,986", "12,345", "70.5%", "better"),
    (
        "mean_absolute_error and others",
        "-1.5e-07",
        "+0.1 to +0.2",
        None,
        1,
        "",
        "9",
        "",
        "no difference shown",
    ),
]


@pytest.fixture
def printed(monkeypatch, capsys):
    def at(width: int) -> list[str]:
        monkeypatch.setattr(output, "screen", lambda **_: Screen(width=width, highlight=False))
        output.print_table("title", COLUMNS, ROWS, right=COLUMNS[1:8])
        return capsys.readouterr().out.splitlines()

    return at


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_number_is_broken_and_no_line_is_too_long(printed, width):
    lines = printed(width)
    assert max(map(len, lines)) <= width
    for row in ROWS:
        for cell in row[1:8]:
            assert any(str(cell or "") in line for line in lines), cell


def test_columns_that_do_not_fit_follow_below(printed):
    lines = printed(60)
    heads = [line for line in lines if line.startswith("model")]
    assert len(heads) > 1
    for name in COLUMNS[1:]:
        assert sum(f"  {name} " in f"{head} " for head in heads) == 1, name
    assert sum(line.startswith("model") for line in printed(200)) == 1
