"""Chapter 9, what breaks the collapse, says what the rungs' records do."""

from __future__ import annotations

import math

from tests.prose import chapter, in_pieces, listed, readme, seeds_of
from vljepa_core.blind import bits_apart, with_gain
from vljepa_core.interventions import RUNGS, SINGLE
from vljepa_core.recipes import differing, recipe
from vljepa_core.records import Record
from vljepa_core.rungs import broke, moved, recorded_rungs
from vljepa_core.sweeps import recorded_sweep


def test_chapter_9_says_which_parts_of_run_5_cost() -> None:
    text, costs = chapter(9), {}
    for data in ("flickr8k", "scenes"):
        rungs = {n: [r.value("infonce") for r in records] for n, records in recorded_rungs(data).items()}
        parts = [name for name in rungs if name.startswith("run5_without_")]
        costs[data] = {n for n in parts if all(a > b for a, b in zip(rungs[n], rungs["run5"], strict=True))}
        for name, words in (("centred_pixels", "centred pixels ({} bits without)"), ("shifts", "shifts ({})"),
                            ("plain_loss", "the plain loss ({})")):  # fmt: skip
            told = words.format(listed(f"{x:.2f}" for x in rungs[f"run5_without_{name}"]))
            assert (told in text) == (f"run5_without_{name}" in costs[data])
    assert costs["flickr8k"] == {"run5_without_centred_pixels"}
    assert costs["scenes"] >= {"run5_without_shifts", "run5_without_plain_loss"} and "none does so on both." in text
    assert not costs["flickr8k"] & costs["scenes"]


def test_chapter_9_says_what_rungs_cost() -> None:
    seeds, text = recorded_rungs("flickr8k"), chapter(9)
    least = {name: min(r.provenance["train_seconds"] for r in records) for name, records in seeds.items()}
    assert f"the published recipe takes {least['published']:.0f} s on one core." in text
    assert f"take less ({least['pretrained_direct']:.0f} s, read directly;" in text
    run5, run6 = least["run5"], least["run6_pieces"]
    assert f"Run 5 about as much ({run5:.0f} s) and Run 6, in pieces of words, less than half ({run6:.0f} s)." in text
    assert run6 < least["published"] / 2
    assert f"takes {least['hinge']:.0f} s, fine-tuning the network {least['finetuned_direct']:.0f} s." in text
    assert {seeds[name][0].provenance["threads"] for name in ("published", "run5", "run6_pieces", "hinge")} == {1}


