"""Sweeps: grids checked before anything runs, what is finished loaded, failures named, one table at the end."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest
import torch

import vljepa_core
from tests.conftest import REPOSITORY, TINY
from tests.test_coco import make_folder
from vljepa_core import runs, sweeps
from vljepa_core.__main__ import main
from vljepa_core.commands import sweep
from vljepa_core.commands.sweep import Pace, Run, minutes, parse_lists
from vljepa_core.files import data_dir as where
from vljepa_core.jobs import Cluster, Job, Work, run_jobs
from vljepa_core.rate_record import recorded_curves
from vljepa_core.recipes import RecipeError, changes_of, differing, recipe
from vljepa_core.records import read_record, recorded_path

QUICK = {**TINY, "epochs": 1, "warmup_epochs": 0}
del QUICK["plan_vectors"]
SET = [f"{key}={value}" for key, value in QUICK.items()]
PLACE = ["--scale", "smoke", "--data", "shapes", "--no-estimate"]


def toml(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# --- grids ---------------------------------------------------------------------------------------


def test_a_grid_is_the_product_of_its_lists_in_order(tmp_path: Path) -> None:
    file = toml(tmp_path / "s.toml", 'experiment = "run2"\ndata = ["scenes:0", "scenes:3"]\nseed = [0, 1, 2]\n'
                "[set]\nplan_vectors = [8, 16]\nlearning_rate = 1e-3\n")  # fmt: skip
    found = sweeps.points(sweeps.read_sweep(file))
    expected = [
        ("run2", "laptop", data, seed, {"plan_vectors": k, "learning_rate": 1e-3})
        for data in ("scenes:0", "scenes:3")
        for seed in (0, 1, 2)
        for k in (8, 16)
    ]
    assert [(*p.place, p.changes) for p in found] == expected
    assert found[3].label == "run2 scenes:0 seed=1 plan_vectors=16"  # what varies, and nothing else
    assert len({p.label for p in found}) == len(found)


def test_several_tables_are_a_grid_each_one_after_the_other(tmp_path: Path) -> None:
    file = toml(tmp_path / "s.toml", 'experiment = ["run2", "run4"]\n[[set]]\nn_train = 500\nepochs = [8, 16]\n'
                "lr = 1e-3\n[[set]]\nn_train = 1000\nepochs = 8\nlr = 1e-3\n")  # fmt: skip
    grid = sweeps.read_sweep(file)
    found = sweeps.points(grid)
    sizes = [(500, 8), (500, 16)]
    expected = [(run, *size) for run in ("run2", "run4") for size in sizes]
    expected += [(run, 1000, 8) for run in ("run2", "run4")]
    assert [(p.experiment, p.changes["n_train"], p.changes["epochs"]) for p in found] == expected
    assert found[-1].label == "run4 n_train=1000 epochs=8"
    renamed = sweeps.with_changes(
        {"experiment": "run2", "set": {"plan_vectors": 8, "text_depth": 2}}, {"K": [4], "depth": [1]}
    )
    assert renamed["set"] == [{"K": [4], "depth": [1]}], "replaced, under whatever name"
    changed = sweeps.points(sweeps.with_changes(grid, {"dim": 64, "lr": 3e-4}))
    assert all((p.changes["dim"], p.changes["lr"]) == (64, 3e-4) for p in changed) and len(changed) == len(found)
    with pytest.raises(sweeps.SweepError, match="run2 .*two .* tables ask for the same run"):
        sweeps.points({"experiment": "run2", "set": [{"epochs": 8}, {"epochs": [8, 16]}]})


def test_the_sweeps_that_come_along_are_good() -> None:
    files = sorted((REPOSITORY / "sweeps").glob("*.toml"))
    assert files
    for file in files:
        assert sweeps.points(sweeps.read_sweep(file)), file


def test_the_captioners_that_were_cut_are_those_of_their_sweep() -> None:
    asked = sweeps.points(sweeps.read_sweep(REPOSITORY / "sweeps" / "nested.toml"))
    recipes = [recipe(point.experiment, point.scale, **point.changes).to_dict() for point in asked]
    recorded = [curve.recipe for curve in recorded_curves()]
    assert len(recipes) == len(recorded) == 3
    assert all(any(not differing(one, other) for other in recipes) for one in recorded)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "needs an experiment"),
        ('experiment = "run2"\nseeds = [0, 1]', "did you mean 'seed'"),
        ('experiment = "run2"\nplan_vectors = [8]', "recipe values stand under [set]"),
        ('experiment = "run2"\nexperiment = "run4"', "not TOML"),
        ('experiment = "run2"\nset = 3', "should be a table"),
        ('experiment = "run2"\nset = [3]', "should be a table"),
        ('experiment = "run2"\nset = []', "set: an empty list makes an empty grid"),
        ('experiment = "run2"\nseed = [0, 1, 0]', "seed: 0 is there twice"),
        ('experiment = "run2"\nseed = []', "empty grid"),
        ('experiment = "run2"\nseed = ["0"]', "'0' should be a whole number"),
        ('experiment = "run2"\nseed = [true]', "True should be a whole number"),
        ('experiment = "run2"\ndata = 3', "3 should be text"),
        ('experiment = "run2"\n[set]\nK = [8, 8]', "K: 8 is there twice"),
        ('experiment = "run2"\n[set]\nK = 8\nplan_vectors = 16', "K and plan_vectors both set plan_vectors"),
        ('experiment = "run2"\n[set]\ndepth = 2\nvisual_depth = 4', "depth and visual_depth both set visual_depth"),
        ('experiment = "run2"\n[set]\nplan_vector = [8]', "did you mean 'plan_vectors'"),
        ('experiment = ["run2", "run7"]', "did you mean 'run"),
        ('experiment = "run2"\n[set]\ndim = [128, 30]', "dim=30 is not a multiple"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_runs(text: str, says: str, tmp_path: Path, capsys) -> None:
    file = toml(tmp_path / "s.toml", text)
    assert main(["sweep", str(file)]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no/such.toml"], "no such file"),
        (["sweeps/smoke.toml", "run2"], "one sweep file at a time"),
        (["run2", "--set", "K"], "expected KEY=VALUE"),
        (["run2", "--set", "K=8,"], "''"),
        (["run2", "--set", "K=8", "K=9"], "there twice"),
        (["run2", "--jobs", "0"], "at least 1"),
        (["run2", "--partition", "gpu"], "only with --cluster slurm"),
        (["run2", "--cluster", "slurm", "--time", "1:30"], "1:30:00"),
        (["run2", *PLACE, "--keep", "data/recorded"], "changed runs would stand among the plain ones"),
        (["test0", *PLACE, "--data", "scenes"], "are the same run"),
    ],
)
def test_what_the_command_line_can_not_mean(arguments: list[str], says: str, data_dir: Path, capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert main(["sweep", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_small_helpers() -> None:
    assert parse_lists(["K=8,16", "word_dropout=token,element", "lr=1e-3"]) == {
        "K": [8, 16], "word_dropout": ["token", "element"], "lr": [1e-3],
    }  # fmt: skip
    assert [minutes(text) for text in ("90", "1:30:00", "0:00:01")] == [90, 90, 1]


def test_time_left_is_estimated_then_corrected_by_what_was_seen() -> None:
    point = sweeps.points({"experiment": "run2"})[0]
    runs = [Run(point, Path(str(i)), "to make", 10.0 * (i + 1)) for i in range(3)]  # 10, 20, 30 s
    pace = Pace(runs, at_once=1)
    assert pace.left() == pytest.approx(60, abs=1)
    pace.ended(runs[0], 20.0)  # twice what was estimated
    assert pace.left() == pytest.approx(100, abs=1)
    pace.ended(runs[1], None)  # failed at once: says nothing about the others
    assert pace.left() == pytest.approx(60, abs=1)
    blind = Pace([Run(point, Path(str(i)), "to make") for i in range(5)], at_once=2)
    assert blind.left() is None
    blind.ended(Run(point, Path("0"), "to make"), 8.0)
    assert blind.left() == pytest.approx(4 * 8 / 2, abs=1)
    runs[0].estimate = None  # it could not be timed
    mixed = Pace(runs, at_once=1)
    mixed.ended(runs[0], 7.0)
    assert mixed.left() == pytest.approx(50, abs=1)


def test_a_run_that_can_not_be_timed_stops_no_sweep(data_dir: Path, capsys, monkeypatch) -> None:
    def estimate(prepared: runs.Prepared, *_) -> float:
        if prepared.recipe.plan_vectors > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 60.0

    monkeypatch.setattr("vljepa_core.estimate.estimate_seconds", estimate)
    sweep = ["sweep", "run2", *PLACE, "--set", *SET, "K=8,512", "--dry-run"]
    sweep.remove("--no-estimate")
    assert main(sweep) == 0
    out, err = capsys.readouterr()
    assert "K=512: no estimate, CUDA out of memory" in err and "2 to make" in out


# --- running -------------------------------------------------------------------------------------


def test_a_list_of_runs_waits_for_no_features(data_dir: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(runs, "_features", lambda *_: pytest.fail("computed"))
    frozen = ["visual=efficientnet_lite0", "visual_training=frozen"]
    assert main(["sweep", "run2", *PLACE, "--set", *SET, *frozen, "--dry-run"]) == 0
    assert "to make" in capsys.readouterr().out
    assert runs.finished("run6", "smoke", "shapes", 0) == []


def test_a_sweep_makes_loads_gathers_and_keeps(data_dir: Path, tmp_path: Path, capsys) -> None:
    """One of two runs can't be trained (its loss is not finite): named with its log; the others are made."""
    arguments = ["sweep", "run2", *PLACE, "--set", *SET, "lr=1e-3,1e30", "--jobs", "2", "--keep", "kept"]
    arguments[-1] = str(tmp_path / "kept")
    assert main([*arguments, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("to make") == 3  # two runs, and their sum
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert "failed: run2 lr=1e+30: FloatingPointError: run2: the training loss is nan" in err
    log = Path(err.split("training loss is nan")[1].split("\n")[1].strip())
    assert "Traceback" in log.read_text()
    assert "run2 lr=0.001" in out and "lr=1e+30" not in out

    records = {p: p.stat().st_mtime_ns for p in where().glob("runs/*/*/record.json")}
    assert len(records) == 1
    plain = vljepa_core.run("run2", "smoke", "shapes", **QUICK, lr=1e-3)  # loaded
    other = vljepa_core.run("run2", "smoke", "shapes", **QUICK, lr=2e-3)
    arguments[arguments.index("lr=1e-3,1e30")] = "lr=2e-3,1e-3"
    assert main(arguments) == 0  # nothing to make
    assert "to make" not in capsys.readouterr().err

    kept = vljepa_core.recorded_sweep(tmp_path / "kept")
    assert [dataclasses.replace(r, trivial={}) for r in kept] == [plain, other]
    assert all("train_loss" in r.trivial for r in kept), "kept with the floors of its data"
    table = vljepa_core.sweep_table(kept)
    assert list(table["lr"]) == [1e-3, 2e-3]
    assert not {"K", "n_train", "epochs"} & set(table.columns)  # changed, but the same in both
    for name, metric in plain.metrics.items():
        row = table.loc[0, [name, f"{name}_low", f"{name}_high"]]
        assert [None if pd.isna(x) else x for x in row] == [metric["value"], metric["low"], metric["high"]]
    assert table.loc[0, "commit"] == plain.provenance["commit"]
    csv = max(where().glob("sweeps/*.csv"), key=lambda path: path.stat().st_mtime_ns)
    written = pd.read_csv(csv)
    assert list(written["lr"]) == [2e-3, 1e-3] and list(written.columns) == list(table.columns)
    assert list(written["val_loss"]) == [other.value("val_loss"), plain.value("val_loss")]


def test_each_record_is_kept_as_its_run_ends(data_dir: Path, tmp_path: Path, monkeypatch) -> None:
    """Not only when the table is written: a sweep may be killed before that."""
    monkeypatch.setattr(sweep, "_gather", lambda *_: pytest.fail("ended"))
    with pytest.raises(pytest.fail.Exception, match="ended"):
        main(["sweep", "run2", *PLACE, "--set", *SET, "lr=1e-3,1e30", "--jobs", "2", "--keep", str(tmp_path / "kept")])
    assert [record.recipe["learning_rate"] for record in vljepa_core.recorded_sweep(tmp_path / "kept")] == [1e-3]


def test_two_runs_kept_under_one_name_are_refused_before_either_is_made(data_dir: Path, tmp_path: Path, capsys) -> None:
    folders = [str(make_folder(tmp_path / side / "mine", n_train)) for side, n_train in (("a", 8), ("b", 9))]
    place = ["--scale", "smoke", "--no-estimate", "--data", *folders]
    small = [pair for pair in SET if not pair.startswith("n_")]
    assert (
        main(["sweep", "run2", *place, "--set", *small, "n_train=8", "n_val=4", "--keep", str(tmp_path / "kept")]) == 2
    )
    assert "would both be kept as" in capsys.readouterr().err
    assert not list(where().glob("runs/*/*/record.json"))


def test_a_record_that_can_not_be_kept_stops_no_other(tmp_path: Path, capsys, monkeypatch) -> None:
    point = sweeps.points({"experiment": "run2"})[0]
    asked = [Run(point, tmp_path, "finished", kept=tmp_path / name) for name in ("a.json", "b.json", "c.json")]
    said = {"a.json": None, "b.json": OSError("No space left on device"), "c.json": None}

    def copy(run: Run) -> None:
        if said[run.kept.name]:
            raise said[run.kept.name]

    monkeypatch.setattr(sweep, "_keep", copy)
    with sweep.Keeper() as keeper:
        for run in [*asked, Run(point, tmp_path, "finished")]:  # the last one is to be kept nowhere
            keeper.keep(run)
    assert keeper.report(tmp_path) == 1
    err = capsys.readouterr().err
    assert "not kept: run2: No space left on device" in err and f"kept: 2 records in {tmp_path}" in err


def test_what_an_older_core_had_no_value_for_was_at_its_default() -> None:
    new = read_record(next((REPOSITORY / "data" / "recorded").glob("*/run2-laptop-seed0.json")))
    whole = recipe("run2").to_dict()
    old = {key: value for key, value in whole.items() if key != "decoder_memory"}
    records = [dataclasses.replace(new, recipe=values) for values in (old, whole, {**whole, "decoder_memory": 16})]
    assert sweeps.sweep_table(records)["decoder_memory"].tolist() == [0, 0, 16]
    given = [dataclasses.replace(new, recipe={**values, "dim": 64}) for values in (old, whole)]
    assert sweeps.varying_keys([*records[:2], *given]) == ["D"]


def test_a_killed_sweep_leaves_its_run_going_and_the_next_one_waits_for_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vljepa_core", "sweep", "run4", *PLACE,
               "--set", *(f"{k}={v}" for k, v in {**QUICK, "epochs": 100}.items())]  # fmt: skip
    environment = {**os.environ, "VLJEPA_DATA": str(tmp_path), "VLJEPA_CHECKPOINT_SECONDS": "0"}

    def checkpoints() -> list[str]:
        return sorted(path.name for path in tmp_path.glob("runs/*/*/checkpoints/step-*"))

    killed = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while not checkpoints():
        assert time.monotonic() < deadline and killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("runs/*/*/record.json"))) == 1 and not checkpoints()


