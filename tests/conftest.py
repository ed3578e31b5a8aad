"""What the tests share: an own data folder, tiny recipes, the shared photographs where they are."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

# Models this small are slower on two threads than on one, and tests run side by side. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell has `make test &` ignore Ctrl-C, and so would every process that a test starts in order to interrupt it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared" / "data"

# Small enough for a second, large enough that every mechanism has something to do.
TINY = dict(
    n_train=40,
    n_val=12,
    image_size=16,
    dim=16,
    heads=2,
    depth=1,
    plan_vectors=3,
    max_length=48,
    batch_size=16,
    epochs=3,
    warmup_epochs=1,
    max_new_tokens=24,
    probe_images=8,
)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches and runs of this test go to a folder of its own."""
    monkeypatch.setenv("VLJEPA_DATA", str(tmp_path))
    monkeypatch.setenv("VLJEPA_QUIET", "1")
    return tmp_path


@pytest.fixture
def coco_captions() -> Path:
    """The real COCO 2017 validation captions."""
    path = SHARED / "coco_captions_val2017.json"
    if not path.exists():
        pytest.skip(
            f"{path.name} is not here: the real COCO captions lie in ../shared/data on the developers' machines"
        )
    return path


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True)
    if made.returncode:
        pytest.skip(f"no small disk: mount needs root ({made.stderr.decode().strip()})")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
