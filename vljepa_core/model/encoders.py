"""Image and query in, fused query tokens out: visual encoder, text encoder, cross-modal fusion."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from vljepa_core.model.layers import Block, CrossAttention, sincos_1d, sincos_2d


class VisualEncoder(nn.Module):
    """ViT: patches, trainable positions that start at 2-D sin-cos, pre-norm blocks, LayerNorm.

    ``stem`` is ``patches``, one linear map of each patch, or ``convolutions`` (see :func:`convolutional_stem`).
    """

    def __init__(
        self, image_size: int, patch_size: int, dim: int, heads: int, depth: int, mlp_ratio: int, stem: str = "patches"
    ) -> None:
        super().__init__()
        if stem == "patches":
            self.patches: nn.Module = nn.Conv2d(3, dim, kernel_size=patch_size, stride=patch_size)
        else:
            self.patches = convolutional_stem(patch_size, dim)
        self.positions = nn.Parameter(sincos_2d(image_size // patch_size, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, images: Tensor) -> Tensor:
        """images (B, 3, S, S) -> visual tokens (B, (S / patch)^2, D)."""
        x = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


def convolutional_stem(patch_size: int, dim: int) -> nn.Sequential:
    """3 x 3 convolutions of stride 2 instead of one of ``patch_size``: the same grid of tokens (Xiao et al. 2021).

    Raises:
        ValueError: ``patch_size`` is no power of 2, so strides of 2 don't reach it.
    """
    halvings = patch_size.bit_length() - 1
    if patch_size != 2**halvings:
        raise ValueError(f"patch_size={patch_size}: a convolutional stem halves the image, so it takes a power of 2")
    widths = [3, *(max(dim >> (halvings - i), 8) for i in range(1, halvings + 1))]
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(1, after), nn.GELU()]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], dim, 1))


class FeatureTokens(nn.Module):
    """What a network saw, as visual tokens: LayerNorm, a linear map to D, trainable positions.

    Without ``network`` it is given that network's features, computed once (``features``): the network is frozen from
    the start, and no part of the model. With it, it is given pixels and trains the network too, to the end or until it
    is frozen (``networks`` says how).
    """

    def __init__(self, tokens: int, channels: int, dim: int, network: nn.Module | None = None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.project = nn.Linear(channels, dim)
        self.positions = nn.Parameter(torch.zeros(tokens, dim))
        self.network = network

    def forward(self, seen: Tensor) -> Tensor:
        """features (B, P, C), or pixels uint8 (B, S, S, 3) with a network -> visual tokens (B, P, D)."""
        features = seen.float() if self.network is None else self.network(seen)
        return self.project(self.norm(features)) + self.positions


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
