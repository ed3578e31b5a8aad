"""The study's decision tree, with the path that a build took."""

from __future__ import annotations

from collections.abc import Sequence

from vljepa_core.decision_tree import TREE, DecisionPath, Node
from vljepa_core.figures.boxes import Arrow, Box, diagram
from vljepa_core.figures.display import Display, show
from vljepa_core.figures.style import styled


@styled
def decision_tree(
    taken: DecisionPath, tree: Sequence[Node] = TREE, whose: str = "the study", by: str = "this build"
) -> Display:
    """The tree from top to bottom; what is on the path is filled and thick, the rest dashed.

    Args:
        taken: the path of this build's verdicts, from ``decision_tree.decision_path``.
        tree: its nodes; the first exit of a node continues its column.
        whose: for the description.
        by: who took the path, in the boxes and in the description.

    Raises:
        ValueError: an exit or the path names an unknown node.
    """
    nodes = {node.id: node for node in tree}
    unknown = [name for name in taken.path if name not in nodes]
    if unknown:
        raise ValueError(f"the path names {unknown[0]!r}; the nodes are {', '.join(nodes)}")
    steps = set(zip(taken.path, taken.path[1:], strict=False))
    boxes, arrows = [], []
    for node in tree:
        on_path = node.id in taken.path
        verdict = taken.verdicts.get(node.experiment) if node.experiment and on_path else None
        lines = (f"{by}: {verdict}",) if verdict else ("conclusion",) if not node.exits else ()
        boxes.append(Box(node.id, node.title, lines, on_path))
        arrows += [Arrow(node.id, target, label, (node.id, target) in steps) for label, target in node.exits]
    fig = diagram(boxes, arrows)
    words = []
    for name, after in zip(taken.path, [*taken.path[1:], None], strict=True):
        node = nodes[name]
        verdict = taken.verdicts.get(node.experiment) if node.experiment else None
        exit_label = next((label for label, target in node.exits if target == after), "")
        found = ", ".join(dict.fromkeys(part for part in (verdict, exit_label) if part))
        words.append(node.title + (f" ({found})" if found else ""))
    alt = f"Decision tree of {whose}. The path that {by} took: {' → '.join(words)}."
    return show(fig, alt, f"Filled and thick: the path that {by} took. Dashed: not taken.")
