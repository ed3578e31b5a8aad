# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Run 1: first real captions
#
# **What was claimed.** 4,000 image-caption pairs from COCO, 30 epochs. All greedy captions came out the same; sampled ones were
# "diverse but random". Verdict: *FAIL*. The study took it as too few samples and epochs, and went on to Run 2.

# %% tags=["parameters"]
scale = "laptop"  # smoke, laptop or paper
data = "scenes"  # scenes, shapes, or a folder with images/ and captions_*.json
seed = 0

# %%
import vljepa_core
from vljepa_core import baselines, figures, report

# Change one thing here: dict(scale=scale, data=data, seed=seed, plan_vectors=32) is K = 32.
settings = dict(scale=scale, data=data, seed=seed)
run = vljepa_core.prepare("run1", **settings)  # the recipe and its data
record = vljepa_core.run("run1", **settings)  # loaded, or trained
recorded = vljepa_core.recorded("run1")
blind = vljepa_core.run("run1_blind", **settings)  # the same decoder, trained without sight of any image

# %% [markdown]
# ## What we ran
#
# One caption per image, drawn once and kept. Captioning sees pixels in $[0, 1]$: the report speaks of ImageNet normalisation, but only
# Test 3's code applies it. The loss is cross-entropy with label smoothing 0.1 plus half the *diversity loss*, the mean cosine
# between the plans of a batch.

# %%
report.recipe_table(run.recipe, vljepa_core.recipe("run1", "paper"))

# %% [markdown]
# ## What came out

# %%
trivial = baselines.of_run(run.recipe, run.examples)
report.results_table("run1", record, recorded, trivial=trivial, blind=[blind])

# %% [markdown]
# ## How we know
#
# Losses are in nats per byte (1 nat is 1.44 bits). The training loss contains label smoothing and is taken in training mode, as the study reports it. The validation loss is neither
# smoothed nor dropped out. The two therefore do not meet even without overfitting. The lines belong to the training loss: what an image-blind model reaches
# that knows every training caption by heart, and what label smoothing leaves even to a model that knows every byte.
# Dotted: the same decoder, trained in the same way without sight of any image.

# %%
figures.loss_curves(record, recorded, references=baselines.loss_floors(run.recipe, run.examples), blind=blind)

# %% [markdown]
# **The collapse, epoch by epoch.** A plan that depends on the image differs between images: the mean cosine between
# the plans of different images is below 1, their effective rank (over how many directions they spread) above 1, and the share of the plan's variance that lies
# between images above 0. A decoder that uses the plan then writes different captions for different pictures. The last
# panel is the gradient norm that reaches the visual encoder: where it vanishes while the loss is still high, the encoder gets hardly any signal about the image. A cosine near 1 need not mean identical plans, and a low one need not mean rich ones (two opposite clusters
# have a low cosine and rank 1): read the panels together.

# %%
figures.collapse_metrics(record, recorded)

# %% [markdown]
# **When it happens.** The epochs above are too coarse for what may be over within the first. Here the same few validation images are looked at
# after 0, 1, 2, 4, 8, ... steps: when the plans come together, when the decoder learns text, and what gradient the encoder is left with.

# %%
figures.collapse_timeline(record)

# %% [markdown]
# **Captions under their pictures**, evenly spaced over the validation images, none picked. *Reference* is the caption drawn for
# the picture, *greedy* takes the likeliest byte at every step, *t = 0.7* samples.

# %%
figures.caption_grid(run.examples["val"], record)

# %% [markdown]
# **Beside answers that need no decoder.** Everything is scored against the same references, of which one human's caption is held out, to
# stand as an answer itself. *Nearest* repeats what was said of the training image that is nearest to the picture: by its pixels, or by
# its plan. If the plan held the picture, its neighbours would be worth more than those by pixels. *CIDEr* and *BLEU-4* are agreement with people's captions in sequences of up to four words (CIDEr
# counts rare ones more); *word overlap* is the share of the reference's words that are named, *content match* whether at least one content word is shared.

# %%
figures.answer_bars(
    baselines.on_equal_terms(record, run.examples, [blind]),
    ("cider", "bleu4", "overlap", "content_match"),
    own="greedy",
)

# %% [markdown]
# ## Does the decoder use the plan?
#
# Every one of up to 200 validation captions is scored under the plan of every one of these images. A decoder that ignores its plan finds a
# caption equally likely whatever the image, and is then exactly at chance in every row: ties count as chance.
#
# *InfoNCE* bounds from below the bits that plan and caption share; it can show no more than $\log_2$ of the number of images. The *gain* is what
# the plan saves per caption against the same decoder trained without sight of any image. It compares two trainings: its interval covers the
# sampling of images, not the randomness of training, so believe a gain only where InfoNCE is above 0 too. The
# *shuffle gap* is what another image's plan costs. It tells whether the decoder reacts to its plan, not how much it learns from
# it, since a confident error can cost any number of bits.

# %%
blinds = [*vljepa_core.recorded("run1_blind"), blind]
report.probe_table(record, recorded, blinds)

# %%
figures.plan_bits([record, *recorded], blinds)

# %% [markdown]
# ## Verdict
#
# Computed by code, from thresholds that were written before any run.

# %%
report.verdict(record)

# %% [markdown]
# ## What it does not show
#
# One run with one seed says that *this* recipe collapsed or did not. "Diverse but random" samples are what any sampler of a text
# prior gives: their variety is no evidence that the image was read.
