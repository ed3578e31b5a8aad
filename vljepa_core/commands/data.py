"""``python -m vljepa_core data coco | check | resplit``: COCO fetched, a dataset looked through, or split anew."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vljepa_core.files import data_dir

SIZES = (64, 128)  # that the recipes ask for: the study's, and what a frozen EfficientNet-Lite0 is shown


def add_data_command(commands: argparse._SubParsersAction) -> None:
    """Add ``data`` and what belongs to it to the command line."""
    data = commands.add_parser("data", help="fetch COCO, say what a dataset holds, or split one anew")
    actions = data.add_subparsers(dest="action", required=True)

    coco = actions.add_parser(
        "coco",
        help="COCO 2017: captions, and a seeded sample of the images, resized as they arrive; resumes",
        description="Fetch a sample of COCO 2017, or go on fetching it; DATA=coco is then that sample.",
    )
    coco.add_argument("--images", type=int, default=40_000, help="size of the sample (default 40000)")
    coco.add_argument("--seed", type=int, default=42, help="of the sample (default 42)")
    coco.add_argument("--split", default="train2017", help="train2017 (default) or val2017")
    coco.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        action="extend",
        help="sides in pixels (default 64 128: the study's, and that of Run 6)",
    )
    coco.add_argument("--preprocess", nargs="+", action="extend", help="squash (as published; default), crop")
    coco.add_argument("--root", type=Path, help="folder with the official zips, or what is in them")
    coco.add_argument("--folder", type=Path, help="where it goes (default data/coco)")
    coco.add_argument("--base-url", help="of a mirror with the layout of images.cocodataset.org")
    coco.add_argument("--sha256", help="of annotations_trainval2017.zip, where it isn't the official file")
    coco.add_argument("--connections", type=int, default=16, help="transfers at a time (default 16)")
    coco.add_argument("--allow-missing", type=float, help="share of images that may be missing (default 0.01)")
    coco.set_defaults(function=coco_command)

    check = actions.add_parser("check", help="what a dataset holds, and what of it would be refused")
    check.add_argument("folder", help="coco, or a folder with images and COCO captions")
    check.add_argument("--size", type=int, default=64, help="side in pixels at which images are compared")
    check.add_argument("--preprocess", default="squash", help="squash (default) or crop")
    check.set_defaults(function=check_command)

    again = actions.add_parser(
        "resplit",
        help="the same photographs with validation images that nothing was chosen on",
        description="Make OUT a folder with FOLDER's images, which are linked to. Its validation images are drawn from "
        "those that FOLDER trains on; FOLDER's own are trained on instead.",
    )
    again.add_argument("folder", type=Path, help="with images and captions_train*.json, captions_val*.json")
    again.add_argument("out", type=Path, help="the new folder; its name is that of the data in records")
    again.add_argument("--seed", type=int, default=1, help="of the draw (default 1)")
    again.add_argument("--val", type=int, help="validation images (default: as many as FOLDER has)")
    again.set_defaults(function=resplit_command)


def coco_command(options: argparse.Namespace) -> int:
    """Fetch COCO; 0 if all of it, or enough, is there."""
    from vljepa_core.datasets.coco_download import Request, download

    given = {
        name: getattr(options, name) for name in ("base_url", "allow_missing") if getattr(options, name) is not None
    }
    request = Request(
        options.images,
        options.seed,
        options.split,
        tuple(dict.fromkeys(options.sizes or SIZES)),
        tuple(dict.fromkeys(options.preprocess or ["squash"])),
        options.root,
        sha256=options.sha256,
        connections=options.connections,
        **given,
    )
    folder = (options.folder or data_dir() / "coco").expanduser()
    try:
        missing = download(folder, request)
    except KeyboardInterrupt:
        print("\nstopped; what has arrived is kept, the same command goes on", file=sys.stderr)
        return 130
    if missing:
        print(f"{len(missing):,} of {request.images:,} images are missing (up to {request.allowed():,} may be):")
        print("".join(f"  {line}\n" for line in missing[:10]), end="")
        if missing[10:]:
            print(f"  ... all in {folder / 'missing.txt'}")
        print("The same command asks for them again.")

    from vljepa_core.datasets.downloaded import load_downloaded

    for preprocess in request.preprocess:
        for size in request.sizes:
            dataset = load_downloaded(folder, size, preprocess)
            parts = ", ".join(f"{len(rows):,} {split}" for split, rows in dataset.splits.items())
            print(
                f"{preprocess} {size} px: {len(dataset.images):,} images ({parts}), fingerprint {dataset.fingerprint}"
            )
    print(f"{folder}\nuse it: DATA={folder if options.folder else 'coco'}")
    return 0


def check_command(options: argparse.Namespace) -> int:
    """Print what a dataset holds; 1 if a run could not use it as it is."""
    from vljepa_core.datasets.check import check

    text, usable = check(options.folder, options.size, options.preprocess)
    print(text)
    return 0 if usable else 1


def resplit_command(options: argparse.Namespace) -> int:
    """Split a folder anew, and say how large the parts are."""
    from vljepa_core.datasets.resplit import resplit

    sizes = resplit(options.folder.expanduser(), options.out.expanduser(), options.seed, options.val)
    print(f"{options.out}: {', '.join(f'{n:,} {split}' for split, n in sizes.items())}\nuse it: DATA={options.out}")
    return 0
