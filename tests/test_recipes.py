"""Recipes: the published values to the letter, one keyword for a change, clear refusals."""

from __future__ import annotations

import dataclasses
import json

import pytest

from vljepa_core.recipes import ANSWERS, CHANGES, CONTROLS, EXPERIMENTS, SCALES, STUDY, Recipe, RecipeError, recipe
from vljepa_core.records import RECORDED


def test_paper_recipes_are_the_published_ones() -> None:
    """Against the values that the report and its scripts give."""
    for name in ("run2", "run3", "run4"):
        r = recipe(name, "paper")
        assert (r.n_train, r.n_val, r.epochs, r.batch_size, r.warmup_epochs) == (18_000, 2_000, 100, 32, 10)
        assert (r.dim, r.heads, r.mlp_ratio, r.plan_vectors, r.image_size, r.patch_size) == (256, 8, 4, 16, 64, 8)
        depths = (r.visual_depth, r.text_depth, r.fusion_depth, r.predictor_depth, r.decoder_depth)
        assert depths == (4, 4, 4, 2, 4)
        assert (r.max_length, r.vocab_size, r.max_new_tokens, r.temperature) == (128, 260, 80, 0.7)
        assert (r.learning_rate, r.weight_decay, r.grad_clip) == (3e-4, 0.01, 1.0)
        assert (r.label_smoothing, r.diversity_weight, r.normalise) == (0.1, 0.5, "none")
        assert not r.plan_query_residual
    assert recipe("run3", "paper").decoder == "stronger" and recipe("run3", "paper").plan_dropout == 0.2
    run4 = recipe("run4", "paper")
    assert (run4.decoder, run4.word_dropout, run4.word_dropout_rate) == ("refactored", "element", 0.3)
    run1 = recipe("run1", "paper")
    assert (run1.n_train + run1.n_val, run1.epochs, run1.warmup_epochs) == (4_000, 30, 6)
    test0 = recipe("test0", "paper")
    assert (test0.n_train, test0.n_val, test0.epochs, test0.batch_size) == (540, 90, 100, 18)
    assert (test0.dim, test0.heads, test0.plan_vectors, test0.image_size, test0.max_length) == (128, 4, 8, 32, 48)
    assert (test0.label_smoothing, test0.diversity_weight, test0.warmup_epochs) == (0, 0, 0)
    test3 = recipe("test3", "paper")
    assert (test3.epochs, test3.classes, test3.normalise, test3.query) == (50, 20, "imagenet", "classify")


