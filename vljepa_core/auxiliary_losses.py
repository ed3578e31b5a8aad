"""Losses on plans that the study did not have: what may keep plans apart, or tie them to words.

All are functions of tensors, all are means over the batch and 0 or more, so that their weights can be compared.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_core.datasets.word_bags import NO_WORD

DIRECTIONS = 256  # of SIGReg, drawn anew for every batch
KNOTS = 17  # of SIGReg's integral over [-5, 5]
VIEW_SCALE = (0.4, 1.0)  # side of a LeJEPA view, as a share of the image's


def sigreg(z: Tensor) -> Tensor:
    """Distance of rows (..., N, D) from a standard normal distribution, SIGReg (LeJEPA, Balestriero & LeCun 2025).

    The mean over what comes before N. Along random directions, the Epps-Pulley statistic: the squared difference of the
    rows' characteristic function and the normal one's, integrated under exp(-t^2 / 2); times N as in the paper.
    About 1 for normal rows.
    """
    directions = F.normalize(torch.randn(z.shape[-1], DIRECTIONS, device=z.device), dim=0)
    t = torch.linspace(-5, 5, KNOTS, device=z.device)
    normal = torch.exp(-t.square() / 2)
    angle = (z.float() @ directions)[..., None] * t  # (..., N, DIRECTIONS, KNOTS)
    apart = (angle.cos().mean(dim=-3) - normal).square() + angle.sin().mean(dim=-3).square()
    return (torch.trapezoid(apart * normal, t, dim=-1) * z.shape[-2]).mean()


def vicreg(z: Tensor) -> Tensor:
    """Variance and covariance terms of VICReg (Bardes et al. 2022) on rows (..., N, D), mean over ...; 0 for one row.

    The mean shortfall of each number's deviation from 1, and 1/25 of the squared covariances per number, the ratio of
    the paper's weights.
    """
    n, dim = z.shape[-2:]
    if n < 2:
        return z.new_zeros(())
    z = z - z.mean(dim=-2, keepdim=True)
    short = F.relu(1 - (z.square().sum(dim=-2) / (n - 1) + 1e-4).sqrt()).mean()
    covariance = z.transpose(-1, -2) @ z / (n - 1)
    apart = covariance - torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1))
    return short + apart.square().sum(dim=(-2, -1)).mean() / dim / 25


def infonce(a: Tensor, b: Tensor, log_scale: Tensor, further: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Cross-entropy in nats of finding the own one among N, both ways (CLIP, Radford et al. 2021); a, b unit (N, D).

    ``further``: candidates for a's rows that are nobody's own, (M, D), and which of them count, bool (M,).
    """
    scale = log_scale.exp().clamp(max=100)
    similarity = scale * a @ b.T
    candidates = similarity
    if further is not None:
        others, count = further
        candidates = torch.cat([similarity, (scale * a @ others.T).masked_fill(~count, -torch.inf)], dim=1)
    own = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(candidates, own) + F.cross_entropy(similarity.T, own)) / 2


def siglip(a: Tensor, b: Tensor, log_scale: Tensor, shift: Tensor) -> Tensor:
    """Every pair judged by itself (Zhai et al. 2023): -log sigmoid of the own, of minus the others, per row (N, D)."""
    similarity = log_scale.exp() * a @ b.T + shift
    sign = 2 * torch.eye(len(a), device=a.device) - 1
    return -F.logsigmoid(sign * similarity).sum() / len(a)


def words_loss(logits: Tensor, words: Tensor) -> Tensor:
    """Mean over captions of the mean nats per word, in no order (Zhao et al. 2017); logits (B, V), words (B, W)."""
    there = words != NO_WORD
    nats = -logits.float().log_softmax(dim=-1).gather(1, words)
    return ((nats * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)).mean()


def hinge(own: Tensor, other: Tensor, margin: float) -> Tensor:
    """Mean shortfall of another plan's nats (B,) from the own one's (B,) plus the margin."""
    return F.relu(margin + own - other).mean()


def nested(plan: Tensor) -> Tensor:
    """Plans (B, K, D) cut as a short message would be: for each a random number of vectors, and of numbers in each.

    The rest is 0 (nested dropout, Rippel et al. 2014; Matryoshka, Kusupati et al. 2022). Half of the plans stay whole;
    the others keep 1, 2, 4, ... vectors, the powers of two up to K, and D, D/2, D/4 or D/8 numbers.
    """
    n, vectors, dim = plan.shape
    sizes = torch.tensor([2**i for i in range(vectors.bit_length())], device=plan.device).clamp(max=vectors)
    widths = torch.tensor([dim, dim // 2, dim // 4, dim // 8], device=plan.device)
    k = sizes[torch.randint(len(sizes), (n, 1), device=plan.device)]
    w = widths[torch.randint(len(widths), (n, 1), device=plan.device)]
    whole = torch.rand(n, 1, device=plan.device) < 0.5
    k, w = torch.where(whole, vectors, k), torch.where(whole, dim, w)
    keep = (torch.arange(vectors, device=plan.device) < k)[..., None] & (torch.arange(dim, device=plan.device) < w)[
        :, None
    ]
    return plan * keep


def view(pixels: Tensor) -> Tensor:
    """A random square of each image, mirrored or not, brighter or darker: float (B, 3, S, S) in and out."""
    n, device = len(pixels), pixels.device
    low, high = VIEW_SCALE
    side = low + (high - low) * torch.rand(n, device=device)
    x, y = ((2 * torch.rand(n, device=device) - 1) * (1 - side) for _ in range(2))
    mirror = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
    zero = torch.zeros(n, device=device)
    place = torch.stack([torch.stack([side * mirror, zero, x], 1), torch.stack([zero, side, y], 1)], 1)
    grid = F.affine_grid(place, list(pixels.shape), align_corners=False)
    light = 0.6 + 0.8 * torch.rand(n, 3, 1, 1, device=device)  # of each colour: hue moves as well
    return F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False) * light
