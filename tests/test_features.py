"""Features on disk: the network's own, whatever was killed or damaged on the way."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from vljepa_core import features
from vljepa_core.features import cached_features
from vljepa_core.model.networks import Network, load_network

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
IMAGES = np.random.default_rng(0).integers(0, 256, (23, 16, 16, 3), dtype=np.uint8)


class Counting(nn.Conv2d):
    """Patches; counts the images it has seen, and can be told what to do at one of them."""

    seen = 0
    at: int | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += len(x)
        if self.at is not None and self.seen > self.at:
            self.act()
        return super().forward(x)

    def act(self) -> None:
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """23 images are chunks of 8, 8 and 7."""
    monkeypatch.setattr(features, "CHUNK", 8)
    monkeypatch.setattr(features, "BATCH", 4)


def small(seed: int = 0) -> Network:
    """A network of a millisecond: 4 tokens of 3 channels."""
    torch.manual_seed(seed)
    network = Network("tiny", "random", Counting(3, 3, 8, 8), lambda b, x: b(x).flatten(2).mT, (0.5,) * 3, (0.5,) * 3)
    network.tokens(16)
    return network


def computed(network: Network, folder: Path, images: np.ndarray = IMAGES, key: str = "k") -> tuple[np.ndarray, int]:
    """The features, and how many images the network saw for them (less the one that tells their shape)."""
    before = network.body.seen
    return cached_features(network, images, folder, key), network.body.seen - before - 1


def only(folder: Path, suffix: str) -> Path:
    (found,) = folder.glob(f"*{suffix}")
    return found


def test_equal_to_the_network_one_image_at_a_time(tmp_path: Path) -> None:
    network = load_network("efficientnet_lite0")
    images = np.random.default_rng(1).integers(0, 256, (10, 64, 64, 3), dtype=np.uint8)
    found = cached_features(network, images, tmp_path, "k")
    assert found.shape == (10, 4, 1280) and found.dtype == np.float16
    with torch.no_grad():
        alone = np.stack([network(torch.from_numpy(image[None]))[0].numpy() for image in images])
    np.testing.assert_allclose(found.astype(np.float32), alone, rtol=2e-3, atol=2e-3)
    assert only(tmp_path, ".npy").name.startswith("efficientnet_lite0-pretrained-64px-")


def test_computed_once_then_mapped(tmp_path: Path) -> None:
    network = small()
    first, seen = computed(network, tmp_path)
    again, seen_again = computed(network, tmp_path)
    assert (seen, seen_again) == (23, 0)
    assert isinstance(again, np.memmap) and not again.flags.writeable
    assert np.array_equal(first, again)
    assert np.array_equal(np.load(only(tmp_path, ".npy")), first)  # a plain .npy file for anyone
    assert sorted(p.suffix for p in tmp_path.iterdir() if p.suffix != ".lock") == [".json", ".npy"]


def test_order_does_not_depend_on_the_batch_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for batch in (1, 4, 8):
        monkeypatch.setattr(features, "BATCH", batch)
        found[batch] = computed(small(), tmp_path / str(batch))[0].astype(np.float32)
    for batch in (1, 8):
        np.testing.assert_allclose(found[batch], found[4], rtol=2e-3, atol=2e-3)
    assert len(np.unique(found[4].reshape(23, -1), axis=0)) == 23  # so that a wrong order would show


@pytest.mark.parametrize("change", ["weights", "images_key", "size"])
def test_features_of_something_else_have_files_of_their_own(tmp_path: Path, change: str) -> None:
    first = np.array(computed(small(), tmp_path)[0])
    if change == "weights":
        other, seen = computed(small(seed=1), tmp_path)
    elif change == "images_key":
        other, seen = computed(small(), tmp_path, IMAGES[::-1], "other")
    else:
        other, seen = computed(small(), tmp_path, IMAGES[:, :8, :8])
    assert seen == 23 and not np.array_equal(first, other)
    assert len(list(tmp_path.glob("*.npy"))) == 2
    again, seen = computed(small(), tmp_path)
    assert seen == 0 and np.array_equal(again, first)


def test_a_changed_network_code_computes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed(small(), tmp_path)
    monkeypatch.setattr(features, "source_hash", lambda *rooms: "another")
    assert computed(small(), tmp_path)[1] == 23


@pytest.mark.parametrize(("stop", "left"), [(3, 23), (8, 15), (12, 15), (16, 7), (22, 7)])
def test_interrupted_then_resumed(tmp_path: Path, stop: int, left: int) -> None:
    """At any image: what was computed up to the chunk before is kept, and the end is the same."""
    whole = computed(small(), tmp_path / "whole")[0]
    network = small()
    network.body.at = network.body.seen + 1 + stop
    with pytest.raises(KeyboardInterrupt):
        computed(network, tmp_path / "cut")
    assert not list((tmp_path / "cut").glob("*.npy"))  # never under its own name before it is whole
    resumed, seen = computed(small(), tmp_path / "cut")
    assert seen == left
    assert only(tmp_path / "cut", ".npy").read_bytes() == only(tmp_path / "whole", ".npy").read_bytes()
    assert np.array_equal(resumed, whole)


@needs_fork
@pytest.mark.parametrize("moment", ["image 13", "before list 1", "after list 1", "before name", "after name"])
def test_killed_at_any_moment(tmp_path: Path, moment: str) -> None:
    whole = np.array(computed(small(), tmp_path / "whole")[0])
    pid = os.fork()
    if not pid:
        try:
            _compute_and_die(tmp_path / "cut", moment)
        finally:
            os._exit(1)  # never back into pytest
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    found, seen = computed(small(), tmp_path / "cut")
    assert np.array_equal(found, whole)
    assert seen == {"image 13": 15, "before list 1": 15, "after list 1": 7, "before name": 0, "after name": 0}[moment]


def _compute_and_die(folder: Path, moment: str) -> None:
    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    what, _, number = moment.partition(" ")
    network, replace, write, lists = small(), os.replace, features.write_atomically, []
    if what == "image":
        network.body.at, network.body.act = network.body.seen + 1 + int(number), die

    def listing(path: Path, data: bytes) -> None:
        if moment == f"before list {len(lists)}":
            die()
        write(path, data)
        if moment == f"after list {len(lists)}":
            die()
        lists.append(path)

    def naming(source: Path, target: Path) -> None:
        name = Path(target).suffix == ".npy"
        if name and moment == "before name":
            die()
        replace(source, target)
        if name and moment == "after name":
            die()

    features.write_atomically, os.replace = listing, naming
    computed(network, folder)


def _flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("suffix", "damage", "message", "again"),
    [
        (".npy", lambda f: _flip(f, 128 + 24 * 9), "damaged at images 8 to 15", 8),
        (".npy", lambda f: _flip(f, -1), "damaged at images 16 to 22", 7),
        (".npy", lambda f: os.truncate(f, 128 + 24 * 15), "damaged at images 8 to 15, 16 to 22", 15),
        (".npy", lambda f: _flip(f, 20), "damaged at images 0 to 7, 8 to 15, 16 to 22", 23),
        (".npy", lambda f: os.truncate(f, 0), "damaged at images 0 to 7", 23),
        (".npy", lambda f: f.unlink(), "damaged at images 0 to 7", 23),
        (".json", lambda f: f.unlink(), "nothing usable", 23),
        (".json", lambda f: os.truncate(f, 100), "nothing usable", 23),
        (".json", lambda f: f.write_bytes(b"\xff\xfe"), "nothing usable", 23),
        (".json", lambda f: f.write_text("[]"), "nothing usable", 23),
        (".json", lambda f: f.write_text(f.read_text().replace('"k"', '"other"')), "nothing usable", 23),
    ],
)
def test_damage_is_named_and_repaired(tmp_path: Path, capsys, suffix: str, damage, message: str, again: int) -> None:
    before = np.array(computed(small(), tmp_path)[0])
    damage(only(tmp_path, suffix))
    capsys.readouterr()
    found, seen = computed(small(), tmp_path)
    assert np.array_equal(found, before) and seen == again
    said = capsys.readouterr().err
    assert message in said and str(tmp_path) in said
    assert computed(small(), tmp_path)[1] == 0 and capsys.readouterr().err == ""


def test_every_damaged_byte_is_noticed(tmp_path: Path) -> None:
    before = np.array(computed(small(), tmp_path)[0])
    file = only(tmp_path, ".npy")
    whole = file.read_bytes()
    assert len(whole) == 128 + 23 * 24
    for at in range(0, len(whole), 29):
        _flip(file, at)
        found, seen = computed(small(), tmp_path)
        assert seen > 0 and np.array_equal(found, before) and file.read_bytes() == whole


def test_a_list_of_digests_is_of_what_is_in_the_file(tmp_path: Path) -> None:
    import hashlib

    found = computed(small(), tmp_path)[0]
    listed = json.loads(only(tmp_path, ".json").read_text())["chunks"]
    assert listed == [hashlib.sha256(found[i : i + 8].tobytes()).hexdigest() for i in (0, 8, 16)]


def test_a_network_that_was_not_calibrated_is_refused(tmp_path: Path) -> None:
    network = load_network("efficientnet_lite0", "random")
    with pytest.raises(ValueError, match="has to be calibrated first"):
        cached_features(network, np.zeros((2, 32, 32, 3), np.uint8), tmp_path, "k")
    assert not list(tmp_path.glob("*.npy"))


def test_a_full_disk(tmpfs: Path) -> None:
    images = np.zeros((400, 32, 32, 3), np.uint8)
    network = Network(
        "wide", "random", nn.Conv2d(3, 4096, 16, 16), lambda b, x: b(x).flatten(2).mT, (0.5,) * 3, (1,) * 3
    )
    with pytest.raises(OSError, match="wide-random-32px.*free some space"):
        cached_features(network, images, tmpfs, "k")
    assert not list(tmpfs.glob("*.npy"))


def test_progress_is_shown_when_asked_for(tmp_path: Path, capsys) -> None:
    cached_features(small(), IMAGES, tmp_path / "a", "k")
    assert capsys.readouterr().err == ""
    cached_features(small(), IMAGES, tmp_path / "b", "k", progress=True)
    said = capsys.readouterr().err
    assert "features of tiny" in said and "23/23" in said and "img/s" in said
