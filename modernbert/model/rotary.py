"""Rotary positions (Su et al. 2021, arXiv:2104.09864), computed once a batch, in fp32.

Shape suffixes: T tokens of all sequences, H heads, D head size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Rotary:
    """Cosines and sines of each token's position, shape (T, 1, D / 2); both halves of a head share them."""

    cos_T1D: torch.Tensor
    sin_T1D: torch.Tensor

    @classmethod
    def of(cls, encoder: Any, like: torch.Tensor, positions_T: torch.Tensor, kind: str) -> Rotary:
        """Compute them with the encoder's own module, for one kind of layer (`full_attention`, ...)."""
        cos_1TD, sin_1TD = encoder.rotary_emb(like.float(), positions_T[None], kind)
        half = cos_1TD.shape[-1] // 2
        return cls(cos_1TD[0][:, None, :half].contiguous(), sin_1TD[0][:, None, :half].contiguous())

    def rotate(self, x_THD: torch.Tensor) -> torch.Tensor:
        """Turn queries or keys; shape and dtype are kept."""
        first, second = x_THD.float().chunk(2, dim=-1)
        turned = (first * self.cos_T1D - second * self.sin_T1D, second * self.cos_T1D + first * self.sin_T1D)
        return torch.cat(turned, dim=-1).to(x_THD.dtype)

    def rotate_into(self, out_THD: torch.Tensor, x_THD: torch.Tensor, *, back: bool = False) -> torch.Tensor:
        """Write the turned `x` (or, with `back`, turned the other way) to `out`; not for autograd."""
        sign = -1 if back else 1
        first, second = x_THD.chunk(2, dim=-1)
        out_first, out_second = out_THD.chunk(2, dim=-1)
        torch.mul(first, self.cos_T1D, out=out_first).addcmul_(second, self.sin_T1D, value=-sign)
        torch.mul(second, self.cos_T1D, out=out_second).addcmul_(first, self.sin_T1D, value=sign)
        return out_THD


def rotated(qkv_T3HD: torch.Tensor, rotary: Rotary) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return queries and keys, turned, and values, each of shape (T, H, D)."""
    q_THD, k_THD, v_THD = qkv_T3HD.unbind(1)
    return rotary.rotate(q_THD), rotary.rotate(k_THD), v_THD
