"""The corpus of the embedded model: what is taken, what is left out, and the pairs made of it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch
from helpers import tiny_modernbert_config
from transformers import AutoModelForMaskedLM

from modernbert.data.collection import Collection, Documents
from modernbert.files import write_jsonl
from modernbert.model.embedding import embedding_settings
from modernbert.model.locate import ModelSource

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
    monkeypatch.syspath_prepend(FOLDER)
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
    (tmp_path / "train").mkdir()
    described = (
        "Tool to draw maps\n\nThis package draws maps of what it is given\n on paper.\n\nNo. It ends.\n\nx"
    )
    write_jsonl(tmp_path / "train" / "package-descriptions.jsonl", [{"text": described}])
    pairs.main()
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    rows.sort(key=lambda row: row["query"].endswith("are."))
    assert rows[0] == {
        "query": "Tool to draw maps",
        "positive": "This package draws maps of what it is given on paper.",
    }
    (row,) = rows[1:]
    assert row["query"].endswith("of two numbers, whatever they are.")
    assert "return a + b" in row["positive"] and "Return the" not in row["positive"]
    told = capsys.readouterr().out
    assert "1 titles; 0 of prose; 1 docstrings\n3 docstrings repeat" in told
    assert "| toypy | pypi | toypy.whl |" in (tmp_path / "pairs_card.md").read_text()


PARAGRAPH = (
    "A binding is a name of a value in a scope of a program. "
    "It is made by an assignment or by a definition of a function. "
    "Nothing else makes one, whatever the older manuals may say."
)


def test_pairs_of_prose_are_headings_and_sentences_with_their_paragraphs(tmp_path, monkeypatch):
    """Source code gives neither; a sentence is not among what it asks for; some of each kind are held out."""
    monkeypatch.syspath_prepend(FOLDER)
    pairs = load("pairs")
    code = "the sum of two values\n\ndef add(a, b):\n    return self.a + b + the_other_value + one_more"
    (tmp_path / "train").mkdir()
    texts = [f"Names and their values\n\n{PARAGRAPH}", code, "x = 1 + 2 + 3 + 4\n\n" + "1234567890 = " * 9]
    write_jsonl(tmp_path / "train" / "manual.jsonl", [{"text": text} for text in texts])
    heading, sentence = pairs.of_prose(tmp_path / "train")
    assert (heading.summary, heading.code) == ("Names and their values", PARAGRAPH)
    assert sentence.summary in PARAGRAPH and sentence.summary not in sentence.code
    assert sorted(f"{sentence.summary} {sentence.code}".split()) == sorted(PARAGRAPH.split())

    monkeypatch.setattr(pairs, "HELD_OUT", 1)
    pairs.split(tmp_path, {"prose": [heading, sentence], "titles": [heading]})
    rows = {path.stem: path.read_text().splitlines() for path in tmp_path.rglob("*.jsonl")}
    assert len(rows["pairs"]) == len(rows["prose"]) == len(rows["titles"]) == 1
    assert rows["pairs"] != rows["prose"]


def test_what_is_shipped_lies_between_both_trainings(tmp_path, monkeypatch, tiny_tokenizer):
    """A masked-language model in half precision that is an embedder too, with the cards of both trainings."""
    ship = load("ship")
    config = tiny_modernbert_config()
    first, second = AutoModelForMaskedLM.from_config(config), AutoModelForMaskedLM.from_config(config)
    training = {"steps": 3, "tokens": 30, "minutes": 1.0}
    history = [{"step": 0, "metrics": {"loss": 2.5, "teacher_cosine": 0.25, "ndcg_at_10": 0.75}}]
    score = {"metric": "loss", "value": 2.0, "low": 1.0, "high": 3.0, "n": 7}
    record = {"training": training | {"history": history}, "results": [{"scores": [score]}]}
    record |= {"hardware": {"gpu": None, "cores": 2}, "data": {"splits": {"train": {"pieces": 5678}}}}
    for name, model in {"taught": first, "pairs": second.model}.items():
        model.save_pretrained(tmp_path / name / "model")
        tiny_tokenizer.save_pretrained(tmp_path / name / "model")
        own = record | {
            "config": {"of": name, "batch_size": 2, "held_out": 0.003},
            "parameters": {"trained": 1234},
        }
        (tmp_path / name / "run.json").write_text(json.dumps(own))
    for name in ("data_card.md", "pairs_card.md"):
        (tmp_path / name).write_text(f"about {name}\n")
    monkeypatch.setattr(ship, "TARGET", tmp_path / "shipped")
    paths = [str(tmp_path / "taught"), str(tmp_path / "pairs"), "--corpus", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["ship.py", *paths])
    ship.main()
    shipped = AutoModelForMaskedLM.from_pretrained(tmp_path / "shipped", dtype=torch.float32)
    weights = [model.model.layers[1].mlp.Wi.weight for model in (first, second, shipped)]
    between = torch.lerp(weights[0], weights[1], ship.SHARE)
    torch.testing.assert_close(weights[2], between, atol=1e-3, rtol=1e-2)
    torch.testing.assert_close(shipped.head.dense.weight, first.head.dense.weight, atol=1e-3, rtol=1e-2)
    source = ModelSource("shipped", tmp_path / "shipped", "", "", "")
    assert embedding_settings(source).tuned
    text = (tmp_path / "shipped" / "README.md").read_text()
    assert "5,678 short texts" in text and "(0.3 %, chosen" in text and "on 2 CPU cores" in text
    assert "1,234 parameters" in text and "| 0 | 0.250 | 2.500 |" in text and "| 0 | 0.750 |" in text
    assert (
        "about data_card.md\n\n## Pairs\n\nabout pairs_card.md"
        in (tmp_path / "shipped" / "DATA.md").read_text()
    )


def test_summaries_become_questions_where_they_ask_for_something():
    units = load("units")
    assert units.question("Return the mean of two numbers.") == "How do I return the mean of two numbers?"
    assert (
        units.question("Lexer for a language")
        == units.question("Returns the mean")
        == units.question("Run")
        == ""
    )


def test_descriptions_of_packages_lose_their_indents():
    assert (
        load("registries").plain("Draws maps\n First.\n .\n Second.") == "Draws maps\n\nFirst.\n\nSecond.\n"
    )
