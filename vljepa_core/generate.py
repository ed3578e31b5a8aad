"""Captions out of latent plans: batched, KV-cached, greedy or sampled."""

from __future__ import annotations

import torch
from torch import Tensor

from vljepa_core import tokenizer
from vljepa_core.model.decoder import TextDecoder

CPU_BATCH = 256  # captions decoded together on a CPU: their keys and values should fit its cache; a GPU takes all
CHECK_EVERY = 8  # bytes between two looks at which captions have ended


@torch.no_grad()
def generate(
    decoder: TextDecoder,
    plan: Tensor,
    max_new_tokens: int,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
    tokens: tokenizer.Tokens = tokenizer,
) -> list[str]:
    """Captions of plans (B, K, D), at most ``max_new_tokens`` ids each (EOS included).

    ``temperature`` 0 is greedy; above 0 samples from softmax(logits / temperature). All random numbers are drawn
    beforehand with ``generator``, which lives on the CPU: one for every caption and byte. So a seed means the same
    draw on every device, and a caption does not depend on what it is decoded beside. ``tokens``: what the decoder's ids
    stand for.
    """
    training, device = decoder.training, plan.device
    decoder.eval()
    limit = min(max_new_tokens, len(decoder.positions) - decoder.prefix_length - 1)
    draws = None
    if temperature > 0:
        draws = (1 - torch.rand(len(plan), limit, generator=generator)).to(device)  # in (0, 1]
    ids = torch.full((len(plan), limit), tokenizer.PAD, device=device)
    for rows in torch.arange(len(plan), device=device).split(CPU_BATCH if device.type == "cpu" else max(1, len(plan))):
        _decode(decoder, plan[rows], temperature, None if draws is None else draws[rows], ids, rows)
    decoder.train(training)
    return [tokens.decode(row) for row in ids.tolist()]


def _decode(
    decoder: TextDecoder, plan: Tensor, temperature: float, draws: Tensor | None, out: Tensor, rows: Tensor
) -> None:
    """Write the ids of captions into their ``rows`` (B,) of ``out`` (N, limit), PAD after EOS.

    On a CPU the captions that have ended are left out from time to time. Elsewhere every byte is decoded for all of
    them: shapes then depend on nothing that is computed, and the device is never waited for.
    """
    cache = decoder.start(plan, out.shape[1])
    ids = torch.full_like(rows, tokenizer.BOS)
    ended = torch.zeros_like(rows, dtype=torch.bool)
    for position in range(out.shape[1]):
        logits = decoder.step(ids, cache).float()
        ids = logits.argmax(dim=-1) if draws is None else _sample(logits / temperature, draws[:, position])
        ids = ids.masked_fill(ended, tokenizer.PAD)
        out[rows, position] = ids
        ended = ended | (ids == tokenizer.EOS)
        if rows.device.type == "cpu" and position % CHECK_EVERY == CHECK_EVERY - 1:
            going = (~ended).nonzero()[:, 0]
            if len(going) == 0:
                return
            if len(going) < 0.9 * len(ended):  # leaving captions out means copying the others
                cache.keep(going)
                ids, rows, ended = ids[going], rows[going], ended[going]
                draws = None if draws is None else draws[going]


def _sample(logits: Tensor, draws: Tensor) -> Tensor:
    """Inverse of the cumulative distribution: logits (B, V), draws (B,) in (0, 1] -> ids (B,)."""
    cumulative = torch.softmax(logits, dim=-1).cumsum(dim=-1)
    return torch.searchsorted(cumulative, draws[:, None] * cumulative[:, -1:])[:, 0]
