"""``python -m vljepa_core audit``: any captioner's output, set beside trivial answers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vljepa_core.datasets import DataError


def add_audit_command(commands: argparse._SubParsersAction) -> None:
    """Add ``audit`` to the command line."""
    audit = commands.add_parser("audit", help="does a captioner look at its images? any model's captions, no model run")
    audit.add_argument("predictions", type=Path, help='COCO results: [{"image_id": 42, "caption": "a dog runs"}, ...]')
    audit.add_argument("captions", type=Path, help="human captions of these images, a COCO captions file")
    audit.add_argument("--train", type=Path, metavar="FILE", help="the captions it was trained on, likewise")
    audit.add_argument(
        "--scores",
        type=Path,
        metavar="FILE",
        help=".npy of floats (N, N), nats: [i, j] is log p(a human caption of image i | image j), images in the order "
        "of the predictions (their first N)",
    )
    audit.add_argument("--html", type=Path, metavar="FILE", help="write the report with figures to this file")
    audit.add_argument("--partial", action="store_true", help="only some of the images were captioned")
    audit.set_defaults(function=audit_command)


def audit_command(options: argparse.Namespace) -> int:
    """Print an audit of a captioner's output, and write its page."""
    from vljepa_core import audit_files
    from vljepa_core.audit import audit
    from vljepa_core.audit_page import page, terminal
    from vljepa_core.figures.display import printable
    from vljepa_core.files import write_atomically

    read = [options.predictions, options.captions, options.train, options.scores]
    if options.html and options.html.resolve() in [path.resolve() for path in read if path]:
        raise DataError(f"--html {options.html}: that is a file to be read; name another one")
    if options.html and options.html.is_dir():  # said now, and not after a minute of scoring
        raise DataError(f"--html {options.html}: that is a folder; name a file, such as {options.html / 'report.html'}")
    references = audit_files.read_captions(options.captions)
    predictions = audit_files.read_predictions(options.predictions, references, options.partial)
    train = None
    if options.train:
        train = [caption for each in audit_files.read_captions(options.train).values() for caption in each]
    scores = audit_files.read_scores(options.scores, len(predictions)) if options.scores else None
    print(f"auditing {len(predictions):,} captions; CIDEr takes most of a minute at most", file=sys.stderr)
    found = audit(predictions, references, train, scores, str(options.scores))
    print(terminal(found))
    if options.html:
        write_atomically(options.html, page(found, printable(options.predictions.name)).encode())
        print(f"\nwritten to {options.html}")
    return 0