def test_warmup_is_the_published_rule() -> None:
    for name in ("run1", "run2", "run3", "run4"):
        r = recipe(name, "paper")
        assert r.warmup_epochs == min(10, r.epochs // 5)


def test_a_gate_may_start_nearly_closed() -> None:
    assert recipe("run3", cross_gate_init=-2.0).cross_gate_init == -2.0


def test_one_epoch_may_be_all_warmup_and_no_committed_record_is_refused() -> None:
    assert recipe("run2", "laptop", epochs=1).warmup_epochs == 1
    for path in RECORDED.rglob("*seed*.json"):
        values = json.loads(path.read_text())
        if "source_hash" in values and "metrics" in values:
            Recipe(**values["recipe"])


def test_every_experiment_has_every_scale_and_laptop_keeps_every_mechanism() -> None:
    for scale in SCALES:
        for name in STUDY:
            r, paper = recipe(name, scale), recipe(name, "paper")
            assert set(CHANGES[scale][name]) <= {f.name for f in dataclasses.fields(r)}
            for kept in (
                "objective decoder word_dropout word_dropout_rate plan_dropout label_smoothing diversity_weight "
                "plan_query_residual normalise preprocess temperature query grad_clip weight_decay"
            ).split():
                assert getattr(r, kept) == getattr(paper, kept), f"{name} at {scale} changes {kept}"


def test_a_control_is_an_experiment_of_the_study_with_a_few_values_changed() -> None:
    assert set(EXPERIMENTS) == {*STUDY, *ANSWERS, *CONTROLS}
    for scale in SCALES:
        for name, control in {**ANSWERS, **CONTROLS}.items():
            ours, theirs = recipe(name, scale).to_dict(), recipe(control.base, scale).to_dict()
            changed = {key for key in ours if ours[key] != theirs[key]} - {"experiment"}
            assert 0 < len(changed) and changed <= {*control.changes, *control.at.get(scale, {})}
    for name in ("run5", "run6"):
        assert recipe(name, "paper").plan_bytes == 8_192, "the question is asked of the published plan"
    for name in ("capacity_overfit", "capacity_oracle", "capacity_table"):
        for scale in ("laptop", "paper"):
            assert recipe(name, scale).plan_bytes == 8_192, "the capacity is the published plan's"


def test_recipes_are_values() -> None:
    assert recipe("run2") == recipe("run2") and hash(recipe("run2")) == hash(recipe("run2"))
    assert recipe("run2").to_json() == recipe("run2").to_json() != recipe("run2", K=32).to_json()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe("run2").dim = 3


def test_one_value_set_twice_is_refused_in_either_order() -> None:
    for twice in ({"K": 8, "plan_vectors": 16}, {"plan_vectors": 16, "K": 8}, {"decoder_depth": 1, "depth": 2}):
        with pytest.raises(RecipeError, match=" and .* both set "):
            recipe("run2", "smoke", **twice)


def test_the_vits_patches_say_nothing_about_the_images_of_another_network() -> None:
    assert recipe("run6", image_size=300).image_size == 300


def test_a_whole_number_for_a_decimal_one_is_the_same_recipe_and_so_the_same_run() -> None:
    assert recipe("run6", align_weight=1).to_json() == recipe("run6", align_weight=1.0).to_json()
    assert recipe("run6", align_weight=1).to_json() == recipe("run6").to_json()


@pytest.mark.parametrize(
    ("arguments", "changes", "says"),
    [
        (("run22",), {}, "did you mean 'run2'"),
        (("run2", "labtop"), {}, "did you mean 'laptop'"),
        (("run2",), {"plan_vector": 32}, "did you mean 'plan_vectors'"),
        (("run2",), {"plan_vectors": "32"}, "plan_vectors='32' should be int"),
        (("run2",), {"plan_vectors": 0}, "at least 1"),
        (("run2",), {"epochs": True}, "should be int"),
        (("run2",), {"learning_rate": float("nan")}, "0 or more"),
        (("run2",), {"learning_rate": -1e-3}, "0 or more"),
        (("run3",), {"cross_gate_init": float("inf")}, "cross_gate_init=inf should be a finite"),
        (("run2",), {"dim": 100, "heads": 8}, "not a multiple of heads"),
        (("run2",), {"image_size": 60}, "not a multiple of patch_size"),
        (("run2",), {"vocab_size": 100}, "smaller than the byte tokenizer's 260"),
        (("run2",), {"max_length": 5}, "can't hold the query"),
        (("run2",), {"word_dropout": "words"}, "element, token"),
        (("run2",), {"label_smoothing": 1.0}, "below 1"),
        (("run2", "paper"), {"epochs": 5}, r"warmup_epochs=10 of epochs=5: .* is warmup_epochs=1$"),
        (("run2", "paper"), {"epochs": 10}, r"warmup_epochs=10 of epochs=10: .* is warmup_epochs=2$"),
        (("capacity_oracle",), {"captions": "all"}, "sends the one caption that is to be written"),
        (("run2",), {"scored_images": 7}, "scored_images=7: at least 8"),
    ],
)
def test_impossible_recipes_are_refused_by_name(arguments, changes, says) -> None:
    with pytest.raises(RecipeError, match=says):
        recipe(*arguments, **changes)
