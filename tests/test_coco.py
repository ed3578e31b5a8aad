"""Any COCO-captions folder is a dataset: real photographs, and everything that can be wrong with a folder."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vljepa_core.datasets import imaging
from vljepa_core.datasets.coco import load_coco_folder
from vljepa_core.datasets.dataset import DataError, Dataset

RNG = np.random.default_rng(0)
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
FLICKR = Path(__file__).parents[1].parent / "shared" / "data" / "flickr8k"


def picture(width: int = 40, height: int = 30) -> Image.Image:
    """A smooth RGB picture without symmetry, with a little noise."""
    y, x = np.mgrid[0:height, 0:width]
    planes = np.stack([255 * x / width, 255 * y / height, 128 + 60 * np.sin(x / 5 + y / 9)], axis=-1)
    return Image.fromarray((planes + RNG.integers(0, 20, planes.shape)).clip(0, 255).astype(np.uint8))


def captions_file(file: Path, names: dict, captions: dict | None = None, **more) -> Path:
    """``names`` maps id -> file name, ``captions`` id -> texts (by default one each)."""
    captions = {i: [f"picture {i}"] for i in names} if captions is None else captions
    rows = [(i, text) for i, texts in captions.items() for text in texts]
    data = {
        "images": [{"id": i, "file_name": name} for i, name in names.items()],
        "annotations": [{"id": k, "image_id": i, "caption": text} for k, (i, text) in enumerate(rows)],
        **more,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data), encoding="utf-8")
    return file


def make_folder(folder: Path, n_train: int = 8, n_val: int = 4) -> Path:
    """A clean folder with train and val files; images 0.png, 1.png, ..."""
    (folder / "images").mkdir(parents=True)
    for i in range(n_train + n_val):
        picture(30 + i, 40 - i % 7).save(folder / "images" / f"{i}.png")
    captions_file(folder / "captions_train.json", {i: f"{i}.png" for i in range(n_train)})
    captions_file(folder / "captions_val.json", {i: f"{i}.png" for i in range(n_train, n_train + n_val)})
    return folder


def load(folder: Path, image_size: int = 16, **options) -> Dataset:
    options = {"cache_dir": folder.parent / "cache", "progress": False, **options}
    return load_coco_folder(folder, image_size, **options)


def split_ids(d: Dataset) -> dict[str, list]:
    return {name: [d.image_ids[i] for i in rows] for name, rows in d.splits.items()}


def squashed(image: Image.Image, size: int = 16) -> np.ndarray:
    """The published preprocessing, said again."""
    return np.asarray(image.convert("RGB").resize((128, 128), Image.BICUBIC).resize((size, size), Image.BILINEAR))


# ---------------------------------------------------------------- real photographs


@pytest.mark.skipif(not FLICKR.is_dir(), reason="the Flickr8k folder is not beside this repository")
def test_real_photographs(tmp_path: Path) -> None:
    d = load_coco_folder(FLICKR, 64, cache_dir=tmp_path, progress=False)
    assert {name: len(rows) for name, rows in d.splits.items()} == {"train": 6074, "val": 989}
    assert d.images.shape == (7063, 64, 64, 3) and isinstance(d.images, np.memmap)
    assert d.summary["images used"] == 7063 and d.summary["captions used"] == 5 * 7063
    listed = {}
    for split in ("train", "val"):
        data = json.loads((FLICKR / f"captions_{split}.json").read_text())
        names = {row["id"]: row["file_name"] for row in data["images"]}
        assert [d.image_ids[i] for i in d.splits[split]] == list(names)
        for a in data["annotations"]:
            listed.setdefault(a["image_id"], (names[a["image_id"]], []))[1].append(a["caption"].strip())
    for row in random.Random(1).sample(range(7063), 5):
        name, captions = listed[d.image_ids[row]]
        assert np.array_equal(d.images[row], squashed(Image.open(FLICKR / "images" / name), 64))
        assert d.captions[row] == captions
    long = sum(len(c.encode()) > 126 for _, captions in listed.values() for c in captions)
    assert d.summary["captions over 126 bytes, cut by the tokenizer"] == long
    again = load_coco_folder(FLICKR, 64, cache_dir=tmp_path, progress=False)
    assert again.fingerprint == d.fingerprint


# ---------------------------------------------------------------- colour modes and preprocessing


def one(tmp_path: Path, file: Path, **options) -> tuple[np.ndarray, Dataset]:
    """Pixels of ``file`` loaded through a folder that also holds one plain picture."""
    folder = file.parent.parent
    picture().save(folder / "images" / "plain.png")
    captions_file(folder / "captions_all.json", {"it": file.name, "plain": "plain.png"})
    d = load(folder, **options)
    return d.images[d.image_ids.index("it")], d


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "f" / "images").mkdir(parents=True)
    return tmp_path / "f" / "images"


@pytest.mark.parametrize("size", [16, 64, 128, 150])
def test_squash_is_the_published_preprocessing(tmp_path: Path, images: Path, size: int) -> None:
    picture(800, 600).save(images / "a.jpg")  # large enough that a reduced decoding would show
    pixels, _ = one(tmp_path, images / "a.jpg", image_size=size)
    assert np.array_equal(pixels, squashed(Image.open(images / "a.jpg"), size))


@pytest.mark.parametrize(("width", "height"), [(90, 50), (50, 90), (31, 32), (16, 16), (5, 300)])
def test_crop_keeps_the_central_square(tmp_path: Path, images: Path, width: int, height: int) -> None:
    picture(width, height).save(images / "a.png")
    pixels, _ = one(tmp_path, images / "a.png", preprocess="crop")
    side, image = min(width, height), Image.open(images / "a.png")
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((16, 16), Image.BILINEAR)
    # exact but for half-pixel centres, and for the filter's view across the square's edge
    assert np.abs(pixels.astype(int) - np.asarray(square)).mean() < 8
    if (width - side) % 2 == 0 and (height - side) % 2 == 0 and width == height:
        assert np.array_equal(pixels, square)


def test_crop_of_a_large_jpeg_is_decoded_small(tmp_path: Path, images: Path) -> None:
    picture(1600, 1200).save(images / "a.jpg", quality=95)
    pixels, _ = one(tmp_path, images / "a.jpg", preprocess="crop", image_size=32)
    exact = Image.open(images / "a.jpg").crop((200, 0, 1400, 1200)).resize((32, 32), Image.BILINEAR)
    assert np.abs(pixels.astype(int) - np.asarray(exact)).max() <= 4


def test_modes(tmp_path: Path, images: Path) -> None:
    """Each unusual colour mode against its conversion written out, and its line in the summary."""
    rgb = picture()
    grey = np.asarray(rgb.convert("L"))
    sixteen = grey.astype(np.uint16) * 256 + 77
    alpha = rgb.copy()
    alpha.putalpha(Image.fromarray(np.where(np.arange(40) < 20, 0, 255).astype(np.uint8)[None].repeat(30, 0)))
    on_white = np.asarray(rgb).copy()
    on_white[:, :20] = 255
    palette = rgb.quantize(16)
    colours = np.asarray(palette.convert("RGB"))
    clear = palette.info | {"transparency": 3}
    clear_pixels = colours.copy()
    clear_pixels[np.asarray(palette) == 3] = 255
    saved = {
        "grey.png": (Image.fromarray(grey), grey, "grey images converted"),
        "grey.jpg": (Image.fromarray(grey), None, "grey images converted"),
        "bilevel.png": (rgb.convert("1"), np.asarray(rgb.convert("1").convert("L")), "grey images converted"),
        "grey-alpha.png": (alpha.convert("LA"), None, "grey images converted"),
        "palette.png": (palette, colours, "palette images converted"),
        "palette.gif": (palette, colours, "palette images converted"),
        "clear.png": (palette, clear_pixels, "palette images converted"),
        "alpha.png": (alpha, on_white, "transparent images put on white"),
        "alpha.webp": (alpha, None, "transparent images put on white"),
        "cmyk.jpg": (rgb.convert("CMYK"), None, "CMYK images converted"),
        "cmyk.tif": (rgb.convert("CMYK"), np.asarray(rgb), "CMYK images converted"),
        "sixteen.png": (Image.fromarray(sixteen), grey, "16-bit images reduced to 8"),
        "sixteen.tif": (Image.fromarray(sixteen), grey, "16-bit images reduced to 8"),
        "plain.bmp": (rgb, np.asarray(rgb), None),
    }
    for name, (image, _, _) in saved.items():
        image.save(images / name, **({"transparency": clear["transparency"]} if name == "clear.png" else {}))
    captions_file(images.parent / "captions_all.json", {name: name for name in saved})
    d = load(images.parent)
    assert d.summary["images used"] == len(saved)
    for name, (_, expected, _) in saved.items():
        pixels = d.images[d.image_ids.index(name)]
        if expected is None:  # a lossy file: compare with what Pillow itself makes of it
            image = Image.open(images / name)
            expected = np.asarray(image.convert("RGB")) if image.mode in ("L", "CMYK") else None
        if expected is not None:
            assert np.array_equal(pixels, squashed(Image.fromarray(expected))), name
    left = np.s_[:, :7]
    for name in ("alpha.webp", "grey-alpha.png"):
        assert (d.images[d.image_ids.index(name)][left] > 250).all(), name
    assert {line: d.summary[line] for _, _, line in saved.values() if line} == {
        "grey images converted": 6,  # the two 16-bit ones are grey as well
        "palette images converted": 3,
        "transparent images put on white": 4,
        "CMYK images converted": 2,
        "16-bit images reduced to 8": 2,
    }


def png(width: int, height: int, depth: int, colour: int, rows: bytes, clear: bytes = b"") -> bytes:
    """A PNG written by hand; ``clear`` is its transparent colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + (chunk(b"tRNS", clear) if clear else b"")
    body += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_sixteen_bit_colour(tmp_path: Path, images: Path) -> None:
    samples = RNG.integers(0, 2**16, (9, 9, 3))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    clear = samples[0, 0].astype(">u2").tobytes()  # ignored: other colours are the same in 8 bits
    (images / "a.png").write_bytes(png(9, 9, 16, 2, rows, clear))
    pixels, d = one(tmp_path, images / "a.png")
    assert np.array_equal(pixels, squashed(Image.fromarray((samples >> 8).astype(np.uint8))))
    assert d.summary["16-bit images reduced to 8"] == 1 and d.summary["transparent images put on white"] == 0


