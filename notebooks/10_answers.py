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
# # Two answers
#
# **What we ask.** Once something comes through the plan, how far does it get? The chapter before ended in two combinations of changes that break the collapse. Here they are
# judged as captioners, by floors (the least that counts) and goals (more than that), both set beforehand. [The next chapter](11_growth) asks what would bring more.
#
# **In short.** Both were trained for 4,560 steps on 6,074 photographs. Three things were added after first runs had missed floors: a memory (learned vectors for what all captions have in common), pieces of words
# and, for Run 6, 224 pixels. Each then reaches every floor with two seeds of three; with the third, Run 5 misses one in bits saved, Run 6 one in distinct captions.
# These plans are of 4 KB, half the published one. With the published 16 x 256, in a model as wide and at half the learning rate, every floor is reached, with one seed of Run 5 and two of Run 6, and Run 6 gets somewhat more through, 3.42 and 3.32 bits in place of 3.16, 3.16 and 3.13. (At the rate of the narrower model each run had missed a floor.)
# A decoder that reads all 49 tokens of a picture, with no plan between, gets a tenth more than one with a plan of 4 KB (one seed).

# %% tags=["parameters"]
scale = "laptop"  # smoke, laptop or paper
data = "scenes"  # scenes, shapes, or a folder with images/ and captions_*.json
seed = 0

# %%
import dataclasses

from IPython.display import display

import vljepa_core
from vljepa_core import baselines, figures, goals, report
from vljepa_core.published import PUBLISHED

# Change one thing here: dict(scale=scale, data=data, seed=seed, plan_vectors=32) is K = 32.
settings = dict(scale=scale, data=data, seed=seed)
names = ("run5", "run6")
runs = {name: vljepa_core.prepare(name, **settings) for name in names}  # the recipes and their data
records = {name: goals.with_controls(vljepa_core.run(name, **settings), runs[name].examples) for name in names}
blind = vljepa_core.run("run5_blind", **settings)  # trained without sight of any image: the twin of both
recorded = {name: vljepa_core.recorded(name) for name in names}
answers = vljepa_core.recorded_sweep("answers")  # the same two, trained longer on more photographs
pieces = vljepa_core.recorded_sweep("pieces")  # and these, their decoder writing pieces of words instead of bytes
wide = vljepa_core.recorded_sweep("eight_kilobytes")  # in pieces, with the published plan of 16 x 256
half_rate = vljepa_core.recorded_sweep("half_rate")  # the same, and 16 x 128, with half the learning rate
published_plan = [r for r in half_rate if r.recipe["dim"] == 256]  # reaches every floor
longer = {name: [r for r in (*answers, *pieces, *published_plan) if r.experiment == name] for name in names}
twins = [
    *(r for r in (*answers, *pieces, *wide, *half_rate) if r.experiment == "run5_blind"),
    *vljepa_core.recorded("run5_blind"),
]
more_vectors = vljepa_core.recorded_sweep("more_vectors")  # Run 6 in pieces with 8 KB as 32 x 128
in_full = vljepa_core.recorded_sweep("no_bottleneck")  # Run 6 in pieces, its decoder reading every token of a picture
elsewhere = vljepa_core.recorded_sweep("resplit")  # in pieces again, judged on photographs that no recipe was judged on
blinds = [*twins, blind]

# %% [markdown]
# ## What we ran
#
# Run 5 keeps the study's encoder, of the same kind and size, and changes the way to the plan, what is asked of it, and gives the decoder a memory. Run 6 has the same way behind a
# frozen EfficientNet-Lite0, whose ImageNet weights come from the Python Package Index. Both keep 16 plan vectors of the published width at `paper`
# scale. Everything that differs from the published Run 2:

# %%
report.recipe_table(runs["run5"].recipe, vljepa_core.recipe("run2", "paper"))

# %%
report.recipe_table(runs["run6"].recipe, vljepa_core.recipe("run2", "paper"))

# %% [markdown]
# ## What came out
#
# Beside the published Run 2, whose task they have. Their *blind twin* is the same decoder with a learned plan that is one for all images. *Recorded* columns are runs made beforehand; those on photographs are the ones to compare with the
# study's.

# %%
published = dataclasses.replace(PUBLISHED["run2"], data=f"Run 2, {PUBLISHED['run2'].data}")
for name in names:
    trivial = baselines.of_run(runs[name].recipe, runs[name].examples)
    display(report.results_table(name, records[name], recorded[name], published, trivial=trivial, blind=[blind]))

