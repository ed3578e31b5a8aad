"""Decode + resize + cache, images a second and peak memory, against the plain way; prints a table, writes JSON.

    python benchmarks/decode.py [FOLDER] [--rounds 5] [--json build/benchmarks/decode.json]

The plain way: Pillow, one process, a Python list of arrays, ``np.stack`` and ``np.save`` in the end. Ours:
``open_pixels`` from nothing, that is decoding in threads, the checked cache, opening it. Neither reads the captions.
Every measurement is a process of its own (peak memory belongs to a process), in turn: plain, ours, ceiling, plain,
... Imports are not counted. The ceiling is what one plain process on each CPU decode together, each all of the
images and none waiting for another: how much the machine has to give just then, whatever the program.

FOLDER is a COCO-captions folder. Its photographs are measured as they are, and enlarged to 640 x 480 with some noise
in a temporary folder, which gives files of COCO's size (about 0.16 MB): what COCO's images cost to decode.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vljepa_core.datasets.annotations import Listing

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared" / "data" / "flickr8k"
WAYS = ("plain", "ours")


def plain(files: list[Path], size: int, preprocess: str, out: Path) -> int:
    """The way one would write it first."""
    import numpy as np
    from PIL import Image, ImageOps

    images = []
    for path in files:
        image = Image.open(path).convert("RGB")
        if preprocess == "squash":
            image = image.resize((128, 128), Image.Resampling.BICUBIC).resize((size, size), Image.Resampling.BILINEAR)
        else:
            image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
        images.append(np.asarray(image))
    np.save(out / "images.npy", np.stack(images))
    return len(images)


def ours(folder: Path, listing: Listing, size: int, preprocess: str, out: Path) -> int:
    """This repository's."""
    from vljepa_core.datasets.coco import open_pixels

    return len(open_pixels(folder, listing, size, preprocess, out)[0].pixels)


def one(way: str, folder: Path, size: int, preprocess: str) -> None:
    """In a process of its own: time one of the ways, print what it took."""
    import numpy  # noqa: F401
    from PIL import Image  # noqa: F401

    import vljepa_core.datasets.coco  # noqa: F401
    from vljepa_core.datasets.annotations import read_folder

    listing = read_folder(folder)
    files = [Path(entry.path) for entry in listing.entries]
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        if way == "plain":
            n = plain(files, size, preprocess, Path(out))
        else:
            n = ours(folder, listing, size, preprocess, Path(out))
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"images": n, "seconds": seconds, "peak_mib": peak / 1024, "idle_mib": idle / 1024}))


def measure(folder: Path, size: int, preprocess: str, rounds: int) -> dict[str, dict[str, float]]:
    """Both ways in turn; medians over the rounds."""
    runs: dict[str, list[dict]] = {way: [] for way in WAYS}
    ceilings = []
    for _ in range(rounds):
        for way in WAYS:
            runs[way] += at_once(1, way, folder, size, preprocess)
        together = at_once(cpus(), "plain", folder, size, preprocess)
        ceilings.append(sum(runs["plain"][-1]["seconds"] / row["seconds"] for row in together))
    found = {
        way: {
            "images": rows[0]["images"],
            "per_second": statistics.median(row["images"] / row["seconds"] for row in rows),
            "slowest": min(row["images"] / row["seconds"] for row in rows),
            "fastest": max(row["images"] / row["seconds"] for row in rows),
            "peak_mib": statistics.median(row["peak_mib"] for row in rows),
            "idle_mib": statistics.median(row["idle_mib"] for row in rows),
        }
        for way, rows in runs.items()
    }
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(runs["plain"], runs["ours"], strict=True)]
    spread = {"times_faster": ratios, "ceiling": ceilings}
    return {
        **found,
        **{k: {"median": statistics.median(v), "least": min(v), "most": max(v)} for k, v in spread.items()},
    }


def at_once(n: int, way: str, folder: Path, size: int, preprocess: str) -> list[dict]:
    """n processes side by side."""
    command = [sys.executable, __file__, str(folder), "--one", way, str(size), preprocess]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    children = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(n)]
    return [json.loads(child.communicate()[0]) for child in children]


def cpus() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def enlarged(folder: Path, target: Path, n: int) -> Path:
    """The first n photographs of each captions file at COCO's usual size."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    (target / "images").mkdir(parents=True)
    for file in sorted(folder.glob("captions*.json")):
        data = json.loads(file.read_text())
        data["images"] = data["images"][:n]
        kept = {row["id"] for row in data["images"]}
        data["annotations"] = [a for a in data["annotations"] if a["image_id"] in kept]
        (target / file.name).write_text(json.dumps(data))
        for row in data["images"]:
            image = Image.open(folder / "images" / row["file_name"]).convert("RGB")
            pixels = np.asarray(image.resize((640, 480), Image.Resampling.BICUBIC), dtype=np.float32)
            noisy = (pixels + rng.normal(0, 14, pixels.shape[:2])[..., None]).clip(0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(target / "images" / row["file_name"], quality=90)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SHARED)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--enlarged", type=int, default=1_000, metavar="N", help="photographs for the 640 x 480 case")
    parser.add_argument("--json", type=Path, default=REPOSITORY / "build" / "benchmarks" / "decode.json")
    parser.add_argument("--one", nargs=3, metavar=("WAY", "SIZE", "PREPROCESS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        return one(options.one[0], options.folder, int(options.one[1]), options.one[2])
    if not options.folder.is_dir():
        parser.error(f"{options.folder}: no such folder; give one with images/ and captions*.json")
    machine = f"{platform.machine()}, {cpus()} CPUs, Python {platform.python_version()}"
    report = {"machine": machine, "rounds": options.rounds, "cases": {}}
    print(f"{machine}; medians of {options.rounds} interleaved rounds (slowest to fastest)")
    heads = ("plain, images/s", 26), ("ours, images/s", 26), ("times faster", 22), ("ceiling", 22)
    print(" " * 36 + "".join(f"{head:>{width}}" for head, width in (*heads, ("peak MiB, plain | ours", 25))))
    with tempfile.TemporaryDirectory() as temporary:
        large = enlarged(options.folder, Path(temporary) / "large", options.enlarged)
        for name, folder in (("640 x 480", large), ("as they are", options.folder)):
            for preprocess in ("squash", "crop"):
                found = measure(folder, 64, preprocess, options.rounds)
                case = f"{name}, {preprocess} 64 px, {found['ours']['images']:,}"
                report["cases"][case] = found
                rates = [
                    f"{r['per_second']:,.0f} ({r['slowest']:,.0f} to {r['fastest']:,.0f})" for r in map(found.get, WAYS)
                ]
                spreads = [
                    f"{t['median']:.2f} ({t['least']:.2f} to {t['most']:.2f})"
                    for t in (found["times_faster"], found["ceiling"])
                ]
                peaks = f"{found['plain']['peak_mib']:.0f} | {found['ours']['peak_mib']:.0f}"
                print(f"{case:36}{rates[0]:>26}{rates[1]:>26}{spreads[0]:>22}{spreads[1]:>22}{peaks:>25}", flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(options.json)


if __name__ == "__main__":
    main()
