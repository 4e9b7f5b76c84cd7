"""Every backend against `reference`, forward and backward, at ModernBERT's own window of 64 tokens."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.model import bf16_attention, cpu_attention
from modernbert.model.attention import BACKENDS
from modernbert.model.attention_tiles import cut, group_lengths
from modernbert.model.layout import Layout
from modernbert.model.packing import PackedBatch
from modernbert.model.rotary import Rotary

HEADS, SIZE, WINDOW = 2, 16, 64
FAST = [name for name in BACKENDS if name != "reference"]
EDGES = [1, 2, 63, 64, 65, 66, 127, 128, 129, 192, 193, 255, 256, 257, 320, 321, 383, 512, 513]


def values(lengths: list[int]) -> tuple[torch.Tensor, Rotary, Layout]:
    """Return random queries, keys and values of packed texts of these lengths, and where they stand."""
    layout = Layout(PackedBatch.of_lengths(lengths))
    draw = torch.Generator().manual_seed(0)
    qkv = torch.randn(sum(lengths), 3, HEADS, SIZE, generator=draw)
    angles = layout.batch.positions_T[:, None, None] * torch.logspace(0, -3, SIZE // 2)
    return qkv, Rotary(angles.cos(), angles.sin()), layout


def run(backend: str, lengths: list[int], window: int | None, dtype: torch.dtype = torch.float32):
    """Return outputs and gradients of one attention over random values."""
    qkv, rotary, layout = values(lengths)
    qkv = qkv.to(dtype).requires_grad_()
    out = BACKENDS[backend](qkv, rotary, layout, window, 0.0)
    out.backward(torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(dtype))
    return out.detach(), qkv.grad


def same(backend: str, lengths: list[int], window: int | None) -> None:
    for found, expected in zip(run(backend, lengths, window), run("reference", lengths, window), strict=True):
        # Gradients reach 30: fp32 has seven digits of the largest, not of each.
        scale = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(found / scale, expected / scale, atol=1e-5, rtol=0)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("window", [None, WINDOW])
def test_lengths_around_every_edge(backend, window):
    same(backend, EDGES, window)
    same(backend, [n for n in EDGES for _ in range(2)], window)


@pytest.mark.parametrize("backend", FAST)
@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=6))
@settings(max_examples=10, deadline=None)
def test_any_mix_of_lengths(backend, lengths):
    same(backend, lengths, WINDOW)


@pytest.mark.parametrize(
    "lengths",
    [pytest.param([8192], marks=pytest.mark.slow), [1] * 300, [13] * 150 + [7] * 150, [512] * 8, [64] * 16],
)
def test_one_long_text_hundreds_of_short_ones_and_whole_blocks(lengths):
    same("blocked", lengths, WINDOW)


@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=8),
    window=st.one_of(st.none(), st.integers(1, 12)),
)
@settings(max_examples=30, deadline=None)
def test_blocks_of_any_window(lengths, window):
    same("blocked", lengths, window)


@given(st.lists(st.integers(1, 900), min_size=1, max_size=10))
def test_pieces_hold_every_query_once(lengths):
    marks = torch.zeros(sum(lengths), 1, 1)
    for tile in cut(lengths, WINDOW):
        tile.queries.of(marks).add_(1)
    assert (marks == 1).all()


@given(st.lists(st.integers(1, 900), min_size=1, max_size=30))
def test_parts_are_laid_out_with_little_padding_and_hold_every_text_once(lengths):
    layout = Layout(PackedBatch.of_lengths(lengths))
    found, end = [], 0
    for tokens, part in layout.parts:
        assert (tokens.start, tokens.stop) == (end, end + part.batch.num_tokens)
        assert part.batch.num_sequences * part.batch.max_length <= 2 * part.batch.num_tokens
        found += part.batch.starts_N1.diff().tolist()
        end = tokens.stop
    assert found == lengths


def test_thousands_of_short_texts_beside_a_long_one_are_not_padded_to_its_length():
    assert [
        part.batch.max_length for _, part in Layout(PackedBatch.of_lengths([8192] + [20] * 3000)).parts
    ] == [8192, 20]


def test_groups_are_runs_of_equal_lengths():
    assert list(group_lengths([5, 5, 2, 5])) == [(0, 2, 5), (10, 1, 2), (12, 1, 5)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_turned_pairs_are_the_turned_numbers_in_another_order_and_turn_back(dtype):
    qkv_T3HD, rotary, _ = values([9, 4])
    x_THD = qkv_T3HD[:, 0].to(dtype)
    turned_THD, pairs_THD = rotary.rotate(x_THD.double()), rotary.to_pairs(x_THD)
    inner = x_THD.shape[-1] // 2
    in_order = [place + half * inner for place in range(inner) for half in (0, 1)]
    torch.testing.assert_close(pairs_THD.double(), turned_THD[..., in_order], atol=1e-6, rtol=1e-6)
    back_THD = torch.empty_like(x_THD)
    rotary.from_pairs(back_THD, pairs_THD)
    torch.testing.assert_close(back_THD, x_THD, atol=1e-6, rtol=1e-6)


@pytest.fixture(params=[True, False], ids=["fused in bf16", "fused in fp32"])
def fused(request, monkeypatch):
    """Both kinds of processors' ways through the fused kernel: either runs on any."""
    monkeypatch.setattr(cpu_attention, "has_amx", lambda: request.param)


