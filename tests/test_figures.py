"""Figures: legible on any background, readable aloud, deterministic, and honest about what is missing."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.test_breaks import made_up
from vljepa_core import figures, report
from vljepa_core.datasets.dataset import Dataset
from vljepa_core.datasets.selection import Examples
from vljepa_core.decision_tree import ANSWERED, CORRECTED, DecisionPath, decision_path
from vljepa_core.describe import data_flow
from vljepa_core.figures import boxes, display, style
from vljepa_core.figures.confusion import wilson
from vljepa_core.figures.units import PROBES, number
from vljepa_core.metrics import Metric
from vljepa_core.recipes import recipe


def make_record(experiment: str = "run2", seed: int = 0, **changes) -> dict:
    history = [
        {
            "epoch": e,
            "train_loss": 3.0 / e,
            "val_loss": 3.2 / e,
            "plan_cosine": 1 - 0.1 / e,
            "plan_rank": 1 + 1 / e,
            "plan_variance_share": 0.1 / e,
            "greedy_unique": 1 / (50 * e),
            "encoder_grad_norm": 10.0**-e,
        }
        for e in (1, 2, 3)
    ]
    early = [{"step": s, "val_loss": 5.0 / (s + 1), "plan_cosine": 0.5, "plan_centred_rank": 3.0} for s in (0, 1, 2, 4)]
    return {
        "experiment": experiment,
        "scale": "smoke",
        "data": "scenes",
        "seed": seed,
        "dataset": {"name": "scenes"},
        "history": history,
        "timeline": early,
        "metrics": {
            "greedy_unique": {"value": 0.02, "low": 0.01, "high": 0.04, "n": 50},
            "infonce": {"value": 1.5, "low": 1.25, "high": 1.75, "n": 64},
            "shuffle_gap": {"value": 40.0, "low": 30.0, "high": 50.0, "n": 80},
        },
        "captions": [{"image_id": i, "greedy": "a <b>man</b>", "sampled": "“x” & 'y'\x00"} for i in range(6)],
        "confusion": {"labels": ["dog", "person", "cow"], "matrix": [[1, 2, 0], [1, 6, 0], [0, 0, 0]]},
        **changes,
    }


def make_dataset() -> Dataset:
    images = np.arange(6 * 8 * 8 * 3, dtype=np.uint8).reshape(6, 8, 8, 3)
    captions = [['a dog <runs> & "barks"', "a dog"] for _ in range(5)] + [["a man and a dog " + "x" * 120]]
    return Dataset("toy", images, captions, list(range(6)), {"train": np.arange(4), "val": np.arange(4, 6)}, "f", "s")


def make_examples() -> Examples:
    data = make_dataset()
    texts = [captions[0] for captions in data.captions]
    ids = np.zeros((6, 4), dtype=np.uint16)
    return Examples(data.images, data.image_ids, texts, data.captions, ids, None)


PATH = decision_path({"test0": "PASS", "run2": "FAIL", "test3": "PARTIAL", "run3": "FAIL", "run4": "FAIL"})
FIGURES = {
    "loss_curves": lambda: figures.loss_curves(
        make_record(), [make_record(seed=1)], {"blind memoriser": 1.040, "floor": 0.878}
    ),
    "collapse_metrics": lambda: figures.collapse_metrics(make_record(), [make_record(seed=1)]),
    "collapse_timeline": lambda: figures.collapse_timeline(make_record()),
    "plan_bits": lambda: figures.plan_bits([make_record(), make_record("run3")]),
    "confusion_matrix": lambda: figures.confusion_matrix(make_record("test3")),
    "class_accuracy": lambda: figures.class_accuracy(make_record("test3")),
    "metric_bars": lambda: figures.metric_bars(
        "greedy_unique", [make_record(), make_record("run3")], [make_record(seed=1)], {"one in ten": 0.1}
    ),
    "decision_tree": lambda: figures.decision_tree(PATH),
    "data_flow": lambda: figures.data_flow(data_flow(recipe("run2", scale="smoke"))),
    "category_shares": lambda: figures.category_shares(make_dataset()),
    "caption_lengths": lambda: figures.caption_lengths(make_dataset()),
    "answer_bars": lambda: figures.answer_bars(
        {"ours": {"cider": Metric(0.1, 0.08, 0.12, 9)}, "chance": {"cider": Metric(0.1, None, None, 9)}},
        ["cider"],
        "ours",
    ),
    "caption_coverage": lambda: figures.caption_coverage({"ours": [9], "humans'": [2, *[1] * 7]}),
    "rung_bits": lambda: figures.rung_bits({"published": [made_up(bits=0.01)], "run6": [made_up(bits=2.0)]}),
    "timelines": lambda: figures.timelines({"published": made_up(), "another": made_up(seed=1)}),
    "recall_curves": lambda: figures.recall_curves({"caption to image": np.linspace(0.1, 1, 9)}),
}


@pytest.fixture(autouse=True)
def fresh_page(monkeypatch):
    monkeypatch.setattr(display, "_seen", display.Counter())


def svg_of(shown: figures.Display) -> str:
    return re.search(r"<svg.*</svg>", shown.html, re.DOTALL).group(0)


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_takes_the_pages_colours_and_speaks(name):
    shown = FIGURES[name]()
    svg = svg_of(shown)
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img" and root.get("aria-label") == shown.alt and len(shown.alt) > 40
    assert root[0].tag.endswith("title") and root[0].text
    assert "currentColor" in svg and style.INK not in svg
    colours = {c.lower() for c in re.findall(r"#[0-9a-fA-F]{3,6}\b(?=[;\"])", svg)}
    assert not colours & {"#000", "#fff", "#000000", "#ffffff"} and not re.search(r"[:\"](black|white)\b", svg)
    assert 'width="' not in re.match(r"<svg[^>]*>", svg).group(0) and root.get("viewBox")
    assert "http" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", svg)  # nothing is loaded from elsewhere


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_deterministic(name, monkeypatch):
    first = FIGURES[name]().html
    monkeypatch.setattr(display, "_seen", display.Counter())
    assert FIGURES[name]().html == first


def test_ids_are_unique_on_a_page_even_when_a_figure_is_shown_twice():
    page = "".join(FIGURES[name]().html for name in ("loss_curves", "loss_curves", "collapse_metrics"))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert ids and len(ids) == len(set(ids))
    links = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)
    assert {a or b for a, b in links} <= set(ids)


@pytest.mark.parametrize("alt", ["", "  \n"])
def test_empty_alt_text_is_refused(alt):
    with pytest.raises(ValueError, match="alt text"):
        figures.show(Figure(), alt)


def test_palette_is_legible_on_white_and_on_near_black():
    assert style.contrast("#000000", "#ffffff") == pytest.approx(21)
    for colour in style.PALETTE:
        for background in ("#ffffff", "#121212"):
            assert style.contrast(colour, background) >= 3, (colour, background)
    assert len(set(style.PALETTE)) == len(style.PALETTE)


def test_captions_are_escaped_and_pictures_speak():
    shown = figures.caption_grid(make_examples(), make_record(), n=3)
    assert "<b>" not in shown.html and "a &lt;b&gt;man&lt;/b&gt;" in shown.html
    assert "\x00" not in shown.html and "&amp;" in shown.html
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', shown.html)
    assert len(alts) == 3 and all("&lt;runs&gt;" in a or "man" in a for a in alts)
    assert shown.html.count("data:image/png;base64,") == 3 and "pixelated" in shown.html
    assert "1 distinct greedy caption" in shown.alt


def test_a_caption_that_a_record_may_not_hold_is_said_to_be_left_out():
    record = make_record()
    del record["captions"][0]["greedy"]
    shown = figures.caption_grid(make_examples(), record, n=3)
    assert shown.html.count("left out: repeats a person&#x27;s caption") == 1
    assert "1 distinct greedy caption among them. 1 that repeat" in shown.alt


def test_samples_show_all_captions_of_an_image():
    shown = figures.sample_grid(make_examples(), n=2)
    assert shown.html.count("<img") == 2 and shown.html.count("a dog</dd>") == 1
    assert "2 of 6 images" in shown.html


def test_written_table_sets_runs_side_by_side_on_the_images_that_all_have():
    one = make_record(captions=[{"image_id": i, "greedy": f"one {i}", "sampled": ""} for i in range(6)])
    two = make_record(
        "run4", captions=[{"image_id": i, "greedy": f"two {i} <b>"} for i in (5, 3, 1)] + [{"image_id": 4}]
    )
    table = figures.written_table([one, two], n=2)
    assert (
        "one 1" in table.html
        and "two 1 &lt;b&gt;" in table.html
        and "one 5" in table.html
        and "one 3" not in table.html
    )
    assert "2 of 4 validation images" in table.alt
    assert "left out: repeats" in figures.written_table([one, two]).html
    with pytest.raises(ValueError, match="no image that all of them"):
        figures.written_table([one, make_record(captions=[{"image_id": 9, "greedy": "nine"}])])


def test_caption_grid_refuses_another_dataset_and_empty_records():
    with pytest.raises(ValueError, match="'99'.*examples that the run was made on"):
        figures.caption_grid(make_examples(), make_record(), image_ids=[99])
    with pytest.raises(ValueError, match="no captions"):
        figures.caption_grid(make_examples(), make_record("test3", captions=[]))


def test_recorded_losses_on_other_data_have_a_floor_of_their_own():
    floors = {"train_loss": [{"label": "blind memoriser", "value": 1.234}, {"label": "all known", "value": 0.1}]}
    there, here = make_record(data="photos", trivial=floors), make_record(seed=1, trivial=floors)
    assert "blind memoriser, recorded (photos) 1.234" in figures.loss_curves(make_record(), [there, there]).alt
    assert "recorded" not in figures.loss_curves(make_record(), [here]).alt


def test_decision_tree_highlights_the_path_only():
    shown = FIGURES["decision_tree"]()
    assert "Run 4: refactored decoder (FAIL, collapsed) → “Bottleneck capacity insufficient”" in shown.alt
    assert "The pipeline is broken" not in shown.alt and "The path that this build took" in shown.alt
    other = figures.decision_tree(DecisionPath(("bits", "used"), {"bits": "2.00 bits"}), CORRECTED, by="Run 6")
    assert "The path that Run 6 took" in other.alt and "this build" not in other.html

    answered = DecisionPath((*PATH.path, "run6", "run5", "training"), {**PATH.verdicts, "run6": "2.00 bits"})
    further = figures.decision_tree(answered, ANSWERED).alt
    assert "“Bottleneck capacity insufficient” (tested) → Run 6: as many vectors" in further
    assert "(2.00 bits, used) → Run 5" in further and further.endswith(
        "Not the size: trained otherwise, such plans are used."
    )

    def filled(path: DecisionPath) -> int:
        return len(re.findall(r"opacity: 0\.2\b", svg_of(figures.decision_tree(path))))

    assert filled(PATH) == len(PATH.path) == 6
    assert filled(decision_path({"test0": "FAIL"})) == 2
    with pytest.raises(ValueError, match="'nowhere'"):
        figures.decision_tree(DecisionPath(("test0", "nowhere"), {"test0": "PASS"}))


def test_layers_put_a_box_below_all_that_point_at_it():
    named = [boxes.Box(i, i) for i in "abcd"]
    arrows = [boxes.Arrow("a", "b"), boxes.Arrow("b", "d"), boxes.Arrow("c", "d")]
    assert boxes.layers(named, arrows) == {"a": (0, 0), "b": (1, 0), "c": (1, 1), "d": (2, 0)}
    with pytest.raises(ValueError, match="loop"):
        boxes.layers(named, [boxes.Arrow("a", "b"), boxes.Arrow("b", "a")])
    with pytest.raises(ValueError, match="'x'"):
        boxes.layers(named, [boxes.Arrow("a", "x")])


def test_confusion_is_sorted_by_support_and_leaves_unused_classes_out():
    shown = figures.confusion_matrix(make_record("test3"))
    assert "2 classes: 7 of 10 images on the diagonal (70.0%)" in shown.alt
    assert "person is predicted most often, for 8 images" in shown.alt
    each = figures.class_accuracy(make_record("test3")).alt
    assert "70.0% by always answering person" in each and each.index("person 86% of 7") < each.index("dog 33% of 3")
    with pytest.raises(ValueError, match="no confusion"):
        figures.confusion_matrix(make_record(confusion=None))


def test_wilson_interval():
    # Wilson's interval of 8 in 10, as scipy.stats.binomtest(8, 10).proportion_ci(method="wilson") gives it.
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)
    assert (wilson(0, 5)[0], wilson(5, 5)[1]) == pytest.approx((0.0, 1.0))


def test_bars_say_what_is_missing_and_how_many_seeds():
    alt = figures.metric_bars(
        "greedy_unique", [make_record(), make_record("run1")], [make_record(seed=1), make_record(seed=2)]
    ).alt
    assert "Run 2: published 0.05%, recorded 2.0% (mean of 2 seeds), this build 2.0% (95% interval 1.0% to 4.0%)" in alt
    assert "Run 1: published not reported, recorded not measured, this build 2.0%" in alt


def test_bars_do_not_average_over_data():
    with pytest.raises(ValueError, match="photos"):
        elsewhere = make_record(dataset={"name": "photos"})
        figures.metric_bars("greedy_unique", [make_record()], [make_record(), elsewhere])


def test_figures_without_their_data_say_so():
    with pytest.raises(ValueError, match="train_loss"):
        figures.loss_curves(make_record(history=[{"epoch": 1}]))
    with pytest.raises(ValueError, match="plan_cosine"):
        figures.collapse_metrics(make_record(history=[{"epoch": 1, "train_loss": 1.0}]))


def test_bits_stand_beside_the_most_that_can_be_shown():
    gain = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 80}
    measured = make_record(metrics={**make_record()["metrics"], "gain_over_blind": gain})
    alt = figures.plan_bits([measured, make_record("run3")]).alt
    assert "Run 2 (scenes, smoke, seed 0): InfoNCE, a lower bound 1.500 bits [1.250, 1.750]" in alt
    assert "blind model 0.500 bits [0.250, 0.750]" in alt and "gain over a trained blind model not measured" in alt
    assert "on 64 images is 6.0 bits" in alt
    old = figures.plan_bits([make_record(metrics={})]).alt  # made before there were probes
    assert old.count("not measured") == 3 and "the most that" not in old
    with pytest.raises(ValueError, match="at least one record"):
        figures.plan_bits([])
    with pytest.raises(ValueError, match="no timeline"):
        figures.collapse_timeline(make_record(timeline=[]))


def test_the_legend_of_the_losses_is_within_the_figure(monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr("vljepa_core.figures.curves.show", lambda fig, *_, **__: drawn.append(fig))
    floor = {"label": "blind memoriser of the training captions", "value": 1.0}
    figures.loss_curves(make_record(), [make_record(data="photographs", trivial={"train_loss": [floor]})])
    drawn[0].draw_without_rendering()
    assert drawn[0].legends[0].get_window_extent().x1 <= drawn[0].bbox.x1


def test_no_line_to_read_by_is_left_out() -> None:
    lines = {f"line {n}": 0.1 * n for n in range(1, 8)}
    shown = figures.loss_curves(make_record(), references=lines)
    assert all(f"{name} {value:.3f}" in shown.alt for name, value in lines.items())
    shown = figures.metric_bars("greedy_unique", [make_record()], baselines=lines)
    assert all(f"{name}: {value:.1%}" in shown.alt for name, value in lines.items())


def test_recorded_curves_are_within_the_axes(monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr("vljepa_core.figures.curves.show", lambda fig, *_, **__: drawn.append(fig))
    old = make_record(seed=1)
    old["history"] = [{**row, "plan_rank": 9.0, "plan_cosine": -0.5} for row in old["history"]]
    figures.collapse_metrics(make_record(), [old])
    for ax in drawn[0].axes:
        low, high = ax.get_ylim()
        assert all(low <= y <= high for line in ax.lines for y in line.get_ydata()), ax.get_title(loc="left")


def test_random_weights_are_the_control_line_of_the_collapse():
    plain = make_record()
    start = {"epoch": 0, "plan_rank": 1.75, "val_loss": 5.6}
    assert "Dotted: plans of random weights" not in figures.collapse_metrics(plain).html
    assert (
        "Dotted: plans of random weights"
        in figures.collapse_metrics(make_record(history=[start, *plain["history"]])).html
    )


def test_dataset_statistics_count_what_is_there():
    assert "5 of 6 images" in figures.category_shares(make_dataset()).alt
    lengths = figures.caption_lengths(make_dataset())
    assert "11 captions" in lengths.alt and "1 (9.1%) are longer than 126 bytes" in lengths.alt


def test_category_bars_show_every_probe_and_the_model_trained_for_it() -> None:
    def measured(value: float) -> dict:
        return {"value": value, "low": value - 0.05, "high": value + 0.05, "n": 90}

    probes = {f"{name}{b}": measured(0.2 + 0.05 * i) for i, name in enumerate(PROBES) for b in ("", "_balanced")}
    test3 = make_record("test3", metrics={**probes, "accuracy": measured(0.81), "balanced_accuracy": measured(0.31)})
    run2 = make_record("run2", metrics=probes)
    alt = figures.category_bars(test3, [run2]).alt
    assert "Test 3: trained end to end 81.0%" in alt and "Run 2: frozen plan in fp16 60.0%" in alt
    assert "always the largest training class 20.0%" in alt and "31.0%" in alt
    table = report.category_table(test3, [run2])
    assert "does not apply" in table.html and "81.0%" in table.html and "balanced 20.0%" in table.html
    assert "Run 2: frozen network's features 40.0%" in alt and alt.count("network") == 2, "one for each panel"
    assert "linear probe of the frozen network&#x27;s features" in table.html
    without = {name: each for name, each in probes.items() if not name.startswith("probe_features")}
    without = make_record("run2", metrics=without)
    assert "network" not in figures.category_bars(test3, [without]).alt
    assert "network" not in report.category_table(without, [without]).html
    bare = make_record("run2")
    assert "Run 2" not in figures.category_bars(test3, [bare]).alt
    assert "not measured" in report.category_table(test3, [bare]).html
    with pytest.raises(ValueError, match="holds no probes"):
        figures.category_bars(bare, [run2])


def test_a_number_that_rounds_to_zero_has_no_sign() -> None:
    assert number("greedy_unique_words", -0.2) == "0" and number("greedy_unique_words", 2_776.0) == "2,776"
    assert number("infonce", -0.0002) == number("infonce", 0.0002) == "0.000" and number("infonce", -0.002) == "-0.002"
    assert number("val_loss", -0.00001) == "0.0000"
