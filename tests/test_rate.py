"""Quality against bytes: a captioner of which one bit is known to carry everything, and a trained one's own numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import TINY
from vljepa_core import figures, probes, report, runs, tokenizer
from vljepa_core.__main__ import main
from vljepa_core.codecs import Codec, all_codecs
from vljepa_core.datasets.selection import Examples
from vljepa_core.figures.units import said_bytes
from vljepa_core.kept import infonce_terms, share_kept
from vljepa_core.rate import rate_curve, sent
from vljepa_core.rate_record import GOAL_BYTES, keeps, read_curve, recorded_curves, smallest
from vljepa_core.rate_runs import curve_of_run, network_features
from vljepa_core.recipes import recipe
from vljepa_core.records import RecordError

K, D, N = 2, 4, 40
RECIPE = recipe("run2", "smoke", K=K, D=D, heads=1, image_size=16, max_new_tokens=8)
ABOUT = {"data": "toy", "dataset": {"name": "toy"}, "weights_sha256": "w"}


class OneBit(nn.Module):
    """A decoder that writes "a" where the first number of its plan is above 0, else "b"; it is 98% sure."""

    prefix_length = 0

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.zeros(20, 1))

    def forward(self, plan, ids):
        letter = torch.where(plan[:, 0, 0] > 0, ord("a"), ord("b")) + tokenizer.BYTE_OFFSET
        ids = ids.expand(len(plan), -1)
        says = torch.where(ids == tokenizer.BOS, letter[:, None], tokenizer.EOS)
        other = ord("a") + ord("b") + 2 * tokenizer.BYTE_OFFSET - letter[:, None]
        logits = torch.full((*ids.shape, tokenizer.VOCAB_SIZE), -20.0)
        logits.scatter_(-1, other.expand_as(ids)[..., None], 0.0)
        return logits.scatter_(-1, says[..., None], 4.0)

    def start(self, plan, max_tokens):
        cache = SimpleNamespace(plan=plan)
        cache.keep = lambda rows: setattr(cache, "plan", cache.plan[rows])
        return cache

    def step(self, ids, cache):
        return self(cache.plan, ids[:, None])[:, 0]


class Captioner(nn.Module):
    """The first number of a plan is how bright the image is, and the other seven are noise of ten times the size."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = OneBit()

    def look(self, images):
        return torch.zeros(len(images), 4, D)

    def plan(self, images):
        plans = 10 * torch.randn(len(images), K, D, generator=torch.Generator().manual_seed(len(images)))
        plans[:, 0, 0] = images.float().mean(dim=(1, 2, 3)) / 128 - 1
        return plans


class Collapsed(Captioner):
    def plan(self, images):
        return torch.ones(len(images), K, D)


def split(n: int, seed: int) -> Examples:
    bright = np.arange(n) % 2 == 0
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 40, (n, 16, 16, 3)) + np.where(bright, 200, 10)[:, None, None, None]
    texts = ["a" if each else "b" for each in bright]
    ids = tokenizer.encode_batch(texts, 8)
    return Examples(images.astype(np.uint8), list(range(n)), texts, [[t] for t in texts], ids, None)


@pytest.fixture(scope="module")
def examples() -> dict[str, Examples]:
    return {"train": split(100, 0), "val": split(N, 1)}


def measure(examples, path: Path, **changes):
    how = dict(model=Captioner(), about=ABOUT, codecs=[Codec("binary", 1, 1)], limits={}, scored=N)
    return rate_curve(recipe=RECIPE, examples=examples, seed=0, path=path, **{**how, **changes})


def test_a_message_is_sent_in_its_shorter_form() -> None:
    """A code for numbers that are nearly always the same is short for such numbers, and long for others."""
    usual = np.where(np.random.default_rng(0).random((400, K, D)) < 0.01, 1, 0).astype(np.float32)
    row, _ = sent(Codec("int8", K, D), usual, usual[:50])
    assert row["bytes"] == row["coded_bytes"] < row["fixed_bytes"] == K * D and row["most_bytes"] >= row["bytes"]
    row, _ = sent(Codec("binary", K, D), usual, np.ones((50, K, D), dtype=np.float32))
    assert row["coded_bytes"] > row["fixed_bytes"] == 1 and row["bytes"] == row["most_bytes"] == 1


