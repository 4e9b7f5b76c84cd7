"""Without a GPU its kernels are stood in for, so that what surrounds them is tested everywhere."""

from __future__ import annotations

import kernels
import pytest
import torch
import torch.nn.attention.varlen

from modernbert.model import varlen


@pytest.fixture(autouse=True, scope="session")
def gpu_kernels():
    with pytest.MonkeyPatch.context() as patch:
        if not torch.cuda.is_available():
            patch.setattr(torch.nn.attention.varlen, "varlen_attn", kernels.varlen_attn)
            patch.setattr(varlen, "flash_kernel", lambda: kernels.flash_attn_varlen_func)
        yield
