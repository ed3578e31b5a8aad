"""The experiments by name: what each changes of the published captioning recipe, and what a smaller scale changes.

Values only; ``recipes`` makes recipes of them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

# The study's six experiments (the report and the scripts named in published.py): what each changes of a
# recipe's defaults, which are Run 2's.
_TEST0 = dict(
    query="describe",
    n_train=540,
    n_val=90,
    image_size=32,
    max_length=48,
    dim=128,
    heads=4,
    visual_depth=2,
    text_depth=2,
    fusion_depth=2,
    predictor_depth=2,
    decoder_depth=2,
    plan_vectors=8,
    batch_size=18,
    warmup_epochs=0,
    label_smoothing=0.0,
    diversity_weight=0.0,
)
STUDY: dict[str, dict[str, Any]] = {
    "test0": _TEST0,
    "run1": dict(n_train=3_600, n_val=400, epochs=30, warmup_epochs=6),
    "run2": dict(),
    "test3": dict(
        objective="classify",
        query="classify",
        classes=20,
        normalise="imagenet",
        epochs=50,
        warmup_epochs=0,
        label_smoothing=0.0,
        diversity_weight=0.0,
    ),
    "run3": dict(decoder="stronger"),
    "run4": dict(decoder="refactored"),
}
# What the smaller scales change of the published recipe, and nothing else.
_LAPTOP = dict(
    n_train=4_000,
    n_val=400,
    dim=128,
    heads=4,
    visual_depth=2,
    text_depth=2,
    fusion_depth=2,
    predictor_depth=2,
    decoder_depth=2,
    epochs=8,
    warmup_epochs=1,
    learning_rate=1e-3,  # 1,000 steps instead of 56,300: at 3e-4 the text itself is not learned in time
    precision="bfloat16",  # half the time on a CPU that multiplies in it; on another one it is float32 all the same
)
_SMOKE = dict(
    n_train=96,
    n_val=32,
    dim=32,
    heads=2,
    visual_depth=1,
    text_depth=1,
    fusion_depth=1,
    predictor_depth=1,
    decoder_depth=1,
    plan_vectors=4,
    epochs=2,
    warmup_epochs=1,
    learning_rate=1e-3,
    probe_images=16,
)
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "paper": {name: {} for name in STUDY},
    "laptop": {
        "test0": dict(epochs=40),
        "run1": {**_LAPTOP, "n_train": 1_000, "epochs": 12, "warmup_epochs": 2},
        "run2": _LAPTOP,
        "test3": {**_LAPTOP, "epochs": 12, "warmup_epochs": 0},
        "run3": _LAPTOP,
        "run4": _LAPTOP,
    },
    "smoke": {
        "test0": {**_SMOKE, "n_train": 90, "n_val": 36, "warmup_epochs": 0},
        "run1": _SMOKE,
        "run2": _SMOKE,
        "test3": {**_SMOKE, "n_train": 300, "n_val": 100, "warmup_epochs": 0},
        "run3": _SMOKE,
        "run4": _SMOKE,
    },
}


@dataclass(frozen=True)
class Control:
    """One of the study's experiments at the same scale, with a few values changed."""

    base: str
    changes: dict[str, Any]
    at: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)  # scale -> further changes


# Blind: the same decoder learns the captions without seeing an image; what a loss must beat to have used one.
_BLIND = dict(plan_source="none", diversity_weight=0.0)
# Capacity: the published plan size, 16 x 256, at every scale but smoke; whole captions are to be recited.
_PLAN_AT_LAPTOP = dict(dim=256, heads=8)
_WHOLE = dict(max_new_tokens=127)
_RECITE = dict(n_train=256, n_val=256, validate_on="train", **_WHOLE)
CONTROLS: dict[str, Control] = {
    **{f"{run}_blind": Control(run, _BLIND) for run in ("run1", "run2", "run3", "run4")},
    # Where the report says something else than the code does.
    "run2_imagenet": Control("run2", dict(normalise="imagenet")),
    "run4_token": Control("run4", dict(word_dropout="token")),
    # Is 16 x 256 too small? Learn 256 pairs by heart; send the caption itself; let every image have a free plan.
    "capacity_overfit": Control(
        "run2",
        dict(_RECITE, epochs=400, warmup_epochs=10, validate_every=10),
        dict(laptop=dict(_PLAN_AT_LAPTOP, epochs=200), smoke=dict(epochs=2, warmup_epochs=1, validate_every=1)),
    ),
    "capacity_oracle": Control("run2", dict(plan_source="caption", **_WHOLE), dict(laptop=_PLAN_AT_LAPTOP)),
    "capacity_table": Control(
        "run2",
        dict(_RECITE, plan_source="table", epochs=400, warmup_epochs=10, validate_every=10),
        dict(laptop=dict(_PLAN_AT_LAPTOP, epochs=200), smoke=dict(epochs=2, warmup_epochs=1, validate_every=1)),
    ),
}

# The two answers, with the published plan. Run 5 learns to see from nothing; Run 6 is given a frozen encoder.
_ANSWER = dict(
    plan_reads="image",
    plan_query_residual=True,
    init="balanced",
    captions="all",
    # As many vectors as the blind twin has for its one plan, and writes its language by (chapter 11).
    decoder_memory=16,
    label_smoothing=0.0,
    diversity_weight=0.0,
    align_weight=1.0,
    words_weight=0.5,
)
RUN5 = dict(**_ANSWER, normalise="imagenet", plan_norm="batch", augment="shift")
RUN6 = dict(**_ANSWER, visual="efficientnet_lite0", visual_training="frozen", image_size=128)
ANSWERS: dict[str, Control] = {
    "run5": Control("run2", RUN5),
    "run6": Control("run2", RUN6),
    # The blind twin of both: they differ in how a plan is made, and it has none to make.
    "run5_blind": Control(
        "run2", {**{key: RUN5[key] for key in ("init", "captions", "decoder_memory", "label_smoothing")}, **_BLIND}
    ),
}
