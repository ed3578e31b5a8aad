"""Decoding with a cache equals decoding by recomputing every prefix."""

from __future__ import annotations

import pytest
import torch

from tests.test_model import tiny_model
from vljepa_core import generate as generation
from vljepa_core import tokenizer
from vljepa_core.generate import generate


def recompute(decoder, plan: torch.Tensor, max_new_tokens: int) -> list[str]:
    """Greedy decoding as published: the whole prefix again for every byte, one caption at a time."""
    captions = []
    for each in plan:
        ids = [tokenizer.BOS]
        while len(ids) <= max_new_tokens and ids[-1] != tokenizer.EOS:
            ids.append(int(decoder(each[None], torch.tensor([ids]))[0, -1].argmax()))
        captions.append(tokenizer.decode(ids[1:]))
    return captions


@pytest.mark.parametrize(
    ("experiment", "memory"), [("run2", 0), ("run3", 0), ("run4", 0), ("run2", 5), ("run3", 5), ("run4", 5)]
)
@torch.no_grad()
def test_cached_greedy_equals_recomputation(experiment: str, memory: int) -> None:
    decoder = tiny_model(experiment, decoder_memory=memory).decoder
    decoder.head.weight.mul_(5)  # decided logits: a tie would be a coin toss between two right answers
    plan = torch.randn(9, 3, 16) * 3
    slow = recompute(decoder, plan, 30)
    assert generate(decoder, plan, 30) == slow
    assert len(set(slow)) > 1  # plans matter, or equality would say little


@torch.no_grad()
def test_captions_do_not_depend_on_their_batch() -> None:
    decoder = tiny_model("run4").decoder
    plan = torch.randn(6, 3, 16)
    together = generate(decoder, plan, 20)
    assert [generate(decoder, each[None], 20)[0] for each in plan] == together


@pytest.mark.parametrize("experiment", ["run2", "run3", "run4"])
@torch.no_grad()
def test_leaving_ended_captions_out_changes_nothing(experiment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = tiny_model(experiment).decoder
    plan = torch.randn(60, 3, 16) * 3
    found = {}
    for batch, check_every in ((1_000, 1_000), (1_000, 1), (7, 4)):
        monkeypatch.setattr(generation, "CPU_BATCH", batch)
        monkeypatch.setattr(generation, "CHECK_EVERY", check_every)
        found[batch, check_every] = generate(decoder, plan, 40, 9.0, torch.Generator().manual_seed(0))
    all_to_the_end = found.pop((1_000, 1_000))
    assert all(captions == all_to_the_end for captions in found.values())
    assert len({len(caption) < 20 for caption in all_to_the_end}) == 2  # nearly uniform draws: a few end early


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_off_the_cpu_no_byte_waits_for_the_device(temperature: float) -> None:
    """The meta device has shapes but no values, so whatever reads a value or a data-dependent shape fails on it."""
    with torch.device("meta"):
        decoder, plan, draws = tiny_model("run4").decoder, torch.empty(5, 3, 16), torch.empty(5, 20)
        out, rows = torch.empty(5, 20, dtype=torch.long), torch.empty(5, dtype=torch.long)
    with torch.no_grad():
        generation._decode(decoder.eval(), plan, temperature, draws if temperature else None, out, rows)


@torch.no_grad()
def test_end_of_caption_and_limits() -> None:
    decoder = tiny_model("run2").decoder
    decoder.head.weight.zero_()
    plan = torch.randn(2, 3, 16)
    decoder.head.weight[tokenizer.EOS] = 0
    decoder.norm.weight.zero_()
    decoder.norm.bias.fill_(1.0)
    decoder.head.weight[4 + ord("x")] = 1.0  # always x
    assert generate(decoder, plan, 5) == ["xxxxx"] * 2
    assert [len(c) for c in generate(decoder, plan, 1000)] == [47] * 2  # as many as there are positions
    decoder.head.weight[tokenizer.EOS] = 2.0  # always EOS
    assert generate(decoder, plan, 5) == ["", ""]


@torch.no_grad()
def test_sampling_is_seeded_and_follows_the_distribution() -> None:
    decoder = tiny_model("run2").decoder
    plan = torch.randn(1, 3, 16).repeat(3000, 1, 1)
    draw = generate(decoder, plan, 1, 0.7, torch.Generator().manual_seed(3))
    assert draw == generate(decoder, plan, 1, 0.7, torch.Generator().manual_seed(3))
    assert draw != generate(decoder, plan, 1, 0.7, torch.Generator().manual_seed(4))
    logits = decoder(plan[:1], torch.tensor([[tokenizer.BOS]]))[0, -1]
    probability = torch.softmax(logits / 0.7, dim=-1)
    ascii_ids = torch.arange(4 + 32, 4 + 127)
    expected = probability[ascii_ids].sum().item()
    got = sum(len(c) == 1 and 32 <= ord(c) < 127 for c in draw) / len(draw)
    assert got == pytest.approx(expected, abs=0.04)
