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
# judged as captioners, by floors (the least that counts) and goals (more than that), both set beforehand. Then they get more data, steps, width and pixels, to see what helps.
#
# **In short.** Both were trained for 4,560 steps on 6,074 photographs. Three things were added after first runs had missed floors: a memory (learned vectors for what all captions have in common), pieces of words
# and, for Run 6, 224 pixels. Each then reaches every floor with two seeds of three; with the third, Run 5 misses one in bits saved, Run 6 one in distinct captions. More photographs bring Run 6 more bits,
# more steps bring Run 5 more up to a point. These plans are of 4 KB, half the published one; with all of it, in a model as wide, neither gets more through, and each of three runs misses a floor.
# With 8 KB as 32 vectors of 128 numbers Run 6 reaches every floor (one seed), and no more gets through either. A decoder that reads all 49 tokens of a picture, with no plan between, gets a tenth more (one seed).

# %% tags=["parameters"]
scale = "laptop"  # smoke, laptop or paper
data = "scenes"  # scenes, shapes, or a folder with images/ and captions_*.json
seed = 0

# %%
import dataclasses

from IPython.display import display

import vljepa_core
from vljepa_core import baselines, extrapolation, figures, goals, report
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
longer = {name: [r for r in (*answers, *pieces, *wide) if r.experiment == name] for name in names}
twins = [*(r for r in (*answers, *pieces, *wide) if r.experiment == "run5_blind"), *vljepa_core.recorded("run5_blind")]
more_vectors = vljepa_core.recorded_sweep("more_vectors")  # Run 6 in pieces with 8 KB as 32 x 128
in_full = vljepa_core.recorded_sweep("no_bottleneck")  # Run 6 in pieces, its decoder reading every token of a picture
elsewhere = vljepa_core.recorded_sweep("resplit")  # in pieces again, judged on photographs that no recipe was judged on
on_scenes = [r for r in vljepa_core.recorded_sweep("curves_scenes") if r.experiment == "run6"]
among = vljepa_core.recorded_sweep("among_1000")  # scenes, told apart among more pictures
learned_scenes = [r for r in vljepa_core.recorded_sweep("curves_scenes") if r.experiment == "run5"]
before = vljepa_core.recorded_sweep("without_memory")  # all three as they were before their decoder had a memory
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
# frozen network of Run 6 sees them enlarged from 128 to the 224 pixels it was made for. In the tables below these are the *recorded* columns; the floors and goals are
# asked of them. First what the study reported, of those in pieces of words (below, "And less to spell"), beside Run 2 as this book re-ran it on photographs:

