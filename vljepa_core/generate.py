"""Captions out of latent plans: batched, KV-cached, greedy or sampled."""

from __future__ import annotations

import torch
from torch import Tensor

from vljepa_core import tokenizer
from vljepa_core.model.decoder import TextDecoder


@torch.no_grad()
def generate(
    decoder: TextDecoder,
    plan: Tensor,
    max_new_tokens: int,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> list[str]:
    """Captions of plans (B, K, D), at most ``max_new_tokens`` ids each (EOS included).

    ``temperature`` 0 is greedy; above 0 samples from softmax(logits / temperature) with ``generator``, which
    lives on the CPU so that a seed means the same draw on every device. Every caption consumes its draws
    whether or not it has ended, so the result does not depend on which captions share a batch's end.
    """
    training, device, batch = decoder.training, plan.device, len(plan)
    decoder.eval()
    limit = min(max_new_tokens, len(decoder.positions) - decoder.prefix_length - 1)
    caches = decoder.start(plan, limit)
    ids = torch.full((batch,), tokenizer.BOS, device=device)
    ended = torch.zeros(batch, dtype=torch.bool, device=device)
    rows = []
    for step in range(limit):
        logits = decoder.step(plan, ids, caches).float()
        if temperature > 0:
            probabilities = torch.softmax(logits / temperature, dim=-1).cpu()
            ids = torch.multinomial(probabilities, 1, generator=generator)[:, 0].to(device)
        else:
            ids = logits.argmax(dim=-1)
        ids = ids.masked_fill(ended, tokenizer.PAD)
        rows.append(ids)
        ended = ended | (ids == tokenizer.EOS)
        if step % 8 == 7 and bool(ended.all()):  # asking the device costs a wait, so not at every byte
            break
    decoder.train(training)
    return [tokenizer.decode(row) for row in torch.stack(rows, dim=1).tolist()]
