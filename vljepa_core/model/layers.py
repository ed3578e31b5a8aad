"""The pieces every tower is built of: attention, MLP, pre-norm block, sin-cos positions.

Source of the arithmetic: the study's ``nodes/common/jepa.py`` and ``vl_jepa.py``.
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


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """softmax(q k^T / sqrt(D/H)) v of every head; q (B, H, N, D/H), k and v (B, H, M, D/H) -> (B, N, D).

    ``mask`` bool (N, M), True where a row may look at a column; ``causal``: the lower triangle of a square.
    """
    if q.device.type == "cpu" and q.dtype == torch.bfloat16 and torch.is_grad_enabled():
        # PyTorch's fused kernel trains 3 to 5 times slower than this in bf16 on a CPU (benchmarks/PROFILE.md).
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (B, H, N, M)
        if causal:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        if mask is not None:
            scores = scores.masked_fill(~mask, float("-inf"))
        return merge_heads(scores.softmax(dim=-1) @ v)
    return merge_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal))


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
        return self.out(attention(q, k, v, mask, causal))


class CrossAttention(nn.Module):
    """Multi-head attention from one sequence to another; keys and values are one projection of the context."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim, dim)
        self.kv = nn.Linear(dim, 2 * dim)  # the published k and v, stacked: same parameters, same initialisation
        self.out = nn.Linear(dim, dim)

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """context (B, M, D) -> keys and values (B, H, M, D/H): computed once per caption when decoding."""
        keys, values = self.kv(context).chunk(2, dim=-1)
        return split_heads(keys, self.heads), split_heads(values, self.heads)

    def attend(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """query (B, N, D), or (1, N, D) for the same queries everywhere: projected once -> (B, N, D)."""
        q = split_heads(self.q(query), self.heads).expand(len(keys), -1, -1, -1)
        return self.out(attention(q, keys, values))

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """query (B or 1, N, D), context (B, M, D) -> (B, N, D)."""
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
