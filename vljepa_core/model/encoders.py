"""Image and query in, fused query tokens out: visual encoder, text encoder, cross-modal fusion."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vljepa_core.model.layers import Block, CrossAttention, sincos_1d, sincos_2d


class VisualEncoder(nn.Module):
    """ViT: patches, trainable positions that start at 2-D sin-cos, pre-norm blocks, LayerNorm."""

    def __init__(self, image_size: int, patch_size: int, dim: int, heads: int, depth: int, mlp_ratio: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size)
        self.positions = nn.Parameter(sincos_2d(image_size // patch_size, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, images: Tensor) -> Tensor:
        """images (B, 3, S, S) -> visual tokens (B, (S / patch)^2, D)."""
        x = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class TextEncoder(nn.Module):
    """Bidirectional byte encoder of the fixed query. The study's padding mask is accepted by its code and
    never used; the query is never padded here, so there is none to pass."""

    def __init__(self, vocab: int, max_length: int, dim: int, heads: int, depth: int, mlp_ratio: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab, dim)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.positions = nn.Parameter(sincos_1d(torch.arange(max_length), dim))
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, S_q) -> (B, S_q, D)."""
        x = self.embed(ids) + self.positions[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class FusionBlock(nn.Module):
    """t + cross_attn(LN t, LN v), then one encoder block."""

    def __init__(self, dim: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm_text = nn.LayerNorm(dim)
        self.norm_visual = nn.LayerNorm(dim)
        self.cross = CrossAttention(dim, heads)
        self.block = Block(dim, heads, mlp_ratio)

    def forward(self, text: Tensor, visual: Tensor) -> Tensor:
        return self.block(text + self.cross(self.norm_text(text), self.norm_visual(visual)))


class Fusion(nn.Module):
    """Query tokens look at visual tokens, several times over."""

    def __init__(self, dim: int, heads: int, depth: int, mlp_ratio: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(FusionBlock(dim, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, text: Tensor, visual: Tensor) -> Tensor:
        """text (B, S_q, D), or (1, S_q, D) for all images alike; visual (B, P, D) -> (B, S_q, D)."""
        for block in self.blocks:
            text = block(text, visual)
        return self.norm(text)
