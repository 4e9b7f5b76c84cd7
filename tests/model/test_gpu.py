"""What a GPU does differently: its attention kernels, alone and in whole models.

Toy models and data; all is skipped where there is no CUDA GPU.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import tiny_modernbert_config, tokens_of_lengths
from transformers import ModernBertForSequenceClassification

import modernbert
from modernbert.model import backends, varlen
from modernbert.model.attention import BACKENDS
from modernbert.model.backends import ChosenBackend
from modernbert.model.encoder import PackedClassifier
from modernbert.model.layout import Layout
from modernbert.model.packing import PackedBatch, pack
from modernbert.model.rotary import Rotary

DEVICE = torch.device("cuda")
KERNELS = ("flash", "varlen")  # what a GPU has of its own
MIXES = {
    "edges": [1, 2, 63, 64, 65, 127, 128, 129, 512],
    "one long": [8192, 1, 700],
    "hundreds of single tokens": [1] * 300,
}
# Warnings of a GPU's libraries are shown, but fail nothing.
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("exact_products"),
]


def needs(backend: str, dtype: torch.dtype = torch.bfloat16) -> None:
    """Skip what cannot run on this GPU."""
    if backend in KERNELS and (fault := varlen.missing(backend, DEVICE, dtype)):
        pytest.skip(fault)


def attend(backend: str, lengths: list[int], window: int | None, dtype: torch.dtype, size: int):
    """Return outputs and gradients of one attention over random values, in fp32 on the CPU."""
    draw = torch.Generator().manual_seed(0)
    layout = Layout(PackedBatch.of_lengths(lengths, DEVICE))
    qkv = torch.randn(sum(lengths), 3, 2, size, generator=draw).to(DEVICE, dtype).requires_grad_()
    angles = layout.batch.positions_T[:, None, None] * torch.logspace(0, -3, size // 2, device=DEVICE)
    out = BACKENDS[backend](qkv, Rotary(angles.cos(), angles.sin()), layout, window, 0.0)
    assert out.dtype == dtype
    out.backward(torch.randn(out.shape, generator=draw).to(DEVICE, dtype))
    return out.detach().float().cpu(), qkv.grad.float().cpu()


@pytest.mark.parametrize("window", [None, 64])
@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize(
    ("backend", "dtype"),
    [(b, t) for b in (*KERNELS, "padded") for t in (torch.bfloat16, torch.float16)]
    + [("padded", torch.float32)],
)
def test_attention_is_as_close_to_the_reference_as_rounding_allows(backend, dtype, mix, size, window):
    """Outputs and gradients, against the reference in fp32 on values rounded alike."""
    needs(backend, dtype)
    found = attend(backend, MIXES[mix], window, dtype, size)
    rounded = attend("reference", MIXES[mix], window, dtype, size)
    exact = attend("reference", MIXES[mix], window, torch.float32, size)
    for ours, peer, true in zip(found, rounded, exact, strict=True):
        scale = float(true.abs().max())
        assert torch.isfinite(ours).all()
        assert (ours - true).abs().mean() <= 1.5 * (peer - true).abs().mean() + 1e-5 * scale
        assert (ours - true).abs().max() <= 2 * (peer - true).abs().max() + 1e-4 * scale


@pytest.mark.parametrize("backend", [*KERNELS, "padded"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_backends_pass_their_self_test(backend, dtype):
    needs(backend, dtype)
    assert backends.self_test(backend, DEVICE, dtype) == ""


def test_half_precision_runs_packed_and_fp32_padded():
    assert backends.choose_backend(DEVICE, torch.bfloat16).backend in KERNELS
    assert backends.choose_backend(DEVICE, torch.float32).backend == "padded"


def make(kind: str):
    """Return a ModernBERT with heads of 64, as the base model's, and a window of 64 to each side."""
    torch.manual_seed(1)
    config = tiny_modernbert_config(
        hidden_size=128,
        intermediate_size=192,
        local_attention=128,
        max_position_embeddings=8192,
        num_labels=3,
    )
    config._attn_implementation = kind
    return ModernBertForSequenceClassification(config).eval().to(DEVICE)


def one_by_one(model, lengths: list[int], dtype: torch.dtype | None = None) -> torch.Tensor:
    """Return transformers' own logits, each text alone; under autocast if a type is given."""
    tokens = tokens_of_lengths(lengths)
    ids = [torch.from_numpy(tokens.ids[a:b].astype(np.int64))[None] for a, b in bounds(tokens)]
    with torch.autocast(DEVICE.type, dtype or torch.bfloat16, enabled=dtype is not None):
        return torch.cat([model(input_ids=row.to(DEVICE)).logits.float() for row in ids])


def bounds(tokens):
    return zip(tokens.starts[:-1], tokens.starts[1:], strict=True)


def gradients(model, logits: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    logits.square().sum().backward()
    return torch.cat([p.grad.float().flatten() for p in model.parameters()]).cpu()


@pytest.mark.parametrize("kind", ["eager", "sdpa"])
@pytest.mark.parametrize("lengths", [MIXES["edges"], MIXES["one long"]], ids=["edges", "one long"])
def test_the_whole_model_in_fp32(kind, lengths):
    tokens = tokens_of_lengths(lengths)
    model, theirs = make("sdpa"), make(kind)
    found = PackedClassifier(model)(pack(tokens, range(len(tokens))).to(DEVICE))
    expected = one_by_one(theirs, lengths)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    ours, true = gradients(model, found), gradients(theirs, expected)
    torch.testing.assert_close(ours / true.abs().max(), true / true.abs().max(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("backend", [*KERNELS, "padded"])
@pytest.mark.parametrize("lengths", [MIXES["edges"], MIXES["one long"]], ids=["edges", "one long"])
def test_the_whole_model_in_bf16_is_no_further_from_fp32_than_transformers_own(backend, lengths):
    needs(backend)
    tokens = tokens_of_lengths(lengths)
    packed = PackedClassifier(make("sdpa"), ChosenBackend(backend, "the test asks for it"))
    with torch.autocast(DEVICE.type, torch.bfloat16):
        found = packed(pack(tokens, range(len(tokens))).to(DEVICE)).float()
    peer, exact = make("sdpa"), make("sdpa")
    theirs, true = one_by_one(peer, lengths, torch.bfloat16), one_by_one(exact, lengths)
    assert (found - true).abs().max() <= 2 * (theirs - true).abs().max() + 1e-3
    ours, other, right = gradients(packed.model, found), gradients(peer, theirs), gradients(exact, true)
    assert (ours - right).norm() <= 1.5 * (other - right).norm() + 1e-3 * right.norm()


def test_an_accelerated_model_runs_packed():
    model, ids = make("sdpa").bfloat16(), torch.randint(5, 100, (4, 96), device=DEVICE)
    mask = torch.arange(96, device=DEVICE) < torch.tensor([[96], [7], [40], [1]], device=DEVICE)
    with torch.inference_mode():
        before = model(input_ids=ids, attention_mask=mask.long()).logits
        after = modernbert.accelerate(model)(input_ids=ids, attention_mask=mask.long()).logits
    assert modernbert.acceleration_report(model).packed == 1
    torch.testing.assert_close(after, before, atol=3e-2, rtol=3e-2)
