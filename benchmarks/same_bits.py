"""Does today's code compute the same bits as an earlier commit's? Every experiment of that commit at smoke, by both.

    python benchmarks/same_bits.py COMMIT [EXPERIMENT:KEY=VALUE ...]

For whoever changes training or evaluation code and believes that the existing experiments are not touched: it runs both
versions, on one thread, compares weights, history, timeline, metrics and captions, and prints the line that belongs
into ``provenance.SAME_BITS`` if nothing differs. The records of that commit then stand. Two to four minutes. What is
measured in addition today, a metric or an interval, is no difference. A recipe that was changed on purpose can be held
against its old self: ``run6:decoder_memory=0`` after the commit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
COMPARED = ("weights_sha256", "history", "timeline", "metrics", "captions", "confusion", "verdict")
# Run by each version in its own checkout: experiment names of the older one -> what is compared of their records.
_RUN = """
import json, sys
import vljepa_core
from vljepa_core import provenance, recipes
names = json.loads(sys.argv[1]) or list(recipes.EXPERIMENTS)
changes = json.loads(sys.argv[3])
found = {}
for name in names:
    data = "shapes" if name == "test0" else "scenes"
    record = vljepa_core.run(name, scale="smoke", data=data, progress=False, **changes.get(name, {}))
    found[name] = {key: getattr(record, key) for key in json.loads(sys.argv[2])}
print(json.dumps({"core": provenance.core_hash(), "found": found}, sort_keys=True))
"""


def made_by(checkout: Path, names: list[str], data: Path, changes: dict[str, dict] | None = None) -> dict:
    """What the code in a checkout makes of these experiments (all that it knows, for an empty list)."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "VLJEPA_DATA": str(data),
        "VLJEPA_QUIET": "1",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", _RUN, json.dumps(names), json.dumps(COMPARED), json.dumps(changes or {})]
    done = subprocess.run(command, cwd=checkout, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def same(key: str, before: Any, now: Any) -> bool:
    """Whether what a record held is what it holds now; a metric or an interval that it lacked is no difference."""
    if key != "metrics":
        return before == now
    return all(
        name in now and all(value is None or value == now[name][part] for part, value in metric.items())
        for name, metric in before.items()
    )


def main(commit: str, changes: dict[str, dict]) -> int:
    """0 if all experiments of the commit have the same bits today, with some values of today's recipes changed."""
    git = ["git", "-C", str(REPOSITORY)]
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "old"
        subprocess.run([*git, "worktree", "add", "--detach", "--quiet", str(old), commit], check=True)
        try:
            before = made_by(old, [], Path(folder) / "old-data")
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(old)], check=True)
        if unknown := changes.keys() - before["found"].keys():
            sys.exit(f"{commit} has no experiment {', '.join(sorted(unknown))}")
        now = made_by(REPOSITORY, list(before["found"]), Path(folder) / "new-data", changes)
    different = 0
    for name, values in before["found"].items():
        differing = [key for key in COMPARED if not same(key, values[key], now["found"][name][key])]
        print(f"{name}: {'the same' if not differing else 'differs in ' + ', '.join(differing)}")
        different += bool(differing)
    if different == 0:
        held = f"  # with {', '.join(sys.argv[2:])}" if changes else ""
        print(f'"{before["core"]}": "{commit}",{held}')
    return int(different > 0)


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    asked: dict[str, dict] = {}
    for argument in sys.argv[2:]:
        experiment, colon, pair = argument.partition(":")
        key, equals, value = pair.partition("=")
        if not (colon and equals):
            sys.exit(f"{argument}: expected EXPERIMENT:KEY=VALUE, e.g. run6:decoder_memory=0")
        try:
            asked.setdefault(experiment, {})[key] = json.loads(value)
        except json.JSONDecodeError:
            asked.setdefault(experiment, {})[key] = value
    sys.exit(main(sys.argv[1], asked))
