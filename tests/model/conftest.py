"""Without a GPU its kernels are stood in for, so that what surrounds them is tested everywhere."""

from __future__ import annotations

import sys
from types import ModuleType

import kernels
import pytest
import torch
from torch.nn.attention import varlen


@pytest.fixture(autouse=True, scope="session")
def gpu_kernels():
    with pytest.MonkeyPatch.context() as patch:
        if not torch.cuda.is_available():
            flash = ModuleType("flash_attn")
            flash.flash_attn_varlen_func = kernels.flash_attn_varlen_func
            patch.setattr(varlen, "varlen_attn", kernels.varlen_attn)
            patch.setitem(sys.modules, "flash_attn", flash)
        yield
