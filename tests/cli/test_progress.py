"""What is shown while a command works: at once, to the end, and where it belongs."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time

import pytest
import typer
from commands import ALWAYS, NEEDED
from helpers import toy_rows, write_csv
from modernbert.cli import output, progress
from modernbert.cli.main import app
from modernbert.cli.progress import watch
from modernbert.cli.screen import Screen

from modernbert.activity import RUNNING, phase, say

WATCHED = [
    *("finetune", "resume", "pretrain", "demo", "eval", "compare", "report", "bench"),
    *("predict", "embed", "index", "search", "download", "export", "migrate"),
    *("serve", "push"),
]
MORE = {"compare": ["-b", "tfidf"], "search": ["x"], "predict": ["reviews.csv"]}


def arguments_of(name: str) -> list[str]:
    if name == "data":
        return ["data", "check", "reviews.csv"]
    command = typer.main.get_command(app).commands[name]
    needed = [NEEDED[p.metavar] for p in command.params if p.param_type_name == "argument" and p.required]
    return [name, *needed, *ALWAYS.get(name, []), *MORE.get(name, [])]


def test_every_command_that_works_long_has_verbose():
    commands = typer.main.get_command(app).commands
    found = {
        name for name, command in commands.items() if "--verbose" in str([p.opts for p in command.params])
    }
    assert found == set(WATCHED)


def test_something_is_shown_before_torch_is_imported(reviews, tmp_path):
    """Each command comes to `watch`, which shows something, before the import that takes seconds."""
    (tmp_path / "folder").mkdir()
    script = (
        "import contextlib, sys\n"
        "from modernbert.cli import progress\n"
        "class Reached(Exception): pass\n"
        "def watch(**_): raise Reached\n"
        "progress.watch = watch\n"
        "from modernbert.cli.main import app\n"
        f"for line in {[arguments_of(name) for name in [*WATCHED, 'data']]!r}:\n"
        "    line = ['modernbert-nano' if word in ('toy', 'other') else word for word in line]\n"
        "    try: app(line, standalone_mode=False)\n"
        "    except Reached: pass\n"
        "    else: raise AssertionError(line)\n"
        "    assert 'torch' not in sys.modules, line\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 90 columns; what it was sent."""
    shown = io.StringIO()
    made = Screen(file=shown, force_terminal=True, width=90, highlight=False)
    monkeypatch.setattr(output, "screen", lambda **_: made)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.01)
    return shown


def drawn(watched: progress.Watch, terminal: io.StringIO) -> str:
    start = terminal.tell()
    watched.bar.refresh()
    return terminal.getvalue()[start:]


def test_a_terminal_shows_the_phase_its_count_and_what_goes_on_inside(terminal):
    with watch() as watched:
        assert "loading libraries" in drawn(watched, terminal)
        with phase("embedding", 4000, "rows") as now:
            assert "loading libraries" not in (line := drawn(watched, terminal))
            assert "embedding" in line and "0/4,000 rows" in line
            now.advance(1000)
            with phase("tokenising", 7, "texts") as inner:
                inner.advance(3)
                line = drawn(watched, terminal)
                assert "1,000/4,000 rows" in line and "tokenising 3/7" in line
        with phase("writing"):
            line = drawn(watched, terminal)
            assert "writing" in line and "━" not in line and "rows" not in line
        assert "working" in drawn(watched, terminal)


def test_texts_inside_a_step_move_its_bar_and_it_never_goes_back(terminal):
    with watch() as watched, phase("predicting", 100, "rows", by_text=True) as now:
        with phase(RUNNING, 50, "texts") as inner:
            inner.advance(30)
            assert "30/100 rows" in (line := drawn(watched, terminal)) and RUNNING not in line
            inner.advance(20)
        assert "50/100" in drawn(watched, terminal)
        now.advance(50)
        with phase(RUNNING, 50, "texts") as inner:
            inner.advance(10)
            assert "60/100" in drawn(watched, terminal)


def test_a_shorter_total_or_none_replaces_a_longer_one(terminal):
    with watch() as watched:
        with phase("first", 500):
            assert "0/500" in drawn(watched, terminal)
        with phase("second", 3):
            assert "0/3" in drawn(watched, terminal)


def test_a_pipe_gets_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.05)
    with watch(), phase("embedding", 10, "texts") as now:
        now.advance(5)
        time.sleep(0.3)
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == ["embedding 5/10 texts"]


def test_a_line_in_a_pipe_is_not_said_twice(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.02)
    with watch(), phase("embedding", 10, "texts") as now:
        for _ in range(3):
            now.advance()
            time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "/10" in line] == [f"embedding {n}/10 texts" for n in (1, 2, 3)]


def test_a_log_gets_fewer_lines_the_longer_it_takes():
    """The first after 20 seconds, 30 or so in the first hour, and then one in ten minutes."""
    at, times = 0.0, []
    while at < 24 * 3600:
        at += progress._until_next_line(at)
        times.append(at)
    assert times[0] == 20.0
    assert 20 <= sum(t <= 3600 for t in times) <= 50
    assert len(times) < 200 and times[-1] - times[-2] == 600.0


def test_what_is_said_at_once_comes_out_in_the_midst_of_a_print(terminal, capsys):
    """A signal's handler says it while this thread holds the lock of the screen."""
    with watch() as watched, phase("training", 5, "steps"):
        with watched.bar.console._lock:
            say("Ctrl-C: stopping")
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join(5)
        assert "Ctrl-C: stopping" in terminal.getvalue()
    with watch(quiet=True):
        say("Ctrl-C: even so")
        time.sleep(0.2)
    assert "even so" in terminal.getvalue() + capsys.readouterr().err


def test_a_short_command_in_a_pipe_is_silent(capsys):
    with watch(), phase("embedding", 10, "texts") as now:
        now.advance(5)
    assert capsys.readouterr() == ("", "")


def test_quiet_shows_nothing(terminal, capsys):
    with watch(quiet=True), phase("embedding", 10, "texts") as now:
        now.advance(5)
        time.sleep(0.05)
    assert terminal.getvalue() == "" and capsys.readouterr() == ("", "")


def test_verbose_gives_reasons_and_times(mbert, trained, tmp_path):
    file = write_csv(tmp_path / "in.csv", toy_rows(30))
    code, out, err = mbert("predict", file, "-m", trained, "-o", "o.jsonl", "-v")
    assert code == 0 and out.count("\n") == 1
    assert "device: cpu (the fastest device present)" in err
    for part in ("precision: ", "attention: in blocks (", "threads: ", "loading the model"):
        assert err.count(part) == 1, part
    rows = [line.rsplit(maxsplit=1) for line in err.partition("seconds\n")[2].splitlines()]
    seconds = {name.strip(): float(value) for name, value in rows}
    total = seconds.pop("total")
    assert sum(seconds.values()) == pytest.approx(total, abs=0.005 * (len(seconds) + 9))
    assert "device" not in mbert("predict", file, "-m", trained, "-o", "o2.jsonl")[2]


def test_verbose_tells_what_came_from_the_cache(mbert, tiny_modernbert, tmp_path):
    from collections_toy import write_collection

    folder = write_collection(tmp_path / "toy")
    lines = [mbert("eval", folder, "-m", tiny_modernbert, "-v")[2] for _ in range(2)]
    assert "vector cache: 0 of" in lines[0]
    count = lines[1].partition("vector cache: ")[2].split()
    assert count[0] == count[2] != "0"
