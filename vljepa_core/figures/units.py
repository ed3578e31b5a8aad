"""What each metric is called, and how its numbers are written."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Unit:
    """How to write a metric.

    Attributes:
        label: its name in words.
        kind: "count of" (a share that is a number of images), "share", "whole", "fine" (four decimals) or
            "plain".
        unit: what stands beside the label; "" for a pure number.
    """

    label: str
    kind: str
    unit: str = ""


METRICS: dict[str, Unit] = {
    "accuracy": Unit("accuracy", "count of", "% of images"),
    "balanced_accuracy": Unit("balanced accuracy", "share", "%, mean over classes"),
    "majority": Unit("share of the largest class", "count of", "% of images"),
    "colour_accuracy": Unit("colour named correctly", "count of", "% of images"),
    "shape_accuracy": Unit("shape named correctly", "count of", "% of images"),
    "greedy_unique": Unit("unique captions, greedy", "count of", "% of images"),
    "sampled_unique": Unit("unique captions, t = 0.7", "count of", "% of images"),
    "greedy_exact": Unit("recited to the letter, greedy", "count of", "% of images"),
    "greedy_unique_words": Unit("unique words, greedy", "whole", "words"),
    "sampled_unique_words": Unit("unique words, t = 0.7", "whole", "words"),
    "reference_unique_words": Unit("unique words, references", "whole", "words"),
    "greedy_overlap": Unit("word overlap, greedy", "share", "% of reference words"),
    "sampled_overlap": Unit("word overlap, t = 0.7", "share", "% of reference words"),
    "greedy_content_match": Unit("content match, greedy", "count of", "% of images"),
    "sampled_content_match": Unit("content match, t = 0.7", "count of", "% of images"),
    "greedy_bleu4": Unit("BLEU-4, greedy", "plain"),
    "sampled_bleu4": Unit("BLEU-4, t = 0.7", "plain"),
    "greedy_cider": Unit("CIDEr, greedy", "plain"),
    "sampled_cider": Unit("CIDEr, t = 0.7", "plain"),
    "constant_cider": Unit("CIDEr, best constant caption", "plain"),
    "train_loss": Unit("final training loss, as trained", "fine", "nats"),
    "val_loss": Unit("final validation loss, unsmoothed", "fine", "nats"),
    "plan_cosine": Unit("mean cosine between plans", "fine"),
    "plan_rank": Unit("effective rank of the plans", "plain"),
    "plan_centred_rank": Unit("effective rank of the plans about their mean", "plain"),
    "plan_vector_rank": Unit("effective rank of a plan's K vectors about their mean", "plain"),
    "plan_variance_share": Unit("between-image share of plan variance", "share", "%"),
    "cider": Unit("CIDEr", "plain"),
    "bleu4": Unit("BLEU-4", "plain"),
    "overlap": Unit("word overlap", "share", "% of reference words"),
    "content_match": Unit("content match", "share", "% of images"),
    "distinct": Unit("distinct captions", "count of", "% of images"),
    "top_caption": Unit("most frequent caption", "count of", "% of images"),
    "distinct_1": Unit("distinct-1", "share", "% of words"),
    "distinct_2": Unit("distinct-2", "share", "% of word pairs"),
    "verbatim": Unit("verbatim training captions", "count of", "% of images"),
    "shuffle_gap": Unit("plan-shuffle gap", "plain", "bits per caption"),
    "train_shuffle_gap": Unit("plan-shuffle gap, training images", "plain", "bits per caption"),
    "mean_plan_gap": Unit("mean-plan gap", "plain", "bits per caption"),
    "gain_over_blind": Unit("gain over a trained blind model", "plain", "bits per caption"),
    "infonce": Unit("InfoNCE lower bound on I(image; caption)", "plain", "bits"),
    "image_r1": Unit("caption to image, R@1", "share", "% of captions"),
    "image_r5": Unit("caption to image, R@5", "share", "% of captions"),
    "image_median_rank": Unit("caption to image, median rank", "whole"),
    "caption_r1": Unit("image to caption, R@1", "share", "% of images"),
    "caption_r5": Unit("image to caption, R@5", "share", "% of images"),
    "caption_median_rank": Unit("image to caption, median rank", "whole"),
    "probe_majority": Unit("always the largest training class", "share", "% of images"),
    "probe_chance": Unit("guessing by the classes' frequencies", "share", "% of images"),
    "probe_colour": Unit("linear probe of the colour histogram", "share", "% of images"),
    "probe_pixels": Unit("linear probe of raw pixels", "share", "% of images"),
    "probe_features": Unit("linear probe of the frozen network's features", "share", "% of images"),
    "probe_untrained": Unit("linear probe of the untrained plan", "share", "% of images"),
    "probe_untrained_fp16": Unit("linear probe of the untrained plan in fp16", "share", "% of images"),
    "probe_plan": Unit("linear probe of the frozen plan", "share", "% of images"),
    "probe_plan_fp16": Unit("linear probe of the frozen plan in fp16", "share", "% of images"),
    "parameters": Unit("trainable parameters", "whole"),
    "seconds": Unit("training time", "whole", "seconds"),
}
METRICS |= {
    f"{kind}_{name}": replace(METRICS[name], label=f"{METRICS[name].label}, {said}")
    for kind, said in (("greedy", "greedy"), ("sampled", "t = 0.7"))
    for name in ("top_caption", "distinct_1", "distinct_2", "verbatim")
}

# What a category is read from, from the least to the most: see ``linear_probes.category_probes``.
PROBES = tuple(name for name in METRICS if name.startswith("probe_"))


def unit_of(name: str) -> Unit:
    """The metric's unit; a metric that is not listed is a pure number under its own name."""
    if name.endswith("_balanced") and name.removesuffix("_balanced") in PROBES:
        return METRICS[name.removesuffix("_balanced")]
    return METRICS.get(name, Unit(name.replace("_", " "), "plain"))


def is_share(name: str) -> bool:
    """Whether the metric is stored in [0, 1] and written in percent."""
    return unit_of(name).kind in ("count of", "share")


def number(name: str, value: float) -> str:
    """One value in the metric's unit, without the unit's name: "7.1%", "1.0619", "2,776"."""
    kind = unit_of(name).kind
    if is_share(name):
        percent = 100 * value
        # 1 of 2,000 is 0.05%: one decimal would show a collapse as 0.1% or 0.0%.
        return f"{percent:.2f}%" if 0 < percent < 1 else f"{percent:.1f}%"
    if kind == "whole":
        return f"{round(value, 0) + 0.0:,.0f}"
    digits = 4 if kind == "fine" else 3
    return f"{round(value, digits) + 0.0:.{digits}f}"  # no -0.000


def counted(name: str, value: float, n: int | None) -> str:
    """The value, and for a share of images also the number of images: "0.05% (1 of 2000)"."""
    text = number(name, value)
    if n and unit_of(name).kind == "count of":
        return f"{text} ({round(value * n)} of {n})"
    return text


def said_bytes(size: float) -> str:
    """Bytes, with one decimal where they are a mean: "8,192", "4.3"."""
    return f"{size:,.0f}" if float(size).is_integer() else f"{size:,.1f}"