# %%
collapsed = [r for r in vljepa_core.recorded("run2") if r.data == "flickr8k"]
in_pieces = [[r for r in pieces if r.experiment == name] for name in names]
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
# Floors and goals were set after small pilots and before the recorded runs (`vljepa_core/goals.py`); memory, 224 pixels and pieces came after runs without
# them had missed some. A floor that is missed means that the answer failed at what it was made for.
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
# **With the published plan itself.** Most plans here are of 16 x 128 numbers, 4 KB. The longer runs in pieces of words were made with 16 x 256 as well, 8 KB, in a model as wide (`sweeps/eight-kilobytes.toml`). As many
# bits were expected, and the same floors. Run 6 brings 3.06 bits [2.90, 3.21] (another seed: 3.00) where 4 KB bring 3.16 [2.97, 3.35] (3.16); Run 5 (one seed) fewer than with 4 KB, 0.66 [0.56, 0.76] where it was 0.91 [0.78, 1.03]. All three,
# the blind twin as well, spend 0.9 to 1.6 bits less on a caption than with 4 KB (first seed): the wider model knows the language better. Their greedy captions are worse all the same, and longer: CIDEr is 0.342 where it was 0.402,
# and 0.132 where it was 0.179, which is below the best constant caption. So against expectation Run 6 misses the floor for distinct captions with both seeds (83.5% and 82.7% of 85%), as one seed of three does with 4 KB, and Run 5 that for CIDEr.
# So a wider plan brings no more bits here.
#
# **8 KB as more vectors.** The same Run 6 with 32 vectors of 128 numbers, in the model that meets floors with 16 of them (`sweeps/eight-kilobytes-vectors.toml`, one seed, computed in float32): as many bits were expected, and captions as distinct and as good. So it came:
# 3.15 bits [2.97, 3.34], 87.1% of the captions distinct, CIDEr 0.404, and every floor is reached. So the lower CIDEr of wider vectors goes with the wider model, not with a plan of 8 KB. Whether the missed floor for distinct captions does, one seed can't tell: with another seed 16 x 128 misses it, too. Twice the vectors bring no more than 16. For Run 5 this was not tried.
#
# **Without a bottleneck.** Is the plan what limits Run 6? Its decoder was given each of the picture's 49 tokens to read, in place of 16 vectors that queries make of them (`sweeps/no-bottleneck.toml`, one seed, computed in float32). As much was expected as the plan brings; 0.3 bits
# or 0.03 of CIDEr more than the best of three seeds with the plan would make the plan a limit, as was written beforehand. More does arrive: 3.51 bits [3.32, 3.70] where plans bring 3.16, 3.16 and 3.13, CIDEr 0.443 where they bring 0.402, 0.397 and 0.400, and 93.1% of the captions are
# distinct. The bits saved against the twin are as many as with the plan (2.75; 2.88, 2.12 and 2.40). So against expectation the plan is a limit, if a small one: it keeps nine tenths of the InfoNCE and of the CIDEr that the same decoder gets from a picture which it reads in full. Is it its size, or the reading by queries? 32 vectors bring no more than 16.
# All 25 tokens of the same pictures at 160 pixels, 6.4 KB and so less than the published 8, bring 3.29 bits [3.09, 3.49] where 3.2 to 3.5 had been expected, 93.1% distinct captions, and CIDEr of 0.409, no more than a plan's (0.41 to 0.45 had been expected). So captions become distinct where no queries are between, and the better captions
# come with the 49 tokens; more than that one seed each does not tell. 49 vectors that are read by queries were not made. Both reach every floor, with 6.4 KB within the published 8.

# %%
report.goals_table(
    "run6", [*in_full, *more_vectors, *(r for r in pieces if r.experiment == "run6" and r.seed == 0)], blinds
)

# %% [markdown]
# So 16 plan vectors carry enough of a picture for a person's caption to find it 76 to 83 times as often as by chance (8% of 989), once
# the encoder is pretrained (Run 6). The decoder then spends fewer bits on a caption than its blind twin. When the encoder is trained
# from scratch on a few thousand photographs (Run 5), about a third as many bits come through. On photographs
# nobody knows how many bits could be told; both miss their goals for bits. On composed scenes
# Run 5 brings 79% to 81% of the bits that so many pictures can show. InfoNCE ends at log2 of their number, so this share hides how far Run 5 is from Run 6. Against the twin it saves 5.7 bits and Run 6 9.0.

