"""Write the .ipynb half of each pair anew from its .py half, without outputs.

    python book/pairs.py notebooks/02_run1.py ...

Cell ids count up instead of being drawn, so that writing a pair twice gives the same file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext


def write_pair(script: Path) -> Path:
    """Write NAME.ipynb beside NAME.py and return its path."""
    notebook = jupytext.read(script)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    target = script.with_suffix(".ipynb")
    jupytext.write(notebook, target)
    return target


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(write_pair(Path(name)))
