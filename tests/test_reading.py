"""JSON is read in one place; what is wrong with it is one sentence with the file's name."""

from __future__ import annotations

import os

import pytest
from typing_extensions import TypedDict

from modernbert.errors import BadRun
from modernbert.reading import checked, read_json, read_lines, read_object

WRONG = {
    "{": "not valid JSON",
    "": "not valid JSON",
    "[" * 100_000: "nests too deep",
    '{"a": ' * 100_000: "nests too deep",
    "1" * 5_000: "too many digits",
    '{"\\ud800": 1}': "half of a character",
    '["\\udfff"]': "half of a character",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_wrong_json_is_one_sentence(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BadRun, match=WRONG[text]) as caught:
        read_json(tmp_path / "run.json", BadRun)
    assert caught.value.where == str(tmp_path / "run.json")
    (tmp_path / "rows.jsonl").write_text(f'{{"a": 1}}\n{text or "{"}\n')
    with pytest.raises(BadRun, match=r"rows\.jsonl, line 2: "):
        list(read_lines(tmp_path / "rows.jsonl", BadRun))


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a").write_bytes(b'"\xff"')
    with pytest.raises(BadRun, match="not UTF-8"):
        read_json(tmp_path / "a", BadRun)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, reason in {"pipe": "no file", "loop": "symbolic links", "gone": "No such file"}.items():
        with pytest.raises(BadRun, match=reason):
            read_json(tmp_path / name, BadRun)
    with pytest.raises(BadRun, match=r"directory|no file"):
        read_json(tmp_path, BadRun)
    with pytest.raises(BadRun, match="no file"):
        read_json(tmp_path / "/dev/zero", BadRun)


def test_lines_end_with_newlines_only(tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"id": "a\u2028b"}\n\n{"id": "c\u0085"}\n', encoding="utf-8")
    assert [value["id"] for _, value in read_lines(tmp_path / "rows.jsonl")] == ["a\u2028b", "c\u0085"]


def test_whole_pairs_of_surrogates_are_characters(tmp_path):
    (tmp_path / "a").write_text('{"smile": "\\ud83d\\ude00"}')
    assert read_object(tmp_path / "a") == {"smile": "\U0001f600"}


class Record(TypedDict):
    steps: int
    names: list[str]


def test_values_of_another_type_are_named_and_never_converted():
    assert checked(Record, {"steps": 1, "names": ["a"]}, where="r")["steps"] == 1
    for wrong, place in (({"steps": "1", "names": []}, "steps"), ({"steps": 1, "names": [1]}, r"names\.0")):
        with pytest.raises(BadRun, match=f"^r: {place}: input should be a valid"):
            checked(Record, wrong, where="r", error=BadRun)
    with pytest.raises(BadRun, match="names: field required"):
        checked(Record, {"steps": 1}, where="r", error=BadRun)
    with pytest.raises(BadRun, match="dictionary"):
        checked(Record, [], where="r", error=BadRun)
