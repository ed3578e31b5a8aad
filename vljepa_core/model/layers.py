"""The pieces every tower is built of: attention, MLP, pre-norm block, sin-cos positions.

Source of the arithmetic: the study's ``nodes/common/jepa.py`` and ``vl_jepa.py``. Attention goes through
``scaled_dot_product_attention``; a test holds it against the explicit softmax.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, N, D) -> (B, H, N, D/H)."""
    b, n, d = x.shape
    return x.view(b, n, heads, d // heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, H, N, D/H) -> (B, N, D)."""
    return x.transpose(1, 2).flatten(2)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one fused q, k, v projection."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """x (B, N, D); mask bool (N, N), True where a row may look at a column; causal: lower triangle."""
        q, k, v = (split_heads(t, self.heads) for t in self.qkv(x).chunk(3, dim=-1))
        return self.out(merge_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)))


class CrossAttention(nn.Module):
    """Multi-head attention from one sequence to another; separate q, k, v projections, as published."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.k = nn.Linear(dim, dim)
        self.v = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """context (B, M, D) -> keys and values (B, H, M, D/H): computed once per caption when decoding."""
        return split_heads(self.k(context), self.heads), split_heads(self.v(context), self.heads)

    def attend(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """query (B, N, D) -> (B, N, D)."""
        q = split_heads(self.q(query), self.heads)
        return self.out(merge_heads(F.scaled_dot_product_attention(q, keys, values)))

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """query (B, N, D), context (B, M, D) -> (B, N, D)."""
        return self.attend(query, *self.keys_values(context))


class MLP(nn.Sequential):
    """Linear, exact GELU, Linear."""

    def __init__(self, dim: int, ratio: int) -> None:
        super().__init__(nn.Linear(dim, ratio * dim), nn.GELU(), nn.Linear(ratio * dim, dim))


class Block(nn.Module):
    """Pre-norm transformer block: x + attn(LN x), then x + mlp(LN x)."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm_attn = nn.LayerNorm(dim)
        self.attn = SelfAttention(dim, heads)
        self.norm_mlp = nn.LayerNorm(dim)
        self.mlp = MLP(dim, mlp_ratio)

    def forward(self, x: Tensor) -> Tensor:  # (B, N, D)
        x = x + self.attn(self.norm_attn(x))
        return x + self.mlp(self.norm_mlp(x))


def sincos_1d(positions: Tensor, dim: int) -> Tensor:
    """Sin-cos features (N, dim) of positions (N,): the first half sines, the second half cosines.

    Amplitude 1, so a row has norm sqrt(dim / 2): 11.3 at D = 256, where byte embeddings start at 0.32.
    """
    frequency = 10000.0 ** -(torch.arange(dim // 2, dtype=torch.float64) / (dim / 2))
    angle = positions.double()[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1).float()


def sincos_2d(grid: int, dim: int) -> Tensor:
    """Sin-cos features (grid * grid, dim) of a square of patches, row by row; half for x, half for y."""
    row, column = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    return torch.cat([sincos_1d(column.flatten(), dim // 2), sincos_1d(row.flatten(), dim // 2)], dim=1)