def test_chapter_9_says_what_the_rungs_do() -> None:
    seeds = recorded_rungs("flickr8k")
    rungs = {name: records[0] for name, records in seeds.items()}
    assert len(rungs) == len(RUNGS), "the first seed of every rung"
    bits = {name: f"{record.value('infonce'):.2f}" for name, record in rungs.items()}
    each = {name: listed(f"{r.value('infonce'):.2f}" for r in records) for name, records in seeds.items()}
    text = chapter(9)

    def of_seeds(name: str) -> str:
        """``one seed of two``: how many broke the collapse."""
        words = ("no", "one", "two", "three")
        found = broke(seeds[name])
        return f"{words[found]} seed{'s' * (found > 1)} of {words[len(seeds[name])]}"

    alone = [name for name in rungs if name in SINGLE and "visual" not in SINGLE[name].changes]
    assert not any(broke(seeds[name]) for name in alone)
    front = readme()
    assert {len(records) for records in seeds.values()} == {3} and len(seeds) == 59
    assert "(about a thousand steps; three seeds)" in text
    assert "with three seeds; there are fifty-nine, on photographs and on composed scenes." in front
    written = {name: [round(r.value("greedy_unique") * len(r.captions)) for r in seeds[name]] for name in seeds}
    few = listed(str(n) for n, r in zip(written["pretrained"], seeds["pretrained"], strict=True) if broke([r]))
    assert f"with {of_seeds('pretrained')} where the plan reads it as published ({few} different captions" in front
    many = written["pretrained_direct"]
    assert "for 200 pictures), with all three where" in front and f"; {min(many)} to {max(many)})." in front
    said = listed(f"{r.value('infonce'):.2f}" for r in seeds["pretrained"] if broke([r]))
    assert f"where {said} bits come from the ImageNet network read as published, {few} captions are written" in text
    assert {r.verdict["label"] for r in seeds["pretrained"]} == {"FAIL"} and max(written["pretrained"]) < 0.05 * 200
    for name, said in (
        ("pretrained_direct", "its tokens directly"),
        ("run6", "changes to that network"),
        ("run5", "from nothing"),
    ):
        values = sorted(r.value("infonce") for r in seeds[name])
        assert f"{said} ({values[0]:.2f} to {values[-1]:.2f} bits" in front
    expected = {"align", "siglip", "align_first", "words", "batch_norm", "blank"}
    assert {name for name in alone if RUNGS[name].breaks} == expected, "the others were expected to collapse"
    spread = {name: [r.value("plan_variance_share") for r in seeds[name]] for name in ("sigreg", "vicreg")}
    assert max(spread["sigreg"]) < 0.001 and min(spread["vicreg"]) > 0.15
    assert min(r.value("plan_variance_share") for r in seeds["batch_norm"]) > 0.98, "with every seed"
    assert [r.value("plan_variance_share") > 0.4 for r in seeds["direct"]] == [True, True, False], "with two"
    for name, number in (("pretrained", 2), ("pretrained_direct", 3), ("direct", 0)):
        assert broke(seeds[name]) == number, name
    assert f"as published, break the collapse with {of_seeds('pretrained')}." in text and not RUNGS["pretrained"].breaks
    by_seed = {name: [r.value("infonce") for r in records] for name, records in seeds.items()}
    assert all(d > q for d, q in zip(by_seed["pretrained_direct"], by_seed["pretrained"], strict=True)), "more"
    assert "brings less than frozen with every seed, though the intervals overlap." in text
    for frozen, along in zip(seeds["pretrained_direct"], seeds["finetuned_direct"], strict=True):
        assert along.value("infonce") < frozen.value("infonce")
        assert along.metrics["infonce"]["high"] > frozen.metrics["infonce"]["low"]
    for name in ("random_direct", "random_network"):
        assert of_seeds(name) == "one seed of three" and not RUNGS[name].breaks
    assert "on either way it breaks the collapse, by the threshold, with one seed of three, which is against" in text
    assert not broke(seeds["lejepa_direct"]) and not broke(seeds["lejepa"])

    left_out = [name for name in rungs if name.startswith("run5_without_")]
    assert all(broke(seeds[name]) == len(seeds[name]) for name in left_out)
    found = sorted(f"{v:.2f}" for name in left_out for v in by_seed[name])
    assert (
        f"On photographs {found[0]} to {found[-1]} bits are left, where all parts together bring {each['run5']}."
        in text
    )
    same, elsewhere = seeds_of("run5")[0], rungs["run5"]
    assert same.weights_sha256 == elsewhere.weights_sha256, "one model, two sets of pictures"
    assert f"the same Run 5 has {same.value('infonce'):.2f} bits among other pictures" in text
    assert "leave out any one of them, and the collapse is still broken" in front
    assert {name for name in left_out if not RUNGS[name].breaks} == {
        f"run5_without_{p}" for p in ("alignment", "batch_norm")
    }
    assert f"instead of 32 brings no more ({each['run5_align_memory']})" in text
    on_scenes = [r.value("infonce") for r in recorded_rungs("scenes")["run5_pieces"]]
    there = listed(f"{x:.2f}" for x in on_scenes)
    assert f"On scenes they do, with every seed ({there}), on photographs not ({each['run5_pieces']})." in text
    assert min(on_scenes) > max(r.value("infonce") for r in recorded_rungs("scenes")["run5"])
    assert {r.provenance["precision"] for d in ("scenes", "flickr8k") for r in recorded_rungs(d)["run5_pieces"]} == {
        "float32"
    }
    (stale,) = recorded_sweep("stale_pairs")
    assert (
        stale.recipe["align_memory"] == 1_024 and f"left {stale.value('infonce'):.2f} bits of {bits['run5']} (" in text
    )
    trained = rungs["lejepa_network_direct"]
    alone_for = trained.provenance["steps"] * trained.recipe["pretrain_epochs"] // trained.recipe["epochs"]
    left = trained.provenance["steps"] - alone_for
    assert f"Self-training had {alone_for} steps, which leave the decoder {left};" in text
    along, itself = ("random_trained_direct", "lejepa_network_direct")
    assert f"by the captions, it does with {of_seeds(along)} ({each[along]} bits); trained by itself" in text
    assert f"(LeJEPA), with {of_seeds(itself)} ({each[itself]}): both as was expected." in text
    assert not RUNGS[along].breaks and not RUNGS[itself].breaks
    spread = [r.value("plan_variance_share") for name in (along, itself) for r in seeds[name]]
    assert f"The plans of both differ from picture to picture ({min(spread):.0%} of their variance or more)" in text
    in_full = {name for name, records in seeds.items() if {r.provenance["precision"] for r in records} == {"float32"}}
    assert (
        in_full == {along, itself, "run5_pieces"}
        and "(These two rungs were computed in float32, as on composed scenes, the" in text
    )
    assert all(r.provenance["precision"] == "bfloat16" for n in seeds.keys() - in_full for r in seeds[n])
    nats = [f"{rungs[name].value('val_loss'):.3f}" for name in ("published", "memory")]
    assert f"from {nats[0]} to {nats[1]} nats per byte" in chapter(11)


