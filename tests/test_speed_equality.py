"""What makes a training step fast changes no number: against the published path, and against doing the plain thing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import vljepa_core
from benchmarks import published_path
from tests.test_published_path import both
from vljepa_core import tokenizer
from vljepa_core.model.layers import attention
from vljepa_core.objectives import by_length, caption_loss
from vljepa_core.recipes import RecipeError, recipe
from vljepa_core.resident import padded_length
from vljepa_core.train import autocast, cpu_multiplies_in_bfloat16, epoch_order, precision_of

CPU = torch.device("cpu")


def some_captions(*lengths: int) -> torch.Tensor:
    """Ids (B, N) of captions of so many ids each, BOS and EOS included."""
    rows = [[tokenizer.BOS, *range(4, 2 + n), tokenizer.EOS] for n in lengths]
    ids = torch.zeros(len(rows), padded_length(max(lengths)), dtype=torch.long)
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = torch.tensor(values)
    return ids


@pytest.mark.parametrize("lengths", [(30, 5, 61, 12, 12, 47, 3, 30, 90), (7,), (20, 9), (2, 2, 2)])
def test_groups_hold_every_caption_once_and_whole(lengths: tuple[int, ...]) -> None:
    ids = some_captions(*lengths)
    groups = by_length(ids)
    assert sorted(torch.cat([rows for rows, _ in groups]).tolist()) == list(range(len(ids)))
    for rows, part in groups:
        assert torch.equal(F.pad(part, (0, ids.shape[1] - part.shape[1])), ids[rows])  # nothing but PAD is cut
        assert part.shape[1] < max(lengths[i] for i in rows) + 8
        assert part.shape[1] % 8 == 1  # few shapes
    longest = [part.shape[1] for _, part in groups]
    assert longest == sorted(longest, reverse=True)


@pytest.mark.parametrize("experiment", ["run2", "run3", "run4"])
def test_groups_give_the_loss_and_gradients_of_the_whole_batch(experiment: str, data_dir) -> None:
    trainer, _, _ = both(experiment)  # dropout off
    model, r = trainer.model, trainer.recipe
    source, ids, _ = trainer.train_data.batch(np.arange(31))
    plan, logits = model(source, ids[:, :-1])  # at once, padded to the longest
    plain = caption_loss(logits, ids, r.label_smoothing)
    expected = torch.autograd.grad(plain, list(model.parameters()))
    _, parts = trainer.objective.loss(model, source, ids, None)
    torch.testing.assert_close(parts["train_loss"], plain.detach())
    trainer.objective.recipe = recipe("run2", "smoke", diversity_weight=0.0)
    grouped, _ = trainer.objective.loss(model, source, ids, None)
    for name, g in zip(expected, torch.autograd.grad(grouped, list(model.parameters())), strict=True):
        torch.testing.assert_close(g, name, rtol=1e-4, atol=1e-6)


def test_loss_curves_agree_over_200_steps(data_dir) -> None:
    """float32 against the published path. Rounding differs and training amplifies it, so that single losses part
    in the end; the curve may not."""
    few = dict(epochs=100, validate_every=100, n_val=4, probe_images=2, max_new_tokens=2)
    trainer, twin, samples = both("run4", warmup_epochs=0, learning_rate=3e-4, **few)
    optimiser = published_path.optimiser_of(twin)
    size, n = trainer.recipe.batch_size, len(samples)
    losses = []
    plain_loss = trainer.loss

    def watched(*batch):
        loss, parts = plain_loss(*batch)
        losses.append(loss.item())
        return loss, parts

    trainer.loss = watched
    theirs = []
    for _ in range(200):
        p = trainer.progress
        index = epoch_order(n, 0, p.epoch)[p.position : p.position + size]
        trainer.step()
        for group, mine in zip(optimiser.param_groups, trainer.optimiser.param_groups, strict=True):
            group["lr"] = mine["lr"]
        theirs.append(published_path.train_step(twin, optimiser, [samples[i] for i in index]))
    assert np.mean(theirs[-25:]) < 0.8 * np.mean(theirs[:25]), "nothing was learned"
    np.testing.assert_allclose(losses[:20], theirs[:20], rtol=1e-4)
    np.testing.assert_allclose(*(np.reshape(curve, (8, 25)).mean(axis=1) for curve in (losses, theirs)), rtol=5e-3)


def test_dropout_is_drawn_anew_for_every_caption_of_a_batch(data_dir) -> None:
    """In groups as in one piece: the same share of elements, different ones in every caption."""
    trainer, _, _ = both("run4")
    decoder = trainer.model.decoder
    decoder.word_dropout_rate = 0.3
    dropped = []
    plain = decoder.drop_words

    def watched(embedded):
        dropped.append(plain(torch.ones_like(embedded)))
        return embedded

    decoder.drop_words = watched
    source, ids, _ = trainer.train_data.batch(np.arange(32))
    trainer.objective.loss(trainer.model, source, ids, None)
    assert sum(len(part) for part in dropped) == 32
    zeros = torch.cat([(part[:, :8] == 0).flatten(1) for part in dropped])  # the first 8 ids of every caption
    assert zeros.float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert len({tuple(row.tolist()) for row in zeros}) == 32


def test_the_plan_of_run3_is_dropped_once_per_caption_at_its_rate(data_dir) -> None:
    trainer, _, _ = both("run3")
    decoder = trainer.model.decoder
    decoder.plan_dropout = 0.2
    seen = []
    decoder.plan_bias.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    plans = []
    decoder.blocks[0].register_forward_pre_hook(lambda module, inputs: plans.append(inputs[1]))
    source, ids, _ = trainer.train_data.batch(np.arange(32))
    trainer.objective.loss(trainer.model, source, ids, None)
    dropped = torch.cat(plans)
    assert len(dropped) == 32
    assert (dropped == 0).float().mean().item() == pytest.approx(0.2, abs=0.04)
    assert torch.equal(torch.cat(seen), dropped.mean(dim=1))  # bias and attention see the same draw


@pytest.mark.parametrize("case", ["all", "causal", "mask"])
def test_attention_in_bf16_on_a_cpu_is_attention(case: str) -> None:
    """The one place with two implementations, held against each other in value and gradient."""
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 9, 8, requires_grad=True) for _ in range(3))
    mask = torch.rand(9, 9) < 0.5
    mask.fill_diagonal_(True)
    how = {"all": {}, "causal": {"causal": True}, "mask": {"mask": mask}}[case]
    full = attention(q, k, v, **how)
    half = attention(q.bfloat16(), k.bfloat16(), v.bfloat16(), **how)
    torch.testing.assert_close(half.float(), full, rtol=0.03, atol=0.03)
    weight = torch.randn_like(full)
    expected = torch.autograd.grad((full * weight).sum(), (q, k, v))
    for name, g in zip(expected, torch.autograd.grad((half * weight).sum(), (q, k, v)), strict=True):
        torch.testing.assert_close(g, name, rtol=0.05, atol=0.08)


def test_precision_is_a_choice_of_the_recipe(monkeypatch) -> None:
    monkeypatch.setattr("vljepa_core.train.cpu_multiplies_in_bfloat16", lambda: True)
    plain, half = recipe("run2", "paper"), recipe("run2", "laptop")
    assert precision_of(plain, CPU) == "float32" and precision_of(plain, torch.device("cuda")) == "bfloat16"
    assert precision_of(half, CPU) == "bfloat16"
    assert precision_of(recipe("run2", precision="float32"), torch.device("cuda")) == "float32"
    assert precision_of(half, torch.device("mps")) == "float32"
    with autocast(half, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with autocast(plain, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    with pytest.raises(RecipeError, match="float16"):
        recipe("run2", precision="float16")


def test_a_cpu_that_does_not_multiply_in_bfloat16_is_spared_it(monkeypatch) -> None:
    """Emulated, a step would take ten times as long: such a CPU trains the recipe in float32."""
    half = recipe("run2", precision="bfloat16")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False, raising=False)
    assert precision_of(half, CPU) == "float32" and precision_of(half, torch.device("cuda")) == "bfloat16"
    with autocast(half, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    assert precision_of(half, CPU) == "bfloat16"
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):  # an older PyTorch
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert precision_of(half, CPU) == "float32"


needs_bfloat16 = pytest.mark.skipif(not cpu_multiplies_in_bfloat16(), reason="this CPU does not multiply in bfloat16")


@needs_bfloat16
def test_bf16_changes_no_verdict(data_dir) -> None:
    """Test 0 at a size that takes seconds and comes half-way: the same verdict for nearly the same numbers."""
    small = dict(n_train=360, n_val=60, dim=32, heads=2, depth=1, batch_size=18, probe_images=4)
    long = dict(epochs=14, warmup_epochs=1, learning_rate=3e-3, validate_every=14)
    full, half = (
        vljepa_core.run("test0", "smoke", "shapes", 0, **small, **long, precision=precision)
        for precision in ("float32", "bfloat16")
    )
    assert (full.provenance["precision"], half.provenance["precision"]) == ("float32", "bfloat16")
    assert full.weights_sha256 != half.weights_sha256
    assert full.verdict["label"] == half.verdict["label"] == "PARTIAL"
    assert half.metrics["val_loss"]["value"] == pytest.approx(full.metrics["val_loss"]["value"], abs=0.03)
