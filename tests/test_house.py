"""The core's map: every room is on it, and a room imports none that comes after it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import vljepa_core

PACKAGE = Path(vljepa_core.__file__).parent
MAP = re.findall(r"``(\w+)``", vljepa_core.__doc__)


def rooms() -> list[str]:
    """Modules and packages of the core."""
    return [path.stem for path in PACKAGE.iterdir() if not path.stem.startswith("__") and path.suffix in ("", ".py")]


def imported(room: str) -> set[str]:
    """The rooms that one imports as it is imported itself; what it imports within functions comes later."""
    path = PACKAGE / room
    found = set()
    for file in path.glob("*.py") if path.is_dir() else [path.with_suffix(".py")]:
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.module == "vljepa_core":
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module.startswith("vljepa_core."):
                found.add(node.module.split(".")[1])
    return found - {room}


def test_every_room_is_on_the_map_once() -> None:
    assert sorted(MAP) == sorted(rooms())


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_none_that_comes_after_it(room: str) -> None:
    later = set(MAP[MAP.index(room) :])
    assert not imported(room) & later