def test_chapter_9_says_what_the_rungs_do_on_scenes() -> None:
    found = recorded_rungs("scenes")
    assert len(found) == 59 and all([r.seed for r in found[name]] == [0, 1, 2] for name in found)
    each = {
        name: listed(f"{r.value('infonce'):.2f}".replace("-0.00", "0.00") for r in records)
        for name, records in found.items()
    }
    alone = {
        name: broke(found[name])
        for name in found
        if name in SINGLE and not {"visual", "visual_training"} & SINGLE[name].changes.keys()
    }
    broken = {name: number for name, number in alone.items() if number}
    assert broken == {"batch_norm": 3, "align_first": 2, "vicreg": 2, "direct": 1, "align": 1}
    assert not RUNGS["vicreg"].breaks
    assert "**On composed scenes** (three seeds)" in chapter(9)
    text, front = chapter(9), readme()
    assert f"plans normalised over images with every seed ({each['batch_norm']} bits), with two seeds of three" in text
    assert f"the first quarter of the steps ({each['align_first']}) and, against expectation, VICReg" in text
    assert f"diversity loss ({each['vicreg']}). Why" in text
    assert f"with every seed, plans normalised over images ({each['batch_norm']} bits)." in front
    assert f"brings {each['align']} bits even here, the short way alone {each['direct']}" in text
    assert each["words"] == "0.00, 0.00 and 0.00" and "The loss on words brings nothing." in text
    differ = {
        (name, row["step"]): f"{row['plan_variance_share']:.0%}"
        for name in ("align", "batch_norm")
        for row in found[name][0].timeline
    }
    early = (
        f"has {differ['align', 64]} of the plans' variance between pictures after 64 steps and {differ['align', 128]}"
    )
    late = (
        f"have {differ['batch_norm', 128]} after 128 and {differ['batch_norm', 256]} after 256, and theirs come to say"
    )
    assert early in text and late in text
    assert f"ImageNet features bring most, too ({each['pretrained_direct']} bits on the short way)" in text
    frozen, along, itself = (each[name] for name in ("random_vit_direct", "direct", "lejepa_direct"))
    assert f"read directly, brings {frozen} there, more than when captions train it along ({along})" in text
    assert f"After training itself it brings {itself}, less with two seeds and more with one" in text
    as_published = f"Read as published, it brings {each['lejepa']} after training itself, where trained along it brings"
    assert as_published in text and each["published"] == "0.00, 0.00 and 0.00"
    assert f"and the other network at random weights {each['random_network']}." in text
    others = {name for name in SINGLE if name in found and broke(found[name]) and name not in alone}
    told = {"lejepa", "lejepa_direct", "random_vit_direct", "random_network", "random_direct"}
    told |= {"random_trained_direct", "lejepa_network_direct"}
    frozen, along, itself = (each[n] for n in ("random_direct", "random_trained_direct", "lejepa_network_direct"))
    both = (
        f"frozen at random weights it brings {frozen}, trained along by the captions {along}, trained by itself first"
    )
    assert f"{both} {itself}, with every seed more." in text
    assert not RUNGS["random_trained_direct"].breaks and not RUNGS["lejepa_network_direct"].breaks
    (less, *more, most) = (
        [r.value("infonce") for r in found[n]]
        for n in ("random_direct", "random_trained_direct", "lejepa_network_direct", "pretrained_direct")
    )
    assert all(a < b < c / 4 for each_of in more for a, b, c in zip(less, each_of, most, strict=True))
    assert all(sum(each_of) < sum(most) / 5 for each_of in more), "a fifth or less"
    assert others - told == {"pretrained", "pretrained_direct", "finetuned_direct"}, "ImageNet's weights"
    read = {
        name: [r.metrics["infonce"] for r in found[name]] for name in ("random_vit_direct", "direct", "lejepa_direct")
    }
    assert all(r["low"] > d["high"] for r, d in zip(read["random_vit_direct"], read["direct"], strict=True))
    less = [a["value"] < b["value"] for a, b in zip(read["lejepa_direct"], read["random_vit_direct"], strict=True)]
    assert less == [True, False, True]
    photographs = recorded_rungs("flickr8k")
    assert not any(broke(photographs[name]) for name in ("random_vit_direct", "direct", "lejepa_direct", "lejepa"))
    left = min(r.value("infonce") for name in found if name.startswith("run5_without_") for r in found[name])
    assert f"On scenes {left:.2f} bits or more are left, where all parts bring {each['run5']}." in text


