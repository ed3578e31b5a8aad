"""The core from a terminal: ``python -m vljepa_core COMMAND``; ``COMMAND -h`` tells the rest."""

from __future__ import annotations

import argparse
import sys

from vljepa_core.commands.answers import add_answers_command
from vljepa_core.commands.audit import add_audit_command
from vljepa_core.commands.data import add_data_command
from vljepa_core.commands.describe import add_describe_command
from vljepa_core.commands.probe import add_probe_command
from vljepa_core.commands.rate import add_rate_command
from vljepa_core.commands.run import add_run_command
from vljepa_core.commands.rungs import add_rungs_command
from vljepa_core.commands.sweep import add_sweep_command
from vljepa_core.datasets import DataError
from vljepa_core.recipes import SCALES, RecipeError


def main(arguments: list[str] | None = None) -> int:
    """Parse and run one command; returns the exit status (2: what was asked for can't be; 1: it did not come off)."""
    parser = argparse.ArgumentParser(prog="python -m vljepa_core", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    run = add_run_command(commands)
    add_answers_command(commands)
    probe = add_probe_command(commands)
    rate = add_rate_command(commands)
    add_sweep_command(commands)
    add_rungs_command(commands)
    describe = add_describe_command(commands)
    add_audit_command(commands)
    add_data_command(commands)
    for command in (run, probe, rate, describe):
        command.add_argument("--scale", default="laptop", help=", ".join(SCALES))
        command.add_argument(
            "--set",
            nargs="+",
            action="extend",
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
    except (FloatingPointError, RuntimeError) as error:
        if type(error).__name__ not in ("FloatingPointError", "OutOfMemoryError"):  # PyTorch's own need not be imported
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
