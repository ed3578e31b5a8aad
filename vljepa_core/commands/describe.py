"""``python -m vljepa_core describe``: what a recipe costs; trains nothing."""

from __future__ import annotations

import argparse
import json

from vljepa_core.commands.changes import parse_changes
from vljepa_core.recipes import EXPERIMENTS, recipe


def add_describe_command(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add ``describe`` to the command line; the caller adds --scale and --set, which several commands have."""
    describe = commands.add_parser("describe", help="recipe, parameters, cost of a step, what GPUs could do")
    describe.add_argument("experiment", metavar="EXPERIMENT", help=", ".join(EXPERIMENTS))
    describe.add_argument("--json", action="store_true", help="machine-readable")
    describe.set_defaults(function=describe_command)
    return describe


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
