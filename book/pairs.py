"""Write the .ipynb half of each pair anew from its .py half, without outputs.

    python book/pairs.py notebooks/02_run1.py ...

The .py keeps its cells; its header gets the form that JupyterLab would save. Cell ids count up instead of
being drawn, so that writing a pair twice gives the same files.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
from jupytext.config import load_jupytext_config

# As JupyterLab saves it.
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def write_pair(script: Path) -> Path:
    """Write NAME.ipynb beside NAME.py and return its path."""
    config = load_jupytext_config(str(script.resolve()))
    notebook = jupytext.read(script, config=config)
    notebook.metadata["kernelspec"] = KERNEL
    text = jupytext.writes(notebook, fmt="py:percent", config=config)
    if text != script.read_text(encoding="utf-8"):
        script.write_text(text, encoding="utf-8")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    target = script.with_suffix(".ipynb")
    jupytext.write(notebook, target, config=config)
    return target


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(write_pair(Path(name)))
