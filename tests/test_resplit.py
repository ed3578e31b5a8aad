"""``data resplit``: the same photographs, validation images that nothing was chosen on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.test_coco import load, make_folder
from vljepa_core.__main__ import main
from vljepa_core.datasets.annotations import read_folder


def by_split(folder: Path) -> dict[str, dict]:
    found: dict[str, dict] = {"train": {}, "val": {}}
    for entry in read_folder(folder).entries:
        found[entry.split][entry.image_id] = (Path(entry.path).name, entry.captions, entry.licence)
    return found


def test_new_validation_images_come_from_the_old_training_images(tmp_path: Path, capsys) -> None:
    folder, out = make_folder(tmp_path / "photos", n_train=30, n_val=8), tmp_path / "again"
    assert main(["data", "resplit", str(folder), str(out)]) == 0
    assert f"{out}: 30 train, 8 val" in capsys.readouterr().out
    old, new = by_split(folder), by_split(out)
    assert new["val"].keys() < old["train"].keys() and len(new["val"]) == 8
    assert new["train"].keys() == old["train"].keys() - new["val"].keys() | old["val"].keys()
    assert {**new["train"], **new["val"]} == {**old["train"], **old["val"]}, "files and captions go with their images"
    a, b = load(folder), load(out)
    pixels = [dict(zip(d.image_ids, d.images, strict=True)) for d in (a, b)]
    assert all(np.array_equal(pixels[0][i], pixels[1][i]) for i in pixels[0]) and len(pixels[1]) == 38
    assert b.name == "again" and b.fingerprint != a.fingerprint and "photos, split anew with seed 1" in b.source


def test_one_that_was_killed_is_made_again(tmp_path: Path, monkeypatch) -> None:
    from vljepa_core.datasets import resplit as module

    folder, out = make_folder(tmp_path / "photos", n_train=30, n_val=8), tmp_path / "again"
    written = []

    def killed(path: Path, data: bytes) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path.write_bytes(data))

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            module.resplit(folder, out)
    assert not out.exists()
    assert module.resplit(folder, out) == {"train": 30, "val": 8}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "photos"] and len(by_split(out)["val"]) == 8


def test_a_seed_draws_the_same_and_another_one_others(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", n_train=30, n_val=8)
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main(["data", "resplit", str(folder), str(tmp_path / name), "--seed", seed, "--val", "10"]) == 0
    a, b, c = (by_split(tmp_path / name)["val"] for name in "abc")
    assert a == b and a.keys() != c.keys() and len(c) == 10


def test_licences_and_folders_of_their_own_are_kept(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos")
    for split in ("train", "val"):
        file = folder / f"captions_{split}.json"
        data = json.loads(file.read_text())
        (folder / "images" / split).mkdir()
        for image in data["images"]:
            (folder / "images" / image["file_name"]).rename(folder / "images" / split / image["file_name"])
            image["license"] = 7
        file.write_text(json.dumps({**data, "licenses": [{"id": 7, "name": "Attribution License"}]}))
    assert main(["data", "resplit", str(folder), str(tmp_path / "again")]) == 0
    entries = read_folder(tmp_path / "again").entries
    assert {entry.licence for entry in entries} == {"Attribution License"} and len(
        load(tmp_path / "again").images
    ) == 12


@pytest.mark.parametrize(
    ("spoil", "arguments", "says"),
    [
        (lambda folder: (folder.parent / "again").mkdir(), [], "is there already"),
        (lambda folder: (folder / "captions_val.json").unlink(), [], "give no split"),
        (lambda folder: (folder / "download.json").write_text("{}"), [], "another one: data coco --seed 43"),
        (lambda folder: None, ["--val", "8"], "8 validation images can't be drawn from 8 training images"),
        (lambda folder: None, ["--val", "0"], "0 validation images can't be drawn"),
    ],
)
def test_what_cannot_be_split_is_said(spoil, arguments, says: str, tmp_path: Path, capsys) -> None:
    folder = make_folder(tmp_path / "photos")
    spoil(folder)
    assert main(["data", "resplit", str(folder), str(tmp_path / "again"), *arguments]) == 2
    assert says in capsys.readouterr().err
    assert not list((tmp_path / "again").glob("captions*"))
