"""The published path, written out plainly, and the package's model compute the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks import published_path
from tests.conftest import TINY
from vljepa_core import runs
from vljepa_core.generate import generate
from vljepa_core.train import Trainer, epoch_order

# Dropout off: the two draw different masks. Its place is the subject of test_model.py.
EXPERIMENTS = {
    "run2": {},
    "run3": dict(plan_dropout=0.0),
    "run4": dict(word_dropout_rate=0.0),
    "test3": dict(n_train=200),
}


def both(experiment: str, **changes) -> tuple[Trainer, published_path.PublishedVLJEPA, list[published_path.Sample]]:
    """A trainer at a tiny size, the twin of its model, and its training examples as a plain script has them."""
    run = runs.prepare(experiment, "smoke", "scenes", 0, **{**TINY, **EXPERIMENTS[experiment], **changes})
    trainer = Trainer(run.recipe, run.examples, 0, torch.device("cpu"))
    torch.manual_seed(1)
    with torch.no_grad():
        for p in trainer.model.parameters():
            p.add_(torch.randn_like(p) * 0.1)  # away from initial zeros, ones and equal plans
    data = run.examples["train"]
    labels = [0] * len(data) if data.labels is None else data.labels.tolist()
    samples = list(zip(data.images, data.texts, labels, strict=True))
    return trainer, published_path.twin_of(trainer.model, run.recipe), samples


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_loss_and_gradients_agree(experiment: str, data_dir) -> None:
    trainer, twin, samples = both(experiment)
    index = np.array([3, 1, 7, 0, 5])
    ours, _ = trainer.objective.loss(trainer.model, *trainer.train_data.batch(index))
    theirs = published_path.loss_of(twin, [samples[i] for i in index])
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    ours.backward()
    theirs.backward()
    gradients = published_path.our_tensors({n: p.grad for n, p in trainer.model.named_parameters()})
    trained = {n: p for n, p in twin.named_parameters() if p.requires_grad}
    assert gradients.keys() == trained.keys()
    for name, parameter in trained.items():
        assert gradients[name].abs().max() > 0, name
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: n + m)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_steps_agree(experiment: str, data_dir) -> None:
    """Clipping, AdamW and the order of things in a step: the same losses over an epoch."""
    trainer, twin, samples = both(experiment)
    optimiser = published_path.optimiser_of(twin)
    for group in optimiser.param_groups:
        group["lr"] = trainer.recipe.learning_rate / trainer.recipe.warmup_epochs  # of the first epoch
    size, n = trainer.recipe.batch_size, len(samples)
    order = epoch_order(n, 0, 0)
    theirs = []
    for start in range(0, n, size):
        trainer.step()
        theirs.append(published_path.train_step(twin, optimiser, [samples[i] for i in order[start : start + size]]))
    row = trainer.progress.history[-1]
    diversity = trainer.recipe.diversity_weight * row.get("diversity", 0.0)
    assert row["train_loss"] + diversity == pytest.approx(np.mean(theirs), rel=1e-4)
    weights = published_path.our_tensors(trainer.model.state_dict())
    for name, p in twin.named_parameters():
        if p.requires_grad:
            torch.testing.assert_close(weights[name], p.detach(), rtol=1e-3, atol=2e-4, msg=lambda m, n=name: n + m)


@pytest.mark.parametrize("experiment", ["run2", "run3", "run4"])
@torch.no_grad()
def test_greedy_captions_agree(experiment: str, data_dir) -> None:
    trainer, twin, samples = both(experiment)
    images = [image for image, _, _ in samples]  # 40: one full batch of the twin and a part of one
    plan = trainer.model.plan(torch.from_numpy(np.stack(images)))
    theirs = published_path.generate(twin, images)
    assert generate(trainer.model.decoder, plan, trainer.recipe.max_new_tokens) == theirs
    assert len(set(theirs)) > 1  # plans matter, or equality would say little