@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize("scores", [bf16_attention.MAX_SCORES, 33 * 700])
@pytest.mark.parametrize("window", [None, WINDOW])
def test_training_in_bf16_is_about_as_close_to_fp32_as_torchs_own(window, scores, monkeypatch):
    """Outputs and gradients, through one block of scores and through many."""
    monkeypatch.setattr(bf16_attention, "MAX_SCORES", scores)
    lengths = [5, 128, 700, 300, 300]
    exact = run("reference", lengths, window)
    ours, torchs = (run(name, lengths, window, torch.bfloat16) for name in ("blocked", "reference"))
    for found, peer, true in zip(ours, torchs, exact, strict=True):
        assert found.dtype == torch.bfloat16
        assert (found.float() - true).abs().mean() <= 1.1 * (peer.float() - true).abs().mean()
        assert (found.float() - true).abs().max() < 0.02 * true.abs().max()


@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize("scores", [bf16_attention.MAX_SCORES, 33 * 700])
@pytest.mark.parametrize("window", [None, WINDOW])
def test_asking_in_bf16_is_nearly_as_close_to_fp32_as_torchs_own(window, scores, monkeypatch):
    """Scores are rounded too, which torch's fused kernel does not do; of a whole model, see test_parity."""
    monkeypatch.setattr(bf16_attention, "MAX_SCORES", scores)
    qkv, rotary, layout = values([5, 128, 700, 300, 300])
    with torch.no_grad():
        exact = BACKENDS["reference"](qkv, rotary, layout, window, 0.0)
        peer = BACKENDS["reference"](qkv.bfloat16(), rotary, layout, window, 0.0)
        found = BACKENDS["blocked"](qkv.bfloat16(), rotary, layout, window, 0.0)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).abs().mean() <= 1.5 * (peer.float() - exact).abs().mean()
    assert (found.float() - exact).abs().max() < 0.03


@pytest.mark.usefixtures("fused")
def test_autocast_does_not_round_the_scores_of_training():
    """Neither forwards nor where the backward pass is run inside it."""
    qkv, rotary, layout = values([300])
    qkv = (4 * qkv).bfloat16().requires_grad_()
    found = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = BACKENDS["blocked"](qkv, rotary, layout, None, 0.0)
            found.append((out, *torch.autograd.grad(out.float().square().sum(), qkv)))
    for plain, mixed in zip(*found, strict=True):
        assert torch.equal(plain, mixed)


def test_a_planted_leak_between_texts_is_noticed(monkeypatch):
    """The last block of a text that sees one token of the next: the comparison must not pass."""
    from dataclasses import replace

    from modernbert.model import layout

    def leaking(lengths, window):
        *tiles, last, second = cut(lengths, window)
        longer = replace(last.keys, length=last.keys.length + 1)
        return [*tiles, replace(last, keys=longer, mask_QK=None), second]

    monkeypatch.setattr(layout, "cut", leaking)
    with pytest.raises(AssertionError, match="not close"):
        same("blocked", [300, 20], WINDOW)
