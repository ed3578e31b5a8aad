"""Decode + resize + cache, images a second and peak memory, against the plain way; prints a table, writes JSON.

    python benchmarks/decode.py [FOLDER] [--rounds 5] [--json build/benchmarks/decode.json]

The plain way: Pillow, one process, a Python list of arrays, ``np.stack`` and ``np.save`` in the end. Ours:
``open_pixels`` from nothing, that is decoding in a process for each CPU, the checked cache on the disk, opening it.
Neither reads the captions. Every measurement is a process of its own, in turn: plain, ours, ceiling, plain, ...
Imports are not counted. The ceiling is what one plain process on each CPU decode together, each all of the images and
none waiting for another: how much the machine has to give just then, whatever the program.

CPU seconds are those of a process and its workers. Peak memory is that of a process and its workers together, pages
that they share counted once (PSS; Linux), every 10 ms in a run of each way that is not timed; "imports" is what it is
before the first image.

FOLDER is a COCO-captions folder. Its photographs are measured as they are, and enlarged to 640 x 480 with some noise
in a temporary folder, which gives files of COCO's size (about 0.16 MB): what COCO's images cost to decode.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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
    print("ready", flush=True)
    with tempfile.TemporaryDirectory() as out:
        started, cpu = time.perf_counter(), sum(os.times()[:4])
        if way == "plain":
            n = plain(files, size, preprocess, Path(out))
        else:
            n = ours(folder, listing, size, preprocess, Path(out))
        seconds = time.perf_counter() - started
    print(json.dumps({"images": n, "seconds": seconds, "cpu_seconds": sum(os.times()[:4]) - cpu}))


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
            "cpu_seconds": statistics.median(row["cpu_seconds"] for row in rows),
            **peak_memory(way, folder, size, preprocess),
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
    children = [start(way, folder, size, preprocess) for _ in range(n)]
    return [json.loads(child.communicate()[0].splitlines()[-1]) for child in children]


def start(way: str, folder: Path, size: int, preprocess: str) -> subprocess.Popen:
    """A process that measures one of the ways."""
    command = [sys.executable, __file__, str(folder), "--one", way, str(size), preprocess]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def peak_memory(way: str, folder: Path, size: int, preprocess: str) -> dict[str, float | None]:
    """MiB of a process with its workers: at most, and before the first image; None where there is no /proc."""
    process = start(way, folder, size, preprocess)
    process.stdout.readline()  # "ready"
    imports = peak = memory(process.pid)
    while process.poll() is None:
        now = memory(process.pid)
        peak = now if peak is None or (now is not None and now > peak) else peak
        time.sleep(0.01)
    process.communicate()
    return {"peak_mib": peak, "imports_mib": imports}


def memory(pid: int) -> float | None:
    """PSS of a process and its children, MiB; None if it can't be known."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        kib = 0
        for each in [pid, *children]:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            kib += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return kib / 1024
    except (OSError, StopIteration):  # ended meanwhile, or another system
        return None


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
    heads += ("CPU s, plain | ours", 21), ("peak MiB, plain | ours (imports)", 34)
    print(" " * 36 + "".join(f"{head:>{width}}" for head, width in heads))
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
                cpu = " | ".join(f"{found[way]['cpu_seconds']:.2f}" for way in WAYS)
                peaks = " | ".join(
                    "not known" if found[way]["peak_mib"] is None
                    else f"{found[way]['peak_mib']:.0f} ({found[way]['imports_mib']:.0f})"
                    for way in WAYS
                )  # fmt: skip
                columns = (rates[0], 26), (rates[1], 26), (spreads[0], 22), (spreads[1], 22), (cpu, 21), (peaks, 34)
                print(f"{case:36}" + "".join(f"{text:>{width}}" for text, width in columns), flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(options.json)


if __name__ == "__main__":
    main()
