"""What each intervention does to a model, a batch or a run; and that off means the published recipe."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vljepa_core import auxiliary_losses, runs, tokenizer
from vljepa_core.datasets.selection import Examples
from vljepa_core.interventions import BUDGET, COMBINED, RUNGS, SINGLE
from vljepa_core.model.decoder import SPACE
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.objectives import WHOLE, Captioning, Part, caption_loss
from vljepa_core.recipes import DEFAULTS, RecipeError, recipe
from vljepa_core.resident import SHIFT, Resident, TrainingResident, moved
from vljepa_core.train import Trainer, parameter_groups

CPU = torch.device("cpu")


def examples(n: int = 24, size: int = 64, seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    references = [
        [f"a {colour} dog {i}", f"the dog is {colour}"]
        for i, colour in zip(range(n), ["red", "blue"] * n, strict=False)
    ]
    return Examples(
        images=rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8),
        image_ids=list(range(n)),
        texts=[each[0] for each in references],
        references=references,
        ids=tokenizer.encode_batch([each[0] for each in references], 128),
        labels=None,
    )


def batch_of(**changes) -> tuple[VLJEPA, Captioning, tuple]:
    r = recipe("run2", "smoke", **changes)
    torch.manual_seed(0)
    model = VLJEPA(r)
    words = r.align_weight > 0 or r.words_weight > 0
    split = Resident(examples(), CPU, words=words)
    return model, Captioning(r, split), split.batch(np.arange(8))


def test_every_rung_is_a_recipe_with_its_expectation() -> None:
    for name, rung in RUNGS.items():
        made = recipe("run2", "laptop", **{**BUDGET, **rung.changes}).to_dict()
        assert all(made[key] == value for key, value in rung.changes.items())
        assert rung.hypothesis and (name == "published") == (not rung.changes)
    assert len({str(rung.changes) for rung in SINGLE.values()}) == len(SINGLE)
    for name, rung in COMBINED.items():
        if "without" in name:
            whole = COMBINED[name.partition("_")[0]].changes
            assert rung.changes.items() < whole.items(), f"{name} leaves something out and adds nothing"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"visual": "resnet"}, "timm:NAME"),
        ({"visual": "efficientnet_lite0", "visual_training": "frozen", "augment": "shift"}, "computed once"),
        ({"visual": "efficientnet_lite0", "visual_weights": "random", "batch_size": 1}, "batch_size=1: 2 or more"),
        ({"visual_weights": "random"}, "always starts from random ones"),
        ({"visual": "efficientnet_lite0", "stem": "convolutions"}, "stem"),
        ({"pretrain": "lejepa"}, "pretrain_epochs"),
        ({"pretrain": "align", "pretrain_epochs": 1}, "align_weight"),
        ({"align_memory": 64}, "align_weight above 0"),
        ({"align": "siglip", "align_weight": 1.0, "align_memory": 64}, "is of align='infonce'"),
        ({"align_weight": 1.0, "align_memory": 31}, "holds no batch of 32"),
        ({"plan_source": "none", "align_weight": 1.0}, "sees no image"),
        ({"input_dropout": "bytes"}, "token, word, blank"),
    ],
)
def test_impossible_interventions_are_refused(changes, says) -> None:
    with pytest.raises(RecipeError, match=says):
        recipe("run2", "smoke", **changes)


def test_off_leaves_no_trace() -> None:
    """No head, no further draw of random numbers, no further term: the loss is cross-entropy and diversity alone."""
    model, objective, batch = batch_of()
    assert model.auxiliary is None
    before = torch.get_rng_state()
    loss, parts = objective.loss(model, *batch)
    assert torch.equal(before, torch.get_rng_state())
    assert parts.keys() == {"train_loss", "diversity"}
    assert loss.item() == (parts["train_loss"] + 0.5 * parts["diversity"]).item()


def two_steps(**changes) -> dict[str, torch.Tensor]:
    """All weights of Run 2 after two optimiser steps."""
    r = recipe("run2", "smoke", n_train=32, epochs=1, warmup_epochs=0, batch_size=16, **changes)
    trainer = Trainer(r, {"train": examples(32), "val": examples(8, seed=1)}, 0, CPU)
    while not trainer.finished:
        trainer.step()
    return trainer.model.state_dict()


def test_what_is_off_trains_the_same_weights_bit_for_bit() -> None:
    """Settings of interventions that are off, whatever they say, reach nothing."""
    plain = two_steps()
    for idle in (
        {"align": "siglip"},
        {"hinge_margin": 50.0},
        {"input_dropout_rate": 0.9},
        {"keep_best": True, "validate_every": 1},
        {"scored_images": 100, "probe_images": 50},
    ):
        other = two_steps(**idle)
        assert other.keys() == plain.keys() and all(torch.equal(plain[name], other[name]) for name in plain), idle
    assert not torch.equal(two_steps(hinge_weight=0.1)["decoder.head.weight"], plain["decoder.head.weight"])


def test_the_hinge_compares_with_another_images_plan() -> None:
    model, objective, (source, ids, _) = batch_of(hinge_weight=1.0, diversity_weight=0.0)
    model.eval()
    with torch.no_grad():  # plans that a decoder tells apart
        model.predictor.norm.weight.mul_(20)
        plan = model.plan(source)
    plan = plan + 3 * torch.randn(plan.shape, generator=torch.Generator().manual_seed(0))
    found = objective._further(model, plan, ids, None, Part(len(ids), 1.0))["hinge"][1]

    def nats(of: torch.Tensor, caption: torch.Tensor) -> float:
        return caption_loss(model.decoder(of[None], caption[None, :-1]), caption[None], 0.0, "sum").item()

    margin = objective.recipe.hinge_margin
    lacks = [max(0.0, margin + nats(plan[i], ids[i]) - nats(plan[i - 1], ids[i])) for i in range(len(ids))]
    assert found.item() == pytest.approx(np.mean(lacks), rel=1e-4)
    assert len({round(each, 3) for each in lacks}) > 4 and abs(found.item() - margin) > 1e-3, "not each with its own"


@pytest.mark.parametrize("name", ["sigreg", "vicreg", "align", "words", "hinge"])
def test_a_further_loss_is_added_with_its_weight(name: str) -> None:
    model, objective, batch = batch_of(**{f"{name}_weight": 0.25, "diversity_weight": 0.0})
    loss, parts = objective.loss(model, *batch)
    assert loss.item() == pytest.approx((parts["train_loss"] + 0.25 * parts[name]).item(), rel=1e-6)
    assert parts[name].item() > 0
    loss.backward()
    seen = [q.grad for q in model.visual_encoder.parameters()]
    assert all(g is not None for g in seen), "it reaches the encoder"


@pytest.mark.parametrize("changes", [{"align_weight": 1.0}, {"align": "siglip", "align_weight": 1.0}])
def test_alignment_brings_plans_and_captions_together(changes) -> None:
    r = recipe("run2", "smoke", plan_reads="image", init="balanced", **changes)
    torch.manual_seed(0)
    model = VLJEPA(r)
    flat = np.linspace(0, 255, 8).astype(np.uint8)[:, None, None, None].repeat(64, 1).repeat(64, 2).repeat(3, 3)
    split = Resident(dataclasses.replace(examples(8), images=flat), CPU, words=True)
    objective = Captioning(r, split)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    seen = []
    for _ in range(40):
        loss, parts = objective.loss(model, *split.batch(np.arange(8)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(parts["align"].item())
    assert seen[-1] < 0.5 * seen[0]


def test_plans_are_told_from_earlier_captions_as_the_tower_sees_them_now_and_the_oldest_go_first() -> None:
    model, objective, (pixels, ids, words) = batch_of(align_weight=1.0, align_memory=40)
    model.eval()
    heads, rng = model.auxiliary, np.random.default_rng(0)
    batches = [torch.from_numpy(rng.integers(1, 2048, words.shape)) for _ in range(7)]
    for step, now in enumerate(batches):
        a, b = (side.detach() for side in heads.both_sides(model.plan(pixels), now))
        others = [heads.both_sides(model.plan(pixels), each)[1].detach() for each in batches[max(0, step - 5) : step]]
        candidates, scale = torch.cat([b, *others]), heads.log_scale.exp().item()  # 40 places hold five batches of 8
        nats = [-torch.log_softmax(scale * candidates @ row, 0)[i].item() for i, row in enumerate(a)]
        back = [-torch.log_softmax(scale * a @ row, 0)[i].item() for i, row in enumerate(b)]
        found = objective.loss(model, pixels, ids, now)[1]["align"].item()
        assert found == pytest.approx((sum(nats) + sum(back)) / 16, rel=1e-5)
        with torch.no_grad():
            heads.caption_side[0].weight.mul_(1.1)  # training goes on, and what was seen before is seen with it
    assert heads.earlier.seen == 56
    heads.begin_epoch()
    a, b = (side.detach() for side in heads.both_sides(model.plan(pixels), words))
    alone = torch.nn.functional.cross_entropy(scale * a @ b.T, torch.arange(8))
    alone = (alone + torch.nn.functional.cross_entropy(scale * b @ a.T, torch.arange(8))) / 2
    assert objective.loss(model, pixels, ids, words)[1]["align"].item() == pytest.approx(alone.item(), rel=1e-5)


def test_no_picture_meets_its_own_caption_of_an_earlier_epoch() -> None:
    r = recipe("run2", "smoke", n_train=32, batch_size=16, epochs=2, align_weight=1.0, align_memory=64)
    trainer = Trainer(r, {"train": examples(32), "val": examples(8, seed=1)}, 0, CPU)
    held = []
    while not trainer.finished:
        trainer.step()
        held.append(int(trainer.model.auxiliary.earlier.seen))
    assert held == [16, 32, 16, 32]


def test_an_image_that_is_left_alone_in_its_batch_is_normalised_as_in_use() -> None:
    """17 images in batches of 16: the last one has no deviation of its own, and leaves the running one as it is."""
    r = recipe("run5", "smoke", n_train=17, batch_size=16, epochs=1, warmup_epochs=0)
    trainer = Trainer(r, {"train": examples(17), "val": examples(8, seed=1)}, 0, CPU)
    trainer.step()
    norm = trainer.model.predictor.norm
    before = {name: each.clone() for name, each in norm.state_dict().items()}
    plans = torch.randn(1, r.plan_vectors, r.dim)
    assert torch.equal(norm.train()(plans), norm.eval()(plans))
    trainer.model.train()
    trainer.step()
    assert trainer.finished and all(torch.equal(each, before[name]) for name, each in norm.state_dict().items())
    with pytest.raises(RecipeError, match="batch_size=1"):
        recipe("run5", "smoke", batch_size=1)


def test_alignment_alone_at_first_trains_no_decoder() -> None:
    model, objective, batch = batch_of(align_weight=1.0, pretrain="align", pretrain_epochs=1)
    loss, parts = objective.loss(model, *batch)
    assert parts.keys() == {"align"} and loss.item() == parts["align"].item()
    loss.backward()
    assert all(q.grad is None for q in model.decoder.parameters())
    objective.begin_epoch(1)
    assert "train_loss" in objective.loss(model, *batch)[1]


def test_text_first_is_decoded_under_the_mean_plan_and_teaches_no_plan() -> None:
    model, objective, (source, ids, _) = batch_of(diversity_weight=0.0, pretrain="text", pretrain_epochs=1)
    model.eval()
    loss, parts = objective.loss(model, source, ids, None)
    plan = model.plan(source)

    def one_by_one(plans: torch.Tensor) -> float:
        nats = [
            caption_loss(model.decoder(p[None], one[None, :-1]), one[None], 0.1, "sum")
            for p, one in zip(plans, ids, strict=True)
        ]
        return (torch.stack(nats).sum() / (ids[:, 1:] != tokenizer.PAD).sum()).item()

    assert loss.item() == pytest.approx(one_by_one(plan.mean(dim=0, keepdim=True).expand_as(plan)), rel=1e-5)
    loss.backward()
    assert model.decoder.head.weight.grad is not None
    assert all(q.grad is None for name, q in model.named_parameters() if not name.startswith("decoder"))
    objective.begin_epoch(1)
    assert objective.loss(model, source, ids, None)[1]["train_loss"].item() == pytest.approx(one_by_one(plan), rel=1e-5)
    model, objective, batch = batch_of(align_weight=1.0, pretrain="text", pretrain_epochs=1)
    objective.loss(model, *batch)[0].backward()
    assert model.predictor.queries.grad.abs().sum() > 0, "alignment teaches the plan meanwhile"


def test_lejepa_is_likeness_of_two_views_and_a_little_of_the_normal_distribution(monkeypatch) -> None:
    """By hand: views (1, 2) and (3, 6) differ by 4 and 16 in square, mean 10; SIGReg stood in for by a mean, 3."""
    tokens = iter(
        [torch.tensor([[[0.0, 1.0], [2.0, 3.0]]]), torch.tensor([[[3.0, 6.0]]])]
    )  # mean tokens (1, 2), (3, 6)
    heads = SimpleNamespace(views=lambda x: x)
    model = SimpleNamespace(look=lambda view: next(tokens), auxiliary=heads)
    monkeypatch.setattr(auxiliary_losses, "view", lambda images: images)
    monkeypatch.setattr(auxiliary_losses, "sigreg", lambda z: z.mean())
    of = SimpleNamespace(recipe=recipe("run2", "smoke"))
    total, parts = Captioning._lejepa(of, model, torch.zeros(1, 8, 8, 3, dtype=torch.uint8), WHOLE)
    assert total.item() == pytest.approx(0.95 * 10 + 0.05 * 3)
    assert (parts["lejepa_alike"].item(), parts["lejepa_normal"].item()) == (10.0, 3.0)


def test_lejepa_trains_the_encoder_alone_and_then_it_is_frozen() -> None:
    r = recipe("run2", "smoke", pretrain="lejepa", pretrain_epochs=1, visual_training="frozen", n_train=32, epochs=2)
    trainer = Trainer(r, {"train": examples(32), "val": examples(8, seed=1)}, 0, CPU)
    start = {name: t.clone() for name, t in trainer.model.state_dict().items()}
    trainer.step()
    now = trainer.model.state_dict()
    assert not torch.equal(start["visual_encoder.patches.weight"], now["visual_encoder.patches.weight"])
    assert torch.equal(start["decoder.head.weight"], now["decoder.head.weight"])
    pretrained = {name: t.clone() for name, t in now.items()}
    trainer.step()
    now = trainer.model.state_dict()
    assert torch.equal(pretrained["visual_encoder.patches.weight"], now["visual_encoder.patches.weight"])
    assert not torch.equal(pretrained["decoder.head.weight"], now["decoder.head.weight"])
    assert "encoder_grad_norm" not in trainer.progress.history[-1]


NETWORK = dict(visual="efficientnet_lite0", visual_weights="random", plan_reads="image")


def weights_and_statistics(trainer: Trainer) -> tuple[torch.Tensor, torch.Tensor]:
    network = trainer.model.visual_encoder.network
    return network.body._conv_stem.weight.detach().clone(), network.body._bn0.running_mean.clone()


def test_a_network_trains_from_random_weights_with_statistics_of_its_own() -> None:
    r = recipe("run2", "smoke", **NETWORK, n_train=32, epochs=1)
    data = {"train": examples(32), "val": examples(8, seed=1)}
    trainer, other = Trainer(r, data, 0, CPU), Trainer(r, data, 1, CPU)
    before = weights_and_statistics(trainer)
    assert not torch.equal(before[0], weights_and_statistics(other)[0]), "every seed draws weights of its own"
    assert torch.equal(before[0], weights_and_statistics(Trainer(r, data, 0, CPU))[0])
    trainer.step()
    after = weights_and_statistics(trainer)
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(np.isfinite(row["val_loss"]) for row in trainer.progress.history)
    network = trainer.model.visual_encoder.network
    training = {type(m).__name__ for m in network.modules() if m.training}
    assert training == {"BatchNorm2d"}, "dropout and stochastic depth stay off"


def test_batch_norms_of_a_network_in_training_go_by_the_batch_as_pytorchs_do() -> None:
    model = VLJEPA(recipe("run2", "smoke", **NETWORK)).train()
    body = model.visual_encoder.network.body
    seen: dict[str, torch.Tensor] = {}
    body._bn0.register_forward_hook(lambda m, inputs, out: seen.update(into=inputs[0], out=out))
    model.look(torch.from_numpy(examples(4).images))
    mean = seen["into"].mean(dim=(0, 2, 3), keepdim=True)
    std = (seen["into"].var(dim=(0, 2, 3), keepdim=True, unbiased=False) + body._bn0.eps).sqrt()
    assert torch.allclose(seen["out"], (seen["into"] - mean) / std, atol=1e-4)
    assert torch.allclose(body._bn0.running_mean, 0.1 * mean.flatten(), atol=1e-6), "a tenth of the way from 0"


def test_a_network_trains_itself_and_then_weights_and_statistics_are_frozen() -> None:
    changes = dict(pretrain="lejepa", pretrain_epochs=1, visual_training="frozen", n_train=32, epochs=2)
    r = recipe("run2", "smoke", **NETWORK, **changes)
    assert r.frozen_features is None, "what it sees changes, so that it is not computed once"
    trainer = Trainer(r, {"train": examples(32), "val": examples(8, seed=1)}, 0, CPU)
    before = weights_and_statistics(trainer)
    trainer.step()
    pretrained = weights_and_statistics(trainer)
    assert not any(torch.equal(a, b) for a, b in zip(before, pretrained, strict=True))
    assert {"lejepa_alike", "lejepa_normal"} <= trainer.progress.history[-1].keys()
    project = trainer.model.visual_encoder.project.weight.detach().clone()
    trainer.step()
    assert all(torch.equal(a, b) for a, b in zip(pretrained, weights_and_statistics(trainer), strict=True))
    assert not torch.equal(project, trainer.model.visual_encoder.project.weight), "the map from its tokens trains"


def test_a_network_from_random_weights_is_refused_on_several_processes(monkeypatch) -> None:
    monkeypatch.setattr("vljepa_core.distributed.size", lambda: 2)
    with pytest.raises(ValueError, match="trained from random weights on several processes.*use one"):
        VLJEPA(recipe("run2", "smoke", **NETWORK))
    VLJEPA(recipe("run2", "smoke", **{**NETWORK, "visual_weights": "pretrained"}))


def test_an_encoder_that_is_frozen_from_the_start_stays_as_it_was_drawn() -> None:
    r = recipe("run2", "smoke", **RUNGS["random_vit_direct"].changes, n_train=32, epochs=1)
    trainer = Trainer(r, {"train": examples(32), "val": examples(8, seed=1)}, 0, CPU)
    start = {name: t.clone() for name, t in trainer.model.state_dict().items()}
    trainer.step()
    now = trainer.model.state_dict()
    seen = [name for name in start if name.startswith("visual_encoder.")]
    assert seen and all(torch.equal(start[name], now[name]) for name in seen)
    assert not torch.equal(start["predictor.queries"], now["predictor.queries"])


def test_plan_queries_read_the_image_directly_and_the_query_is_left_out() -> None:
    model = VLJEPA(recipe("run2", "smoke", plan_reads="image"))
    assert model.text_encoder is None and model.fusion is None
    images = torch.from_numpy(examples(2).images)
    with torch.no_grad():
        assert torch.equal(model.plan(images), model.predictor(model.look(images)))


@torch.no_grad()
def test_the_decoders_memory_is_read_as_vectors_of_the_plan_are_and_is_the_same_for_all() -> None:
    plain, _, (source, ids, _) = batch_of()
    model, _, _ = batch_of(decoder_memory=3)
    memory = model.decoder.memory
    assert memory.shape == (3, 32) and "decoder.memory" not in plain.state_dict()
    plain.load_state_dict({name: t for name, t in model.state_dict().items() if name != "decoder.memory"})
    plan, logits = model(source, ids)
    assert plan.shape == (8, 4, 32), "the plan that is sent is no larger"
    assert torch.equal(logits, plain.decoder(torch.cat([plan, memory.expand(8, 3, 32)], dim=1), ids))
    # A blind twin has the same memory beside its one plan.
    twin = VLJEPA(recipe("run2", "smoke", plan_source="none", decoder_memory=3))
    assert twin.decoder.memory.shape == memory.shape


def test_balanced_scales_are_equal_and_draw_nothing() -> None:
    published, balanced = (batch_of(init=init)[0].state_dict() for init in ("published", "balanced"))
    for name, weight in published.items():
        if name.endswith(("positions", "embed.weight")):
            assert balanced[name].square().mean().sqrt().item() == pytest.approx(0.05, rel=1e-4)
            ratio = weight / balanced[name]
            assert torch.allclose(ratio[weight != 0], ratio[weight != 0].mean()), "the same direction"
        else:
            assert torch.equal(weight, balanced[name])


def test_the_convolutional_stem_gives_the_same_grid() -> None:
    for patch in (4, 8):
        model = VLJEPA(recipe("run2", "smoke", stem="convolutions", patch_size=patch))
        assert model.look(torch.from_numpy(examples(2).images)).shape == (2, (64 // patch) ** 2, 32)
    with pytest.raises(ValueError, match="power of 2"):
        VLJEPA(recipe("run2", "smoke", stem="convolutions", patch_size=6, image_size=60))


def test_blanked_input() -> None:
    ids = torch.tensor([tokenizer.encode("a red dog", 20)] * 400)
    unit = {"token": ids.shape[1], "word": 3, "blank": 1}
    for kind, units in unit.items():
        decoder = VLJEPA(recipe("run2", "smoke", input_dropout=kind, input_dropout_rate=0.3)).decoder
        torch.manual_seed(0)
        kept = (decoder.drop_input(torch.ones(*ids.shape, 4), ids) != 0).all(dim=-1)
        assert kept.float().mean().item() == pytest.approx(0.7, abs=0.05)
        changes = kept[:, 1:] != kept[:, :-1]
        if kind == "word":
            assert not changes[:, (ids[0, 1:] != SPACE)].any(), "within a word nothing changes"
        assert len(torch.unique(kept, dim=0)) > 2 ** (min(units, 8) - 1)
        if kind == "blank":
            assert not changes.any()
        decoder.eval()
        assert decoder.drop_input(torch.ones(*ids.shape, 4), ids).all(), "in training only"


def test_every_caption_is_drawn_anew_in_every_epoch_as_seed_and_epoch_say() -> None:
    def drawn(epoch: int, words: bool = False) -> Resident:
        split = TrainingResident(examples(), CPU, words=words, every_caption=True)
        split.begin_epoch(3, epoch)
        return split

    texts = [tokenizer.decode(row) for row in drawn(0).ids.tolist()]
    for text, references in zip(texts, examples().references, strict=True):
        assert text in references
    assert texts != examples().texts
    assert torch.equal(drawn(0).ids, drawn(0).ids) and not torch.equal(drawn(0).ids, drawn(1).ids)
    with_words = drawn(0, words=True)
    from vljepa_core.datasets.word_bags import word_bags

    assert np.array_equal(with_words.told.numpy(), word_bags(texts))
    assert np.array_equal(with_words.lengths, [len(text) + 2 for text in texts])
    one = TrainingResident(examples(), CPU)
    one.begin_epoch(3, 5)
    assert torch.equal(one.ids, Resident(examples(), CPU).ids)


def test_images_are_moved_by_a_few_pixels_or_mirrored() -> None:
    torch.manual_seed(0)
    images = torch.from_numpy(examples(64, size=16).images)

    def is_moved(image, other, mirror: bool) -> bool:
        padded = np.pad(np.asarray(image)[:, ::-1] if mirror else np.asarray(image),
                        ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")  # fmt: skip
        windows = (padded[y : y + 16, x : x + 16] for y in range(2 * SHIFT + 1) for x in range(2 * SHIFT + 1))
        return any(np.array_equal(window, other) for window in windows)

    assert all(is_moved(i, m, False) for i, m in zip(images, moved(images, False).numpy(), strict=True))
    mirrored = [is_moved(i, m, True) for i, m in zip(images, moved(images, True).numpy(), strict=True)]
    assert 16 < sum(mirrored) < 48


def test_the_encoder_may_learn_at_another_rate() -> None:
    model = VLJEPA(recipe("run2", "smoke"))
    (whole,) = parameter_groups(model, 1.0)
    assert [id(p) for p in whole["params"]] == [id(p) for p in model.parameters()]
    rest, encoder = parameter_groups(model, 5.0)
    assert {id(p) for p in encoder["params"]} == {id(p) for p in model.visual_encoder.parameters()}
    assert len(rest["params"]) + len(encoder["params"]) == len(whole["params"]) and encoder["rate"] == 5


def test_a_tenth_of_the_rate_moves_the_encoder_a_tenth_as_far_and_nothing_else() -> None:
    def moved_by_a_step(rate: float) -> dict[str, torch.Tensor]:
        r = recipe("run2", "smoke", n_train=16, epochs=1, warmup_epochs=0, encoder_rate=rate)
        trainer = Trainer(r, {"train": examples(16), "val": examples(8, seed=1)}, 0, CPU)
        before = {name: each.double() for name, each in trainer.model.state_dict().items()}
        trainer.step()
        return {name: each.double() - before[name] for name, each in trainer.model.state_dict().items()}

    whole, slow = moved_by_a_step(1.0), moved_by_a_step(0.1)
    for name, step in whole.items():
        share = 0.1 if name.startswith("visual_encoder.") else 1.0
        assert torch.allclose(slow[name], share * step, rtol=1e-2, atol=1e-7), name
    assert whole["visual_encoder.patches.weight"].abs().max() > 1e-4


def test_plans_normalised_over_images_have_mean_0_and_deviation_1_over_them() -> None:
    r = recipe("run2", "smoke", plan_norm="batch", diversity_weight=0.0)
    model = VLJEPA(r).train()
    same = torch.randn(1, r.plan_vectors, r.dim)
    plans = same + 0.1 * torch.randn(16, *same.shape[1:])
    with torch.no_grad():
        found = model.predictor.norm(plans)
    assert found.shape == plans.shape
    assert torch.allclose(found.mean(dim=0), torch.zeros_like(same[0]), atol=1e-4)
    assert torch.allclose(found.std(dim=0, correction=0), torch.ones_like(same[0]), atol=1e-2)


def test_the_convolutional_stem_moves_along_with_the_picture() -> None:
    """A picture moved by a patch has its tokens moved by one; edges differ, and all are scaled by their sum."""
    torch.manual_seed(0)
    stem = VLJEPA(recipe("run2", "smoke", stem="convolutions")).visual_encoder.patches.eval()
    patch = recipe("run2", "smoke").patch_size
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        tokens, moved_on = stem(picture), stem(picture.roll((patch, patch), dims=(2, 3)))
    inner, along, at_rest = tokens[..., 2:-3, 2:-3], moved_on[..., 3:-2, 3:-2], tokens[..., 3:-2, 3:-2]
    assert (along - inner).abs().mean() < 0.05 * (at_rest - inner).abs().mean()


def test_the_best_weights_are_kept_through_a_kill(tmp_path, monkeypatch) -> None:
    from vljepa_core import train as training

    r = recipe("run2", "smoke", keep_best=True, n_train=32, epochs=3, warmup_epochs=0)
    data = {"train": examples(32), "val": examples(8, seed=1)}
    losses = iter([3.0, 1.0, 2.0, 2.5])
    monkeypatch.setattr(Captioning, "validate", lambda self, model: {"val_loss": next(losses)})
    after_first = Trainer(r, data, 0, CPU)
    after_first.step()
    best = {name: t.clone() for name, t in after_first.model.state_dict().items()}
    tensors, state = after_first.state()
    resumed = Trainer(r, data, 0, CPU)
    resumed.load_state(tensors, state)
    assert all(torch.equal(resumed.best[name], t) for name, t in best.items())
    losses = iter([3.0, 1.0, 2.0, 2.5])
    trained = training.train(r, data, 0, CPU, tmp_path, show_progress=False)
    assert all(torch.equal(t, best[name]) for name, t in trained.model.state_dict().items())


@pytest.mark.parametrize(
    "changes",
    [
        dict(
            captions="all", augment="flip", align_weight=0.3, words_weight=0.1, nested_plan=True, input_dropout="word"
        ),
        dict(pretrain="lejepa", pretrain_epochs=1, visual_training="frozen", sigreg_weight=0.1),
        dict(align_weight=0.3, align_memory=40),
        dict(
            visual="efficientnet_lite0",
            visual_weights="random",
            visual_training="frozen",
            pretrain="lejepa",
            pretrain_epochs=2,  # and is cut amid it
        ),
        dict(visual="efficientnet_lite0", visual_weights="random", plan_reads="image"),
    ],
)
def test_resumed_equals_uninterrupted_with_interventions_on(changes) -> None:
    r = recipe("run2", "smoke", n_train=48, epochs=3, batch_size=16, keep_best=True, **changes)
    data = {"train": examples(48), "val": examples(8, seed=1)}
    whole = Trainer(r, data, 0, CPU)
    while not whole.finished:
        whole.step()
    cut = Trainer(r, data, 0, CPU)
    for _ in range(4):
        cut.step()
    tensors, state = ({k: t.clone() for k, t in cut.state()[0].items()}, cut.state()[1])
    resumed = Trainer(r, data, 0, CPU)
    resumed.load_state(tensors, {**state, "history": list(state["history"]), "timeline": list(state["timeline"])})
    while not resumed.finished:
        resumed.step()
    for a, b in zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert whole.progress.history == resumed.progress.history


def test_a_run_with_everything_on_has_a_record(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("VLJEPA_DATA", str(tmp_path))
    record = runs.run("run5", "smoke", progress=False)
    assert record.recipe["align_weight"] > 0 and record.parameters["auxiliary"] > 0
    assert {"align", "words", "train_loss"} <= record.history[-1].keys()
    assert {"infonce", "greedy_cider", "plan_rank"} <= record.metrics.keys()


def test_defaults_are_what_older_records_were_run_with() -> None:
    r = recipe("run2", "paper")
    later = [f.name for f in dataclasses.fields(r) if f.name not in ("experiment", "scale")]
    assert all(getattr(r, name) == DEFAULTS[name] for name in later), "Run 2 is the default of every field"