def test_where_one_bit_carries_everything_one_bit_is_enough(examples, tmp_path) -> None:
    codecs = [Codec("binary", 1, 1), Codec("int4", 1, 2), Codec("fsq5", K, D), Codec("int4", K, D, components=3)]
    limits = {"WebP": [("bare", 30)], "JPEG": [("file", 32)]}
    curve = measure(examples, tmp_path / "rate.json", codecs=codecs, limits=limits)
    whole, bit = curve.rows[0], curve.row("1 x 1, binary")
    assert whole["name"] == "2 x 4, fp16" and whole["bytes"] == curve.plan_bytes == 16
    assert whole["infonce"]["value"] == pytest.approx(1, abs=0.05) and whole["bits_kept"]["value"] == 1
    assert bit["fixed_bytes"] == 1 and bit["bits_kept"]["value"] == bit["cider_kept"]["value"] == 1
    assert bit["infonce"] == whole["infonce"] and bit["cider"] == whole["cider"] and keeps(bit)
    assert smallest(curve, "plan")["bytes"] <= 1
    for name in ("1 x 2, int4", "2 x 4, fsq5"):
        assert curve.row(name)["bits_kept"]["value"] == pytest.approx(1, abs=0.01)
    # Principal components go by variance: the three loudest are noise, and the bit is lost.
    lost = curve.row("2 x 4, 3 principal components, int4")
    assert lost["infonce"]["value"] < 0.5 and not keeps(lost)
    nothing = curve.row("nothing (the mean plan)")
    assert nothing["infonce"]["value"] == 0 and nothing["image_r1"]["value"] == pytest.approx(1 / N)
    assert nothing["unique"] == 1 / N and not keeps(nothing)
    activations = curve.row("full activations, fp16")
    assert activations["bytes"] == 2 * D * 4 and activations["infonce"] == whole["infonce"]
    words = curve.row("its caption, as text")
    assert words["bits_kept"]["value"] == pytest.approx(1, abs=0.01) and words["cider"] == whole["cider"]
    assert words["bytes"] == words["most_bytes"] == 1  # one letter costs 1 bit under the mean plan, the other 6
    assert f"sent as text, takes 1 bytes: {words['bits_kept']['value']:.0%}" in report.rate_verdict(curve).alt
    picture = curve.row("WebP of at most 30 bytes, bare")
    assert picture["most_bytes"] <= 30 and picture["bits_kept"]["value"] == pytest.approx(1, abs=0.01)
    missing = curve.row("JPEG of at most 32 bytes, file")
    assert missing["bytes"] is None and missing["smallest_bytes"] > 600 and missing not in curve.measured()


def test_what_is_measured_is_not_measured_again(examples, tmp_path, monkeypatch) -> None:
    path = tmp_path / "rate.json"
    first = measure(examples, path)
    told: list[str] = []
    again = measure(examples, path, progress=told.append)
    assert again == first == read_curve(path) and told == []
    more = measure(examples, path, codecs=[Codec("binary", 1, 1), Codec("int8", 1, 1)], progress=told.append)
    assert told == ["1 x 1, int8"] and more.rows[:-1] == first.rows
    assert more.rows[-1]["bits_kept"]["value"] == 1
    changed = measure(examples, path, about={**ABOUT, "weights_sha256": "other"}, codecs=[])
    assert [row["name"] for row in changed.rows] == [first.rows[0]["name"], *(r["name"] for r in first.rows[2:])]
    measure(examples, path, scored=20, codecs=[])
    assert read_curve(path).scored == 20


def test_a_file_of_another_measurement_is_told_of_and_kept(examples, tmp_path, capsys) -> None:
    path, kept = tmp_path / "rate.json", tmp_path / "rate.json.old"
    first = measure(examples, path, codecs=[])
    assert not kept.exists() and capsys.readouterr().err == ""
    measure(examples, path, about={**ABOUT, "weights_sha256": "other"}, scored=20, codecs=[])
    assert read_curve(kept) == first and read_curve(path).scored == 20
    assert "because it is of another weights_sha256 and another scored; the old one is" in capsys.readouterr().err
    path.write_text("{")
    measure(examples, path, codecs=[])
    assert kept.read_text() == "{" and "it can't be read" in capsys.readouterr().err


