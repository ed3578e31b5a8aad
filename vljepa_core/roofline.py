"""What a training step asks of a card, and how fast a card could be at it: counts and a prediction.

A step can be no faster than its arithmetic at the card's peak, nor than the bytes its operators move at the card's
bandwidth (Williams, Waterman, Patterson 2009); and eager PyTorch issues its operators one by one, which is estimated
from one machine. The three stand side by side, so that a reader sees which of them a card would wait for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# What eager PyTorch takes to issue one of the operators counted here, with the views, casts and autograd around it. A
# step of Run 2 at the published size took 65 ms on an H200 with 16 cores of a virtual Xeon, and 58 to 68 beside five
# others, so that the GPU was not what it waited for; the median is 62 (benchmarks/PROFILE.md, "On a GPU").
ISSUE_SECONDS = 77e-6


@dataclass(frozen=True)
class Card:
    """A GPU by its data sheet."""

    name: str
    flops: float  # per second: bf16 matrix products with float32 sums, dense
    bandwidth: float  # bytes per second
    source: str


CARDS = (
    Card("L4", 121e12, 300e9, "NVIDIA L4 data sheet (half of its figure with sparsity)"),
    Card("RTX 3090", 71e12, 936e9, "NVIDIA Ampere GA102 white paper"),
    Card("RTX 4090", 165.2e12, 1008e9, "NVIDIA Ada white paper"),
    Card("A100 SXM 80 GB", 312e12, 2039e9, "NVIDIA A100 data sheet"),
    Card("H100 SXM", 989.4e12, 3350e9, "NVIDIA H100 data sheet (half of its figure with sparsity)"),
    Card("H200 SXM", 989.4e12, 4800e9, "NVIDIA H200 data sheet (half of its figure with sparsity)"),
)


def size(tensors: Any) -> int:
    """Bytes of the tensors in nested arguments; an expanded one counts as what is stored."""
    return sum(
        min(t.numel() * t.element_size(), t.untyped_storage().nbytes())
        for t in tree_leaves(tensors)
        if isinstance(t, Tensor)
    )


class Traffic(TorchDispatchMode):
    """Counts operators that do something on a device, and the bytes they read and write, each operator for itself.

    Views and empty allocations do nothing. What a cache saves, or a compiler that joins operators, is not deducted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators, self.bytes = 0, 0

    def add(self, tensors: Any) -> None:
        """One operator that reads or writes these tensors once."""
        self.operators += 1
        self.bytes += size(tensors)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        returns = function._schema.returns
        view = any(r.alias_info is not None and not r.alias_info.is_write for r in returns)
        if not view and not any(part in function.__name__ for part in ("empty", "_unsafe_view", "detach")):
            self.add([args, kwargs, found])
        return found


class _Fused(torch.autograd.Function):
    """Attention as one operator forward and one backward, which is what a GPU runs; on meta it would be eight."""

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, traffic: Traffic) -> Tensor:
        out = torch.empty_like(q)
        ctx.save_for_backward(q, k, v, out)
        ctx.traffic = traffic
        traffic.add([q, k, v, out])
        return out

    @staticmethod
    def backward(ctx, gradient: Tensor):
        q, k, v, _ = ctx.saved_tensors
        found = tuple(torch.empty_like(t) for t in (q, k, v))
        ctx.traffic.add([ctx.saved_tensors, gradient, found])
        return *found, None


class FusedAttention(TorchFunctionMode):
    """Takes ``scaled_dot_product_attention`` for one operator."""

    def __init__(self, traffic: Traffic) -> None:
        super().__init__()
        self.traffic = traffic

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is F.scaled_dot_product_attention:
            return _Fused.apply(*args[:3], self.traffic)
        return function(*args, **(kwargs or {}))


def optimiser_traffic(parameters: int) -> dict[str, int]:
    """Of clipping and AdamW on float32 parameters, each fused over all of them.

    Norm: reads the gradients. Clipping: reads and writes them. AdamW: reads weights, gradients and two moments, writes
    all but the gradients.
    """
    return {"operators": 3, "bytes": 4 * parameters * (1 + 2 + 7)}


def predict(cost: dict[str, float], cards: tuple[Card, ...] = CARDS) -> list[dict[str, Any]]:
    """For every card: seconds that a step's arithmetic, memory traffic and issuing take at least, and which is most.

    ``cost``: ``flops``, ``bytes``, ``operators`` of a step. ``at_least`` is the larger of the first two: what remains
    when the operators are captured (CUDA graphs) instead of issued one by one.
    """
    rows = []
    for card in cards:
        arithmetic, memory = cost["flops"] / card.flops, cost["bytes"] / card.bandwidth
        parts = {"arithmetic": arithmetic, "memory": memory, "issuing": cost["operators"] * ISSUE_SECONDS}
        rows.append(
            {
                "card": card.name,
                "source": card.source,
                "seconds": parts,
                "at_least": max(arithmetic, memory),
                "waits_for": max(parts, key=parts.get),
            }
        )
    return rows