def test_chapter_9_says_what_parts_of_run_5_bring_to_its_decoder() -> None:
    found = recorded_rungs("flickr8k")
    whole = {r.seed: r for r in found["run5"]}
    saved = {
        name.removeprefix("run5_without_"): [bits_apart(r, whole[r.seed]) for r in records]
        for name, records in found.items()
        if name.startswith("run5_without_")
    }
    sure = {part for part, each in saved.items() if all(m.low > 0 for m in each)}
    assert sure == {"scales", "plain_loss", "memory", "all_captions", "alignment"}
    assert not any(m.high < 0 for each in saved.values() for m in each)
    text = chapter(9)
    told = {part: listed(f"{m.value:.0f}" for m in each) for part, each in saved.items()}
    assert f"at the start saves {told['scales']} bits per caption, the loss without" in text
    assert (
        f"diversity {told['plain_loss']}, memory {told['memory']}, the other captions {told['all_captions']}." in text
    )
    assert all(0.5 < m.value < 1.5 for m in saved["alignment"]) and "Alignment saves about 1 bit." in text


def test_chapter_9_says_what_parts_of_run_6_bring() -> None:
    found = recorded_rungs("flickr8k")
    whole = found["run6"]
    without = {name.removeprefix("run6_without_"): found[name] for name in found if name.startswith("run6_without_")}
    assert len(without) == 7 and all(broke(records) == 3 for records in without.values())
    bits = {part: listed(f"{r.value('infonce'):.2f}" for r in records) for part, records in without.items()}
    together = listed(f"{r.value('infonce'):.2f}" for r in whole)
    text = chapter(9)
    assert f"without direct queries {bits['direct_queries']} are left and without the other" in text
    assert f"captions {bits['all_captions']}, where all parts together bring {together}." in text
    assert f"without it {bits['alignment']} are left, at the same loss." in text
    for part, records in without.items():
        less = [r.metrics["infonce"]["high"] < w.value("infonce") for r, w in zip(records, whole, strict=True)]
        assert all(less) == (part in ("direct_queries", "all_captions")), part
    more = {part: [bits_apart(r, w) for r, w in zip(records, whole, strict=True)] for part, records in without.items()}
    told = {part: listed(f"{m.value:.0f}" for m in each) for part, each in more.items()}
    assert f"at the start saves {told['scales']} bits per caption, the loss without" in text
    saved = f"{told['plain_loss']}, memory {told['memory']}, and the other captions {told['all_captions']}."
    assert f"diversity {saved}" in text
    sure = {part for part, each in more.items() if all(m.low > 0 for m in each)}
    assert sure == {"scales", "plain_loss", "memory", "all_captions"}
    ahead = sorted(
        w.value("infonce") - r.value("infonce") for w, r in zip(whole, found["pretrained_direct"], strict=True)
    )
    assert f"Run 6 is {ahead[0]:.1f} to {ahead[-1]:.1f} bits ahead of the frozen network" in text
    lost = {part: [w.value("infonce") - r.value("infonce") for w, r in zip(whole, records, strict=True)]
            for part, records in without.items()}  # fmt: skip
    assert all(0.4 < each < 0.65 for each in lost["all_captions"]), "half a bit"
    added = lost.keys() - {"direct_queries", "all_captions"}
    assert max(each for part in added for each in lost[part]) < min(lost["all_captions"])
    assert "Five captions a picture in place of one bring half a bit of that; alignment" in readme()
    assert not any(m.low > 0 or m.high < 0 for m in more["alignment"])


