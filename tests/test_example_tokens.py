"""The benchmark of tagged words: how it reads its sets, what it counts, and that it runs as it stands."""

from __future__ import annotations

import io
import json
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
from _common import in_order
from torch.nn.utils.rnn import pad_sequence

FOLDER = Path(__file__).parents[1] / "examples" / "benchmarks"
ADDRESS = (
    "<AddressString><AddressNumber>{0}</AddressNumber> <StreetName>North {1}</StreetName> "
    "<StreetName>Bay</StreetName>, <PlaceName>Kenai</PlaceName></AddressString>"
)


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return lambda name: SimpleNamespace(**runpy.run_path(str(FOLDER / name)))


def write_source(folder: Path, count: int) -> None:
    """An archive as the package index has it, with so many addresses and one of a single word."""
    strings = [ADDRESS.format(i, "Hill" if i % 2 else "Main") for i in range(count)]
    strings.append("<AddressString><ZipCode>1</ZipCode></AddressString>")
    text = f"<AddressCollection>{''.join(strings)}</AddressCollection>".encode()
    with tarfile.open(folder / "usaddress-1.0.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("usaddress-1.0/training/labeled.xml")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))


def test_a_set_is_read_from_its_package(tmp_path, script):
    sets = script("_tagged_sets.py")
    write_source(tmp_path, 9)
    (path,) = sets.write_sets(["addresses"], tmp_path, tmp_path, tmp_path, 6).values()
    rows = [json.loads(line) for split in path.iterdir() for line in split.read_text().splitlines()]
    assert sorted(row["tokens"][0] for row in rows) == list("012345678")
    assert {len(split.read_text().splitlines()) for split in path.iterdir()} == {6, 2, 1}
    row = min(rows, key=lambda row: row["tokens"])
    assert row["tokens"] == ["0", "North", "Main", "Bay", ",", "Kenai"]
    names = ["B-AddressNumber", "B-StreetName", "I-StreetName", "I-StreetName", "O", "B-PlaceName"]
    assert row["tags"] == names


def test_counts_and_differences(script):
    """The second tool misses one of three entities, and has one with wrong bounds."""
    tokens = script("tokens.py")
    labels = [["B-A", "I-A", "O"], ["O", "B-B", "B-A"]]
    answers = [["B-A", "O", "O"], ["O", "B-B", "O"]]
    counts = tokens.counts_of(labels, answers)
    assert counts.tolist() == [[0, 1, 1], [1, 1, 2]]
    assert tokens.f1_of_counts(counts) == tokens.f1_of(labels, answers) == pytest.approx(2 / 5)
    best, less = (
        {"score": tokens.f1_of(labels, a)} | dict(zip(("right", "found", "true"), columns, strict=True))
        for a in (labels, answers)
        for columns in [[tokens.written(column) for column in tokens.counts_of(labels, a).T]]
    )
    assert tokens.counts_in(less).tolist() == counts.tolist()
    gap, low, high = tokens.difference(best, less)
    assert gap == pytest.approx(3 / 5) and low == pytest.approx(1 / 3) and high == pytest.approx(1)


def test_what_the_crf_sees(script):
    first, last = script("_crf_features.py").features(["St.", "60605a"])
    assert (first["shape"], last["shape"], last["suffix3"], first["+1:lower"]) == (
        "Xx.",
        "dddddx",
        "05a",
        "60605a",
    )
    assert first["first"] and last["last"] and last["-1:title"] is True and "-1:lower" not in first


class Echo(torch.nn.Module):
    """Answers with a text's first token."""

    def forward(self, input_ids, attention_mask=None):
        return {"logits": input_ids[:, :1]}


def test_trainers_answers_are_in_the_order_of_the_rows(tmp_path):
    rows = [
        {"input_ids": [i, *[0] * (i * 7 % 19)], "attention_mask": [1] * (1 + i * 7 % 19)} for i in range(40)
    ]
    arguments = transformers.TrainingArguments(
        str(tmp_path),
        train_sampling_strategy="group_by_length",
        per_device_eval_batch_size=4,
        use_cpu=True,
        disable_tqdm=True,
        report_to="none",
        dataloader_pin_memory=False,
    )

    def collated(batch):
        return {
            name: pad_sequence([torch.tensor(row[name]) for row in batch], batch_first=True)
            for name in batch[0]
        }

    trainer = transformers.Trainer(Echo(), arguments, data_collator=collated)
    assert in_order(trainer, rows)[:, 0].tolist() == list(range(40))


@pytest.mark.slow
def test_every_tool_answers(tmp_path):
    pytest.importorskip("sklearn_crfsuite", reason="the CRF is installed by hand")
    write_source(tmp_path, 90)
    output = tmp_path / "tokens.json"
    command = [sys.executable, FOLDER / "tokens.py", "--sources", tmp_path, "--sets", "addresses", "--quick"]
    command += ["--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    records = json.loads(output.read_text())
    assert [r["tool"] for r in records] == ["CRF", "mbert", "Trainer"]
    assert all(len(r["right"].split()) == 37 and sum(map(int, r["true"].split())) == 111 for r in records)
    assert records[0]["score"] == 1.0
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0 and again.stdout.startswith("| set |"), again.stderr
