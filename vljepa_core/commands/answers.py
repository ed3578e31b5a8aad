"""``python -m vljepa_core answers``: Runs 5 and 6 trained on a folder's photographs, and held against floors and goals.

For photographs that were kept apart: the recipes are those that the recorded floors were reached with, and nothing of
them is chosen on the folder's validation images.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vljepa_core.goals import Judged
    from vljepa_core.records import Record

EPILOG = """
FOLDER has images/, captions_train.json to train on and captions_val.json, the photographs kept apart. Up to 6,074 and
989 of them are taken, as in the recorded runs. What is finished is loaded, what was begun goes on: after a kill, give
the same command again.

examples:
  python -m vljepa_core answers --data FOLDER
  python -m vljepa_core answers run6 --data FOLDER --seed 0 1 2
  python -m vljepa_core answers --data FOLDER --published-plan
"""


def add_answers_command(commands: argparse._SubParsersAction) -> None:
    """Add ``answers`` to the command line."""
    answers = commands.add_parser(
        "answers",
        help="Runs 5 and 6 on photographs of yours, against floors and goals",
        description="Train Runs 5 and 6 and their blind twin as in the chapter 'Two answers' (4,560 steps on 6,074 "
        "photographs; three seeds took two core-hours), and hold them against their floors and goals.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    answers.add_argument("name", nargs="*", metavar="run5 | run6", help="both by default")
    answers.add_argument("--data", required=True, help="a folder with images and COCO captions, or as for run")
    answers.add_argument("--seed", nargs="+", action="extend", type=int, help="one or several (default 0)")
    answers.add_argument("--scale", default="laptop", help="laptop (default); smoke only to see that it runs")
    answers.add_argument(
        "--published-plan",
        action="store_true",
        help="16 x 256 numbers, 8 KB, in a model as wide at half the learning rate, in place of 16 x 128; laptop only",
    )
    answers.add_argument("--device", help="cpu, cuda or mps; the best there is by default")
    answers.set_defaults(function=answers_command)


def answers_command(options: argparse.Namespace) -> int:
    """Make or load the runs, and say what they reach; a floor that is missed is a result, and no failure."""
    from vljepa_core import runs
    from vljepa_core.goals import AT_LENGTH, GOALS, PUBLISHED_PLAN, judge, with_controls

    names = list(dict.fromkeys(options.name or GOALS))
    for name in names:
        if name not in GOALS:
            raise ValueError(f"{name}: floors are asked of {' and '.join(GOALS)}; trained alone: `run {name}`")
    if options.scale not in ("laptop", "smoke"):
        raise ValueError(f"--scale {options.scale}: floors were set at laptop; other scales: `run`, `sweep`")
    wider = PUBLISHED_PLAN if options.published_plan and options.scale == "laptop" else {}
    for seed in dict.fromkeys(options.seed or [0]):
        made: dict[str, Record] = {}
        for name in ("run5_blind", *names):
            changes = {**AT_LENGTH[name], **wider} if options.scale == "laptop" else {}
            place = (name, options.scale, options.data, seed)
            record = runs.run(*place, device=options.device, progress=True, **changes)
            examples = runs.prepare(*place, features=False, **changes).examples
            made[name] = with_controls(record, examples)
        for name in names:
            print(told(made[name], judge(made[name], [made["run5_blind"]])), flush=True)
    return 0


def told(record: Record, judged: Iterable[Judged]) -> str:
    """A record against its floors and goals, as lines of text: what was measured, [95% interval], floor and goal."""
    from vljepa_core.goals import MEASURES, number

    n = f"{record.dataset['n_train']:,} images, {record.dataset['n_val']:,} validation images"
    lines = [f"{record.experiment} on {record.data}, seed {record.seed} ({n}, {record.provenance['steps']:,} steps)"]
    for each in judged:
        if not each.applies or each.value is None:
            continue
        value = number(each.measure, each.value)
        if each.low is not None:
            value += f" [{number(each.measure, each.low)}, {number(each.measure, each.high)}]"
        for kind, asked, met in (("floor", each.floor, each.floor_met), ("goal", each.goal, each.goal_met)):
            if asked is not None:
                value += f"; {kind} {number(each.measure, asked)}: {'reached' if met else 'not reached'}"
        lines.append(f"  {MEASURES[each.measure]}: {value}")
    return "\n".join(lines)