def test_chapter_9_says_what_parts_of_run_6_bring_on_scenes() -> None:
    found = recorded_rungs("scenes")
    whole = found["run6"]
    without = {name.removeprefix("run6_without_"): found[name] for name in found if name.startswith("run6_without_")}
    assert len(without) == 7 and all(broke(records) == 3 for records in without.values())
    bits = {part: listed(f"{r.value('infonce'):.2f}" for r in records) for part, records in without.items()}
    together = listed(f"{r.value('infonce'):.2f}" for r in whole)
    text = chapter(9)
    least = min(r.value("infonce") for records in without.values() for r in records)
    assert f"On composed scenes {least:.2f} bits or more are left, where all parts bring {together}, near" in text
    assert f"(without them {bits['direct_queries']})" in text and f"would tell ({bits['all_captions']})." in text
    assert f"Without alignment more bits come through with every seed ({bits['alignment']})," in text
    for part, records in without.items():
        less = [r.metrics["infonce"]["high"] < w.value("infonce") for r, w in zip(records, whole, strict=True)]
        assert all(less) == (part == "direct_queries"), part
    assert all(r.value("infonce") > w.value("infonce") for r, w in zip(without["alignment"], whole, strict=True))
    more = {part: [bits_apart(r, w) for r, w in zip(records, whole, strict=True)] for part, records in without.items()}
    assert (
        all(-0.65 < m.value < -0.25 for m in more["alignment"]) and "spends 0.3 to 0.6 bits less on a caption" in text
    )
    assert {part for part, each in more.items() if all(m.low > 0 for m in each)} == more.keys() - {"alignment"}
    for part, said, digits in (
        ("plain_loss", "smoothing and diversity saves {} bits per caption", 0), ("scales", "one scale {}", 0),
        ("direct_queries", "direct queries {}", 1), ("all_captions", "the other captions {}", 1),
        ("memory", "memory {}", 1), ("words", "the loss on words {}.", 1),
    ):  # fmt: skip
        assert said.format(listed(f"{m.value:.{digits}f}" for m in more[part])) in text, part
    reduced = {
        name for name, records in without.items() if {r.provenance["precision"] for r in records} == {"bfloat16"}
    }
    assert reduced == {"memory"}, "the others in float32"
    control = sorted(recorded_sweep("precision"), key=lambda r: r.seed)
    assert {r.provenance["precision"] for r in control} == {"float32"} and len(control) == 3
    again = listed(f"{r.value('infonce'):.2f}" for r in control)
    assert f"computed in float32, too, it has {again} bits" in text
    assert all(abs(bits_apart(r, w).value) < 0.1 for r, w in zip(control, whole, strict=True))


def test_chapter_9_says_that_the_collapse_stays_at_other_weights() -> None:
    found = recorded_sweep("weights")
    text = chapter(9)
    assert len(found) == 7 and not any(broke([record]) for record in found)
    assert {r.data for r in found} == {"flickr8k"} and {r.seed for r in found} == {0}
    assert "The collapse stays with all seven, as was expected." in text
    (sigreg,) = (r for r in found if r.recipe["sigreg_weight"])
    assert sigreg.recipe["sigreg_weight"] == 20 * RUNGS["sigreg"].changes["sigreg_weight"]
    assert sigreg.value("plan_variance_share") < 0.001
    for key, said in (("align_weight", "(0.3)"), ("words_weight", "(0.1)")):
        name = key.removesuffix("_weight")
        assert f"({RUNGS[name].changes[key]})" == said
        ours = RUNGS["run5"].changes[key]
        assert {r.recipe[key] / ours for r in found} - {0} == {1, {"align": 3, "words": 4}[name]}
    ours = [RUNGS["run5"].changes[key] for key in ("align_weight", "words_weight")]
    assert f"than in Run 5 ({ours[0]} and {ours[1]})" in text


