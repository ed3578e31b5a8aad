"""The ladder of interventions: changes of the published recipe, one at a time and together, and what was expected.

Written before any of these runs was made (but ``run6_without_memory``, which is what Run 6 was at first, and
``align_memory``, whose first form had failed in Run 5); a wrong expectation stays. All at one budget, ``BUDGET``. A
rung *breaks the collapse* if the InfoNCE bound on validation images reaches ``rungs.WORTH_NAMING`` bits with its 95%
interval above 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vljepa_core.experiments import RUN5, RUN6


@dataclass(frozen=True)
class Rung:
    """One intervention.

    Attributes:
        title: what is changed, in a few words.
        changes: of Run 2's recipe.
        breaks: whether it was expected to break the collapse.
        hypothesis: why.
    """

    title: str
    changes: dict[str, Any]
    breaks: bool
    hypothesis: str


# About 1,000 optimiser steps at laptop scale, in bfloat16 for its speed.
BUDGET = dict(n_train=4_000, n_val=200, epochs=8, warmup_epochs=1, validate_every=2, precision="bfloat16")
_NO_DIVERSITY = dict(diversity_weight=0.0)

SINGLE: dict[str, Rung] = {
    "published": Rung(
        "the published recipe", {}, False, "Plans coincide within 16 steps, and stay so: the study's own result."
    ),
    "no_diversity": Rung(
        "no diversity loss", _NO_DIVERSITY, False,
        "It asks for differences, of whatever kind, and its gradient vanishes where all plans coincide: of no effect.",
    ),
    "cross_entropy": Rung(
        "cross-entropy alone, no label smoothing", dict(diversity_weight=0.0, label_smoothing=0.0), False,
        "Enough on Test 0's scenes; photographs need a gradient that sees them before the text is learned.",
    ),
    "init": Rung(
        "positions and embeddings start at one scale", dict(init="balanced"), False,
        "The fusion then reads more of the image, but the plan is still an average of query tokens.",
    ),
    "direct": Rung(
        "plan queries read the visual tokens, with residual", dict(plan_reads="image", plan_query_residual=True), False,
        "The shortest way for a gradient from text to image; still only text to ask for it.",
    ),
    "centred_pixels": Rung(
        "pixels normalised as for ImageNet", dict(normalise="imagenet"), False,
        "The mean pixel is no longer what all tokens have in common; the plans still are averages of query tokens.",
    ),
    "batch_norm": Rung(
        "plans normalised over images", dict(plan_norm="batch", diversity_weight=0.0), True,
        "A plan can't be the same for all images (BN-VAE). What differs is an untrained encoder's at first: "
        "brightness, colour; but that is something to read.",
    ),
    "stem": Rung(
        "convolutional stem", dict(stem="convolutions"), False, "Better tokens that nothing asks for."
    ),
    "all_captions": Rung(
        "another of the five captions in every epoch", dict(captions="all"), False,
        "Keeps a decoder from learning captions by heart; a thousand steps are too few for that to matter.",
    ),
    "augment": Rung(
        "images shifted at random", dict(augment="shift"), False, "Against overfitting that isn't there yet."
    ),
    "sigreg": Rung(
        "SIGReg in place of the diversity loss", dict(**_NO_DIVERSITY, sigreg_weight=0.05), False,
        "Plans will differ, as a normal distribution's draws do, but need not differ in what captions speak of.",
    ),
    "vicreg": Rung(
        "VICReg in place of the diversity loss", dict(**_NO_DIVERSITY, vicreg_weight=0.5), False,
        "As SIGReg: spread is not information.",
    ),
    "align": Rung(
        "InfoNCE between plan and caption", dict(align_weight=0.3), True,
        "Asks directly for what tells captions apart, from the first step on: a pilot broke the collapse weakly.",
    ),
    "siglip": Rung(
        "SigLIP between plan and caption", dict(align="siglip", align_weight=0.3), True,
        "As InfoNCE; in batches of 32 perhaps weaker.",
    ),
    "align_first": Rung(
        "InfoNCE alone for two epochs, then both", dict(align_weight=0.3, pretrain="align", pretrain_epochs=2), True,
        "By the time that the decoder starts, the plan says something; it learns to listen before it knows the text.",
    ),
    "align_memory": Rung(
        "InfoNCE between plan and caption, plans told from 1,024 earlier captions as well",
        dict(align_weight=0.3, align_memory=1_024), False,
        "Among a thousand candidates brightness and colour are not enough to be found by. But what the plans read is "
        "the query's tokens, and a harder question makes the way to the picture no shorter.",
    ),
    "words": Rung(
        "the caption's words from the plan, in no order", dict(words_weight=0.1), True,
        "A text loss that can't be lowered by knowing grammar, only by knowing the topic.",
    ),
    "early_stopping": Rung(
        "early stopping: the weights with the lowest validation loss", dict(keep_best=True), False,
        "Eight epochs do not overfit, so there is nothing to stop, and no epoch in which a plan was used.",
    ),
    "hinge": Rung(
        "another image's plan must cost more", dict(hinge_weight=0.1), False,
        "Gradient through the decoder alone, which at first can't read any plan.",
    ),
    "token_dropout": Rung(
        "30% of the bytes blanked", dict(input_dropout="token"), False,
        "A missing byte is filled in from its neighbours, without the image.",
    ),
    "word_dropout": Rung(
        "30% of the words blanked", dict(input_dropout="word"), False,
        "What the report meant; a missing word costs bits that an image could save, but a plan has to hold them first.",
    ),
    "blank": Rung(
        "30% of the captions blanked as a whole", dict(input_dropout="blank"), True,
        "Then the plan is all there is (CapPa): the first words must come from the image.",
    ),
    "encoder_rate": Rung(
        "visual encoder learns 5 times as fast", dict(encoder_rate=5.0), False,
        "Its gradient dies in the first steps; five times nothing.",
    ),
    "small_decoder": Rung(
        "decoder of one block", dict(decoder_depth=1), False,
        "A weaker grammar needs the image no more than a stronger one.",
    ),
    "pieces": Rung(
        "pieces of words instead of bytes: 1,024 ids (BPE)", dict(vocab_size=1_024), False,
        "A third of the steps to a caption, and the language is learned sooner. Nothing in it asks for the picture.",
    ),
    "memory": Rung(
        "16 learned vectors beside the plan for the decoder to read", dict(decoder_memory=16), False,
        "Cross-attention no longer needs the plan as a place to keep what all captions have in common, and learns the "
        "language as fast as a blind decoder does. Nothing asks for the picture all the same.",
    ),
    "lejepa": Rung(
        "visual encoder trained by itself for two epochs, then frozen",
        dict(pretrain="lejepa", pretrain_epochs=2, visual_training="frozen"), False,
        "250 steps on thousands of small images give features little better than random ones.",
    ),
    "random_network": Rung(
        "frozen EfficientNet-Lite0, random weights",
        dict(visual="efficientnet_lite0", visual_weights="random", visual_training="frozen", image_size=128), False,
        "Architecture alone: colours and textures get through, objects don't.",
    ),
    "pretrained": Rung(
        "frozen EfficientNet-Lite0, ImageNet weights",
        dict(visual="efficientnet_lite0", visual_training="frozen", image_size=128), False,
        "Good tokens; but the published way from them to the plan goes through the query.",
    ),
    "pretrained_direct": Rung(
        "frozen EfficientNet-Lite0, ImageNet weights, read by the plan queries directly",
        dict(visual="efficientnet_lite0", visual_training="frozen", image_size=128, plan_reads="image",
             plan_query_residual=True), True,
        "The pilot that broke the collapse at once.",
    ),
    # Weights, architecture and objective told apart, where the way is short.
    "random_direct": Rung(
        "frozen EfficientNet-Lite0, random weights, read directly",
        dict(visual="efficientnet_lite0", visual_weights="random", visual_training="frozen", image_size=128,
             plan_reads="image", plan_query_residual=True), False,
        "Architecture alone, on the short way: colours and textures arrive, of which captions say little.",
    ),
    "finetuned_direct": Rung(
        "EfficientNet-Lite0 from ImageNet weights, trained along at a tenth of the rate, read directly",
        dict(visual="efficientnet_lite0", encoder_rate=0.1, image_size=128, plan_reads="image",
             plan_query_residual=True), True,
        "As frozen: a thousand steps at a tenth of the rate can't change much, for better or worse.",
    ),
    "lejepa_direct": Rung(
        "visual encoder trained by itself for two epochs, then frozen, read directly",
        dict(pretrain="lejepa", pretrain_epochs=2, visual_training="frozen", plan_reads="image",
             plan_query_residual=True), False,
        "An objective without labels; 250 steps on thousands of pictures are next to nothing beside ImageNet.",
    ),
    "random_trained_direct": Rung(
        "EfficientNet-Lite0 from random weights, trained along, read directly",
        dict(visual="efficientnet_lite0", visual_weights="random", image_size=128, plan_reads="image",
             plan_query_residual=True), False,
        "As the study's encoder on the short way: the text asks for nothing that a picture has, and a better "
        "architecture is not asked for more. At most what its frozen random weights bring.",
    ),
    "lejepa_network_direct": Rung(
        "EfficientNet-Lite0 from random weights, trained by itself for two epochs, then frozen, read directly",
        dict(visual="efficientnet_lite0", visual_weights="random", visual_training="frozen", pretrain="lejepa",
             pretrain_epochs=2, image_size=128, plan_reads="image", plan_query_residual=True), False,
        "ImageNet's architecture with an objective without labels: as for the study's encoder, 250 steps are next to "
        "nothing, so that no more arrives than with random weights.",
    ),
    "random_vit_direct": Rung(
        "visual encoder frozen at its random weights, read directly",
        dict(visual_training="frozen", plan_reads="image", plan_query_residual=True), False,
        "What the self-trained encoder is to be compared with: as little, so that its 250 steps bring nothing.",
    ),
}  # fmt: skip


def without(run: dict[str, Any], *keys: str) -> dict[str, Any]:
    """A combination with one of its parts left out."""
    return {key: value for key, value in run.items() if key not in keys}


_LEFT_OUT = {
    "scales": ("init",), "direct queries": ("plan_reads", "plan_query_residual"), "batch norm": ("plan_norm",),
    "centred pixels": ("normalise",),
    "all captions": ("captions",), "shifts": ("augment",), "alignment": ("align_weight",), "words": ("words_weight",),
    "memory": ("decoder_memory",), "plain loss": ("label_smoothing", "diversity_weight"),
}  # fmt: skip
# What leaving a part out of Run 6 was expected to do; memory has a rung of its own, from before. Written before the
# photographs. Before composed scenes, where all parts bring 6.8 bits and the features read directly 4.7 to 5.9: without
# direct queries 5 to 6 are left, without alignment 6.3 to 6.6; what the other parts bring there is language (a scene's
# captions are drawn from few words), and fewer than 0.2 bits.
_OF_RUN6 = {
    "scales": "As for Run 5: language is learned later, and a little less comes through.",
    "direct queries": "Less than half of the bits: on the published way the same features bring a few tenths of a bit.",
    "all captions": "A few tenths of a bit less: one caption of a picture says less of it than five.",
    "alignment": "A bit less: it is most of what Run 6 has beside features and a short way (0.7 to 0.9 bits).",
    "words": "No fewer bits: the loss on words has brought nothing anywhere.",
    "plain loss": "As for Run 5: language costs more, and a few tenths of a bit are lost with it.",
}
COMBINED: dict[str, Rung] = {
    "run5": Rung("all of Run 5", RUN5, True, "What single changes can't do alone."),
    **{
        f"run5_without_{part.replace(' ', '_')}": Rung(
            f"Run 5 without {part}", without(RUN5, *keys), part not in ("alignment", "batch norm"),
            "Without it plans fall together, or too weak to be measured." if part in ("alignment", "batch norm")
            else "It helps; batch norm and alignment carry it.",
        )
        for part, keys in _LEFT_OUT.items()
    },
    "run5_align_memory": Rung(
        "Run 5, plans told from 1,024 earlier captions as well", dict(**RUN5, align_memory=1_024), True,
        "Where plans do read the picture, a harder question asks for finer differences: a few more bits than Run 5.",
    ),
    "run5_pieces": Rung(
        "Run 5, pieces of words instead of bytes", dict(**RUN5, vocab_size=1_024), True,
        "As for Run 6, the decoder is past spelling sooner: a few tenths of a bit more, and fewer bits to a caption.",
    ),
    "run6": Rung("all of Run 6", RUN6, True, "Good tokens, a short way, and a reason to use them."),
    "run6_without_memory": Rung(
        "Run 6 without memory", without(RUN6, "decoder_memory"), True,
        "As Run 6 was at first. As many bits, and a larger loss than its twin's, whose one plan serves it as memory.",
    ),
    **{
        f"run6_without_{part.replace(' ', '_')}": Rung(
            f"Run 6 without {part}", without(RUN6, *_LEFT_OUT[part]), True, hypothesis
        )
        for part, hypothesis in _OF_RUN6.items()
    },
    "run6_pieces": Rung(
        "Run 6, pieces of words instead of bytes", dict(**RUN6, vocab_size=1_024), True,
        "The decoder is past spelling sooner, and turns to what the plan says: better captions, and a few more bits.",
    ),
    "run6_text_first": Rung(
        "Run 6 without memory, its decoder under the mean plan for the first half",
        dict(**without(RUN6, "decoder_memory"), pretrain="text", pretrain_epochs=4), True,
        "A decoder that hears different plans while it learns to spell is slower at it than its blind twin. Under "
        "the mean plan it is as fast, while alignment makes the plans differ; then it reads them. As many bits as "
        "Run 6, or a few less, at a smaller loss.",
    ),
}  # fmt: skip
RUNGS = {**SINGLE, **COMBINED}