# %% [markdown]
# **Trained longer.** `sweeps/answers.toml` and `answers-run6.toml` give both 4,560 steps on all the photographs there are, and look at more of them. The
# frozen network of Run 6 sees them enlarged from 128 to the 224 pixels it was made for. Up to the verdict these are the *recorded* columns; the verdict shows the shorter ones, too; the floors and goals are
# asked of them. First what the study reported, of those in pieces of words ([why pieces](11_growth)), and of those with the published plan of 16 x 256 (see *Plans of eight kilobytes*), beside Run 2 as this book re-ran it on photographs:

# %%
collapsed = [r for r in vljepa_core.recorded("run2") if r.data == "flickr8k"]
in_pieces = [[r for r in sweep if r.experiment == name] for sweep in (pieces, published_plan) for name in names]
report.runs_table([collapsed, *in_pieces], [*vljepa_core.recorded("run2_blind"), *blinds])

# %% [markdown]
# And what they write, beside that Run 2 and the blind twin. The photographs are not part of this book; `make book DATA=FOLDER` shows them.

# %%
beside = [next(r for r in pieces if r.experiment == e and r.seed == 0) for e in ("run5_blind", *names)]
figures.written_table([collapsed[0], *beside])

# %% [markdown]
# Then every probe.

# %%
for name in names:
    display(report.probe_table(records[name], longer[name], blinds))

# %%
figures.plan_bits([record for name in names for record in longer[name]], blinds)

# %% [markdown]
# ## Verdict
#
# Floors and goals were set after small pilots and before the recorded runs (`vljepa_core/goals.py`); for what was added afterwards see *What stays unknown*, and [what it brings](11_growth). A floor that is missed means that the answer failed at what it was made for.
# On composed scenes the bits that a caption needs from its picture are known, and a share of them is asked for as well. For
# InfoNCE the 95% interval has to lie above half the floor. CIDEr of Run 5 is held against the best of three answers that do not look
# at the picture in question; where such a control was not recorded, the cell says so. A Run 6 that has not been trained yet already reads the category 21 to 30 points above the largest class (28.9 and 29.6 with 8 KB), an
# untrained Run 5 4 to 9, so that this measure says little about training.

# %%
for name in names:
    display(report.goals_table(name, [*longer[name], *recorded[name], records[name]], blinds))

# %%
report.found_line([record for name in names for record in (*longer[name], *recorded[name], records[name])])

# %% [markdown]
# So 16 plan vectors carry enough of a picture for a person's caption to find it 76 to 83 times as often as by chance (8% of 989), once
# the encoder is pretrained (Run 6). The decoder then spends fewer bits on a caption than its blind twin. When the encoder is trained
# from scratch on a few thousand photographs (Run 5), about a third as many bits come through. On photographs
# nobody knows how many bits could be told; both miss their goals for bits. On composed scenes
# Run 5 brings 79% to 81% of the bits that so many pictures can show. InfoNCE ends at log2 of their number, so this share hides how far Run 5 is from Run 6. Against the twin it saves 5.7 bits and Run 6 9.0.

# %% [markdown]
# **On photographs that no recipe was judged on.** All of Runs 5 and 6 was settled by looking at one set of validation photographs. `python -m
# vljepa_core data resplit` draws another set, from photographs that were trained on until then, and puts the old ones into
# training. No recipe was chosen on the new set. Both recipes, in pieces, were trained again from scratch and judged there (one seed). Expected was what they had reached before, within the
# intervals of the first seed. Run 6 meets this on all measures but one: the category is read off its plans 24.9 points above the largest class, where it was 28.7 to 30.0, so that it
# reaches one goal there and not two. (It is read as well as before, in 86.6%; the largest class is larger there, 61.8%.) Run 5's bits (1.09) and distinct captions (27.9%) are above those of its first seed before: three
# seeds had 0.91 to 1.10 bits and 20.4 to 26.9%. Its CIDEr is lower, as it is on these photographs for the constant caption and for the blind twin as well. Both reach every floor.

# %%
for name in names:
    found = [r for r in elsewhere if r.experiment == name]
    display(report.goals_table(name, found, [r for r in elsewhere if r.experiment == "run5_blind"]))

# %% [markdown]
# ## Plans of eight kilobytes, and none
#
# Most plans here are of 16 x 128 numbers, 4 KB. The longer runs in pieces of words were made with other plans as well, and with none. What was expected of each stands at the head of its file in `sweeps/`, written before it was made.

# %%
with_other_plans = [*pieces, *wide, *half_rate, *more_vectors, *in_full]
for name in names:
    display(report.plans_table([r for r in with_other_plans if r.experiment == name], blinds))