def test_chapter_9_says_what_a_large_batch_brings() -> None:
    (large,) = recorded_sweep("large_batch")
    text = chapter(9)
    assert large.recipe["batch_size"] == 512 == 16 * recipe("run2", "laptop").batch_size
    assert large.recipe["align_weight"] == RUNGS["align"].changes["align_weight"] and large.provenance["steps"] == 1_000
    bits = "{value:.2f} bits [{low:.2f}, {high:.2f}]".format(**large.metrics["infonce"])
    assert not broke([large]) and f"by the threshold it does: {bits}." in text
    small = {f"{r.history[-1]['align']:.2f}" for r in recorded_rungs("flickr8k")["align"]}
    assert small == {f"{math.log(32):.2f}"} and f"what guessing costs, {math.log(32):.2f}." in text
    own = f"is {large.history[-1]['align']:.2f} nats, where guessing among 512 costs {math.log(512):.2f};"
    assert f"The loss of alignment {own}" in text
    said = f"{large.value('plan_variance_share'):.0%} of the variance of plans is between pictures, and the decoder"
    assert f"{said} writes {round(200 * large.value('greedy_unique'))} captions for 200 of them." in text


def test_chapter_9_and_readme_say_which_rungs_are_of_use() -> None:
    """Retrieval and gain, both with their intervals above nothing, on photographs."""
    twins = recorded_sweep("rungs_blind")
    assert len(twins) == 12

    def with_twins(rungs: dict[str, list[Record]]) -> dict[str, list[Record]]:
        return {
            name: [each for r in records if "gain_over_blind" in (each := with_gain(r, twins)).metrics]
            for name, records in rungs.items()
        }

    rungs = recorded_rungs("flickr8k")
    found = with_twins(rungs)

    def useful(record: Record) -> bool:
        r1 = record.metrics["image_r1"]
        return r1["low"] * r1["n"] > 1 and record.metrics["gain_over_blind"]["low"] > 0

    passed = {name: number for name, records in found.items() if (number := sum(map(useful, records)))}
    assert passed == {
        "run6": 2, "run6_without_alignment": 2, "run6_without_words": 2, "run5_without_shifts": 1
    }  # fmt: skip
    behind = [
        -r.metrics["gain_over_blind"]["value"]
        for name, records in found.items()
        for r in records
        if broke(rungs[name]) and not r.recipe["decoder_memory"] and r.recipe["label_smoothing"]
    ]
    text = chapter(9)
    said = f"that gets anything through is {min(behind):.0f} to {max(behind):.0f} bits *behind* its twin"
    assert f"Every rung with the published loss {said}" in text
    run5 = found["run5"]
    assert not all(r.metrics["gain_over_blind"]["low"] > 0 for r in run5) and not any(map(useful, run5))
    over = sorted(200 * r.value("image_r1") for r in run5)
    assert f"{over[0]:.0f} to {over[-1]:.0f} times as often as by chance, which no interval tells from chance." in text
    assert all(200 * r.metrics["image_r1"]["low"] < 1 for r in run5)
    longer = {n: sum(useful(with_gain(r, in_pieces("run5_blind"))) for r in in_pieces(n)) for n in ("run5", "run6")}
    assert longer == {"run6": 3, "run5": 2} and "Run 6 does both with all three seeds and Run 5 with two" in text
    on_scenes = {name: records for name, records in with_twins(recorded_rungs("scenes")).items() if records}
    always = {name for name, records in on_scenes.items() if sum(map(useful, records)) == 3}
    parts = {name for name in on_scenes if name.startswith(("run5", "run6"))}
    assert always == {"batch_norm", "pretrained_direct", "finetuned_direct", *parts}
    assert "On composed scenes more do, with every seed: plans normalised over images, the ImageNet" in text


