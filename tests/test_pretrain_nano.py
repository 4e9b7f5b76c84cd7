"""The corpus of the embedded model: what is taken, what is left out, and the pairs made of it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from modernbert.data.collection import Collection, Documents

FOLDER = Path(__file__).parents[1] / "examples" / "pretrain_nano"
EVALUATED = "one two three four five six seven eight nine ten eleven twelve thirteen"
CODE = '''
def add(a, b):
    """Return the sum of two numbers, whatever they are."""
    return a + b


def undocumented(a):
    return a
'''


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"nano_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A registry of one package of pages, code and an evaluated text."""
    pytest.importorskip("bs4")
    corpus = load("corpus")
    here = tmp_path / "here"
    here.mkdir()
    (here / "sources.toml").write_text(
        '[debian.toy]\ntake = ["**/*.html", "**/*.txt"]\n[pypi]\npackages = "toypy"\ntake = ["**/*.py"]\n'
    )

    def fetch(name: str, folder: Path) -> Path:
        content = folder / "content" / "usr" / "share" / "doc" / name
        content.mkdir(parents=True)
        (content / "copyright").write_text("License: MIT\n")
        (content / "a.html").write_text("<nav>menu</nav><main><p>Real text.</p><script>x()</script></main>")
        (content / "b.txt").write_text(f"Before. {EVALUATED} after.")
        (content / "binary.txt").write_bytes(b"a\0b")
        (content / "m.py").write_text(CODE)
        file = folder / f"{name}.deb"
        file.write_bytes(b"package")
        return file

    monkeypatch.setattr(corpus, "HERE", here)
    monkeypatch.setattr(corpus, "REGISTRIES", {"debian": fetch, "pypi": fetch})
    monkeypatch.setattr(corpus, "evaluated", lambda folders: set(corpus.overlaps(EVALUATED)))
    monkeypatch.setattr(sys, "argv", ["corpus.py", str(tmp_path / "corpus")])
    return corpus


def test_the_corpus_takes_text_and_leaves_evaluations_out(sources, tmp_path):
    sources.main()
    rows = (tmp_path / "corpus" / "train" / "toy.jsonl").read_text().splitlines()
    assert [json.loads(row)["text"] for row in rows] == ["Real text."]
    card = (tmp_path / "corpus" / "data_card.md").read_text()
    assert "| toy | debian | toy.deb | MIT | 1 | 10 | 1 |" in card
    sources.REGISTRIES.clear()  # a second run fetches nothing
    sources.main()


SCORED = "def escape(text, quote=True):\n    return text.replace('&', '&amp;').replace('<', '&lt;')"


def test_pairs_are_docstrings_and_the_code_under_them(tmp_path, monkeypatch, capsys):
    """Repeats are one; what is evaluated on is left out by its words, its question and its code."""
    monkeypatch.syspath_prepend(FOLDER)
    pairs = load("pairs")
    documented = [
        CODE,
        CODE.replace("sum of two", "total of two"),  # the same code again
        CODE.replace("Return the sum", EVALUATED),
        'def other():\n    """What a test query asks."""\n    return 1\n',
        SCORED.replace(":\n", ':\n    """Make a text safe to show."""\n', 1),
        "not python (",
    ]

    def fetch(name: str, folder: Path) -> Path:
        (folder / "content" / "tests").mkdir(parents=True)
        for number, text in enumerate(documented):
            (folder / "content" / f"m{number}.py").write_text(text)
        (folder / "content" / "tests" / "m.py").write_text(CODE.replace("sum", "result"))
        file = folder / f"{name}.whl"
        file.write_bytes(b"package")
        return file

    (tmp_path / "sources.toml").write_text('[pypi]\npackages = "toypy"\n[pairs]\npackages = ""\n')
    scored = Collection(
        "toy", "test", Documents(["d"], [""], [SCORED]), {"q": "What a Test query asks."}, {"q": {"d": 1}}
    )
    monkeypatch.setattr(pairs, "HERE", tmp_path)
    monkeypatch.setattr(pairs, "HELD_OUT", 0)
    monkeypatch.setattr(pairs, "stdlib", lambda: {"test": scored, "validation": scored})
    monkeypatch.setattr(pairs, "evaluated", lambda folders: set(pairs.overlaps(EVALUATED)))
    monkeypatch.setitem(pairs.REGISTRIES, "pypi", fetch)
    monkeypatch.setattr(sys, "argv", ["pairs.py", str(tmp_path)])
    pairs.main()
    (row,) = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert row["query"].endswith("of two numbers, whatever they are.")
    assert "return a + b" in row["positive"] and "Return the" not in row["positive"]
    assert "1 pairs; 3 repeat" in capsys.readouterr().out
    assert "| toypy | pypi | toypy.whl |" in (tmp_path / "pairs_card.md").read_text()


def test_both_shapes_are_measured(tmp_path, monkeypatch, capsys):
    speed = load("speed")
    small = ["--length", "32", "--tokens", "64", "--rounds", "1", "--output", str(tmp_path / "speed.json")]
    monkeypatch.setattr(sys, "argv", ["speed.py", *small])
    speed.main()
    records = json.loads((tmp_path / "speed.json").read_text())
    assert [record["mode"] for record in records] == ["inference", "training"]
    assert all(set(record["speedup"]) == {"mbert", "bert"} for record in records)
    assert "| 32 | inference | bf16 |" in capsys.readouterr().out
