"""Work spread over processes: in order, in bounded memory, and gone whatever happens to the parent."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from tests.test_coco import captions_file, load, picture, squashed
from vljepa_core.datasets.workers import in_order

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_order_and_a_slot_is_not_reused_before_its_result_was_used(workers: int) -> None:
    ahead = 2 * workers
    slots = np.frombuffer(mmap.mmap(-1, ahead), np.uint8)

    def work(task: int) -> int:
        time.sleep(0.004 * (task % 3 == 0))  # some are overtaken
        slots[task % ahead] = task
        return task**2

    used = []
    for k, result in enumerate(in_order(work, range(60), workers, ahead)):
        time.sleep(0.002)
        used.append((result, slots[k % ahead]))
    assert used == [(k**2, k) for k in range(60)]
    assert list(in_order(work, [], workers, ahead)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_is_the_callers(workers: int) -> None:
    def work(task: int) -> int:
        return 1 // (3 - task)

    with pytest.raises(ZeroDivisionError):
        list(in_order(work, range(9), workers, 4))


@on_linux
def test_a_killed_worker_is_an_error_and_no_wait_without_end() -> None:
    def work(task: int) -> None:
        if task == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeError, match="a worker process was killed"):
        list(in_order(work, range(9), 2, 4))


# ---------------------------------------------------------------- a folder decoded by processes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """400 small photographs, of which 12 can't be used; enough for several blocks on each of two workers."""
    images = tmp_path / "f" / "images"
    images.mkdir(parents=True)
    for i in range(400):
        picture(40 + i % 9, 60 - i % 7).convert("L" if i % 50 == 7 else "RGB").save(images / f"{i}.jpg")
    for i in [0, 63, 64, 65, 130, 131, 255, 256, 300, 399]:
        (images / f"{i}.jpg").write_bytes(b"no picture")
    for i in [200, 201]:
        (images / f"{i}.jpg").unlink()
    captions_file(tmp_path / "f" / "captions_train.json", {i: f"{i}.jpg" for i in range(300)})
    captions_file(tmp_path / "f" / "captions_val.json", {i: f"{i}.jpg" for i in range(300, 400)})
    return tmp_path / "f"


@pytest.mark.parametrize("preprocess", ["squash", "crop"])
def test_pixels_notes_and_bad_images_do_not_depend_on_the_workers(
    folder: Path, tmp_path: Path, preprocess: str
) -> None:
    alone, both, many = (
        load(folder, cache_dir=tmp_path / f"cache{n}", workers=n, preprocess=preprocess) for n in (1, 2, 5)
    )
    assert alone.fingerprint == both.fingerprint == many.fingerprint
    assert alone.summary == both.summary == many.summary
    assert (alone.summary["images unreadable"], alone.summary["images missing"]) == (10, 2)
    assert alone.summary["grey images converted"] == 8
    assert np.array_equal(alone.images, both.images) and len(both.images) == 388
    if preprocess == "squash":
        for row, i in enumerate(both.image_ids):
            assert np.array_equal(both.images[row], squashed(Image.open(folder / "images" / f"{i}.jpg"))), i


BUILD = """
import sys, time
from pathlib import Path
from vljepa_core.datasets import imaging
from vljepa_core.datasets.coco import load_coco_folder
decode = imaging.decode
def slow(*arguments):
    time.sleep(0.05)
    return decode(*arguments)
imaging.decode = slow
load_coco_folder(Path(sys.argv[1]), 16, cache_dir=sys.argv[2], workers=2)
"""


def start(folder: Path, cache_dir: Path) -> tuple[subprocess.Popen, list[int]]:
    """A process that builds the cache slowly, in a process group of its own, and its two workers at work."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    parent = subprocess.Popen(
        [sys.executable, "-c", BUILD, str(folder), str(cache_dir)],
        env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    while parent.poll() is None and len(pids := children.read_text().split()) < 2:
        time.sleep(0.01)
    assert parent.poll() is None, parent.stderr.read()
    time.sleep(0.3)
    return parent, [int(pid) for pid in pids]


def gone(pids: list[int], within: float = 10.0) -> bool:
    """Whether none of the processes runs any more (a zombie, which nobody has waited for, doesn't)."""

    def runs(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except (FileNotFoundError, ProcessLookupError):
            return False

    end = time.monotonic() + within
    while time.monotonic() < end:
        if not any(map(runs, pids)):
            return True
        time.sleep(0.02)
    return False


@on_linux
def test_workers_leave_with_a_killed_parent_and_the_lock_is_free(folder: Path, tmp_path: Path) -> None:
    parent, workers = start(folder, tmp_path / "cache")
    parent.kill()
    parent.wait()
    assert gone(workers)
    d = load(folder, cache_dir=tmp_path / "cache")  # would wait for ever if one of them still held the lock
    assert d.fingerprint == load(folder, cache_dir=tmp_path / "undisturbed").fingerprint


@on_linux
def test_ctrl_c_ends_all_of_them_and_says_it_once(folder: Path, tmp_path: Path) -> None:
    parent, workers = start(folder, tmp_path / "cache")
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does
    said = parent.communicate(timeout=30)[1]
    assert said.count("KeyboardInterrupt\n") == 1 and "Process-" not in said
    assert gone(workers)
    assert [p.name for p in (tmp_path / "cache").iterdir() if p.suffix != ".lock"] == []


@on_linux
def test_disk_full(folder: Path, tmpfs: Path) -> None:
    filler = tmpfs / "filler"
    with open(filler, "wb", buffering=0) as out, pytest.raises(OSError, match="No space"):
        while True:
            out.write(b"\0" * 2**16)
    with open(filler, "r+b") as out:
        out.truncate(filler.stat().st_size - 2**17)  # 128 KiB are left of about 290 that are needed
    with pytest.raises(OSError, match="can't be written .*No space left.*free some space"):
        load(folder, cache_dir=tmpfs / "cache", workers=2)
    assert [p.name for p in (tmpfs / "cache").iterdir() if p.suffix != ".lock"] == []
    filler.unlink()
    assert len(load(folder, cache_dir=tmpfs / "cache", workers=2).images) == 388