@pytest.mark.parametrize("orientation", range(0, 10))
def test_exif_orientation(tmp_path: Path, images: Path, orientation: int) -> None:
    upright = picture()
    undo = {  # how a camera held that way would have stored the upright picture
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(images / "a.png", exif=exif)
    pixels, d = one(tmp_path, images / "a.png")
    assert np.array_equal(pixels, squashed(upright))
    assert d.summary["EXIF-rotated images turned"] == (orientation in undo)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")  # of this test's own look at the file
def test_damaged_exif_is_no_reason_to_drop(tmp_path: Path, images: Path) -> None:
    picture().save(images / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 40)
    pixels, _ = one(tmp_path, images / "a.jpg")
    assert np.array_equal(pixels, squashed(Image.open(images / "a.jpg")))


def test_large_is_handled_and_huge_is_refused(tmp_path: Path, images: Path, capsys) -> None:
    Image.new("1", (8192, 4000), 1).save(images / "large.png")
    (images / "bomb.png").write_bytes(png(30_000, 30_000, 8, 2, b""))  # only claims to be that large
    Image.new("1", (8192, 8193)).save(images / "huge.png")
    picture().save(images / "plain.png")
    names = {i: name for i, name in enumerate(["large.png", "bomb.png", "huge.png", "plain.png"])}
    captions_file(images.parent / "captions_all.json", names)
    d = load(images.parent, progress=True)
    assert d.image_ids == [0, 3] and d.summary["images too large"] == 2
    assert (d.images[0] == 255).all()
    said = capsys.readouterr().err
    assert "decoding f: 100%" in said and "img/s" in said
    assert "bomb.png: too large" in said and "huge.png: too large: 8192 x 8193 pixels" in said
    assert "67,108,864" in said


def test_extreme_proportions_cost_no_memory(tmp_path: Path, images: Path) -> None:
    Image.new("L", (100_000, 1), 9).save(images / "a.png")
    for preprocess in imaging.PREPROCESSING:
        pixels, _ = one(tmp_path, images / "a.png", preprocess=preprocess)
        assert (pixels == 9).all()


# ---------------------------------------------------------------- bad images


def test_bad_images_are_dropped_named_and_counted(tmp_path: Path, capsys) -> None:
    folder = make_folder(tmp_path / "f", 30, 6)
    at = folder / "images"
    picture(200, 200).save(at / "cut.jpg")
    os.truncate(at / "cut.jpg", 2000)
    picture(200, 200).save(at / "cut.png")
    os.truncate(at / "cut.png", 3000)
    (at / "empty.jpg").touch()
    (at / "text.jpg").write_text("not a picture")
    (at / "script.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    (at / "directory.jpg").mkdir()
    os.mkfifo(at / "pipe.jpg")
    Image.fromarray(np.ones((4, 4), np.float32)).save(at / "float.tif")
    bad = "cut.jpg cut.png empty.jpg text.jpg script.jpg directory.jpg pipe.jpg float.tif".split()
    names = {i: f"{i}.png" for i in range(30)} | {n: n for n in bad} | {"gone": "gone.jpg"}
    captions_file(folder / "captions_train.json", names)
    d = load(folder, progress=True)
    assert d.image_ids == list(range(36)) and len(d.images) == 36
    assert (d.summary["images listed"], d.summary["images used"]) == (45, 36)
    assert (d.summary["images unreadable"], d.summary["images missing"]) == (8, 1)
    for i in (0, 29, 30, 35):  # rows stay with their ids
        assert np.array_equal(d.images[i], squashed(Image.open(at / f"{i}.png")))
    said = capsys.readouterr().err
    assert "8 images unreadable" in said and "1 images missing" in said and "cut.jpg: unreadable" in said
    again = load(folder, progress=True)
    assert (again.summary, again.fingerprint) == (d.summary, d.fingerprint)
    assert capsys.readouterr().err == ""  # said once


def test_a_bad_image_that_is_repaired_is_noticed(tmp_path: Path, capsys) -> None:
    folder = make_folder(tmp_path / "f")
    (folder / "images" / "3.png").rename(tmp_path / "kept.png")
    assert load(folder).summary["images missing"] == 1
    (tmp_path / "kept.png").rename(folder / "images" / "3.png")
    d = load(folder)
    assert d.summary["images missing"] == 0 and d.image_ids == list(range(12))
    assert "3.png" in capsys.readouterr().err
    assert d.fingerprint == load(folder, cache_dir=tmp_path / "other").fingerprint


def test_too_many_bad_images_stop_the_load(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f", 110, 10)
    for i in range(12):
        (folder / "images" / f"{i}.png").write_bytes(b"")
    assert load(folder).summary["images unreadable"] == 12  # 10 % is still accepted
    (folder / "images" / "50.png").unlink()
    with pytest.raises(DataError, match=r"at least 13 of 120 images can't be used, more than 10%") as error:
        load(folder)
    assert "0.png: unreadable" in str(error.value) and "and 8 more" in str(error.value)
    with pytest.raises(DataError):  # and no cache of the rest was left
        load(folder)


def test_nothing_left(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f", 3, 2)
    for file in (folder / "images").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"no usable image is left of 5\n  0.png: missing"):
        load(folder)


# ---------------------------------------------------------------- captions and ids


def test_captions_are_cleaned_and_counted(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f", 4, 2)
    texts = {
        0: ["  a dog \n", "", "   \t", "a dog"],
        1: ["ein Hund läuft über die Straße 犬", "x" * 126, "y" * 127, "é" * 64],
        2: [None, 7, "\ud800 half", "fine"],
        3: ["", " "],
        99: ["of nobody", "of nobody either"],
    }
    captions_file(folder / "captions_train.json", {i: f"{i}.png" for i in range(4)}, texts)
    d = load(folder)
    assert d.image_ids == [0, 1, 2, 4, 5]
    assert d.captions[:3] == [["a dog", "a dog"], texts[1], ["fine"]]
    expected = {
        "images without captions": 1,
        "empty captions, dropped": 5,
        "captions that are not text, dropped": 2,
        "captions over 126 bytes, cut by the tokenizer": 2,
        "captions not in ASCII, kept": 2,
        "annotations of unknown images": 2,
        "captions used": 9,
    }
    assert {line: d.summary[line] for line in expected} == expected


def test_duplicate_ids(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f", 6, 2)
    data = json.loads((folder / "captions_train.json").read_text())
    data["images"] += [
        {"id": 0, "file_name": "0.png"},  # the same again
        {"id": "other", "file_name": "1.png"},  # the same file under another id
        {"id": 2, "file_name": "3.png"},  # one id, two files: captions can't be told apart
    ]
    data["annotations"] += [
        {"id": 0, "image_id": 0, "caption": "picture 0"},  # verbatim again
        {"id": 0, "image_id": 4, "caption": "a second text"},  # only its id again
        {"id": 77, "image_id": "other", "caption": "by another name"},
    ]
    (folder / "captions_train.json").write_text(json.dumps(data))
    d = load(folder)
    assert d.image_ids == [0, 1, 3, 4, 5, 6, 7]
    assert d.captions[:4] == [
        ["picture 0"],
        ["picture 1", "by another name"],
        ["picture 3"],
        ["picture 4", "a second text"],
    ]
    expected = {
        "duplicate image ids": 1,
        "images listed under two ids, merged": 1,
        "images with an ambiguous id": 2,
        "duplicate annotation ids": 2,
    }
    assert {line: d.summary[line] for line in expected} == expected


def test_an_image_of_both_splits_stays_in_val_only(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f", 8, 4)
    names = {i: f"{i}.png" for i in range(8)} | {8: "8.png", "leak": "./9.png"}
    captions_file(folder / "captions_train.json", names)
    d = load(folder)
    assert split_ids(d) == {"train": list(range(8)), "val": [8, 9, 10, 11]}
    assert d.summary["train images that are also in val, dropped"] == 2
    assert d.captions[9] == ["picture 9"]


def test_ids_numbered_anew_in_each_file_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f", 12, 12)
    captions_file(folder / "captions_val.json", {i: f"{12 + i}.png" for i in range(12)})
    with pytest.raises(DataError, match=r"0.png: id 0 in captions_train.json also names 12.png"):
        load(folder)


# ---------------------------------------------------------------- layout, splits


def test_one_file_is_split_by_the_stated_rule(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f", 25, 1)
    (folder / "captions_val.json").unlink()
    order = sorted(range(25), key=lambda i: hashlib.sha256(f"42:{i}.png".encode()).digest())
    d = load(folder)
    assert split_ids(d) == {"train": sorted(order[2:]), "val": sorted(order[:2])}  # round(2.5) is 2
    assert len(load(folder, val_fraction=0.4).splits["val"]) == 10
    other = load(folder, split_seed=1)
    assert other.fingerprint != d.fingerprint and split_ids(other) != split_ids(d)
    for name in (
        "captions_all.json",
        "captions_val.json",
        "captions.json",
    ):  # whatever a single file is called
        (folder / "captions_train.json").rename(folder / name)
        assert load(folder).fingerprint == d.fingerprint
        (folder / name).rename(folder / "captions_train.json")


def test_cocos_own_layout(tmp_path: Path, capsys) -> None:
    folder = tmp_path / "coco"
    for split, ids in (("train2017", (1, 2, 3)), ("val2017", (4,))):
        (folder / split).mkdir(parents=True)
        for i in ids:
            picture().save(folder / split / f"{i:012}.jpg")
        licences = [{"id": 4, "name": "Attribution License", "url": "u"}]
        file = captions_file(
            folder / "annotations" / f"captions_{split}.json",
            {i: f"{i:012}.jpg" for i in ids},
            info={"description": "COCO 2017 Dataset", "url": "http://cocodataset.org"},
            licenses=licences,
        )
        data = json.loads(file.read_text())
        for row in data["images"][:2]:
            row["license"] = 4
        file.write_text(json.dumps(data))
    captions_file(folder / "annotations" / "captions_extra.json", {})
    (folder / "annotations" / "instances_val2017.json").write_text("{}")
    d = load(folder, progress=True)
    assert split_ids(d) == {"train": [1, 2, 3], "val": [4]}
    assert d.source == (
        "COCO 2017 Dataset http://cocodataset.org. "
        "Read from coco/captions_train2017.json, captions_val2017.json. "
        "Licences of the images as the files name them: Attribution License (3), none named (1)."
    )
    assert "not read, being neither train nor val: captions_extra.json" in capsys.readouterr().err
    sidecar = json.loads(next((tmp_path / "cache").glob("*.json")).read_text())
    assert sidecar["body"]["notes"]["licences"] == ["Attribution License"] * 2 + [None, "Attribution License"]


def test_images_in_subfolders_and_links_inside(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f", 4, 2)
    (folder / "images" / "sub").mkdir()
    (folder / "images" / "1.png").rename(folder / "images" / "sub" / "1.png")
    (folder / "images" / "1.png").symlink_to("sub/1.png")
    captions_file(folder / "captions_train.json", {0: "0.png", 1: "sub/1.png", 2: "2.png", 3: "1.png"})
    d = load(folder)
    assert d.image_ids == [0, 1, 2, 4, 5] and d.captions[1] == ["picture 1", "picture 3"]
    (tmp_path / "link").symlink_to(folder)
    assert load(tmp_path / "link").fingerprint == d.fingerprint


@pytest.mark.parametrize(
    "name", ["../x.png", "/etc/hosts", "sub/../../x.png", "..\\x.png", "C:\\x.png", "link.png", "dir/x.png"]
)
def test_file_names_that_leave_the_folder_are_an_error(tmp_path: Path, name: str) -> None:
    folder = make_folder(tmp_path / "f")
    picture().save(folder / "x.png")
    (folder / "images" / "link.png").symlink_to(folder / "x.png")
    (folder / "images" / "dir").symlink_to(folder)
    captions_file(folder / "captions_train.json", {0: "0.png", 1: name})
    with pytest.raises(DataError, match="leaves") as error:
        load(folder)
    assert "captions_train.json" in str(error.value) and repr(name) in str(error.value)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("name", ["", ".", "a\0b.png", "/", "\ud800.png"])
def test_file_names_that_name_no_file(tmp_path: Path, name: str) -> None:
    folder = make_folder(tmp_path / "f")
    captions_file(folder / "captions_train.json", {0: "0.png", 1: name})
    with pytest.raises(DataError, match="names no file"):
        load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not JSON"),
        ('{"images": [', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1, 2]", "a JSON list, not an object"),
        ("{}", 'no list "images"'),
        ('{"images": []}', 'no list "annotations"'),
        ('{"images": [3], "annotations": []}', r"images\[0\] is not an object"),
        ('{"images": [{"id": 1}], "annotations": []}', r'images\[0\] has no "file_name"'),
        ('{"images": [{"id": 1.5, "file_name": "a"}], "annotations": []}', "not a whole number or text"),
        ('{"images": [{"id": [], "file_name": "a"}], "annotations": []}', "not a whole number or text"),
        ('{"images": [{"id": 1, "file_name": null}], "annotations": []}', "file_name None, not text"),
        ('{"images": [], "annotations": [{"id": 1, "image_id": 1, "bbox": []}]}', 'has no "caption"'),
    ],
)
def test_json_that_is_not_coco_captions(tmp_path: Path, content: str, message: str) -> None:
    folder = make_folder(tmp_path / "f")
    (folder / "captions_val.json").write_text(content)
    with pytest.raises(DataError, match=message) as error:
        load(folder)
    assert "captions_val.json" in str(error.value) and "expected COCO captions" in str(error.value)


def test_ids_that_are_text_here_and_numbers_there_are_shown_as_they_are(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f")
    for file in folder.glob("captions_*.json"):
        data = json.loads(file.read_text())
        file.write_text(json.dumps({**data, "images": [{**row, "id": str(row["id"])} for row in data["images"]]}))
    with pytest.raises(DataError, match=r"0.png: no caption \(image_id '0'\)"):
        load(folder)


def test_byte_order_mark_and_wrong_encoding(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f")
    file = folder / "captions_val.json"
    plain = load(folder).fingerprint
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load(folder).fingerprint == plain
    file.write_bytes(file.read_bytes().replace(b"picture", b"pictur\xe9"))
    with pytest.raises(DataError, match="not JSON"):
        load(folder)


def test_wrong_layouts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder; expected FOLDER/images/"):
        load(tmp_path / "nowhere")
    (tmp_path / "f").mkdir()
    with pytest.raises(DataError, match=r"no captions\*.json here or in annotations/; expected"):
        load(tmp_path / "f")
    captions_file(tmp_path / "f" / "captions_train.json", {0: "0.png"})
    with pytest.raises(DataError, match="captions_train.json: no folder with its images; looked for"):
        load(tmp_path / "f")
    (tmp_path / "f" / "images").mkdir()
    picture().save(tmp_path / "f" / "images" / "0.png")
    with pytest.raises(DataError, match="both splits need at least one"):
        load(tmp_path / "f")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preprocess": "stretch"}, "unknown preprocess 'stretch'; known: squash, crop"),
        ({"image_size": 0}, "image_size"),
        ({"image_size": 64.0}, "image_size"),
        ({"val_fraction": 1.0}, "val_fraction"),
        ({"val_fraction": float("nan")}, "val_fraction"),
        ({"workers": 0}, "workers"),
    ],
)
def test_wrong_arguments(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(make_folder(tmp_path / "f"), **options)


# ---------------------------------------------------------------- cache and fingerprint


def test_fingerprint_is_of_what_is_learned_from(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a")
    d = load(folder)
    copy = tmp_path / "elsewhere" / "b"
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)  # another place, other times
    assert load(copy, workers=1).fingerprint == d.fingerprint
    different = {d.fingerprint}
    different.add(load(folder, preprocess="crop").fingerprint)
    different.add(load(folder, image_size=17).fingerprint)
    captions_file(folder / "captions_val.json", {i: f"{i}.png" for i in range(8, 12)}, {i: ["new"] for i in range(12)})
    different.add(load(folder).fingerprint)
    captions_file(folder / "captions_val.json", {i: f"{i}.png" for i in range(8, 11)})
    different.add(load(folder).fingerprint)
    assert len(different) == 5


def test_fingerprint_tells_preprocessings_apart_even_on_equal_pixels(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f")
    for file in (folder / "images").iterdir():
        Image.new("RGB", (30, 20), "red").save(file)
    a, b = load(folder), load(folder, preprocess="crop")
    assert np.array_equal(a.images, b.images) and a.fingerprint != b.fingerprint


def test_new_captions_do_not_decode_again(tmp_path: Path, monkeypatch) -> None:
    folder = make_folder(tmp_path / "f")
    load(folder)
    monkeypatch.setattr(imaging, "decode", lambda *_: pytest.fail("decoded again"))
    captions_file(folder / "captions_val.json", {i: f"{i}.png" for i in range(8, 12)}, {i: ["new"] for i in range(12)})
    assert load(folder).captions[-1] == ["new"]


def test_a_changed_source_file_is_noticed(tmp_path: Path, capsys) -> None:
    folder = make_folder(tmp_path / "f")
    before = load(folder)
    old = before.images[5].copy()
    picture(50, 50).save(folder / "images" / "5.png")
    after = load(folder)
    assert "5.png" in capsys.readouterr().err
    assert not np.array_equal(after.images[5], old) and after.fingerprint != before.fingerprint
    assert np.array_equal(after.images[5], squashed(Image.open(folder / "images" / "5.png")))


def test_truncated_cache_is_rebuilt(tmp_path: Path, capsys) -> None:
    folder = make_folder(tmp_path / "f")
    d = load(folder)
    os.truncate(next((tmp_path / "cache").glob("*.npy")), 1000)
    assert load(folder).fingerprint == d.fingerprint
    assert "truncated?" in capsys.readouterr().err


def test_progress_off_is_silent(tmp_path: Path, capfd) -> None:
    load(make_folder(tmp_path / "f"))
    assert capfd.readouterr() == ("", "")


def fork_load(folder: Path, cache_dir: Path, result: Path, die_at: int = 0) -> int:
    """Load in a forked child once FOLDER/go exists; it kills itself at decode ``die_at``, or leaves
    its number of decodes and the fingerprint in ``result``. Returns its pid."""
    if pid := os.fork():
        return pid
    try:
        decode, done = imaging.decode, []

        def counted(*args) -> tuple:
            done.append(1)
            if len(done) == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.01)
            return decode(*args)

        imaging.decode = counted
        while not (folder / "go").exists():
            time.sleep(0.01)
        d = load(folder, cache_dir=cache_dir)
        result.write_text(f"{len(done)} {d.fingerprint}")
    finally:
        os._exit(0)  # never back into pytest


@needs_fork
def test_killed_while_building_then_built_again(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f", 50, 10)
    (folder / "go").touch()
    _, status = os.waitpid(fork_load(folder, tmp_path / "cache", tmp_path / "result", die_at=40), 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    assert not list((tmp_path / "cache").glob("*.json")) and not list((tmp_path / "cache").glob("*.npy"))
    after, undisturbed = load(folder), load(folder, cache_dir=tmp_path / "undisturbed")
    assert after.fingerprint == undisturbed.fingerprint
    assert np.array_equal(after.images, undisturbed.images) and after.summary == undisturbed.summary


@needs_fork
def test_two_processes_at_once(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "f", 50, 10)
    results = [tmp_path / "first", tmp_path / "second"]
    pids = [fork_load(folder, tmp_path / "cache", result) for result in results]
    (folder / "go").touch()
    for pid in pids:
        os.waitpid(pid, 0)
    found = [result.read_text().split() for result in results]
    assert sorted(int(decoded) for decoded, _ in found) == [0, 60]  # one built, the other opened
    assert {fingerprint for _, fingerprint in found} == {load(folder).fingerprint}


@pytest.mark.parametrize(("called", "name"), [("scenes", "folder-scenes"), ("shapes", "folder-shapes"), ("my", "my")])
def test_a_folder_never_passes_for_generated_data(tmp_path: Path, called: str, name: str) -> None:
    """Captions of generated data may be published, other people's may not."""
    assert load(make_folder(tmp_path / called)).name == name


def makes_records(place: Path, *arguments: str) -> bool:
    """Whether `make records` in an empty checkout would run something."""
    if not (place / "constraints.txt").exists():
        (place / "constraints.txt").touch()
    left_out = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "VLJEPA_DATA")
    environment = {k: v for k, v in os.environ.items() if k not in left_out}
    makefile = Path(__file__).parents[1] / "Makefile"
    command = ["make", "-f", str(makefile), "PYTHON=echo ran", "SCALE=smoke", *arguments, "records"]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=True)
    return "ran -m vljepa_core run" in done.stdout


@pytest.mark.skipif(shutil.which("make") is None, reason="GNU make is not installed")
def test_make_notices_that_a_folders_captions_or_images_changed(tmp_path: Path) -> None:
    """A build of a folder (a space in its name) is made again when there is a file more, and only then."""
    folder = make_folder(tmp_path / "own data", 2, 1)

    def made() -> bool:
        return makes_records(tmp_path, f"DATA={folder}")

    assert [made(), made()] == [True, False]
    picture().save(folder / "images" / "more.png")
    assert [made(), made()] == [True, False]
    captions_file(folder / "captions_val.json", {2: "2.png", 3: "more.png"})
    assert [made(), made()] == [True, False]


@pytest.mark.skipif(shutil.which("make") is None, reason="GNU make is not installed")
def test_make_notices_a_control_that_is_asked_for_later_and_more_of_coco(tmp_path: Path) -> None:
    assert [makes_records(tmp_path), makes_records(tmp_path)] == [True, False]
    assert [makes_records(tmp_path, "CONTROLS=run4_token") for _ in range(2)] == [True, False]
    assert not makes_records(tmp_path)  # one less is no reason
    manifest = tmp_path / "data" / "coco" / "download.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    assert [makes_records(tmp_path, "DATA=coco") for _ in range(2)] == [True, False]
    manifest.write_text('{"images": 2}')
    assert makes_records(tmp_path, "DATA=coco")
