"""GPU kernels have stand-ins on a CPU, so that what surrounds them is tested everywhere."""

from __future__ import annotations

import importlib.util

import kernels
import pytest
import torch.nn.attention.varlen

from modernbert.model import backends, varlen


@pytest.fixture(autouse=True, scope="session")
def gpu_kernels():
    real = torch.nn.attention.varlen.varlen_attn
    flash = varlen.flash_kernel() if importlib.util.find_spec("flash_attn") else None
    with pytest.MonkeyPatch.context() as patch:
        stand_in = kernels.on_cpu(kernels.varlen_attn, real)
        patch.setattr(torch.nn.attention.varlen, "varlen_attn", stand_in)
        chosen = kernels.on_cpu(kernels.flash_attn_varlen_func, flash)
        patch.setattr(varlen, "flash_kernel", lambda: chosen)
        yield


@pytest.fixture
def exact_products():
    """On a GPU fp32 means fp32: no TF32."""
    torch.backends.cuda.matmul.allow_tf32 = False
    backends.choose_backend.cache_clear()
