"""Code search out of Python source."""

from __future__ import annotations

from modernbert.data.docstrings import docstring_collections, snippets_of

SOURCE = '''
"""The module's own docstring counts for nothing."""

if True:
    @decorated
    def outer(a):
        """Return the sum of everything.

        More words here.
        """
        def inner():
            """Say hello to all."""
            return 1

        return inner() + a


class Thing:
    """A thing of many parts."""

    size = 3

    def short(self):
        """Too short."""
        return 1

    async def send(self):
        """Send it to the other side."""
        await self.go()
'''


def test_definitions_without_any_docstring(tmp_path):
    path = tmp_path / "m.py"
    path.write_text(SOURCE)
    found = {snippet.name: snippet for snippet in snippets_of(path, "m")}
    assert list(found) == ["outer", "outer.inner", "Thing", "Thing.send"]
    assert found["outer"].summary == "Return the sum of everything."
    assert found["outer"].code == (
        "@decorated\ndef outer(a):\n    def inner():\n        return 1\n    return inner() + a"
    )
    assert found["Thing.send"].code == "async def send(self):\n    await self.go()"
    every = "\n".join(snippet.code for snippet in found.values())
    assert '"""' not in every
    assert "hello" not in every


def test_a_file_that_is_no_python_gives_nothing(tmp_path):
    path = tmp_path / "m.py"
    path.write_text("def (:")
    assert snippets_of(path, "m") == []


def write_module(path, number: int, body: str) -> None:
    lines = [
        f'def f{number}_{i}(x):\n    """Does {word} number {number} {i}."""\n    {body.format(i=i)}\n'
        for i, word in enumerate(("alpha", "beta", "gamma"))
    ]
    path.write_text("\n".join(lines))


def test_no_module_and_no_near_copy_stands_on_two_sides(tmp_path):
    snippets = []
    for number in range(40):
        path = tmp_path / f"m{number}.py"
        words = " + ".join(f"v{number}_{{i}}_{k}" for k in range(12))
        write_module(path, number, f"return {words}")
        snippets += snippets_of(path, f"m{number}")
    copies = tmp_path / "copies.py"
    copies.write_text("".join((tmp_path / f"m{n}.py").read_text() for n in range(40)))
    snippets += snippets_of(copies, "copies")
    splits = docstring_collections("x", snippets)
    assert set(splits) == {"test", "validation", "train"}
    modules = {
        name: {document.split(":")[0] for document in part.documents.ids} for name, part in splits.items()
    }
    assert not modules["test"] & modules["train"]
    assert sum(len(part.documents) for part in splits.values()) == 120, "each copied function stands once"
    texts = [text for part in splits.values() for text in part.documents.texts]
    assert len(set(texts)) == len(texts)
    for part in splits.values():
        assert all(1 in grades.values() for grades in part.judgements.values())
        assert set(part.judgements) == set(part.queries)


def test_form_feeds_and_line_separators_end_no_line(tmp_path):
    path = tmp_path / "m.py"
    path.write_text(
        'X = "a\u2028b\x85c"\n\x0c\ndef f():\n    """Say hello to all."""\n    a = 1\n    return a\n'
    )
    (found,) = snippets_of(path, "m")
    assert found.code == "def f():\n    a = 1\n    return a"
