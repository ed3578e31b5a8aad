"""What 40,000 images at 64 px cost: bytes on disk, seconds to open, memory that is resident before they are used.

    python benchmarks/cache_size.py [--images 40000] [--size 64] [--json build/benchmarks/cache_size.json]

The folder is what `data coco` leaves behind, with random pixels and five captions of COCO's lengths for each image. It
is opened in a process of its own. "MiB opened" is how much more of the process is in memory (RSS; Linux) than after the
imports: all of it, that is captions, ids and licences too.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from vljepa_core.datasets import cache, downloaded  # noqa: E402
from vljepa_core.datasets.annotations import read_folder  # noqa: E402
from vljepa_core.files import write_atomically  # noqa: E402

WORDS = "a man woman riding on top of the wave with surfboard in blue ocean near large white building people".split()


def make(folder: Path, images: int, size: int) -> None:
    """A folder as `data coco` leaves it."""
    import hashlib

    rng = random.Random(0)
    rows = [
        {"id": 7 * i, "file_name": f"{7 * i:012d}.jpg", "license": i % 8 + 1, "height": 480, "width": 640,
         "coco_url": f"http://images.cocodataset.org/train2017/{7 * i:012d}.jpg", "date_captured": "2013-11-14",
         "flickr_url": f"http://farm7.staticflickr.com/6116/{6255196340 + i}_da26cf2c9e_z.jpg"}
        for i in range(images)
    ]  # fmt: skip
    captions = {
        "licenses": [{"id": i, "name": f"Attribution-NonCommercial-{i} License", "url": ""} for i in range(1, 9)],
        "images": rows,
        "annotations": [
            {"image_id": 7 * (i // 5), "id": i, "caption": " ".join(rng.choices(WORDS, k=11)).capitalize() + "."}
            for i in range(5 * images)
        ],
    }
    text = json.dumps(captions).encode()
    write_atomically(folder / downloaded.CAPTIONS, text)
    digest = hashlib.sha256(text).hexdigest()
    downloaded.Manifest(images, 42, "train2017", digest, {}).save(folder)
    listing = read_folder(folder, images=folder)
    block = np.random.default_rng(0).integers(0, 256, (500, size, size, 3), dtype=np.uint8)

    def build(write: cache.Write) -> dict:
        for i in range(images):
            write(block[i % 500])
        return downloaded.notes_of(listing, list(range(images)), [], Counter())

    cache.replace(
        downloaded.stem(folder, size, "squash"), downloaded.cache_key(digest, size, "squash"), (size, size, 3), build
    )


def resident() -> float:
    """MiB of this process that are in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status: no VmRSS; this needs Linux")


def open_it(folder: Path, size: int) -> None:
    """In a process of its own: open, then use a batch, then all."""
    before = resident()
    started = time.perf_counter()
    dataset = downloaded.load_downloaded(folder, size, "squash")
    seconds = time.perf_counter() - started
    opened = resident() - before
    _ = dataset.images[:64].astype(np.float32)
    batch = resident() - before
    for start in range(0, len(dataset.images), 1_000):
        dataset.images[start : start + 1_000].sum()
    found = {"seconds to open": seconds, "MiB imports": before, "MiB opened": opened, "MiB after a batch of 64": batch}
    print(json.dumps({**found, "MiB after every pixel was read": resident() - before}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--json", type=Path, default=REPOSITORY / "build" / "benchmarks" / "cache_size.json")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        return open_it(options.open, options.size)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make(folder, options.images, options.size)
        files = {p.name: p.stat().st_size for p in sorted(folder.iterdir())}
        command = [sys.executable, __file__, "--open", str(folder), "--size", str(options.size)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    report = {"machine": f"{platform.machine()}, Python {platform.python_version()}", "images": options.images,
              "size": options.size, "MB on disk": sum(files.values()) / 1e6, "files": files, **found}  # fmt: skip
    for name, value in report.items():
        if name != "files":
            print(f"{name:32} {value:,.1f}" if isinstance(value, float) else f"{name:32} {value}")
    for name, size in files.items():
        print(f"  {name:30} {size / 1e6:,.1f} MB")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(options.json)


if __name__ == "__main__":
    main()
