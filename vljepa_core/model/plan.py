"""Fused tokens in, latent plan out: the bottleneck this book is about."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vljepa_core.model.layers import Block, CrossAttention


class SemanticPredictor(nn.Module):
    """Encoder blocks on the fused tokens, then K learned queries attend to them; LayerNorm gives the plan.

    As published, the queries have **no residual**: a plan vector is nothing but a projected average of
    fused tokens, and the K vectors differ only as far as their attention patterns do. ``residual=True``
    adds the query to what it read.
    """

    def __init__(self, plan_vectors: int, dim: int, heads: int, depth: int, mlp_ratio: int, residual: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio) for _ in range(depth))
        self.queries = nn.Parameter(torch.randn(plan_vectors, dim) * 0.02)
        self.cross = CrossAttention(dim, heads)
        self.norm = nn.LayerNorm(dim)
        self.residual = residual

    def forward(self, fused: Tensor) -> Tensor:
        """fused (B, S_q, D) -> plan (B, K, D)."""
        for block in self.blocks:
            fused = block(fused)
        read = self.cross(self.queries[None], fused)
        return self.norm(self.queries + read if self.residual else read)


class FreePlans(nn.Module):
    """Plans that are parameters: row i of (rows, K, D) is a plan, normalised as the predictor's is. No encoder.

    One row is a plan that knows nothing of the image; one row per example shows what a decoder can do with K x D
    numbers when nothing has to be read from an image.
    """

    def __init__(self, rows: int, plan_vectors: int, dim: int) -> None:
        super().__init__()
        self.plans = nn.Parameter(torch.randn(rows, plan_vectors, dim) * 0.02)
        self.norm = nn.LayerNorm(dim)

    def forward(self, rows: Tensor) -> Tensor:
        """row numbers (B,) -> plans (B, K, D)."""
        return self.norm(self.plans[rows])