def test_chapter_9_and_readme_say_how_few_of_run_5s_changes_do() -> None:
    text, front = chapter(9), readme()
    parts = {"short way": "plan_query_residual", "normalisation": "plan_norm", "alignment": "align_weight"}
    plain = recipe("run2", "laptop").to_dict()
    records = recorded_sweep("fewest_parts")
    assert {(r.data, r.provenance["precision"]) for r in records} == {("flickr8k", "float32")} and len(records) == 5
    found = {
        frozenset(part for part, key in parts.items() if r.recipe[key] != plain[key]): r for r in records if r.seed == 0
    }
    (again,) = (r for r in records if r.seed == 1)
    every = frozenset(parts)
    assert [which for which, r in found.items() if broke([r])] == [every] and len(found) == 4
    assert broke([again]) and not differing(again.recipe, found[every].recipe)

    def bits(record: Record, unit: str = "") -> str:
        return "{value:.2f}{} [{low:.2f}, {high:.2f}]".format(unit, **record.metrics["infonce"])

    written = round(200 * found[every].value("greedy_unique"))
    assert f"They bring {bits(found[every], ' bits')} (another seed: {bits(again)}) and {written} different" in text
    whole = sorted(r.value("infonce") for r in recorded_rungs("flickr8k")["run5"])
    assert f"where all ten changes bring {whole[0]:.2f} to {whole[-1]:.2f} bits;" in text
    assert len([name for name in RUNGS if name.startswith("run5_without_")]) == 10
    assert f"Without alignment {bits(found[every - {'alignment'}], ' bits')} are left," in text
    assert f"without the short way {bits(found[every - {'short way'}])}, against expectation." in text
    assert f"Without normalisation {bits(found[every - {'normalisation'}])}, as expected." in text
    both = [f"{r.value('infonce'):.2f}" for r in (found[every], again)]
    assert f"({both[0]} and {both[1]} bits, two seeds): direct reading" in front


ADDED = {  # what chapter 9 calls a change on top of Run 5, and the value that makes it
    "SIGReg (": ("sigreg_weight", 0.05),
    "all 64 tokens (": ("plan_reads", "tokens"),
    "VICReg (": ("vicreg_weight", 0.5),
    "the first quarter of the steps (": ("pretrain", "align"),
    "SigLIP in place of InfoNCE (": ("align", "siglip"),
    "a small decoder (": ("decoder_depth", 1),
    "a hinge (": ("hinge_weight", 0.1),
    "captions blanked as a whole (": ("input_dropout", "blank"),
    "and pieces blanked (": ("input_dropout", "token"),
    "a stem (": ("stem", "convolutions"),
    "five times as fast (": ("encoder_rate", 5.0),
    "and words blanked, in bytes (": ("input_dropout", "word"),
}


def test_chapter_9_says_what_one_more_part_brings_to_run_5() -> None:
    text, rungs = chapter(9), recorded_rungs("flickr8k")
    whole = rungs["run5_pieces"]
    found = recorded_sweep("run5_and_more")
    assert {(r.data, r.seed) for r in found} == {("flickr8k", 0)} and len(found) == len(ADDED)
    moves, single = [], {}
    for said, (key, value) in ADDED.items():
        (record,) = (r for r in found if r.recipe[key] == value)
        single[said] = record
        assert f"{said}{record.value('infonce'):.2f}" in text
        if moved(record, rungs["run5"] if value == "word" else whole) != "no":
            moves.append(said)
            assert moved(record, whole) == "up"
            told = "{value:.2f} [{low:.2f}, {high:.2f}])".format(**record.metrics["infonce"])
            assert told in text.replace(" bits [", " [")
            over = record.value("infonce") - max(r.value("infonce") for r in whole) - 0.2
            assert 0 < over < 0.02
    assert moves == ["SIGReg (", "all 64 tokens ("]
    without = listed(f"{r.value('infonce'):.2f}" for r in whole)
    assert f"three seeds without it ({without})" in text
    spelt = listed(f"{r.value('infonce'):.2f}" for r in rungs["run5"])
    assert f", where bytes have {spelt})" in text
    assert single["SIGReg ("].value("greedy_unique") > max(r.value("greedy_unique") for r in whole)
    control = sorted(recorded_sweep("precision_run5"), key=lambda r: r.seed)
    assert {r.provenance["precision"] for r in control} == {"bfloat16"}
    for one, other in zip(control, whole[:2], strict=True):
        assert set(differing(one.recipe, other.recipe)) <= {"experiment", "validate_every"}
    seeds = [f"{r.value('infonce'):.2f}" for r in control]
    assert f"the first two of the seeds have {seeds[0]} and {seeds[1]} bits in bfloat16." in text
    full = {said for said, r in single.items() if r.provenance["precision"] == "float32"}
    assert full == {"VICReg (", "the first quarter of the steps (", "SigLIP in place of InfoNCE ("}
