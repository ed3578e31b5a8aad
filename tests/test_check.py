"""``data check``: what it says of a folder with known faults; and what opening a cache costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from vljepa_core.__main__ import main
from vljepa_core.datasets.cache import open_or_build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """20 images: one twice, in train and in val; one missing; a long, an empty and a repeated caption."""
    folder = tmp_path / "photos"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(20):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / "images" / f"{i}.png")
    (folder / "images" / "17.png").write_bytes((folder / "images" / "3.png").read_bytes())
    (folder / "images" / "5.png").unlink()
    for split, rows in (("train", range(15)), ("val", range(15, 20))):
        annotations = [{"id": i, "image_id": i, "caption": f"a dog number {i}"} for i in rows]
        annotations += [{"id": 100 + i, "image_id": i, "caption": f"a man and a boat {i % 2}"} for i in rows if i % 3]
        if split == "train":
            annotations += [{"id": 200, "image_id": 0, "caption": "a cat " + "x" * 130},
                            {"id": 201, "image_id": 1, "caption": " "}]  # fmt: skip
        (folder / f"captions_{split}.json").write_text(json.dumps({
            "licenses": [{"id": 4, "name": "Attribution License"}],
            "images": [{"id": i, "file_name": f"{i}.png", **({"license": 4} if i % 2 else {})} for i in rows],
            "annotations": annotations,
        }))  # fmt: skip
    return folder


def test_what_a_folder_holds(folder: Path, data_dir: Path, capsys) -> None:
    assert main(["data", "check", str(folder), "--size", "32"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for line in (
        "20 listed in captions_train.json, captions_val.json 19 used 14 train 5 val",
        "34 usable; per image: 1 for 6, 2 for 14",
        "1 exceed 126 bytes",
        "20 95.2% dog",
        "1 4.8% cat",
        "majority share 95.2%: what always answering 'dog' scores",
        "1 groups of images with the same pixels at 32 px, in train and in val 3, 17",
        "3 of 8 val captions (37.50%) are word for word in train, too",
        "10 none named 10 Attribution License",
        "5.png: missing: no such file",
        "1 empty captions, dropped",
    ):
        assert line in said, line
    assert "NOT USABLE" not in said


def test_a_folder_that_would_be_refused_is_described_all_the_same(folder: Path, data_dir: Path, capsys) -> None:
    for i in range(12):
        (folder / "images" / f"{i}.png").write_bytes(b"no image")
    assert main(["data", "check", str(folder)]) == 1
    said = capsys.readouterr().out
    assert "usable; per image" in said and "NOT USABLE AS IT IS" in said and "images can't be used" in said


def test_a_folder_that_is_not_there(data_dir: Path, capsys) -> None:
    assert main(["data", "check", "no/such/folder"]) == 2
    assert main(["data", "check", "coco"]) == 2
    said = capsys.readouterr().err
    assert "neither a known name" in said and "fetch it: make data" in said


@pytest.mark.parametrize("name", ["shapes", "scenes", "scenes:2"])
def test_data_that_is_drawn_here_is_not_said_to_be_unknown(name: str, data_dir: Path, capsys) -> None:
    assert main(["data", "check", name]) == 2
    said = capsys.readouterr().err
    assert f"{name}: drawn by this package" in said and "did you mean" not in said


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the process's memory from /proc")
def test_an_open_cache_is_not_in_memory(tmp_path: Path) -> None:
    """80 MB of pixels, checked in full at every opening; benchmarks/cache_size.py measures 40,000 images."""
    row = np.zeros((64, 64, 3), np.uint8)

    def build(write) -> dict:
        for _ in range(6_500):
            write(row)
        return {}

    open_or_build(tmp_path / "c", {}, row.shape, build)
    script = (
        "from benchmarks.cache_size import resident; from vljepa_core.datasets.cache import open_cache; "
        "from pathlib import Path; import sys; before = resident(); c = open_cache(Path(sys.argv[1]), {}); "
        "print(resident() - before); int(c.pixels[::1].sum()); print(resident() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "c")], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    opened, used = map(float, done.stdout.split())
    assert opened < 15 and used > 60
