"""The book's data page says of what a build used: source, licence, counts, fingerprint."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.test_coco import make_folder
from vljepa_core.runs import prepare


def section(data: str) -> str:
    spec = importlib.util.spec_from_file_location("data_used", REPOSITORY / "book" / "data_used.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.section("smoke", data, 0)


def test_generated_data_are_named_with_their_licence(data_dir: Path) -> None:
    page = section("scenes")
    dataset = prepare("run2", "smoke", "scenes").dataset
    assert "### shapes" in page and "### scenes" in page
    assert "CC BY-SA 4.0" in page and "OpenMoji" in page
    assert dataset.fingerprint in page and f"| images | {len(dataset.images):,} |" in page


def test_a_folder_is_named_with_the_licences_that_its_files_give(data_dir: Path, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "photos", n_train=12, n_val=6)
    for split, named in (("train", 3), ("val", 1)):
        file = folder / f"captions_{split}.json"
        held = json.loads(file.read_text())
        held["info"] = {"description": "Photographs\n\nof | ours"}
        held["licenses"] = [{"id": 4, "name": "Attribution License", "url": "u"}]
        held["images"] = [{**row, "license": 4} if i < named else row for i, row in enumerate(held["images"])]
        file.write_text(json.dumps(held))
    page = section(str(folder))
    row = next(line for line in page.splitlines() if line.startswith("| source and licences") and "ours" in line)
    assert "Photographs of \\| ours" in row and "Attribution License (4), none named (14)" in row
    assert "| images | 18 |" in page and "| images, train | 12 |" in page and "| of them in run2, val | 6 |" in page
    assert prepare("run2", "smoke", str(folder)).dataset.fingerprint in page
