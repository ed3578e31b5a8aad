"""``python -m vljepa_core run | probe | rate | sweep | rungs | describe | audit | data``: the core from a terminal."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from vljepa_core.data_commands import add_data_command
from vljepa_core.datasets import DataError
from vljepa_core.rate_commands import add_rate_command
from vljepa_core.recipes import EXPERIMENTS, SCALES, RecipeError, recipe
from vljepa_core.run_commands import add_run_command, parse_changes
from vljepa_core.rung_commands import add_rungs_command
from vljepa_core.sweep_commands import add_sweep_command


def main(arguments: list[str] | None = None) -> int:
    """Parse and run one command; returns the exit status (2: what was asked for can't be)."""
    parser = argparse.ArgumentParser(prog="python -m vljepa_core", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    run = add_run_command(commands)
    probe = commands.add_parser("probe", help="how much of its plan a trained captioner uses, on any number of images")
    probe.add_argument("experiment", metavar="EXPERIMENT", help="a captioning run that is finished here")
    probe.add_argument("--data", default="scenes", help="as for run")
    probe.add_argument("--seed", type=int, default=0)
    probe.add_argument("--images", type=int, default=200, help="of validation (200); the time grows with the square")
    probe.add_argument("--scores", type=Path, metavar="FILE", help=".npy: also keep log p(caption i | plan j), in nats")
    probe.set_defaults(function=probe_command)

    rate = add_rate_command(commands)
    add_sweep_command(commands)
    add_rungs_command(commands)

    describe = commands.add_parser("describe", help="recipe, parameters, cost of a step, what GPUs could do")
    describe.add_argument("experiment", metavar="EXPERIMENT", help=", ".join(EXPERIMENTS))
    describe.add_argument("--json", action="store_true", help="machine-readable")
    describe.set_defaults(function=describe_command)

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

    add_data_command(commands)
    for command in (run, probe, rate, describe):
        command.add_argument("--scale", default="laptop", help=", ".join(SCALES))
        command.add_argument(
            "--set",
            nargs="+",
            default=[],
            metavar="KEY=VALUE",
            help="change recipe values, e.g. --set plan_vectors=32 word_dropout=token",
        )
    options = parser.parse_args(arguments)
    try:
        return options.function(options)
    except (RecipeError, DataError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def probe_command(options: argparse.Namespace) -> int:
    """Print the probes of a finished run beside chance."""
    import io

    import numpy as np

    from vljepa_core import probes, runs
    from vljepa_core.figures.units import number, unit_of
    from vljepa_core.files import write_atomically
    from vljepa_core.plan_probes import score_run

    run = runs.prepare(options.experiment, options.scale, options.data, options.seed, **parse_changes(options.set))
    scores = score_run(runs.load_model(run), run.recipe, run.dataset, run.seed, options.images, run.features)
    if options.scores:
        file = io.BytesIO()
        np.save(file, scores)
        write_atomically(options.scores, file.getvalue())
    chance = probes.chance(len(scores))
    for name, found in probes.probe(scores).items():
        unit = unit_of(name)
        value, low, high, by_chance = (number(name, x) for x in (found.value, found.low, found.high, chance[name]))
        print(f"{unit.label:42} {value:>8} [{low}, {high}]  by chance {by_chance}  {unit.unit}")
    return 0


def describe_command(options: argparse.Namespace) -> int:
    """Print what a recipe costs."""
    from vljepa_core.describe import describe
    from vljepa_core.roofline import ISSUE_SECONDS

    found = describe(recipe(options.experiment, options.scale, **parse_changes(options.set)))
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    for key, value in found["recipe"].items():
        print(f"{key:22} {value}")
    print()
    for room, count in found["parameters"].items():
        print(f"{room + ' parameters':28} {count:>14,}")
    print(f"{'plan':28} {found['plan_bytes']:>14,} bytes (fp16)")
    print(f"{'one training step':28} {found['flops_per_step'] / 1e9:>14,.1f} GFLOP ({found['flops_note']})")
    for part, count in found["memory_bytes"].items():
        print(f"{'memory, ' + part.replace('_', ' '):34} {count / 2**20:>8,.0f} MiB (estimate, float32)")
    print(f"{'moved by one step':28} {found['bytes_per_step'] / 1e9:>14,.2f} GB (float32; bf16 moves about half)")
    print(f"{'operators of one step':28} {found['operators_per_step']:>14,}\n")
    print("predicted, not measured: ms per step of bf16 arithmetic | memory (data sheets) | issuing operators")
    for row in found["cards"]:
        parts = " | ".join(f"{1e3 * seconds:6.2f}" for seconds in row["seconds"].values())
        print(f"  {row['card']:15} {parts}   waits for {row['waits_for']:10}  {row['source']}")
    print(
        f"  issuing: {ISSUE_SECONDS * 1e6:.0f} us per operator (one H200 machine); CUDA graphs and compilers avoid it"
    )
    if step := found["published_step"]:
        print(
            f"published: {1e3 * step['seconds']:.0f} ms per step on an unnamed GPU; for these counts that is "
            f"{step['flops_per_second'] / 1e12:.1f} TFLOP/s, {step['bytes_per_second'] / 1e9:.0f} GB/s, "
            f"{step['seconds_per_operator'] * 1e6:.0f} us per operator"
        )
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
