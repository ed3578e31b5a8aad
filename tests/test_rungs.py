"""The ladder of interventions: made one by one, kept as they finish, read back only if they are what they say."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, TINY
from vljepa_core import rungs, runs
from vljepa_core.__main__ import main
from vljepa_core.commands import rungs as rungs_command
from vljepa_core.estimate import human_time
from vljepa_core.interventions import BUDGET, RUNGS
from vljepa_core.recipes import SCALES, recipe
from vljepa_core.records import keep, read_record
from vljepa_core.train import Trainer

PLACE = ["--scale", "smoke", "--data", "shapes"]


@pytest.fixture
def tiny(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A budget of one epoch, and a folder of its own for what is kept."""
    monkeypatch.setattr(rungs, "BUDGET", {**TINY, "epochs": 2, "warmup_epochs": 0, "precision": "bfloat16"})
    monkeypatch.setattr(rungs, "_SIZE", ())
    monkeypatch.setattr(rungs, "RECORDED", data_dir / "recorded")
    return data_dir / "recorded" / "rungs"


@pytest.mark.parametrize("scale", SCALES)
def test_every_rung_is_possible_at_every_scale_and_changes_what_it_says(scale: str) -> None:
    for name, rung in RUNGS.items():
        made = recipe("run2", scale, **rungs.changes_at(name, scale)).to_dict()
        assert {key for key, value in rung.changes.items() if made[key] != value} <= {"pretrain_epochs"}
        if scale == "laptop":
            assert made.items() >= {**BUDGET, **rung.changes}.items()
            continue
        own = recipe("run2", scale)
        assert (made["n_train"], made["epochs"], made["validate_every"]) == (
            own.n_train,
            own.epochs,
            own.validate_every,
        )
        share = rung.changes.get("pretrain_epochs", 0) / BUDGET["epochs"]
        assert made["pretrain_epochs"] in (own.epochs * share, int(own.epochs * share), 1 if share else 0)


def test_at_paper_a_rung_is_the_published_run_with_one_change() -> None:
    changes = rungs.changes_at("align", "paper")
    assert changes == {**RUNGS["align"].changes, "precision": "bfloat16"}
    assert rungs.changes_at("align_first", "paper")["pretrain_epochs"] == recipe("run2", "paper").epochs // 4


