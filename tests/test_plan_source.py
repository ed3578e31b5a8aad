"""The audit's controls: a blind decoder, a caption sent through the plan, a free plan for every example."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import vljepa_core
from tests.conftest import TINY
from vljepa_core.blind import mismatch
from vljepa_core.describe import data_flow, describe
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.objectives import caption_nats
from vljepa_core.recipes import RecipeError, recipe
from vljepa_core.resident import Resident
from vljepa_core.runs import load_model, prepare


def examples(**changes):
    return prepare("run2", "smoke", "shapes", 0, **{**TINY, **changes})


def test_a_blind_decoder_gets_one_plan_whatever_the_image(data_dir: Path) -> None:
    run = prepare("run2_blind", "smoke", "shapes", 0, **TINY)
    model = VLJEPA(run.recipe).eval()
    resident = Resident(run.examples["val"], torch.device("cpu"), run.recipe.plan_source)
    nats, _, plans = caption_nats(model, resident)
    assert torch.equal(plans, plans[:1].expand_as(plans))
    other = dataclasses.replace(run.examples["val"], images=np.flip(run.examples["val"].images, axis=0))
    again, _, _ = caption_nats(model, Resident(other, torch.device("cpu"), run.recipe.plan_source))
    assert np.array_equal(nats, again), "the loss depends on the images"


def test_a_blind_model_is_the_decoder_and_one_plan() -> None:
    blind, seeing = (describe(recipe(name, "paper"))["parameters"] for name in ("run4_blind", "run4"))
    assert blind["decoder"] == seeing["decoder"]
    assert blind["total"] == blind["decoder"] + 16 * 256 + 2 * 256  # the plan, and its LayerNorm


def test_the_oracles_plan_is_of_the_caption_alone(data_dir: Path) -> None:
    """Not of the images, and not of how long the other captions of its batch are."""
    r = recipe("capacity_oracle", "smoke", **TINY)
    model = VLJEPA(r).eval()
    short, long = torch.tensor([[1, 100, 101, 2]]), torch.tensor([[1, *range(50, 80), 2]])
    both = torch.zeros(2, long.shape[1], dtype=torch.long)
    both[0, : short.shape[1]], both[1] = short, long
    plans = model.plan(both)
    torch.testing.assert_close(plans[:1], model.plan(short))
    torch.testing.assert_close(plans[1:], model.plan(long))
    assert not torch.allclose(plans[0], plans[1])
    assert [room["name"] for room in data_flow(r)] == ["caption", "text_encoder", "predictor", "decoder"]


def test_the_data_flow_says_what_goes_in() -> None:
    frozen, seeing = (data_flow(recipe(name, "smoke"))[0] for name in ("run6", "run2"))
    assert (frozen["module"], frozen["shape"]) == ("a frozen network's features, float16", (16, 1280))
    assert (seeing["module"], seeing["shape"]) == ("uint8 pixels", (64, 64, 3))


def test_a_table_learns_the_rows_that_are_used() -> None:
    r = recipe("capacity_table", "smoke", **TINY)
    model = VLJEPA(r)
    assert model.free_plans.plans.shape == (r.n_train, r.plan_vectors, r.dim)
    plan, logits = model(torch.tensor([3, 5]), torch.ones(2, 7, dtype=torch.long))
    assert plan.shape == (2, r.plan_vectors, r.dim) and not torch.allclose(plan[0], plan[1])
    logits[0].logsumexp(dim=-1).sum().backward()
    rows = model.free_plans.plans.grad.abs().sum(dim=(1, 2)).nonzero().flatten().tolist()
    assert rows == [3]
    with pytest.raises(RecipeError, match="validate_on=train"):
        recipe("run2", plan_source="table")


def test_validation_on_the_training_examples(data_dir: Path) -> None:
    run = examples(validate_on="train", n_val=12)
    assert run.examples["val"].texts == run.examples["train"].texts[:12]
    assert run.examples["val"].image_ids == run.examples["train"].image_ids[:12]
    assert np.array_equal(run.examples["val"].images, run.examples["train"].images[:12])
    plain = examples()
    assert run.examples["train"].texts == plain.examples["train"].texts, "another draw of training examples"
    assert not set(plain.examples["val"].image_ids) & set(plain.examples["train"].image_ids)


@pytest.mark.parametrize("experiment", ["run2_blind", "capacity_oracle", "capacity_table", "capacity_overfit"])
def test_a_control_is_run_and_kept_like_any_other(experiment: str, data_dir: Path) -> None:
    record = vljepa_core.run(experiment, "smoke", "shapes", 0, **TINY)
    assert record.history[-1]["train_loss"] < record.history[1]["train_loss"], "nothing was learned"
    assert ("encoder_grad_norm" in record.history[-1]) == (record.recipe["plan_source"] == "image")
    model = load_model(prepare(experiment, "smoke", "shapes", 0, **TINY))
    assert {k: v for k, v in describe(recipe(experiment, "smoke", **TINY))["parameters"].items()} == record.parameters
    assert not model.training


def test_validation_every_few_epochs_and_after_the_last(data_dir: Path) -> None:
    every = vljepa_core.run("run2", "smoke", "shapes", 0, **{**TINY, "epochs": 5})
    some = vljepa_core.run("run2", "smoke", "shapes", 0, **{**TINY, "epochs": 5}, validate_every=2)
    assert [row["epoch"] for row in some.history] == [0, 2, 4, 5]
    assert some.history == [row for row in every.history if row["epoch"] in (0, 2, 4, 5)], "training is another one"


def test_a_blind_partner_may_have_been_made_on_smaller_pictures_but_not_on_other_ones(data_dir: Path) -> None:
    small, large = TINY, {**TINY, "image_size": 32}
    blind = vljepa_core.run("run2_blind", "smoke", "shapes", **small)
    seeing = vljepa_core.run("run2", "smoke", "shapes", **large)
    assert blind.dataset["fingerprint"] != seeing.dataset["fingerprint"] and mismatch(seeing, blind) is None
    others = dataclasses.replace(seeing, dataset={**seeing.dataset, "source": "another collection"})
    assert "data" in mismatch(others, blind)
