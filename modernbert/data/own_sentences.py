"""A task of tagged words made from the user's own data: a CoNLL, JSONL or Parquet file, or a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modernbert.data.entities import every_tag
from modernbert.data.folds import FOLD, hold_out
from modernbert.data.own import HELD_OUT_SHARE, OwnData, if_few, read_own, require_no_validation
from modernbert.data.rows import Rows
from modernbert.data.sentences import Sentences, TokenTask, form_of, labels_in, read_sentences
from modernbert.data.split_files import SPLIT_NAMES
from modernbert.data.splits import hash_split, split_keys
from modernbert.data.tagged_files import USUAL, usual_columns
from modernbert.data.task import own_name
from modernbert.errors import BadData, BadOption
from modernbert.wording import counted


def token_task(data: OwnData) -> tuple[TokenTask, list[str]]:
    """Read the user's data and make a task of it.

    Returns:
        The task, and the sentences to show: which columns were taken, how it was split.

    Raises:
        BadData: a file cannot be read, or holds no entities.
        BadOption: what is asked for does not apply to tagged words.
    """
    _refuse(data)
    splits = read_own(data)
    text, label = columns_of(splits["train"], data.text, data.label)
    train = read_sentences(splits["train"], text, label)
    labels = labels_in(train)
    if not labels:
        raise BadData(f"no word has a label in column '{label}'", where=train.rows.origin)
    notes = [
        f"{text} <- words, {label} <- tags ({counted(len(labels), 'label')}: {', '.join(labels)})"
        if form_of(splits["train"].columns[text][0]) == "words"
        else f"{text} <- text, {label} <- spans ({counted(len(labels), 'label')}: {', '.join(labels)})"
    ]
    if data.fold:
        require_no_validation(splits)
    if "validation" not in splits:
        made, note = _fold(train, data.fold) if data.fold else _hold_out(train)
        splits, notes = splits | made, [*notes, note]
    ordered = {name: splits[name] for name in ("train", FOLD, *SPLIT_NAMES) if name in splits}
    task = TokenTask(
        name=own_name(Path(data.path)),
        summary=f"own data from {data.path}",
        text=text,
        label=label,
        labels=every_tag(labels),
        splits=ordered,
        path=Path(data.path),
    )
    return task, notes


def _refuse(data: OwnData) -> None:
    if data.cluster:
        raise BadOption("--cluster is for labelled texts, and these are tagged words")


def columns_of(rows: Rows, text: Sequence[str] = (), label: str | None = None) -> tuple[str, str]:
    """Return the columns of words and tags, or of text and spans.

    Args:
        text, label: those that the user names.

    Raises:
        BadData: none has a usual name, and they are not named.
        BadOption: a pair is named.
    """
    if len(text) > 1:
        raise BadOption("tagged words have one text column", fix="Give --text-col once.")
    if text and label:
        return text[0], label
    found = usual_columns(rows)
    if found is None and not (text or label):
        raise BadData(
            f"no columns of tagged words; the columns are {', '.join(rows.columns)}",
            where=rows.origin,
            fix="Call them tokens and tags, or text and spans; or name them with --text-col and --label-col.",
        )
    if found is None:
        raise BadData("one column is named, and the other has no usual name", where=rows.origin,
                      fix="Name both, with --text-col and --label-col.")  # fmt: skip
    return (text[0] if text else found[0]), label or found[1]


def text_column(columns: Mapping[str, Sequence[Any]], trained: str) -> str | None:
    """Return the column to tag: the one that the model was trained on, else one of a usual name."""
    usual = (*USUAL["words"][0], *USUAL["text"][0])
    return next((name for name in (trained, *usual) if name in columns), None)


def _fold(train: Sentences, fold: tuple[int, int]) -> tuple[dict[str, Rows], str]:
    keys = split_keys(train.texts)
    return hold_out(train.rows, fold, keys, [0] * len(keys), "equal texts stay together")


def _hold_out(train: Sentences) -> tuple[dict[str, Rows], str]:
    keys = split_keys(train.texts)
    if len(set(keys)) < 2:
        raise BadData("too few different rows to hold any out for validation", where=train.rows.origin)
    shares = {"validation": HELD_OUT_SHARE, "train": 1 - HELD_OUT_SHARE}
    parts = hash_split(keys, [0] * len(keys), shares)
    held = f"{len(parts['validation'])} of {len(train)} rows held out for validation"
    note = f"split: {held} (by a hash of the text; equal texts stay together){if_few(len(set(keys)))}"
    return {name: train.rows.take(places) for name, places in parts.items()}, note