# %% [markdown]
# **The published plan, 16 x 256 in a model as wide, with the learning rate as it was** (`sweeps/eight-kilobytes.toml`, `eight-kilobytes-run6.toml`). As many bits were expected as with 4 KB, and the same floors. Run 5 brings fewer (0.66 [0.56, 0.76] where it was 0.91 [0.78, 1.03]), and each of three runs misses
# a floor: Run 6 that for distinct captions with both seeds (83.5% and 82.7% of 85%), Run 5 that for CIDEr, 0.132, which is below the best constant caption. All three, the blind twin as well, spend 0.9 to 1.6 bits less on a caption than with 4 KB (first seed): the wider model knows the language better, and says less of the picture.
#
# **The published plan, with half the rate** (`sweeps/half-rate.toml`, `half-rate-run6.toml`). That hidden layers twice as wide want about half the rate is known (Yang et al. 2022, *Tensor Programs V*), and we had not heeded it; here it was halved for all parameters, from 0.001 (the study has 0.0003; it was raised for the short runs here), and no third rate was tried. The two missed floors were expected to be reached, with 0.75 to 1.0 bits and CIDEr of 0.155 to 0.18 in Run 5, and as many bits as with 4 KB (3.0 to 3.2) and 85 to 88% distinct captions in Run 6.
# Every floor is reached, and all of these came out higher: Run 5 brings 1.07 [0.97, 1.18] (one seed), Run 6 3.42 [3.21, 3.63] (another seed: 3.32), and 92.4% and 91.9% of its captions are distinct. Run 5's CIDEr is 0.190. Bits saved (2.60 and 2.16) and CIDEr of Run 6 are as with 4 KB. (Two more seeds of each had been announced, of which one of Run 6 is made.)
#
# **Is it the rate alone?** Then it would help the narrower model as much (`sweeps/half-rate-narrow.toml`, `half-rate-narrow-run5.toml`, one seed each). Of Run 6 3.36 bits or more were to count as yes, 3.0 to 3.3 were expected. It brings 3.20 bits [3.02, 3.37] there, about as many as with the whole rate (3.16, 3.16 and 3.13), and as good captions as 8 KB (CIDEr 0.407 both). Run 5 brings 1.12 bits [0.99, 1.26] there (0.85 to 1.15 were expected; 0.2 more than all three seeds was to count as yes), and more distinct captions than any other (38.5%). So by these rules it is not the rate alone, though Run 5's first seed had 0.91 bits before.
# The losses tell it better: with half the rate a caption costs the narrower model 1.1 to 1.6 bits more (the twin, too), the wider one between 0.5 less and 0.2 more. So half the rate takes away what width had cost. With it 8 KB bring Run 6 somewhat more bits than 4, though the intervals overlap, and Run 5 no more.
#
# **8 KB as more vectors** (`sweeps/eight-kilobytes-vectors.toml`, Run 6, one seed, computed in float32). 32 vectors of 128 numbers, in the model that is not widened: as many bits were expected as from 16, and captions as distinct and as good, and so it came: 3.15 bits [2.97, 3.34], 87.1% of the captions distinct, CIDEr 0.404, and every floor is reached.
# Twice the vectors bring no more. For Run 5 this was not tried.
#
# **Without a bottleneck** (`sweeps/no-bottleneck.toml`, one seed each, computed in float32). Is the plan what limits Run 6? Its decoder was given each of the picture's 49 tokens to read, in place of 16 vectors that queries make of them. As much was expected as the plan of 4 KB brings; 0.3 bits
# or 0.03 of CIDEr more than the best of three seeds with that plan would make the plan a limit. More does arrive: 3.51 bits [3.32, 3.70] where plans bring 3.16, 3.16 and 3.13, CIDEr 0.443 where they bring 0.402, 0.397 and 0.400, and 93.1% of the captions are
# distinct. The bits saved against the twin are as many as with the plan (2.75; 2.88, 2.12 and 2.40). So against expectation the plan is a limit, if a small one: 16 vectors of 128 numbers that queries make keep nine tenths of the InfoNCE and of the CIDEr that the same decoder gets from a picture which it reads in full. Whether it is their number or the reading is not known: twice as many vectors bring no more. The published plan with half the rate comes closer in bits, not in CIDEr.
# All 25 tokens of the same pictures at 160 pixels, 6,400 bytes and so less than the published 8,192, bring 3.29 bits [3.09, 3.49] where 3.2 to 3.5 had been expected, 93.1% distinct captions, and CIDEr of 0.409, no more than a plan's (0.41 to 0.45 had been expected). Both reach every floor. (49 vectors that are read by queries were not made, nor was the whole picture read by a wider model.)