def test_a_stopped_measurement_goes_on(examples, tmp_path) -> None:
    path = tmp_path / "rate.json"

    def stop(name: str) -> None:
        if name.startswith("1 x 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(examples, path, progress=stop)
    assert len(read_curve(path).rows) == 1
    whole = measure(examples, tmp_path / "other.json")
    assert measure(examples, path).rows == whole.rows


def test_a_collapsed_captioner_has_nothing_to_keep(examples, tmp_path) -> None:
    curve = measure(examples, tmp_path / "rate.json", model=Collapsed())
    assert all(row["bits_kept"] is None and not keeps(row) for row in curve.measured())
    assert report.rate_verdict(curve).alt.startswith("NOTHING TO KEEP")
    figures.rate_quality(curve)
    assert "not apply" in report.rate_table(curve).html
    told = {**curve.measured("plan")[0], "bits_kept": {"value": 1.0, "low": 1.0, "high": 1.0}, "cider_kept": None}
    speechless = dataclasses.replace(curve, rows=[told])
    lacking = [report.rate_verdict(each).alt.partition("delivers ")[2] for each in (curve, speechless)]
    assert " bits (" in lacking[0] and " CIDEr (" in lacking[1]


def test_where_a_frozen_network_looks_pictures_go_through_it_too(examples, tmp_path) -> None:
    """Plans are made of features alone; those of a compressed picture are computed anew."""

    class Reads(Captioner):
        def plan(self, features):
            assert features.shape[1:] == (1, 1) and features.dtype == torch.float16
            return super().plan(features[..., None].float())

    def look(images):
        return images.mean(axis=(1, 2, 3)).astype(np.float16)[:, None, None]

    seen = {split: dataclasses.replace(each, features=look(each.images)) for split, each in examples.items()}
    curve = measure(seen, tmp_path / "rate.json", model=Reads(), look=look, limits={"JPEG": [("bare", 60)]})
    assert curve.row("JPEG of at most 60 bytes, bare")["bits_kept"]["value"] == pytest.approx(1, abs=0.01)


def test_pictures_are_seen_as_the_run_saw_its_images(data_dir: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    network = dict(visual="efficientnet_lite0", visual_training="frozen")
    run = runs.prepare("run2", "smoke", "shapes", **{**TINY, **network, "image_size": 32, "patch_size": 8})
    again = network_features(run)(np.array(run.examples["val"].images))
    assert again.dtype == np.float16
    np.testing.assert_allclose(again, run.examples["val"].features, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_terms_average_to_infonce(seed) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(50, 50)) * 3 + 4 * np.eye(50) * (seed > 0)
    assert infonce_terms(scores).mean() == pytest.approx(probes.infonce(scores).value, abs=1e-6)
    assert infonce_terms(np.zeros((20, 20))).tolist() == [0.0] * 15


def test_share_by_hand_and_paired() -> None:
    whole = np.array([1.0, 2.0, 3.0, 4.0] * 25)
    kept = share_kept(0.5 * whole, whole)
    assert (kept.value, kept.low, kept.high) == pytest.approx((0.5, 0.5, 0.5))  # paired: no spread at all
    loose = share_kept(np.array([5.0, 0.0, 0.0, 0.0] * 25), whole)
    assert loose.value == pytest.approx(0.5) and loose.low < 0.4 and loose.high > 0.6
    assert share_kept(whole, np.array([1.0, -1.0] * 50)) is None


def test_the_whole_plan_gives_the_runs_own_numbers(data_dir: Path, capsys) -> None:
    settings = dict(TINY, n_val=24, epochs=2)
    told = [f"{key}={value}" for key, value in settings.items()]
    where = ["--scale", "smoke", "--data", "shapes", "--set", *told]
    assert main(["rate", "run2", *where]) == 2 and "first" in capsys.readouterr().err
    record = runs.run("run2", "smoke", "shapes", **settings)
    run = runs.prepare("run2", "smoke", "shapes", **settings)
    curve = curve_of_run(run, codecs=[], limits={})
    assert curve.weights_sha256 == record.weights_sha256 and curve.recipe == record.recipe
    exact, sent = curve.row("full activations, fp16"), curve.rows[0]
    for ours, theirs in (("infonce", "infonce"), ("image_r1", "image_r1"), ("cider", "greedy_cider")):
        assert exact[ours]["value"] == pytest.approx(record.value(theirs), abs=2e-4), ours
        assert exact[ours]["n"] == record.metrics[theirs]["n"]
    assert sent["infonce"]["value"] == pytest.approx(record.value("infonce"), abs=0.02)
    assert exact["bytes"] == 2 * 16 * 4 and sent["bytes"] == run.recipe.plan_bytes
    kept = data_dir / "kept"
    assert main(["rate", "run2", *where, "--no-images", "--keep", str(kept)]) == 0
    out = capsys.readouterr().out
    assert "fp16" in out and "principal components, 8 bytes" in out
    (found,) = recorded_curves(kept)
    assert len(found.rows) > 15 and found.data == "shapes"
    with pytest.raises(ValueError, match="no captions"):
        rate_curve(SimpleNamespace(decoder=None), run.recipe, run.examples, 0, ABOUT, data_dir / "x.json")
    with pytest.raises(ValueError, match="not from images"):
        blind = dataclasses.replace(run.recipe, plan_source="none")
        rate_curve(Captioner(), blind, run.examples, 0, ABOUT, data_dir / "x.json")
    with pytest.raises(ValueError, match="at least 8"):
        curve_of_run(run, scored=3)


def test_figure_and_table_say_every_number(examples, tmp_path) -> None:
    curve = measure(examples, tmp_path / "rate.json", limits={"JPEG": [("file", 32), ("file", 900)]})
    figure, table = figures.rate_quality(curve), report.rate_table(curve)
    for row in curve.measured():
        assert row["name"] in figure.alt and row["name"] in table.html
        assert f"{row['infonce']['value']:.3f} bits" in figure.alt
    assert "not to be had" in table.html and "nan" not in figure.alt
    assert "aria-label" in figure.html
    assert report.rate_verdict(curve).alt.startswith(f"{GOAL_BYTES} BYTES ARE ENOUGH")
    hard = [{**row, "bits_kept": {"value": 0.5, "low": 0.4, "high": 0.6}} if "infonce" in row else row
            for row in curve.rows]  # fmt: skip
    assert report.rate_verdict(dataclasses.replace(curve, rows=hard)).alt.startswith("OPEN: none of the")
    with pytest.raises(ValueError, match="no measured row"):
        figures.rate_quality(dataclasses.replace(curve, rows=[]))


def test_a_plan_that_is_cut_in_every_way_is_a_map(examples, tmp_path) -> None:
    curve = measure(examples, tmp_path / "rate.json", codecs=all_codecs(K, D), limits={})
    figure = figures.plan_sizes(curve)
    cuts = [row for row in curve.measured("plan") if "components" not in row["name"]]
    assert len(cuts) > 8 and all(f"{row['name']}, " in figure.alt for row in cuts)
    assert f"{cuts[0]['name']}, {cuts[0]['bytes']} bytes: 100%" in figure.alt
    with pytest.raises(ValueError, match="no measured cut"):
        figures.plan_sizes(dataclasses.replace(curve, rows=[]))


def test_a_recorded_curve_says_its_bytes_in_plain_figures() -> None:
    curve = next(c for c in recorded_curves() if c.activation_bytes >= 10_000)
    assert f"full activations, fp16, {curve.activation_bytes:,} bytes" in figures.rate_quality(curve).alt
    assert [said_bytes(size) for size in (32_768, 4.25, 1234.56)] == ["32,768", "4.2", "1,234.6"]


@pytest.mark.parametrize("text", ["", "[]", '{"format": 99}', '{"format": 1}'])
def test_a_file_that_is_no_curve_is_named(text, tmp_path) -> None:
    path = tmp_path / "rate.json"
    path.write_text(text)
    with pytest.raises(RecordError, match="rate.json"):
        read_curve(path)
