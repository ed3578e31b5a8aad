"""COCO with one command: from a server that misbehaves, killed, on a full disk, from the reader's own zips."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.coco_server import ZIP, CocoServer, layout, write_root
from tests.conftest import REPOSITORY, TINY
from vljepa_core.__main__ import main
from vljepa_core.datasets import DataError, Dataset, load_dataset
from vljepa_core.datasets.annotations import parse_annotations
from vljepa_core.datasets.arrivals import Arrivals
from vljepa_core.datasets.coco import load_coco_folder
from vljepa_core.datasets.coco_download import Request, download, draw_sample
from vljepa_core.datasets.downloaded import load_downloaded
from vljepa_core.datasets.fetch import Patience
from vljepa_core.interventions import RUNGS
from vljepa_core.recipes import EXPERIMENTS, recipe
from vljepa_core.rungs import BASE, changes_at

HURRIED = Patience(attempts=3, first_wait=0.01, longest_wait=0.05, connect=2.0, stall=0.5, slowest=10_000.0)
N = 40


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return layout(600)


@pytest.fixture
def server(files: dict[str, bytes]) -> Iterator[CocoServer]:
    server = CocoServer(dict(files))
    yield server
    server.stop()


def fetch(folder: Path, server: CocoServer, images: int = N, **options) -> list[str]:
    options = {"base_url": server.url, "patience": HURRIED, **options}
    return download(folder, Request(images, **options), progress=False)


@pytest.fixture(scope="module")
def undisturbed(files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """N images, fetched from a server that behaves."""
    folder, server = tmp_path_factory.mktemp("undisturbed"), CocoServer(dict(files))
    try:
        assert fetch(folder, server) == []
    finally:
        server.stop()
    return load_downloaded(folder, 64, "squash")


def pictures_of(dataset: Dataset) -> list[str]:
    return [f"train2017/{i:012d}.jpg" for i in dataset.image_ids]


# ---------------------------------------------------------------- the sample


def test_the_same_as_a_folder_with_the_original_files(
    tmp_path: Path, files: dict[str, bytes], server: CocoServer, undisturbed: Dataset
) -> None:
    """Resized on arrival, from whichever door: pixels, captions, ids, splits and so the fingerprint are the same."""
    folder = tmp_path / "originals"
    (folder / "images").mkdir(parents=True)
    for path in pictures_of(undisturbed):
        (folder / "images" / Path(path).name).write_bytes(files[path])
    fetch(tmp_path / "d", server, sizes=(64, 96), preprocess=("squash", "crop"))
    (folder / "captions_sample.json").write_bytes((tmp_path / "d" / "captions_sample.json").read_bytes())
    for size in (64, 96):
        for name in ("squash", "crop"):
            plain = load_coco_folder(folder, size, preprocess=name, cache_dir=tmp_path / "c", progress=False)
            ours = load_downloaded(tmp_path / "d", size, name)
            assert ours.fingerprint == plain.fingerprint
            assert np.array_equal(ours.images, plain.images) and ours.captions == plain.captions
            assert isinstance(ours.images, np.memmap) and not ours.images.flags.writeable
            assert {s: v.tolist() for s, v in ours.splits.items()} == {s: v.tolist() for s, v in plain.splits.items()}
            assert {k: v for k, v in ours.summary.items() if v} == {k: v for k, v in plain.summary.items() if v}
            assert "Attribution License (" in ours.source and "COCO 2017 Dataset" in ours.source
    assert load_downloaded(tmp_path / "d", 64, "squash").fingerprint == undisturbed.fingerprint


def test_sample_is_seeded_and_nested() -> None:
    captions = {
        "images": [{"id": i, "file_name": f"{i}.jpg"} for i in range(300)],
        "annotations": [{"id": i, "image_id": i % 200, "caption": " " if i % 10 == 3 else "x"} for i in range(200)],
    }

    def ids(n: int, seed: int) -> list[int]:
        return [row["id"] for row in draw_sample(captions, n, seed)["images"]]

    chosen = ids(50, 42)
    assert chosen == sorted(chosen) and len(set(chosen)) == 50 and max(chosen) < 200
    assert not any(i % 10 == 3 for i in ids(180, 42))  # whose only caption is empty
    assert ids(50, 43) != chosen and set(ids(20, 42)) < set(chosen)
    captions["images"].reverse()
    captions["annotations"].reverse()
    assert ids(50, 42) == chosen
    assert ids(6, 42) == [24, 50, 69, 109, 131, 191]  # for ever
    with pytest.raises(DataError, match="there are 180 images with captions"):
        draw_sample(captions, 181, 42)


def test_order_of_arrival_does_not_matter(tmp_path: Path, server: CocoServer, undisturbed: Dataset) -> None:
    rng = random.Random(3)
    server.before_answer = lambda number: time.sleep(rng.random() * 0.03)
    fetch(tmp_path / "d", server, connections=7)
    assert load_downloaded(tmp_path / "d", 64, "squash").fingerprint == undisturbed.fingerprint


@pytest.mark.parametrize("images", ["zip", "folder"])
def test_from_the_official_zips(
    tmp_path: Path, files: dict[str, bytes], server: CocoServer, undisturbed: Dataset, images: str
) -> None:
    root = write_root(tmp_path / "root", files, images)
    before = sorted(p for p in root.rglob("*") if p.is_file())
    assert fetch(tmp_path / "d", server, root=root) == []
    assert server.asked == []  # nothing over the network, nothing unpacked
    assert sorted(p for p in root.rglob("*") if p.is_file()) == before
    assert load_downloaded(tmp_path / "d", 64, "squash").fingerprint == undisturbed.fingerprint


def test_zips_that_are_not_whole(tmp_path: Path, files: dict[str, bytes], server: CocoServer) -> None:
    root = write_root(tmp_path / "root", files)
    with pytest.raises(DataError, match="has none of annotations_trainval2017.zip"):
        fetch(tmp_path / "d", server, root=tmp_path)
    whole = (root / "train2017.zip").read_bytes()
    (root / "train2017.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="train2017.zip: not a whole zip file.*get this zip again"):
        fetch(tmp_path / "d", server, root=root)
    damaged = bytearray(whole)
    for at in range(10_000, len(damaged) - 200_000, 2_000):
        damaged[at] ^= 255
    (root / "train2017.zip").write_bytes(damaged)
    with pytest.raises(DataError, match="(?s)images are missing, more than 2 of 40.*get this zip again"):
        fetch(tmp_path / "d", server, root=root)
    assert not list((tmp_path / "d").glob("pixels*.npy"))


# ---------------------------------------------------------------- misbehaviour


ONCE = ["reset", "cut", "stall", "500", "429=1", "html", "html-as-jpeg", "short", "damaged", "redirect"]


@pytest.mark.parametrize("wrong", ONCE)
def test_every_fourth_image_goes_wrong_once(
    tmp_path: Path, server: CocoServer, undisturbed: Dataset, wrong: str
) -> None:
    each = N - 1 if wrong == "429=1" else 4  # all transfers wait a second each time
    for path in [ZIP, *pictures_of(undisturbed)[::each]]:
        server.wrong[path] = [wrong, *[""] * 9]
    assert fetch(tmp_path / "d", server) == []
    assert load_downloaded(tmp_path / "d", 64, "squash").fingerprint == undisturbed.fingerprint


@pytest.mark.parametrize("wrong", ["404", "html", "short", "html-as-jpeg", "500", "circle"])
def test_two_images_that_never_come(tmp_path: Path, server: CocoServer, undisturbed: Dataset, wrong: str) -> None:
    """Few enough: a dataset without them, said by name; asked for again, it becomes the whole one."""
    lost = pictures_of(undisturbed)[5:7]
    server.wrong, server.forever = {path: [wrong] for path in lost}, True
    missing = fetch(tmp_path / "d", server)
    assert [line.split(":")[0] for line in missing] == [Path(path).name for path in lost]
    assert all(server.url in line and ";" in line for line in missing)
    assert (tmp_path / "d" / "missing.txt").read_text().splitlines() == missing
    part = load_downloaded(tmp_path / "d", 64, "squash")
    kept = [i for i in range(N) if i not in (5, 6)]
    assert part.image_ids == [undisturbed.image_ids[i] for i in kept] and part.fingerprint != undisturbed.fingerprint
    assert np.array_equal(part.images, undisturbed.images[kept])
    server.wrong, server.asked = {}, []
    assert fetch(tmp_path / "d", server) == []
    assert server.times_asked() == {path: 1 for path in lost}
    assert load_downloaded(tmp_path / "d", 64, "squash").fingerprint == undisturbed.fingerprint
    assert not (tmp_path / "d" / "missing.txt").exists()


def test_too_many_images_never_come(tmp_path: Path, server: CocoServer, undisturbed: Dataset) -> None:
    lost = pictures_of(undisturbed)[30:33]
    server.wrong, server.forever = {path: ["404"] for path in lost}, True
    with pytest.raises(DataError, match=f"(?s)3 images are missing, more than 2 of 40.*{lost[0]}.*answers 404"):
        fetch(tmp_path / "d", server)
    with pytest.raises(DataError, match="(?s)pixels-squash-64px.npy is not there.*data coco --images 40 --seed 42"):
        load_downloaded(tmp_path / "d", 64, "squash")
    server.wrong, server.asked = {}, []
    fetch(tmp_path / "d", server)
    assert len(server.asked) < 20  # most of it had been kept
    assert load_downloaded(tmp_path / "d", 64, "squash").fingerprint == undisturbed.fingerprint
    other = tmp_path / "e"
    server.wrong = {path: ["404"] for path in lost}
    assert len(fetch(other, server, allow_missing=0.1)) == 3


def test_a_server_that_goes_away(tmp_path: Path, server: CocoServer) -> None:
    def gone(number: int) -> None:
        if number > 60:
            raise ConnectionResetError

    server.before_answer, server.delay = gone, 0.01
    with pytest.raises(DataError, match="not reached any more, 4 images in a row"):
        fetch(tmp_path / "d", server, images=200, connections=2, allow_missing=0.5)
    assert (tmp_path / "d" / "arrivals-squash-64px.bin").stat().st_size > 50 * 64 * 64 * 3


def test_annotations_are_checked(tmp_path: Path, server: CocoServer, files: dict[str, bytes]) -> None:
    right = hashlib.sha256(files[ZIP]).hexdigest()
    with pytest.raises(DataError, match=f"{ZIP}: its SHA-256 is {right}, expected {'ab' * 32}"):
        fetch(tmp_path / "a", server, sha256="ab" * 32)
    assert not (tmp_path / "a" / "captions_sample.json").exists()
    server.files[ZIP] = files[ZIP][: len(files[ZIP]) // 2]
    with pytest.raises(DataError, match="only the beginning of a zip file"):
        fetch(tmp_path / "b", server)
    damaged = bytearray(files[ZIP])
    damaged[5_000:5_100] = bytes(100)
    server.files[ZIP] = bytes(damaged)  # and with a tag to match: only the CRC in the zip tells
    with pytest.raises(DataError, match="captions_train2017.json in it is damaged .*3 times"):
        fetch(tmp_path / "c", server)
    (tmp_path / "c" / Path(ZIP).name).write_bytes(damaged)  # as a failing disk may leave it
    server.files[ZIP] = files[ZIP]
    assert fetch(tmp_path / "c", server, sha256=right) == []
    assert json.loads((tmp_path / "c" / "download.json").read_text())["annotations"]["sha256"] == right


# ---------------------------------------------------------------- killed, stopped, full


def cli(folder: Path, server: CocoServer, images: int) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "VLJEPA_DATA": str(folder)}
    command = [sys.executable, "-m", "vljepa_core", "data", "coco", "--images", str(images)]
    command += ["--sizes", "64", "--base-url", server.url]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def contents(folder: Path) -> dict[str, object]:
    """Everything that must not depend on how a fetch went."""
    sidecar = json.loads((folder / "pixels-squash-64px.json").read_text())["body"]
    del sidecar["mtime_ns"]
    return {
        "files": sorted(p.name for p in folder.iterdir()),
        "pixels": (folder / "pixels-squash-64px.npy").read_bytes(),
        "captions": (folder / "captions_sample.json").read_bytes(),
        "sidecar": sidecar,
    }


def test_killed_at_ten_random_moments(tmp_path: Path, server: CocoServer) -> None:
    assert fetch(tmp_path / "undisturbed", server, images=500) == []
    server.asked, server.delay = [], 0.005
    rng = random.Random(11)
    kills = 0
    for _ in range(10):
        child = cli(tmp_path / "killed", server, 500)
        last, pause = len(server.asked) + rng.randint(1, 70), rng.random() * 0.02

        def kill(number: int, child=child, last=last, pause=pause) -> None:
            if number == last:
                time.sleep(pause)
                child.kill()

        server.before_answer = kill
        child.communicate(timeout=60)
        kills += child.returncode == -signal.SIGKILL
    assert kills == 10
    server.before_answer = lambda number: None
    child = cli(tmp_path / "killed", server, 500)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert contents(tmp_path / "killed" / "coco") == contents(tmp_path / "undisturbed")
    fetched = sum(n for path, n in server.times_asked().items() if path != ZIP)
    assert fetched <= 500 + 10 * 2 * 16  # what was on its way when it was killed, and nothing else, came twice


def test_ctrl_c_leaves_a_usable_state(tmp_path: Path, server: CocoServer, undisturbed: Dataset) -> None:
    server.delay = 0.05
    child = cli(tmp_path, server, N)

    def interrupt(number: int) -> None:
        if number == 20:
            child.send_signal(signal.SIGINT)
            server.delay = 3.0  # a server that is slow just then

    server.before_answer = interrupt
    started = time.monotonic()
    out, err = child.communicate(timeout=60)
    assert time.monotonic() - started < 30  # 3 s at the server, and Python's start on a busy machine
    assert child.returncode == 130 and "the same command goes on" in err and "Traceback" not in err
    server.before_answer, server.delay, server.asked = lambda number: None, 0.0, []
    child = cli(tmp_path, server, N)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0 and undisturbed.fingerprint in out and "DATA=coco" in out
    assert len(server.asked) < N and "img/s" in err
    assert load_downloaded(tmp_path / "coco", 64, "squash").fingerprint == undisturbed.fingerprint


def fill(disk: Path) -> None:
    try:
        with open(disk / "filler", "wb", buffering=0) as f:
            while f.write(bytes(4096)):
                pass
    except OSError:
        pass


@pytest.mark.parametrize("when", ["captions", "images", "cache"])
def test_disk_full(tmpfs: Path, tmp_path: Path, server: CocoServer, when: str, monkeypatch) -> None:
    fetch(tmp_path / "undisturbed", server, images=200)
    folder, server.asked = tmpfs / "coco", []

    def before_answer(number: int) -> None:
        if number == {"captions": 1, "images": 80}.get(when):
            fill(tmpfs)

    server.before_answer = before_answer
    if when == "cache":
        from vljepa_core.datasets import coco_download

        finish = coco_download._Pixels.finish
        monkeypatch.setattr(coco_download._Pixels, "finish", lambda *a: (fill(tmpfs), finish(*a)))
    with pytest.raises(OSError, match=f"{folder}.*free some space"):
        fetch(folder, server, images=200)
    assert not list(folder.glob("pixels*.npy"))
    monkeypatch.undo()
    (tmpfs / "filler").unlink()
    server.asked, server.before_answer = [], lambda number: None
    assert fetch(folder, server, images=200) == []
    assert contents(folder) == contents(tmp_path / "undisturbed")
    if when != "captions":
        assert len(server.asked) < 150
    with pytest.raises(DataError, match="MB are needed .* free some space, or give --folder"):  # known beforehand
        fetch(tmpfs / "more", server, images=500)


# ---------------------------------------------------------------- opening and refusing


def test_sizes_coexist_and_a_new_one_is_added(tmp_path: Path, server: CocoServer, undisturbed: Dataset) -> None:
    folder = tmp_path / "d"
    fetch(folder, server, images=12, sizes=(64, 96))
    with pytest.raises(DataError, match="(?s)pixels-squash-224px.npy is not there.*--sizes 224 --preprocess squash"):
        load_downloaded(folder, 224, "squash")
    fetch(folder, server, images=12, sizes=(64, 128, 224))
    assert [load_downloaded(folder, s, "squash").images.shape for s in (64, 96, 128, 224)] == [
        (12, s, s, 3) for s in (64, 96, 128, 224)
    ]


def test_damaged_caches_are_refused_with_the_command_and_made_again(tmp_path: Path, server: CocoServer) -> None:
    folder = tmp_path / "d"
    fetch(folder, server, images=12)
    pixels, sidecar = folder / "pixels-squash-64px.npy", folder / "pixels-squash-64px.json"
    before = load_downloaded(folder, 64, "squash").fingerprint
    captions = (folder / "captions_sample.json").read_bytes()

    def other_format() -> None:
        data = json.loads(sidecar.read_text())
        sidecar.write_text(json.dumps({**data, "format": 99}))

    for damage in (
        lambda: os.truncate(pixels, 5000),
        lambda: pixels.write_bytes(pixels.read_bytes()[:-1] + b"!"),
        other_format,
        lambda: os.truncate(sidecar, 100),
        pixels.unlink,
        lambda: (folder / "captions_sample.json").write_bytes(captions.replace(b'"caption": "', b'"caption": "x', 1)),
        (folder / "captions_sample.json").unlink,
    ):
        damage()
        with pytest.raises(DataError, match="(?s)python -m vljepa_core data coco --images 12 --seed 42"):
            load_downloaded(folder, 64, "squash")
        fetch(folder, server, images=12)
        assert load_downloaded(folder, 64, "squash").fingerprint == before
    (folder / "download.json").write_text("{}")
    with pytest.raises(DataError, match="download.json: damaged.*move this file away; if `data coco` made the folder"):
        load_downloaded(folder, 64, "squash")
    (folder / "download.json").unlink()  # as it advises
    fetch(folder, server, images=12)
    assert load_downloaded(folder, 64, "squash").fingerprint == before


def test_a_folder_keeps_its_sample(tmp_path: Path, server: CocoServer) -> None:
    fetch(tmp_path / "d", server, images=12)
    with pytest.raises(DataError, match="holds 12 images of train2017 with seed 42.*give --folder"):
        fetch(tmp_path / "d", server, images=13)
    with pytest.raises(DataError, match="holds 12 images"):
        fetch(tmp_path / "d", server, images=12, seed=1)


def test_damaged_arrivals_are_fetched_again(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    path = tmp_path / "a.bin"
    first = Arrivals(path, {"a": 1}, 8)
    for i in (4, 0, 2, 5):
        first.add(i, rows[i], ["grey", "rotated"] if i == 2 else [])
    first.close()
    data = bytearray(path.read_bytes())
    data[first.start + first.length + 100] ^= 1  # in the record of row 0
    path.write_bytes(data[:-10])  # and that of row 5 was cut off
    again = Arrivals(path, {"a": 1}, 8)
    assert set(again.rows) == {4, 2} and again.damaged == 1
    assert np.array_equal(again.get(2)[0], rows[2]) and again.get(2)[1] == ["grey", "rotated"]
    again.add(5, rows[5], [])
    again.close()
    assert set(Arrivals(path, {"a": 1}, 8).rows) == {4, 2, 5}
    assert Arrivals(path, {"a": 2}, 8).rows == {}  # of another sample


def test_data_coco_is_what_a_run_uses(data_dir: Path, server: CocoServer, capsys) -> None:
    with pytest.raises(DataError, match="DATA=coco: .* is not there; fetch it: make data"):
        load_dataset("coco", recipe("run2", "smoke"), data_dir / "cache")
    assert main(["data", "coco", "--images", str(N), "--base-url", server.url]) == 0
    out = capsys.readouterr().out
    asked = [recipe(name, "paper") for name in EXPERIMENTS if name != "test0"]  # that draws its shapes
    asked += [recipe(BASE, "paper", **changes_at(name, "paper")) for name in RUNGS]
    for size in {each.image_size for each in asked}:  # `make data` and the printed commands, one after the other
        found = load_dataset("coco", recipe("run2", "paper", image_size=size), data_dir / "cache")
        assert found.images.shape[1:3] == (size, size)
    changes = {k: v for k, v in TINY.items() if k != "image_size"}
    settings = [f"{k}={v}" for k, v in {**changes, "patch_size": 16, "epochs": 1, "warmup_epochs": 0}.items()]
    assert main(["run", "run2", "--scale", "smoke", "--data", "coco", "--no-estimate", "--set", *settings]) == 0
    record = json.loads(next(data_dir.glob("runs/coco/run2-*/record.json")).read_text())
    assert record["dataset"]["fingerprint"] in out and record["dataset"]["name"] == "coco"
    assert "Attribution License" in record["dataset"]["source"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--images", "1"], "at least 2"),
        (["--split", "test2017"], "one of train2017, val2017"),
        (["--preprocess", "stretch"], "unknown preprocess 'stretch'"),
        (["--sizes", "0"], "image_size must be"),
        (["--root", "/no/such/folder"], "has none of"),
        (["--allow-missing", "3"], "a share from 0 to 1"),
        (["--base-url", "http://127.0.0.1:9/", "--connections", "0"], "from 1 to 64"),
    ],
)
def test_what_can_not_be_fetched_is_one_line(arguments: list[str], says: str, data_dir: Path, capsys) -> None:
    assert main(["data", "coco", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_the_official_captions_make_a_sample(coco_captions: Path) -> None:
    data = parse_annotations(coco_captions.read_bytes(), "val2017")
    sample = draw_sample(data, 1_000, 42)
    assert len(sample["images"]) == 1_000 and len(sample["licenses"]) == 8
    assert {a["image_id"] for a in sample["annotations"]} == {row["id"] for row in sample["images"]}