# %% [markdown]
# ## How we know
#
# **Captions under their pictures**, evenly spaced over the validation images, none picked. First Run 5, then Run 6.

# %%
figures.caption_grid(runs["run5"].examples["val"], records["run5"])

# %%
figures.caption_grid(runs["run6"].examples["val"], records["run6"])

# %% [markdown]
# **Beside answers that need no decoder**, all scored against the same references, of which one human's caption is held out.

# %%
for name in names:
    others = baselines.on_equal_terms(records[name], runs[name].examples, [blind])
    display(figures.answer_bars(others, ("cider", "bleu4", "overlap", "content_match"), own="greedy"))

# %% [markdown]
# **Bits.** *InfoNCE* bounds from below what plan and caption share, and can show no more than $\log_2$ of the number of images. The *gain* is what the
# plan saves per caption against the same decoder trained without sight of any image. The *shuffle gap* tells that a decoder reacts to its plan,
# not how much it learns from it. InfoNCE's temperature is fitted on a quarter of the images, and the bits are measured on the others (150 of 200). Where nearly all captions of the quarter are told apart, the fit becomes overconfident, and one
# mistake among the others costs whole bits: one run on scenes, half as wide, was first read as 2.67 bits (its record at commit ed821fe), where 6.25 come through. Since then, where most of the quarter are told apart,
# the temperature is fitted against all images; all records concerned were measured anew.

# %%
for name in names:
    display(report.probe_table(records[name], recorded[name], blinds))

# %%
figures.plan_bits([record for name in names for record in (records[name], *recorded[name])], blinds)

# %% [markdown]
# **Test 3's probe**, as in the chapter "Test 3": what of the category a linear classifier reads off the frozen plans, beside pixels, colours, the plan before training and the model that was trained for it. First on
# photographs, recorded, seed 0; then in this build.

# %%
on_photographs = [next(r for r in vljepa_core.recorded(name) if r.data == "flickr8k") for name in ("test3", *names)]
figures.category_bars(on_photographs[0], on_photographs[1:])

# %%
report.category_table(vljepa_core.run("test3", **settings), records.values())

# %% [markdown]
# **The collapse, epoch by epoch.**

# %%
for name in names:
    display(figures.collapse_metrics(records[name], recorded[name]))

# %% [markdown]
# ## What it costs

# %%
report.cost_table([*(record for name in names for record in (*longer[name], *recorded[name], records[name])), *blinds])

# %% [markdown]
# ## At the published scale
#
# Nothing here was run at `paper` scale on COCO unless a recorded column above says so. Whoever has a CUDA GPU can: the first command fetches COCO, the
# second makes both runs and their blind twin.
#
# ```console
# $ make data
# $ python -m vljepa_core run run5 run6 run5_blind --scale paper --data coco --keep
# ```
#
# An interrupted run goes on when the command is given again. Memory and times below are computed, from a count of operators and the cards' data sheets;
# what issuing an operator takes was measured, on one machine with an H200. A step of Run 2 took 58 to 68 ms there, alone or with five more such runs beside it:
# give it several at once (`--jobs`). Compiled steps (`--set compile=True`) passed their test there; how fast they are was not measured.

# %%
report.predicted_table([vljepa_core.recipe(name, "paper") for name in names])

# %% [markdown]
# ## What stays unknown
#
# - **How few vectors to train with.** There were 16 in all recorded Runs 5 and 6 but one of 32 and those without a bottleneck. Width was varied, with one seed or two, and but for the published plan with one learning rate for all widths; [How few bytes](12_bytes) cuts and rounds plans of trained models.
# - **What the ImageNet encoder brings along.** Run 6 is not a model that learned to see from captions: about a million labelled photographs stand
#   behind it. How Run 5 would do with a million captions, nobody has measured here.
# - **Photographs that nobody has trained on.** Memory, 224 pixels, pieces and, with 8 KB, half the learning rate came when recorded runs had missed floors on the validation
#   photographs, so that floors reached there since are not asked blindly. On those of the second split no recipe was chosen, but earlier runs, whose
#   success decided what the recipes are, had been trained on them, and they are of the same collection. A check on photographs that were kept apart from everything is still to be made; `python -m vljepa_core answers --data FOLDER` makes it for whoever has some, with `--published-plan` at 16 x 256.
# - **Other data.** Photographs of one collection and composed scenes; COCO at `paper` scale is not among the recorded runs unless a table says so.