# %% [markdown]
# ## Who learns the language, and by what
#
# When Runs 5 and 6 were first recorded, both spent *more* bits on a photograph's caption than their blind twin after as many steps with the same decoder, whatever
# came through their plans (the rows without memory, below; on composed scenes both were ahead already). Did plans that change from picture to picture slow the learning of the language? Run 6 without memory saw only the mean plan of each
# batch for the first half of the steps (the rung `run6_text_first`, three seeds). It was hardly faster meanwhile (1.38 nats per byte against 1.40, the twin 1.29), and
# ended with fewer bits through the plan (1.28, 1.46 and 1.58 in place of 1.73, 1.87 and 1.84), at a loss that is 0.7, 0.6 and 1.2 bits per caption smaller, where 4.5 to 5.2 were to be made up. So that was hardly the reason.
#
# Two tests agree with another: the twin's plan is constant. Its 16 vectors are weights, the same for all captions, and cross-attention looks something up in them at every byte:
# a memory of what captions have in common. A seeing decoder has no such thing. What it reads changes from picture to picture; and in the collapsed Runs 2 to 4
# all vectors of the plan are one and the same, which leaves nothing to look up. Both tests were thought of before they were run. A twin whose plan
# is a *single* vector ought to lose its lead: it does. And a decoder that is given 16 vectors of its own beside the plan
# (`decoder_memory`; they are weights, and nothing more is sent) ought to catch up: it does. After 1,000 steps on photographs Run 6, 4.5 to 5.2 bits behind before, is
# ahead with two seeds; its third, and all three of Run 5, are level with the twin within their intervals. The twin gets the same memory, for fairness; it has hardly any use for it.
#
# Since then the memory is part of Runs 5 and 6. The rung with memory alone tells that it does not break the collapse: it is no reason to look at the picture. It brought that run
# from 1.366 to 1.343 nats per byte. The curves further below are of Run 6 without it, as is the first in the chapter "How few bytes".
#
# **And less to spell.** With 1,024 ids instead of 260, pieces of words that are learned from the
# training captions (`vocab_size`), a caption has a third as many of them. Expected of Run 6 were better captions and a few more bits (the rung
# `run6_pieces`). On the same pictures that rung brings 2.30, 2.29 and 2.22 bits where Run 6 in bytes brings 2.06, 1.98 and 2.10. (Run 5 in pieces brings more on scenes only, see the chapter before.) In the longer runs Run 6's captions became better, too, those of Run 5 did not (CIDEr). A caption that is written may have
# 80 ids, bytes or pieces: in bytes 4 to 6% of the greedy ones end there, in pieces none. Runs 5 and 6 keep the study's bytes; the rows *in pieces of words* are
# the longer runs in pieces (`sweeps/pieces.toml`, `pieces-run6.toml`). They are scored on all 989 validation photographs, those in bytes, which take longer, on 500. With
# more pictures to tell apart the InfoNCE bound can rise a little, and chance in retrieval falls, so that its multiples are not to be compared between the two.

# %%
report.memory_table([*before, *(r for name in names for r in (*recorded[name], *longer[name])), *twins])

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
# ## What it would take
#
# Run 6 misses four of its goals: bits, gain, distinct captions and CIDEr. Here one thing grows at a time, in a Run 6 without memory: photographs (at equal steps), steps, width of plan and model, or the pixels (and so
# the tokens) that the frozen network sees. All start from 4,000 photographs, 1,000 steps, a plan of 16 x 128 and 128 pixels (`sweeps/curves.toml`).

# %%
grown = vljepa_core.recorded_sweep("curves")
growth = extrapolation.curves(
    [record for record in grown if record.experiment == "run6"],
    [record for record in grown if record.experiment == "run5_blind"],
)
drawn = ("infonce", "gain_over_blind", "greedy_unique", "greedy_cider")
figures.growth([curve for curve in growth if curve.measure in drawn])

# %% [markdown]
# **Photographs** are what bits grow with: about 0.3 more with every doubling, at as many steps, and no end of it up to 4,000; distinct captions become fewer, as if
# more pictures wanted more steps. **Steps** beyond the first
# thousand bring next to no bits from the same photographs, but the decoder comes to say what it has been told: its captions become distinct, and,
# up to 2,000, better. **Width** brought no more bits from 128 on. **Pixels** count up to 128 a side, which is all that these photographs have; 224 bring no more bits than one seed can tell.
# So there is no sign that the plan's width keeps Run 6 from its goal for bits; more photographs are what brings it nearer. (One seed for each point.)
#
# If the lines went on, Run 6 would reach its goal for bits with 1.2 to 1.3 million photographs, for distinct captions with 5,000 to 6,800 steps, for CIDEr with 45,000 to 240,000. One prediction can be tried: for all 6,074 photographs the line through all points
# says 2.11 bits, and the same Run 6, which was given 4,560 steps for them, has 2.30, 2.17 and 2.17 with three seeds (among more pictures, 375 instead of 150).
#
# The **bits saved** against the twin (`sweeps/curves-blind.toml`) are below zero at every point, since without a memory Run 6 is behind a decoder whose one plan serves it as one. They grow with steps, but ever less:
# -9.47, -5.16, -2.19 and -1.80 with 500, 1,000, 2,000 and 4,000. With photographs they grow up to 2,000 (-9.64, -6.65, -5.09 and -5.16 with 500, 1,000, 2,000 and 4,000), with pixels to the end (-5.63, -5.16 and -3.53 with 64, 128 and 224). A wider model saves more, though no more bits come through: -8.14, -5.16 and -3.06
# with widths of 64, 128 and 256. None of these curves comes near the goal of 6 bits, and where the lines below reach it is far outside what was measured. (The twins were computed in float32, the runs in bfloat16. Of Runs 2, 3 and 4 and two twins that were made in both, captions cost 0.0 to 0.9 bits more or less in the other.)