def test_rungs_are_kept_as_they_finish_loaded_after_and_read_back(tiny: Path, capsys, monkeypatch) -> None:
    arguments = ["rungs", "published", "align", "--seed", "1", "0", *PLACE, "--keep"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert "4 runs, 0 finished, 4 left" in err and "3 finished, 1 left, about" in err
    assert out.count("greedy captions distinct") == 4 and "loaded" not in out
    names = sorted(path.relative_to(tiny).as_posix() for path in tiny.glob("*/*"))
    assert names == [f"shapes/{name}-smoke-seed{seed}.json" for name in ("align", "published") for seed in (0, 1)]

    plain = runs.run("run2", "smoke", "shapes", 0, **{**rungs.BUDGET, **RUNGS["align"].changes})
    found = rungs.recorded_rungs()
    assert list(found) == ["published", "align"]  # the ladder's order
    assert [r.seed for r in found["align"]] == [0, 1] and dataclasses.replace(found["align"][0], trivial={}) == plain
    assert "train_loss" in found["align"][0].trivial, "kept with the floors of its data"
    assert rungs.recorded_rungs("scenes") == {} and rungs.recorded_rungs("shapes") == found

    shutil.rmtree(tiny)
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert out.count("loaded") == 4 and "training" not in err
    assert rungs.recorded_rungs() == found

    shutil.rmtree(tiny)
    monkeypatch.setattr("vljepa_core.distributed.rank", lambda: 1)
    assert main(arguments) == 0
    assert capsys.readouterr() == ("", "") and not tiny.exists(), "the first of several processes speaks, and keeps"


def test_side_by_side_each_rung_is_a_command_of_its_own(data_dir: Path, capfd, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        rungs_command, "side_by_side", lambda names, commands, jobs, gpus: asked.append((names, commands, jobs)) or 1
    )
    arguments = ["rungs", "align", "direct", "--seed", "0", "1", *PLACE, "--device", "cpu"]
    assert main([*arguments, "--jobs", "2", "--keep"]) == 1, "one of them failed"
    ((names, commands, jobs),) = asked
    assert names == ["align, seed 0", "direct, seed 0", "align, seed 1", "direct, seed 1"] and jobs == 2
    assert commands[-1][1:] == ["-m", "vljepa_core", "rungs", "direct", "--seed", "1", "--data", "shapes", "--scale",
                                "smoke", "--device", "cpu", "--keep"]  # fmt: skip
    assert main([*arguments, "--jobs", "0"]) == 2 and "at least 1" in capfd.readouterr().err


def test_make_runs_the_rungs_that_the_chapter_reads() -> None:
    made = re.search(r"^RUNGS := (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)[1]
    assert sorted(made.split()) == sorted(rungs.IN_EVERY_BUILD) and set(rungs.IN_EVERY_BUILD) <= RUNGS.keys()


def test_a_record_that_is_not_its_rungs_is_left_out_with_the_reason(tiny: Path, capsys, monkeypatch) -> None:
    assert main(["rungs", "published", *PLACE, "--keep"]) == 0
    file = tiny / "shapes" / "published-smoke-seed0.json"
    record = read_record(file)
    shutil.copy(file, tiny / "shapes" / "siglip-smoke-seed0.json")
    shutil.copy(file, tiny / "shapes" / "published-smoke-seed7.json")
    shutil.copy(file, tiny / "shapes" / "nonsense-smoke-seed0.json")
    older = {key: value for key, value in record.recipe.items() if key != "nested_plan"}  # a key that came later
    dataclasses.replace(record, recipe=older).save(file)
    capsys.readouterr()
    assert [len(records) for records in rungs.recorded_rungs().values()] == [1]
    err = capsys.readouterr().err
    assert "siglip-smoke-seed0.json: left out, align" in err and "in the rung siglip; run it again" in err
    assert err.count("its name is not that of its rung") == 2
    monkeypatch.setitem(RUNGS, "published", dataclasses.replace(RUNGS["published"], changes={"epochs": 5}))
    assert rungs.recorded_rungs() == {}
    assert "epochs is 2 in it, and 5 in the rung published" in capsys.readouterr().err


def test_a_folder_of_photographs_may_have_any_name(tmp_path: Path) -> None:
    record = next(iter(rungs.recorded_rungs().values()))[0]
    ours = dataclasses.replace(record, data="holiday [1]")
    ours.save(rungs.rung_path("published", ours, tmp_path))
    assert rungs.recorded_rungs("holiday [1]", tmp_path) == {"published": [ours]}


def test_one_that_diverges_does_not_stop_the_others(tiny: Path, capsys, monkeypatch) -> None:
    lost = dataclasses.replace(RUNGS["published"], changes={"learning_rate": 1e30})
    monkeypatch.setitem(RUNGS, "published", lost)
    assert main(["rungs", "published", "direct", *PLACE, "--keep"]) == 1
    err = capsys.readouterr().err
    assert "published, seed 0: FAILED" in err and "failed: published, seed 0; the same command tries again" in err
    assert list(rungs.recorded_rungs()) == ["direct"]


def test_of_several_processes_one_without_memory_is_not_waited_for(monkeypatch) -> None:
    assert rungs_command.failures() == (FloatingPointError, RuntimeError)
    monkeypatch.setattr("vljepa_core.distributed.size", lambda: 2)
    assert rungs_command.failures() == (FloatingPointError,), "which all of them meet"


def test_a_rung_on_too_few_images_to_be_probed_does_not_stop_the_others(tiny: Path, capsys, monkeypatch) -> None:
    monkeypatch.setitem(RUNGS, "published", dataclasses.replace(RUNGS["published"], changes={"n_val": 6}))
    assert main(["rungs", "published", "direct", *PLACE]) == 0
    out = capsys.readouterr().out
    assert "InfoNCE not measured" in out and "of 6 greedy captions distinct" in out and "direct, seed 0: InfoNCE" in out


def test_captions_that_could_be_peoples_stay_out(tiny: Path) -> None:
    assert main(["rungs", "published", *PLACE, "--keep"]) == 0
    record = read_record(tiny / "shapes" / "published-smoke-seed0.json")
    recites = {**record.metrics, "greedy_verbatim": {"value": 0.5, "low": 0.1, "high": 0.9, "n": 12}}
    other = dataclasses.replace(record, data="flickr8k", metrics=recites)
    keep(other, rungs.rung_path("published", other))
    assert not any("greedy" in row for row in rungs.recorded_rungs("flickr8k")["published"][0].captions)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["publishd"], "did you mean 'published'"),
        (["--scale", "lptop"], "did you mean 'laptop'"),
        (["published", "--seed", "-1"], "seed=-1"),
    ],
)
def test_what_can_not_be_is_refused(arguments: list[str], says: str, data_dir: Path, capsys) -> None:
    assert main(["rungs", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_what_was_stopped_goes_on(tiny: Path, data_dir: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("VLJEPA_CHECKPOINT_SECONDS", "0")
    made, step = [], Trainer.step

    def stopped(trainer: Trainer) -> None:
        step(trainer)
        made.append(trainer.progress.step)
        if len(made) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "step", stopped)
    assert main(["rungs", "published", *PLACE]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert main(["rungs", "published", *PLACE]) == 0
    assert made[:3] == [1, 2, 3] and 3 <= made[3] <= 4 and made[-1] == 6, "6 steps in all, none from the start again"
    assert not list(data_dir.glob("runs/*/*/checkpoints/step-*"))


def test_what_is_left_takes_as_long_as_what_was_done_did() -> None:
    took = (100.0, 140.0, None, None, None)
    asked = [rungs_command._Run("align", seed, Path(str(seed)), seconds) for seed, seconds in enumerate(took)]
    assert rungs_command._left(asked) == f"2 finished, 3 left, about {human_time(3 * 120)}"
    assert rungs_command._left(asked[:2]) == "2 finished, 0 left"
    assert rungs_command._left(asked[2:]) == "0 finished, 3 left"
