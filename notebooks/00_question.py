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
# # The question
#
# A picture goes in; a sentence about it comes out. Between the two halves of the model stands a **latent plan**: $K$ vectors of
# $D$ numbers. In the published study $K = 16$ and $D = 256$, that is $16 \times 256 \times 2 = 8{,}192$ bytes in half precision, instead
# of the $196 \times 768 \times 2 = 301{,}056$ bytes of a full set of activations. One machine could look, send 8 KB, and
# another could write.
#
# **Can a latent plan of $K$ vectors carry enough of one image for a decoder to write useful text about it?**
#
# The study "VL-JEPA Validation Findings" answered with six experiments. Synthetic shapes passed. Every captioning run on
# photographs *collapsed*: one and the same sentence for all images. A classification probe came out "partial". The study
# concluded that the bottleneck's capacity is insufficient. This book runs all six again and asks what each number can
# and cannot say.

# %% tags=["parameters"]
scale = "laptop"  # smoke, laptop or paper
data = "scenes"  # scenes, shapes, or a folder with images/ and captions_*.json
seed = 0

# %%
import vljepa_core
from vljepa_core import figures, report
from vljepa_core.describe import data_flow
from vljepa_core.published import DIFFERENCES

paper = vljepa_core.recipe("run2", "paper")
run = vljepa_core.prepare("run2", scale=scale, data=data, seed=seed)

# %% [markdown]
# ## The model
#
# The path of one image, drawn from the code's own modules: the shapes were recorded while an image ran through the real
# modules at the published size. A fixed query ("describe the image") is encoded as text; its tokens cross-attend to the image's
# tokens; $K$ learned queries attend to the result, and what they read *is* the plan. The decoder sees the plan and the bytes
# written so far, nothing else.

# %%
figures.data_flow(data_flow(paper))

# %% [markdown]
# Two things in this picture matter later. The plan's queries have no residual connection: each plan vector is an average of
# what the fusion produced, so if the fused tokens of two images are alike, so are their plans. And besides the diversity loss, which compares
# plans with each other, nothing but captions (in Test 3: categories) trains the visual encoder: the name *JEPA* stands for a joint-embedding prediction that no published run trains.

# %% [markdown]
# ## Published and built here
#
# What this build changes of the published Run 2. Everything that is not listed is as published: the mechanisms are all kept,
# sizes and epochs are not. At scale `paper` nothing of the recipe is changed.

# %%
report.recipe_table(run.recipe, paper)

# %% [markdown]
# ## The data
#
# The study drew image-caption pairs from COCO. By default this book uses `scenes`: pictures composed from OpenMoji glyphs
# with five captions each, written by a generator that knows what it drew. `DATA=` names any folder of photographs with
# COCO captions instead. The pictures are shown at the size at which the model sees them.

# %%
report.dataset_table(run.dataset)

# %%
figures.sample_grid(run.examples["val"], 8)

# %% [markdown]
# The study's classification probe needs images whose caption names exactly one of 20 categories. Their shares matter: whoever
# always answers the largest category is right as often as its share says.

# %%
figures.category_shares(run.dataset)

# %% [markdown]
# Captions are written in bytes. A caption of more than 126 is cut, and with its last bytes it loses the mark that it has ended.

# %%
figures.caption_lengths(run.dataset)

# %% [markdown]
# ## Where the report and the code differ
#
# The study's text and its scripts do not always say the same. Here the code is reproduced, and what the report describes is an option
# where it matters.

# %%
report.bullets(DIFFERENCES)

# %% [markdown]
# ## What would count as an answer
#
# - **Yes** would be: different pictures get different captions, and a caption fits its own picture better than another one.
# - **No, because of capacity** would need more than a failure: a failed run at 8 KB says that *this training* put nothing into
#   the plan. It does not say that nothing fits. Naming one of 18,000 captions takes $\log_2 18{,}000 = 14.1$ bits; the plan has
#   65,536.
# - Words of later chapters. A *blind twin* (an image-blind baseline) is the same decoder, trained as long with one learned plan for all images. The *gain* is the bits per caption that a run saves against it. The measure
#   *InfoNCE* is a lower bound on the bits that plan and caption share (their mutual information); it is computed from the decoder's likelihoods, and no run is trained on it. *Alignment* is a contrastive loss between plan and caption,
#   in training only. A *rung* is Run 2 with changes. A *floor* is the least that an answer has to reach, a *goal* more than that; *pieces* are subword tokens; the *memory* is 16 learned vectors of the decoder.
# - Every metric is read beside what a trivial answer scores: the majority class, a caption drawn at random, the same
#   caption for all images, a model that never sees the image.
#
# The thresholds that turn metrics into verdicts were published with the study and stand in `vljepa_core/verdicts.py`. Ours are: below 5% distinct greedy captions counts as collapsed (written before any run of this book), what counts as
# capacity in [the audit](08_audit) and as breaking the collapse [after it](09_breaks) (before the runs concerned), and the floors and goals of [Two answers](10_answers), which were set after small pilots.
