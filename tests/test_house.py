"""The core's map: every room is on it, and a room imports none that comes after it."""

from __future__ import annotations

import ast
import re
import sys
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


def test_whatever_the_core_imports_is_among_its_dependencies() -> None:
    """A library that only comes along with another one may one day not."""
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", (PACKAGE.parent / "pyproject.toml").read_text(), re.M | re.S)[1]
    known = {name.replace("-", "_") for name in re.findall(r'^  "([\w-]+)', listed, re.M)}
    called = {"PIL": "pillow", "sklearn": "scikit_learn"}
    optional = {"timm", "open_clip", "torchvision"}
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            found |= {name.split(".")[0] for name in names}
    wanted = {called.get(name, name) for name in found - set(sys.stdlib_module_names) - {"vljepa_core"} - optional}
    assert len(wanted) > 10 and wanted <= known, wanted - known
