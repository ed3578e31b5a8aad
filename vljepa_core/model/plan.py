"""Fused tokens in, latent plan out: the bottleneck this book is about."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_core import distributed
from vljepa_core.model.layers import Block, CrossAttention


class SemanticPredictor(nn.Module):
    """Encoder blocks on the fused tokens, then K learned queries attend to them; LayerNorm gives the plan.

    As published, the queries have **no residual**: a plan vector is nothing but a projected average of
    fused tokens, and the K vectors differ only as far as their attention patterns do. ``residual=True``
    adds the query to what it read. ``norm="batch"`` normalises over the images instead: see :class:`NormOverImages`.
    """

    def __init__(
        self, plan_vectors: int, dim: int, heads: int, depth: int, mlp_ratio: int, residual: bool, norm: str = "layer"
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio) for _ in range(depth))
        self.queries = nn.Parameter(torch.randn(plan_vectors, dim) * 0.02)
        self.cross = CrossAttention(dim, heads)
        self.norm = _norm(norm, plan_vectors, dim)
        self.residual = residual

    def forward(self, fused: Tensor) -> Tensor:
        """fused (B, S_q, D) -> plan (B, K, D)."""
        for block in self.blocks:
            fused = block(fused)
        read = self.cross(self.queries[None], fused)
        return self.norm(self.queries + read if self.residual else read)


class EveryToken(nn.Module):
    """A control without bottleneck: the predictor's blocks and norm, and every visual token goes on to the decoder.

    What a decoder writes of an image that it reads in full is what the plan of K vectors is to be held against.
    """

    def __init__(self, tokens: int, dim: int, heads: int, depth: int, mlp_ratio: int, norm: str = "layer") -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio) for _ in range(depth))
        self.norm = _norm(norm, tokens, dim)

    def forward(self, visual: Tensor) -> Tensor:
        """visual (B, P, D) -> plan (B, P, D)."""
        for block in self.blocks:
            visual = block(visual)
        return self.norm(visual)


def _norm(name: str, vectors: int, dim: int) -> nn.Module:
    return nn.LayerNorm(dim) if name == "layer" else NormOverImages(vectors, dim)


class NormOverImages(nn.Module):
    """Each of the K x D numbers with mean 0 and deviation 1 over the images of a batch; in use, over those of training.

    What all images have in common can't be in such a plan, and what differs can't be small: batch normalisation, as in
    BN-VAE (Zhu et al., ACL 2020), against the same collapse in variational autoencoders.
    """

    def __init__(self, plan_vectors: int, dim: int) -> None:
        super().__init__()
        self.over_images = nn.BatchNorm1d(plan_vectors * dim, affine=False)

    def forward(self, plan: Tensor) -> Tensor:
        """(B, K, D) -> (B, K, D)."""
        if self.training and distributed.size() > 1:
            raise ValueError(
                "plan_norm='batch' on several processes: each would normalise over its own images; use one"
            )
        numbers = plan.flatten(1).float()
        if self.training and len(numbers) == 1:  # an epoch's last image alone deviates from nothing: as in use
            norm = self.over_images
            return F.batch_norm(numbers, norm.running_mean, norm.running_var, eps=norm.eps).view(plan.shape)
        return self.over_images(numbers).view(plan.shape)


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