# %%
report.needed_table(growth)

# %% [markdown]
# **Run 5** misses the same four goals, so the same was asked of it (`sweeps/curves-run5.toml`, one seed for each point; 64 pixels, and its decoder has a memory). Expected were bits that grow with photographs more steeply than Run 6's, since its encoder learns to
# see from nothing else. They grow less: 0.08 more with every doubling, 0.19 with 500 and 0.42 with 4,000, so that nobody would get to 2 bits by photographs alone in a thousand steps. **Steps** bring more bits up to 2,000, as was
# expected, and then no more from the same photographs (0.24, 0.42, 0.58 and 0.52 with 500, 1,000, 2,000 and 4,000), while the bits saved against the twin shrink (1.52, 0.43, -0.05 and -0.40): perhaps because the twin learns the language from as many captions, with one plan less to
# listen to. Captions become more distinct meanwhile (8%, 10%, 26% and 33%). **Width** brings nothing, as was expected (0.32, 0.42 and 0.28 with 64, 128 and 256), and neither do **pixels** (0.42 and 0.37 with 64 and 128). CIDEr grows with photographs (0.13 to 0.19), and would reach its goal, twice the best constant caption, with two million of them or more; with steps it does not grow. So no one of these leads
# to all of its goals (distinct captions alone would come with 10,000 to 15,000 steps); of all that was tried here more photographs, more steps and pieces of words together brought most, 0.91 to 1.10 bits.

# %%
small = vljepa_core.recorded_sweep("curves_run5")
unseeing = [record for record in small if record.experiment == "run5_blind"]
learned = extrapolation.curves([record for record in small if record.experiment == "run5"], unseeing)
figures.growth([curve for curve in learned if curve.measure in drawn])

# %%
report.needed_table(learned)

