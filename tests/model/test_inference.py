"""Models made ready to be asked: the same logits, faster."""

from __future__ import annotations

import copy
import os

import pytest
import torch
import transformers
from helpers import tiny_modernbert_config

from modernbert.model import device as device_module
from modernbert.model.accelerator import make_accelerator
from modernbert.model.device import Machine
from modernbert.model.encoder import PackedClassifier, padded_logits
from modernbert.model.inference import (
    PackedGatedUnit,
    PackedLinear,
    gating_fault,
    packing_fault,
    prepare_inference,
)
from modernbert.model.packing import PackedBatch

FP32, BF16 = Machine("cpu", "", "fp32", ""), Machine("cpu", "", "bf16", "")
# Every CPU rounds to bf16; not every one has the kernel that reads a weight laid out for it.
packs_bf16 = pytest.mark.skipif(bool(gating_fault(torch.bfloat16)), reason=gating_fault(torch.bfloat16))
INPUTS = {"input_ids": torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])}


def make(**changes):
    torch.manual_seed(0)
    return transformers.ModernBertForSequenceClassification(tiny_modernbert_config(**changes)).eval()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 48), (2, 3, 48), (0, 48)])
def test_packed_linear_equals_torchs(bias, shape):
    linear, x = torch.nn.Linear(48, 20, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        torch.testing.assert_close(PackedLinear(linear, torch.float32)(x), linear(x), atol=1e-5, rtol=1e-5)


def test_every_linear_layer_is_packed_and_logits_stay():
    model = make()
    with torch.inference_mode():
        before = model(**INPUTS).logits
        prepare_inference(model, FP32)
        after = model(**INPUTS).logits
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    assert not any(isinstance(module, torch.nn.Linear) for module in model.modules())


@pytest.fixture
def forget_faults():
    """Try the kernels again before and after a test that breaks them."""

    def forget() -> None:
        for fault_of in (packing_fault, gating_fault):
            fault_of.cache_clear()

    forget()
    yield
    forget()


@pytest.mark.parametrize("fault", ["missing", "wrong"])
def test_without_the_kernel_torchs_layers_stay(fault, forget_faults, monkeypatch):
    def broken(x, *others):
        if fault == "missing":
            raise NotImplementedError("no such operator")
        return torch.zeros(*x.shape[:-1], 32)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", broken)
    model = make()
    ready = copy.deepcopy(model)
    prepare_inference(ready, FP32)
    assert ("no such operator" if fault == "missing" else "differs") in packing_fault(torch.float32)
    assert torch.equal(ready(**INPUTS).logits, model(**INPUTS).logits)


def test_a_cpu_without_the_kernel_for_bf16_keeps_rounded_layers(forget_faults, monkeypatch):
    reorder = torch.ops.mkldnn._reorder_linear_weight

    def missing(weight):
        if weight.dtype == torch.bfloat16:
            raise RuntimeError("bf16 path needs the cpu support avx512bw")
        return reorder(weight)

    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", missing)
    model = make()
    with torch.inference_mode():
        expected = model(**INPUTS).logits
        prepare_inference(model, BF16)
        with torch.autocast("cpu", torch.bfloat16):
            found = model(**INPUTS).logits
    assert "avx512bw" in packing_fault(torch.bfloat16) and not packing_fault(torch.float32)
    linear = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    assert linear and all(module.weight.dtype == torch.bfloat16 for module in linear)
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 32), (2, 3, 32), (0, 32)])
def test_a_packed_gated_unit_equals_transformers_block(bias, shape):
    mlp, x = make(mlp_bias=bias).model.layers[0].mlp, torch.randn(shape)
    with torch.inference_mode():
        found = PackedGatedUnit(mlp, torch.float32)(x)
        torch.testing.assert_close(found, mlp(x), atol=1e-5, rtol=1e-5)


@packs_bf16
def test_a_packed_gated_unit_is_nearer_to_fp32_than_autocast():
    mlp, x = make().model.layers[0].mlp, torch.randn(500, 32)
    with torch.inference_mode():
        exact = mlp(x)
        with torch.autocast("cpu", torch.bfloat16):
            usual, found = mlp(x), PackedGatedUnit(mlp, torch.bfloat16)(x)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).abs().mean() < (usual.float() - exact).abs().mean()


def test_another_activation_keeps_transformers_block():
    model = make(hidden_activation="silu")
    with torch.inference_mode():
        before = model(**INPUTS).logits
        prepare_inference(model, FP32)
        torch.testing.assert_close(model(**INPUTS).logits, before, atol=1e-5, rtol=1e-5)
    assert not any(isinstance(module, PackedGatedUnit) for module in model.modules())


def test_a_model_in_bf16_is_no_further_from_fp32_than_transformers_own():
    """Everything between the layers is in bf16 then, as it is there."""
    plain, batch = make(), PackedBatch.of_lengths([4] * 50)
    batch = batch.with_ids(torch.randint(5, 50, (200,), generator=torch.Generator().manual_seed(0)))
    ready, half = copy.deepcopy(plain), copy.deepcopy(plain).bfloat16()
    prepare_inference(ready, BF16)
    assert ready.model.embeddings.tok_embeddings.weight.dtype == torch.bfloat16
    with torch.inference_mode():
        exact, usual = PackedClassifier(plain)(batch), padded_logits(half, batch).float()
        with torch.autocast("cpu", torch.bfloat16):
            found = PackedClassifier(ready)(batch).float()
    assert (found - exact).abs().mean() <= 1.05 * (usual - exact).abs().mean()


def test_another_device_rounds_the_weights_of_linear_layers(monkeypatch):
    ready = make()
    prepare_inference(ready, Machine("mps", "", "bf16", ""))
    linear = [m for m in ready.modules() if isinstance(m, torch.nn.Linear)]
    assert linear
    assert all(m.weight.dtype == torch.bfloat16 for m in linear)
    assert ready.model.embeddings.tok_embeddings.weight.dtype == torch.float32


def test_bf16_that_is_asked_for_in_vain_is_said(monkeypatch):
    monkeypatch.setattr(device_module, "bf16_support", lambda device: (False, "the CPU has none"))
    assert device_module.choose_machine("cpu", "bf16").precision_reason == "as asked, though the CPU has none"
    assert device_module.choose_machine("cpu", "fp32").precision_reason == "as asked"
    assert device_module.choose_machine("cpu").precision == "fp32"


def test_few_compiled_kernels_are_kept_so_that_memory_does_not_grow_with_a_file(monkeypatch):
    names = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    make_accelerator(FP32)
    assert all(int(os.environ[name]) <= 64 for name in names)


@pytest.mark.parametrize(
    ("device", "precision", "amx", "tokens"),
    [("cpu", "bf16", True, 8192), ("cpu", "fp32", True, 2048), ("cpu", "bf16", False, 2048),
     ("cuda", "bf16", True, 65536)],
)  # fmt: skip
def test_batches_are_larger_where_products_are_fast(device, precision, amx, tokens, monkeypatch):
    monkeypatch.setattr(device_module, "has_amx", lambda: amx)
    assert Machine(device, "", precision, "").inference_tokens == tokens
