"""Packing keeps every token in its place."""

from __future__ import annotations

import numpy as np
import torch
from helpers import tokens_of
from hypothesis import given
from hypothesis import strategies as st

from modernbert.data.tokens import Tokens
from modernbert.model.packing import pack


@given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=6))
def test_padding_and_packing_are_inverse(texts):
    batch = pack(tokens_of(texts), range(len(texts)))
    padded = batch.pad(batch.ids_T, 0)
    assert [row[: len(text)].tolist() for row, text in zip(padded, texts, strict=True)] == texts
    assert int((padded == 0).sum()) == len(texts) * batch.max_length - batch.num_tokens


def test_sequences_come_in_the_order_asked_for():
    batch = pack(tokens_of([[1, 2], [3], [4, 5, 6]]), [2, 0])
    assert batch.ids_T.tolist() == [4, 5, 6, 1, 2]
    assert batch.starts_N1.tolist() == [0, 3, 5]
    assert batch.positions_T.tolist() == [0, 1, 2, 0, 1]
    assert batch.sequence_T.tolist() == [0, 0, 0, 1, 1]
    assert batch.max_length == 3


def test_equal_lengths_need_no_mask():
    assert pack(tokens_of([[1, 2], [3, 4]]), [0, 1]).is_rectangular
    assert not pack(tokens_of([[1, 2], [3]]), [0, 1]).is_rectangular


def test_type_ids_travel_with_the_tokens():
    tokens = tokens_of([[1, 2], [3]])
    typed = Tokens(tokens.ids, np.array([0, 1, 0], np.int8), tokens.starts, tokens.full)
    batch = pack(typed, [1, 0]).to(torch.device("cpu"))
    assert batch.type_ids_T.tolist() == [0, 0, 1]