# %% [markdown]
# **Run 6 on composed scenes**, where it after 1,000 steps is short of two goals, the share of the bits that can be shown (92.6% of 95) and distinct captions (92.8% of 95), the same was
# done (`sweeps/curves-scenes.toml`). (The second goal was set for photographs: only 92.2% of these scenes are different, 94.5% of the 200 of a rung, so that a captioner who is right need not reach it.) More images than 4,000 bring no more in as many steps, and a model and plan half as wide bring less (86.4%). Twice as wide they come to
# 94.1%, four times the steps to 94.3% and 94.0% (two seeds), where the captions are distinct enough with one seed of two (95.0% and 94.5%). All three lie within
# the interval of the run with 1,000 steps, and the goal stays missed by a little. (Some scenes have the same facts, and no plan can tell them apart: even a perfect one would show 99.2% of what is counted as 100% here.) Pieces of words do more: in them (the rung `run6_pieces`, 1,000 steps, 200 pictures) it is 96.2%, 96.8% and 94.4%, and 93.0%, 95.5% and 95.0% of the captions are distinct, so that
# each goal is reached with two seeds of three. The rung without alignment brings 96.0%, 96.1% and 95.5%, the goal with all three. (That one among several rungs does better was not predicted, and may in part be luck.) Towards their most, bits come ever more slowly, and lines against a logarithm say nothing of where a goal is reached.
#
# InfoNCE has a ceiling. A second bound has none: on scenes the captions' entropy is known, and what a decoder spends beyond it is the most that it can lack. By the loss
# at least 6.9 bits come through after 1,000 steps, 7.3 with twice the width, and 8.5 (8.1 to 8.8, 95%) after 2,000, of 13.1 that are needed (after 4,000 it is 8.1 and 7.7: validation loss has begun to rise). In pieces of words it is 9.2 with each of three seeds after 1,000. So Run 6 delivers
# 65% of what a caption needs or more at best (2,000 steps, one seed), in pieces 70%, which is more than InfoNCE among so few can tell.
#
# So both were told apart among more pictures, in pieces of words, 750 in place of 150 (`sweeps/scenes-among-1000.toml`, one seed), where InfoNCE can show 9.55 bits in place of 7.23 and a perfect plan would show 9.20. Run 6 brings 8.67 bits [8.59, 8.75] there, as many as expected (8.6 to 9.4), Run 5 6.97 [6.84, 7.11], fewer
# (7.2 to 8.2 were expected). That is 94% and 76% of what a perfect plan would show (91% and 73% of log2 of their number), less than among 150: the goals of 95% and 80% are met there in part because little more can be shown. By the loss at least 9.2 and 5.9 bits of the 12.9 come through that a caption of these scenes needs.

# %%
figures.growth([c for c in extrapolation.curves(on_scenes) if c.measure in ("delivered", *drawn[2:])])

# %%
report.needed_table([c for c in extrapolation.curves(on_scenes) if c.measure in ("delivered", "greedy_unique")])

# %%
report.delivered_table([*recorded["run5"], *on_scenes, *among])

# %% [markdown]
# **Run 5 on composed scenes**, which is at its goal of 80% after 1,000 steps with some seeds and short of it with others, gets well beyond it with more steps, as was expected: 64.4%, 81.3% and 88.2% of what can be shown with 500, 1,000 and 2,000
# (`sweeps/curves-scenes-run5.toml`, one seed). With 1,000, 2,000 and 4,000 images and as many steps it is 74.7%, 81.1% and 81.3%, so that images bring less than to Run 6 (82.6%, 88.4% and 92.6%), against expectation. (Run 5's first two were computed in float32, the others in bfloat16.) Pieces of words bring it to 88.4%, 89.1% and 89.3% after 1,000 steps (the rung `run5_pieces`), and at least 6.1, 6.3 and 6.4 bits by the loss. The rung without shifts is beyond the goal after 1,000 steps with all three seeds (82.8%, 81.8% and 82.5%), which was not predicted either. By its loss at least 3.6 bits come through after 1,000 steps and 5.8 (5.4 to 6.1, 95%) after 2,000.

# %%
figures.growth([c for c in extrapolation.curves(learned_scenes) if c.measure in ("delivered", *drawn[2:])])

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
# - **How few vectors to train with.** There were 16 in all recorded Runs 5 and 6 but one of 32 and those without a bottleneck. Width was varied, with one seed or two; the next chapter cuts and rounds plans of trained models.
# - **What the ImageNet encoder brings along.** Run 6 is not a model that learned to see from captions: about a million labelled photographs stand
#   behind it. How Run 5 would do with a million captions, nobody has measured here.
# - **Photographs that nobody has trained on.** Memory, 224 pixels and pieces came when the first recorded runs had missed floors on the validation
#   photographs, so that floors reached there since are not asked blindly. On those of the second split no recipe was chosen, but earlier runs, whose
#   success decided what the recipes are, had been trained on them, and they are of the same collection. A check on photographs that were kept apart from everything is still to be made; `python -m vljepa_core answers --data FOLDER` makes it for whoever has some.
# - **Other data.** Photographs of one collection and composed scenes; COCO at `paper` scale is not among the recorded runs unless a table says so.
