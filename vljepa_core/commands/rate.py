"""``python -m vljepa_core rate``: how few bytes of a trained captioner's plan are enough."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

EPILOG = """
The run has to be finished here: its weights are needed. Results go to rate.json in the run's folder, a row after each
codec; a command that was stopped goes on when it is given again.

examples:
  python -m vljepa_core run run2 --set K=16 && python -m vljepa_core rate run2 --set K=16
  python -m vljepa_core rate run2 --images 100 --no-images
"""


def add_rate_command(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add ``rate`` to the command line; the caller adds --scale and --set, which several commands have."""
    rate = commands.add_parser(
        "rate",
        help="bits and CIDEr of a trained captioner against the bytes that its plans are sent in",
        description="How few bytes of a trained captioner's plan are enough? Bits delivered and CIDEr at every codec, "
        "beside the image as JPEG and WebP.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    rate.add_argument("experiment", metavar="EXPERIMENT", help="a captioning run that is finished here")
    rate.add_argument("--data", default="scenes", help="as for run")
    rate.add_argument("--seed", type=int, default=0)
    rate.add_argument("--images", type=int, default=200, help="scored for bits (200); the time grows with the square")
    rate.add_argument("--full", action="store_true", help="all numbers of vectors and all widths in every precision")
    rate.add_argument("--no-images", action="store_true", help="leave out JPEG and WebP")
    rate.add_argument(
        "--keep",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="also copy the curve, to be committed (data/recorded/rate)",
    )
    rate.set_defaults(function=rate_command)
    return rate


def rate_command(options: argparse.Namespace) -> int:
    """Measure the curve of a finished run, print it, and keep it if asked to."""
    from vljepa_core import runs
    from vljepa_core.codecs import all_codecs, some_codecs
    from vljepa_core.commands.changes import parse_changes
    from vljepa_core.rate import LIMITS
    from vljepa_core.rate_runs import curve_of_run
    from vljepa_core.records import RECORDED, recorded_path
    from vljepa_core.report.rate import one_line, rate_verdict

    run = runs.prepare(options.experiment, options.scale, options.data, options.seed, **parse_changes(options.set))
    choose = all_codecs if options.full else some_codecs
    started = time.monotonic()
    curve = curve_of_run(
        run,
        codecs=choose(run.recipe.plan_vectors, run.recipe.dim),
        limits={} if options.no_images else LIMITS,
        scored=options.images,
        progress=lambda name: print(f"{time.monotonic() - started:6.0f} s  {name}", file=sys.stderr),
    )
    for row in sorted(curve.measured(), key=lambda row: row["bytes"]):
        print(one_line(row))
    print(rate_verdict(curve).alt)
    if options.keep is not None:
        folder = Path(options.keep) if options.keep else RECORDED / "rate"
        path = recorded_path(curve, folder)
        curve.save(path)
        print(f"kept as {path}", file=sys.stderr)
    return 0
