"""The notebooks: halves agree, parameters are checked, each runs at smoke, JupyterLab keeps the pairs."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "notebooks").glob("*.py"))
EXECUTE = [sys.executable, str(ROOT / "book" / "execute.py")]

each_notebook = pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])


def cells(notebook: nbformat.NotebookNode) -> list[tuple[str, str, list[str]]]:
    return [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]


def test_there_are_notebooks():
    assert SCRIPTS, "notebooks/ holds no .py"
    halves = {p.stem for p in (ROOT / "notebooks").glob("*.ipynb")}
    assert halves == {p.stem for p in SCRIPTS}, "a half is missing: make pairs"


@each_notebook
def test_both_halves_hold_the_same_cells(script):
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    assert cells(notebook) == cells(jupytext.read(script)), "they differ: `make pairs`"


@each_notebook
def test_ipynb_is_without_outputs(script):
    notebook = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    ran = [c for c in notebook.cells if c.cell_type == "code" and (c.outputs or c.execution_count)]
    assert not ran, "outputs are not committed: `make pairs` drops them"


@each_notebook
def test_parameters(script):
    tagged = [c for c in jupytext.read(script).cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    values: dict[str, object] = {}
    exec(tagged[0].source, values)
    assert {name: values.get(name) for name in ("scale", "data", "seed")} == {
        "scale": "laptop",
        "data": "scenes",
        "seed": 0,
    }


@pytest.fixture
def notebook(tmp_path):
    """A function that writes a small notebook and runs it with book/execute.py."""

    def run(code: str, *parameters: str) -> subprocess.CompletedProcess:
        source = tmp_path / "small.py"
        source.write_text(f'# %% tags=["parameters"]\nscale = "laptop"\nseed = 0\n\n# %%\n{code}\n')
        arguments = [source, tmp_path / "out" / "small.ipynb", "--failed", tmp_path / "failed", *parameters]
        return subprocess.run([*EXECUTE, *map(str, arguments)], capture_output=True, text=True, timeout=300)

    return run


def test_parameters_reach_the_notebook(notebook, tmp_path):
    done = notebook("print(scale, seed + 1)", "-p", "scale", "smoke", "-p", "seed", "41")
    assert done.returncode == 0, done.stderr
    out = nbformat.read(tmp_path / "out" / "small.ipynb", as_version=4)
    assert out.cells[-1].outputs[0].text == "smoke 42\n"
    assert not (tmp_path / "failed" / "small.ipynb").exists()


def test_unknown_parameter_is_an_error_that_names_the_nearest(notebook, tmp_path):
    done = notebook("print(scale)", "-p", "sclae", "smoke")
    assert done.returncode != 0
    assert "unknown parameter 'sclae'; did you mean 'scale'?" in done.stderr
    assert not (tmp_path / "out" / "small.ipynb").exists()


def test_a_failure_is_kept_and_named(notebook, tmp_path):
    done = notebook("1 / 0")
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr and "1 / 0" in done.stderr
    left = tmp_path / "failed" / "small.ipynb"
    assert str(left) in done.stderr and left.exists()
    assert not (tmp_path / "out" / "small.ipynb").exists()


# ---- every notebook at smoke, through the Makefile: what `make book SCALE=smoke` ran is not run again ----


def make(*goals: str) -> None:
    """Run make with this Python at scale smoke; fail with the end of what it said."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    command = ["make", f"PYTHON={sys.executable}", "SCALE=smoke", "DATA=scenes", "SEED=0", *goals]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


@pytest.fixture(scope="module")
def smoke_records():
    if shutil.which("make") is None:
        pytest.skip("GNU make is not installed")
    make("records")


@each_notebook
def test_runs_at_smoke(script, smoke_records):
    target = f"build/smoke-scenes-0/source/notebooks/{script.stem}.ipynb"
    make(target)
    executed = nbformat.read(ROOT / target, as_version=4)
    outputs = [o for c in executed.cells if c.cell_type == "code" for o in c.outputs]
    assert outputs, "the notebook shows nothing"
    assert not [o for o in outputs if o.output_type == "error"]


# ---- JupyterLab, with the settings that `make lab` gives it ----


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on a copy of notebooks/: (the copy, a function that calls its REST API)."""
    pytest.importorskip("jupyterlab")
    folder = tmp_path_factory.mktemp("lab") / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    log = folder.parent / "log"
    options = f"--no-browser --allow-root --port={port} --IdentityProvider.token={token}"
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", str(folder), *options.split()],
            env=os.environ | {"JUPYTER_CONFIG_PATH": str(folder / ".jupyter")},
            stdout=output,
            stderr=output,
        )

    def call(path: str, body: dict | None = None) -> dict:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {token}"},
            method="GET" if body is None else "PUT",
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return json.load(opener.open(request, timeout=30))

    try:
        for _ in range(240):
            try:
                call("api/status")
                break
            except OSError:
                assert server.poll() is None, log.read_text()[-2000:]
                time.sleep(0.25)
        else:
            pytest.fail("JupyterLab did not start: " + log.read_text()[-2000:])
        yield folder, call
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.parametrize("half", [".py", ".ipynb"])
def test_lab_opens_either_half_and_saves_both(lab, half):
    folder, call = lab
    script = folder / f"{SCRIPTS[0].stem}.py"
    opened = call(f"api/contents/{script.stem}{half}?type=notebook")
    assert opened["type"] == "notebook"
    code = [c for c in opened["content"]["cells"] if c["cell_type"] == "code"]
    code[0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": f"kept {half}"}]
    code[-1]["source"] += f"\n# edited in {half}"
    body = {"type": "notebook", "format": "json", "content": opened["content"]}
    call(f"api/contents/{script.stem}{half}", body)

    assert f"# edited in {half}" in script.read_text()
    saved = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    assert cells(saved) == cells(jupytext.read(script))
    assert any(o.get("text") == f"kept {half}" for c in saved.cells for o in c.get("outputs", []))
    again = call(f"api/contents/{script.stem}.py?type=notebook")["content"]["cells"]
    assert any(o.get("text") == f"kept {half}" for c in again for o in c.get("outputs", []))


def test_lab_saving_leaves_an_unchanged_script_as_it_was(lab):
    folder, call = lab
    script = folder / f"{SCRIPTS[-1].stem}.py"
    before = script.read_text()
    opened = call(f"api/contents/{script.name}?type=notebook")
    call(f"api/contents/{script.name}", {"type": "notebook", "format": "json", "content": opened["content"]})
    assert script.read_text() == before, "`make pairs` gives the header the form that JupyterLab saves"


def test_lab_opens_scripts_as_notebooks_by_default(lab):
    _, call = lab
    settings = call("lab/api/settings/@jupyterlab/docmanager-extension:plugin")
    assert settings["schema"]["properties"]["defaultViewers"]["default"]["python"] == "Jupytext Notebook"
