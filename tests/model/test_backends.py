"""Which attention runs, and why; GPU cases as far as a machine without one can go."""

from __future__ import annotations

import pytest
import torch

from modernbert.model import backends, varlen
from modernbert.model.attention import BACKENDS, backend_for, padded

CUDA = torch.device("cuda")


@pytest.fixture(autouse=True)
def no_memory():
    backends.choose_backend.cache_clear()
    yield
    backends.choose_backend.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_cpu_runs_blocked(dtype):
    chosen = backends.choose_backend(torch.device("cpu"), dtype)
    assert chosen.backend == "blocked"
    assert "no padding" in chosen.reason


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_backend_passes_its_self_test(backend, dtype):
    assert backends.self_test(backend, torch.device("cpu"), dtype) == ""


def test_a_first_question_from_inference_answers_for_training_too():
    """Negatives are mined before training: what is chosen then stays chosen."""
    with torch.inference_mode():
        assert backends.choose_backend(torch.device("cpu"), torch.float32).backend == "blocked"


def test_a_leaking_backend_fails_its_self_test(monkeypatch):
    """Texts packed without their bounds: every token sees every other."""

    def leaking(q, k, v, *bounds, window_size):
        heads = (x.transpose(0, 1) for x in (q, k, v))
        return torch.nn.functional.scaled_dot_product_attention(*heads).transpose(0, 1)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", leaking)
    assert "differs from the reference" in backends.self_test("varlen", torch.device("cpu"), torch.bfloat16)


@pytest.mark.parametrize(
    ("dtype", "capability", "reason"),
    [
        (torch.float32, (9, 0), "does not compute in float32"),
        (torch.bfloat16, (7, 5), "older than Ampere"),
        (torch.bfloat16, (9, 0), ""),
    ],
)
def test_what_the_gpu_kernels_need(dtype, capability, reason, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    found = varlen.missing("varlen", CUDA, dtype)
    assert reason in found
    assert bool(reason) == bool(found)


@pytest.mark.parametrize(
    ("broken", "expected"), [((), "flash"), (("flash",), "varlen"), (("flash", "varlen"), "padded")]
)
def test_a_gpu_takes_the_first_that_proves_itself(broken, expected, monkeypatch):
    monkeypatch.setattr(varlen, "missing", lambda *arguments: "")
    monkeypatch.setattr(backends, "self_test", lambda name, *others: "no kernel" if name in broken else "")
    chosen = backends.choose_backend(CUDA, torch.bfloat16)
    assert chosen.backend == expected
    if expected == "padded":
        assert chosen.reason.startswith("flash: failed its self-test: no kernel; varlen: failed")


def test_dropout_of_attention_weights_runs_where_a_kernel_has_it():
    assert backend_for("varlen", 0.1) is padded
    assert backend_for("varlen", 0.0) is BACKENDS["varlen"]
    assert backend_for("flash", 0.1) is BACKENDS["flash"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_this_gpu_runs_packed():
    assert backends.choose_backend(CUDA, torch.bfloat16).backend in ("flash", "varlen")