@pytest.fixture(params=[signal.default_int_handler, signal.SIG_IGN], ids=["foreground", "background"])
def interrupts(request):
    """As a command in the foreground hears Ctrl-C, and as a shell has one in the background ignore it."""
    before = signal.signal(signal.SIGINT, request.param)
    yield
    signal.signal(signal.SIGINT, before)


def test_jobs_end_with_the_sweep(tmp_path: Path, interrupts) -> None:
    """What Ctrl-C does: the loop over the jobs is left, and no process stays behind."""
    job = Job("sleeper", Work(time.sleep, 600), lambda: False)
    events = run_jobs([job], tmp_path, Cluster())
    assert next(events) == ("started", job)
    while not (job.log.exists() and "Loading pickle" in job.log.read_text()):
        assert next(events) == ("waiting", None)
    events.close()
    assert job.handle.done()
    assert not list(tmp_path.glob("*.pkl"))


def test_jobs_end_with_a_caller_that_is_killed(tmp_path: Path) -> None:
    """What `kill` does, whoever runs the jobs."""
    code = """
import sys, time
from pathlib import Path
from vljepa_core.jobs import Cluster, Job, Work, run_jobs
job = Job("sleeper", Work(time.sleep, 600), lambda: False)
for event, _ in run_jobs([job], Path(sys.argv[1]), Cluster()):
    print(job.handle.job_id, flush=True)
"""
    caller = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.DEVNULL,
    )
    job = int(caller.stdout.readline())
    while not any("Loading pickle" in log.read_text() for log in tmp_path.glob("*.out")):
        assert caller.poll() is None and time.sleep(0.05) is None
    caller.terminate()
    assert caller.wait() != 0
    assert not Path(f"/proc/{job}").exists() and not list(tmp_path.glob("*.pkl"))


