"""Decision trees as data, and the paths through them: the study's, walked by its verdicts; the same with its last box
put to the test by Runs 5 and 6; and the one that its reader should have walked, by what the audit measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vljepa_core.records import Record
from vljepa_core.rungs import uses_plan
from vljepa_core.verdicts import RECITED_SHARE


@dataclass(frozen=True)
class Node:
    """A question of the decision tree, or (without exits) one of its conclusions."""

    id: str
    title: str
    experiment: str | None = None
    exits: tuple[tuple[str, str], ...] = ()


TREE: tuple[Node, ...] = (
    Node("test0", "Test 0: synthetic shapes", "test0", (("PASS", "run2"), ("not PASS", "pipeline"))),
    Node("run2", "Runs 1, 2: real captions", "run2", (("collapsed", "test3"), ("not collapsed", "captions"))),
    Node("test3", "Test 3: classification", "test3", (("better than chance", "run3"), ("chance", "encoder"))),
    Node("run3", "Run 3: stronger conditioning", "run3", (("collapsed", "run4"), ("fixed", "conditioning"))),
    Node("run4", "Run 4: refactored decoder", "run4", (("collapsed", "capacity"), ("fixed", "decoder"))),
    Node("pipeline", "The pipeline is broken"),
    Node("captions", "Not collapsed: judge the captions themselves"),
    Node("encoder", "The plan carries no category"),
    Node("conditioning", "Weak conditioning was the cause"),
    Node("decoder", "The decoder was the cause"),
    Node("capacity", "“Bottleneck capacity insufficient”"),
)

# The study's conclusion put to the test: what surrounds a plan of as many vectors is changed, its size is not.
ANSWERED: tuple[Node, ...] = (
    *(node for node in TREE if node.id != "capacity"),
    Node("capacity", "“Bottleneck capacity insufficient”", exits=(("tested", "run6"),)),
    Node("run6", "Run 6: as many vectors, ImageNet encoder", "run6", (("used", "run5"), ("not used", "open"))),
    Node(
        "run5", "Run 5: as many vectors, encoder from scratch", "run5", (("used", "training"), ("not used", "seeing"))
    ),
    Node("open", "Still open: this did not help"),
    Node("training", "Not the size: trained otherwise, such plans are used"),
    Node("seeing", "Not the size: given an encoder, such plans are used"),
)


@dataclass(frozen=True)
class DecisionPath:
    """The way a set of verdicts takes through the tree: node ids, and the verdict at each question."""

    path: tuple[str, ...]
    verdicts: dict[str, str]

    @property
    def conclusion(self) -> str:
        """Title of the last node reached."""
        return next(node.title for node in (*TREE, *ANSWERED, *CORRECTED) if node.id == self.path[-1])


def decision_path(verdicts: Mapping[str, str]) -> DecisionPath:
    """Walk the tree with the report's verdict of each experiment (``{"test0": "PASS", ...}``).

    A captioning verdict of FAIL is "collapsed"; a classification verdict other than FAIL is "better than
    chance", which is how the study read PARTIAL.

    Raises:
        KeyError: an experiment that the path needs has no verdict.
    """
    nodes = {node.id: node for node in TREE}
    path, node = ["test0"], nodes["test0"]
    while node.experiment is not None:
        if node.experiment not in verdicts:
            raise KeyError(f"the decision tree needs the verdict of {node.experiment}; run it first")
        verdict = verdicts[node.experiment]
        goes_on = verdict == "PASS" if node.id == "test0" else verdict != "FAIL"
        if node.id in ("run2", "run3", "run4"):
            goes_on = not goes_on  # the study goes on when captions collapse, and stops when they don't
        node = nodes[node.exits[0 if goes_on else 1][1]]
        path.append(node.id)
    return DecisionPath(tuple(path), dict(verdicts))


def answered_path(verdicts: Mapping[str, str], answers: Mapping[str, Record]) -> DecisionPath:
    """Walk ``ANSWERED``: the study's way; where it ends in "capacity", on through what Runs 6 and 5 make of plans.

    A plan is used as ``rungs.uses_plan`` has it.

    Args:
        verdicts: as for ``decision_path``.
        answers: "run6" and "run5", on the same data; the path ends before one that is missing or was not scored.

    Raises:
        KeyError: an experiment of the study that the path needs has no verdict.
    """
    studied = decision_path(verdicts)
    path, said = list(studied.path), dict(studied.verdicts)
    nodes = {node.id: node for node in ANSWERED}
    while (following := nodes[path[-1]].exits) and path[-1] in ("capacity", "run6", "run5"):
        if path[-1] == "capacity":
            path.append(following[0][1])
            continue
        record = answers.get(path[-1])
        used = None if record is None else uses_plan(record)
        if used is None:
            break
        said[path[-1]] = f"{round(record.value('infonce'), 2) + 0.0:.2f} bits"
        path.append(following[0 if used else 1][1])
    return DecisionPath(tuple(path), said)


# One caption for all pictures: where is the picture lost? Each question leaves one reason fewer.
CORRECTED: tuple[Node, ...] = (
    Node("bits", "Do captions tell pictures apart? (InfoNCE)", "bits", (("no", "probe"), ("yes", "used"))),
    Node("probe", "Can the plan be read better than an untrained one?", "probe", (("no", "free"), ("yes", "listens"))),
    Node("free", "Does a free plan of this size name its caption?", "free", (("yes", "way"), ("no", "size"))),
    Node("used", "The plan is used: ask how many bits"),
    Node("listens", "The decoder does not listen"),
    Node("size", "Too small, or not to be read"),
    Node("way", "Large enough: training puts nothing in"),
)


def corrected_path(run: Record, capacity: Sequence[Record]) -> DecisionPath:
    """Walk ``CORRECTED`` with a captioning run's probes and with the free plans of the capacity runs.

    A plan can be read better than an untrained one if the probe's 95% interval lies above what the untrained plan's
    probe scores; where no probe was fitted that is not shown. Where no free plans were learned the path ends at that
    question.

    Args:
        run: a captioning run whose plans were scored.
        capacity: records of ``capacity_table``, of any data; others are left aside.

    Raises:
        ValueError: the run's captions were not scored under its plans.
    """
    used = uses_plan(run)
    if used is None:
        raise ValueError(f"{run.experiment} ({run.data}, seed {run.seed}) was not scored, so there is no path for it")
    said = {"bits": f"{round(run.value('infonce'), 2) + 0.0:.2f} bits"}
    if used:
        return DecisionPath(("bits", "used"), said)
    plan, untrained = (run.metrics.get(f"probe_{name}") for name in ("plan", "untrained"))
    said["probe"] = f"{plan['value']:.1%}, {untrained['value']:.1%}" if plan and untrained else "not measured"
    if plan and untrained and plan["low"] > untrained["value"]:
        return DecisionPath(("bits", "probe", "listens"), said)
    recited = [r.value("greedy_exact") for r in capacity if r.experiment == "capacity_table"]
    if not recited:
        return DecisionPath(("bits", "probe", "free"), {**said, "free": "not run"})
    said["free"] = f"{min(recited):.1%} {'or more ' if len(recited) > 1 else ''}recited"
    return DecisionPath(("bits", "probe", "free", "way" if min(recited) >= RECITED_SHARE else "size"), said)
