"""The study's decision tree as data, and the path that a set of verdicts takes through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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


@dataclass(frozen=True)
class DecisionPath:
    """The way a set of verdicts takes through the tree: node ids, and the verdict at each question."""

    path: tuple[str, ...]
    verdicts: dict[str, str]

    @property
    def conclusion(self) -> str:
        """Title of the last node reached."""
        return next(node.title for node in TREE if node.id == self.path[-1])


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