def test_without_slurm_it_says_so(data_dir: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(data_dir))
    assert main(["sweep", "run2", *PLACE, "--set", *SET, "--cluster", "slurm"]) == 2
    assert "there is no sbatch here" in capsys.readouterr().err


def test_a_notebook_over_a_grid_of_its_parameters(tmp_path: Path) -> None:
    source = tmp_path / "small.py"
    source.write_text('# %% tags=["parameters"]\nscale = "laptop"\nseed = 0\n\n# %%\nprint(scale, 10 // seed)\n')
    command = [sys.executable, "book/sweep.py", source, tmp_path / "out", "-p", "scale", "smoke", "-p", "seed", "0,5"]
    done = subprocess.run([str(c) for c in command], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert "small-scale=smoke-seed=5: done" in done.stdout and "small-scale=smoke-seed=0: FAILED" in done.stdout
    assert "ZeroDivisionError" in Path(done.stderr.strip().rsplit(": ", 1)[1]).read_text()
    notebook = nbformat.read(tmp_path / "out" / "small-scale=smoke-seed=5.ipynb", as_version=4)
    assert notebook.cells[-1].outputs[0].text == "smoke 2\n"


# --- names of kept records -----------------------------------------------------------------------


def changed(tmp_path: Path, **changes) -> str:
    """The name under which a run with changes would be kept."""
    values = json.loads(next((REPOSITORY / "data" / "recorded").glob("*/run2-laptop-seed0.json")).read_text())
    values["recipe"] = recipe("run2", "laptop", **changes).to_dict()
    file = tmp_path / "record.json"
    file.write_text(json.dumps(values))
    return recorded_path(read_record(file), tmp_path).name


def test_names_tell_runs_with_changes_apart_and_stay_readable(tmp_path: Path) -> None:
    assert changed(tmp_path) == "run2-laptop-seed0.json"
    assert changed(tmp_path, plan_vectors=32) == changed(tmp_path, K=32) == "run2-laptop-seed0-K32.json"
    assert changed(tmp_path, depth=4, lr=3e-4) == "run2-laptop-seed0-lr0.0003-depth=4.json"
    assert changed(tmp_path, visual_depth=4) == "run2-laptop-seed0-visual_depth=4.json"
    odd = [changed(tmp_path, query=q) for q in ("say / what?", "say * what?")]
    assert odd[0] != odd[1] and all(name.startswith("run2-laptop-seed0-query=say_what_-") for name in odd)


def test_changes_are_what_recipe_was_given() -> None:
    for given in ({}, {"K": 32}, {"depth": 1, "word_dropout": "token"}, {"visual_depth": 1}, {"lr": 0.5, "D": 256}):
        assert changes_of(recipe("run4", "laptop", **given).to_dict()) == given
    assert changes_of(recipe("test3", "laptop", classes=3).to_dict()) == {}  # follows from the data
    with pytest.raises(RecipeError):
        changes_of({"experiment": "run9", "scale": "laptop"})
