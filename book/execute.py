"""Run one notebook: the text half (.py) becomes a notebook (jupytext), which papermill runs.

    python book/execute.py notebooks/02_run1.py out/02_run1.ipynb -p scale smoke -p seed 1

The result appears at its place only when every cell has run; a notebook that fails is left, traceback and
all, in the folder given by --failed. A parameter that the notebook does not have is an error: papermill
itself would only warn, and run with the default.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
import papermill
import yaml
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[1]
# A kernel is interrupted before it is told to end, and calls that an error, though every cell has run.
KERNEL_CONFIG = """
import logging
logging.getLogger("IPKernelApp").addFilter(lambda record: "KeyboardInterrupt caught" not in record.getMessage())
"""
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def check_parameters(notebook: Path, parameters: dict[str, object]) -> None:
    """Raise ValueError for a parameter that is not set in the notebook's cell tagged `parameters`."""
    known = papermill.inspect_notebook(str(notebook))
    for name in parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"{notebook.name}: unknown parameter {name!r}; {hint}It has: {', '.join(known) or 'none'}")


def execute(source: Path, target: Path, parameters: dict[str, object], failed: Path) -> float:
    """Run `source` (.py or .ipynb) with `parameters`, write it to `target`; return the seconds it took.

    Raises ValueError for unknown parameters and PapermillExecutionError for a cell that fails; the notebook
    up to that cell then is `failed`/NAME.ipynb.
    """
    failed.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    running = failed / f"{source.stem}.ipynb"
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / f"{source.stem}.ipynb"
        notebook = jupytext.read(source)
        notebook.metadata["kernelspec"] = KERNEL  # the environment's own Python, whatever the file says
        jupytext.write(notebook, plain)
        check_parameters(plain, parameters)
        # A kernel of its own: not the startup files and history of whoever runs this.
        os.environ.update(IPYTHONDIR=scratch, PYDEVD_DISABLE_FILE_VALIDATION="1")
        profile = Path(scratch) / "profile_default"
        profile.mkdir()
        (profile / "ipython_kernel_config.py").write_text(KERNEL_CONFIG)
        start = time.monotonic()
        papermill.execute_notebook(
            plain,
            running,
            parameters,
            kernel_name=KERNEL["name"],
            language=KERNEL["language"],
            cwd=ROOT,
            progress_bar=False,
            stderr_file=sys.stderr,  # a cell that trains shows its progress here
            start_timeout=300,  # a busy machine may take long to start Python
            # Files of our own, not network ports that everyone on the machine could reach.
            config=Config({"KernelManager": {"transport": "ipc", "ip": f"{scratch}/kernel"}}),
        )
    show_parameters_once(running)
    os.replace(running, target)
    return time.monotonic() - start


def show_parameters_once(notebook: Path) -> None:
    """Hide the defaults in the page when papermill has written the values that were used below them."""
    nb = nbformat.read(notebook, as_version=4)
    tags = [cell.metadata.get("tags", []) for cell in nb.cells]
    if any("injected-parameters" in t for t in tags):
        for cell, t in zip(nb.cells, tags, strict=True):
            if "parameters" in t:
                cell.metadata.tags = [*t, "remove-cell"]
        nbformat.write(nb, notebook)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("-p", dest="pairs", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--parameters", type=Path, help="a YAML file of parameters")
    parser.add_argument("--failed", type=Path, default=Path("build/failed"), help="where a failure is left")
    args = parser.parse_args()
    parameters = yaml.safe_load(args.parameters.read_text()) if args.parameters else {}
    parameters |= {name: yaml.safe_load(value) for name, value in args.pairs}

    print(f"notebook {args.source.stem}: running", flush=True)
    try:
        seconds = execute(args.source, args.target, parameters, args.failed)
    except ValueError as error:
        sys.exit(f"notebook {args.source.stem}: {error}")
    except PapermillExecutionError as error:
        left = args.failed / f"{args.source.stem}.ipynb"
        sys.exit(
            f"notebook {args.source.stem}: cell [{error.exec_count}] failed: {error.ename}: {error.evalue}\n"
            f"{error.source.strip()}\nThe notebook with its traceback: {left}"
        )
    print(f"notebook {args.source.stem}: done in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
