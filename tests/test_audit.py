"""The audit from the command line: every verdict on captions made for it, and every bad file."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from vljepa_core import audit_files
from vljepa_core.__main__ import main
from vljepa_core.audit import audit, judge
from vljepa_core.baselines import others
from vljepa_core.metrics import Metric

N = 150
WHAT = ["dog", "cat", "horse", "man", "woman", "bird", "bus", "train", "boat", "cow", "sheep", "child"]
DOES = ["runs", "sits", "stands", "waits", "sleeps", "plays", "rests", "looks around"]
WHERE = ["on the grass", "near the water", "in the snow", "by a tree", "in a room", "on a street", "under a bridge"]


def humans(n: int = N, seed: int = 0) -> dict[int, list[str]]:
    """Three captions of each image: what it shows, with words that vary."""
    rng = random.Random(seed)
    found = {}
    for i in range(n):
        what, does, where = (rng.choice(words) for words in (WHAT, DOES, WHERE))
        found[i] = [
            f"{rng.choice(('A', 'The', 'One'))} {rng.choice(('big', 'small', 'brown', 'white'))} {what} {does} {where}"
            f"{rng.choice(('.', ' today.', ' alone.'))}"
            for _ in range(3)
        ]
    return found


CAPTIONS = humans()
SHUFFLED = {i: CAPTIONS[j][0] for i, j in enumerate(others(N, seed=5))}  # another permutation than the control's
PREDICTIONS = {
    "uses the image": {i: c[0] for i, c in humans().items()},
    "collapsed": {i: "A man is standing <in> the $water$\x1b[31m." for i in CAPTIONS},
    "varied but unrelated to the image": SHUFFLED,
}


def write(path: Path, value: object) -> str:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


def coco(captions: dict) -> dict:
    rows = [(i, c) for i, each in captions.items() for c in each]
    return {
        "images": [{"id": i} for i in captions],
        "annotations": [{"id": k, "image_id": i, "caption": c} for k, (i, c) in enumerate(rows)],
    }


def results(captions: dict) -> list[dict]:
    return [{"image_id": i, "caption": c} for i, c in captions.items()]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {
        "captions": write(tmp_path / "captions.json", coco(CAPTIONS)),
        "predictions": write(tmp_path / "predictions.json", results(SHUFFLED)),
        "folder": str(tmp_path),
    }


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(["audit", *arguments])
    return status, *capsys.readouterr()


class Page(HTMLParser):
    """Collects what a page would load, and whether its tags match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.loads += [v for k, v in attrs if k in ("src", "href", "xlink:href") and not v.startswith("#")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.loads += [v for k, v in attrs if k in ("src", "href", "xlink:href") and not v.startswith("#")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("verdict", PREDICTIONS)
def test_verdict_from_the_command_line(verdict: str, files, tmp_path: Path, capsys) -> None:
    predictions = write(tmp_path / "p.json", results(PREDICTIONS[verdict]))
    train = write(tmp_path / "train.json", coco({0: ["a red bus"], 1: ["two dogs run", "a cat"]}))
    scores = -40 + 5.0 * np.eye(N) if verdict == "uses the image" else np.full((N, N), -40.0)
    np.save(tmp_path / "scores.npy", scores)
    html = tmp_path / "report" / "audit.html"
    matrix = str(tmp_path / "scores.npy")
    status, out, _ = run(
        capsys, predictions, files["captions"], "--train", train, "--scores", matrix, "--html", str(html)
    )
    assert status == 0
    last = out[out.index("VERDICT") :]
    assert last.startswith(f"VERDICT: {verdict}: ")
    says = {"uses the image": "at least", "collapsed": "one sentence for 100% of images"}
    assert says.get(verdict, "permuted control scores the same") in " ".join(last.split())
    if verdict != "uses the image":
        assert "carry no bits" in " ".join(last.split())
    assert "\x1b" not in out and "verbatim training captions" in out and "human, held out" in out

    text = html.read_text()
    found = Page(text)
    assert not found.loads and not found.open
    assert "\x1b" not in text and "<in>" not in text
    assert text.count('role="img"') == 3 and "prefers-color-scheme:dark" in text and "currentColor" in text
    assert "url(http" not in text and "@import" not in text and "<script" not in text
    assert text.index('class="verdict"') > text.rindex("</svg>")  # it ends in the verdict
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))


def test_without_scores_or_training_captions(files, capsys) -> None:
    status, out, _ = run(capsys, files["predictions"], files["captions"])
    assert status == 0 and "verbatim" not in out and "InfoNCE" not in out


def test_numbers_of_an_audit() -> None:
    found = audit(PREDICTIONS["collapsed"], CAPTIONS, train=[c for each in CAPTIONS.values() for c in each])
    own, human = found.variety["own"], found.variety["human"]
    assert own["distinct"].value == 1 / N and own["top_caption"].value == 1
    assert own["distinct_1"].value == pytest.approx(len({"a", "man", "is", "standing", "in", "the", "water", "31m"})
                                                    / (8 * N))  # fmt: skip
    assert own["verbatim"].value == 0 and human["verbatim"].value == 1
    assert (found.gain.value, found.gain.low, found.gain.high) == (0, 0, 0)
    assert found.repeats["own"] == [N] and found.top[0][1] == N and sum(found.repeats["human"]) == N
    assert found.answers["own"] == found.answers["permuted"]
    assert found.answers["human"]["cider"].value > 5 * found.answers["chance"]["cider"].value
    copied = audit(PREDICTIONS["uses the image"], CAPTIONS, train=list(PREDICTIONS["uses the image"].values()))
    assert copied.variety["own"]["verbatim"].value == 1
    assert "training captions, word for word" in copied.verdict.reason


def test_copies_are_no_remark_where_humans_copy_as_well() -> None:
    everything = [c for each in CAPTIONS.values() for c in each]
    found = audit(PREDICTIONS["uses the image"], CAPTIONS, train=everything)
    assert found.variety["own"]["verbatim"].value == found.variety["human"]["verbatim"].value == 1
    assert "word for word" not in found.verdict.reason


def test_images_with_one_caption_have_no_human_answer() -> None:
    alone = {i: each[:1] for i, each in CAPTIONS.items()}
    found = audit(PREDICTIONS["uses the image"], alone)
    assert "human" not in found.answers and found.human_gain is None
    assert found.verdict.label == "uses the image"


def test_a_large_audit_draws_its_images(monkeypatch) -> None:
    monkeypatch.setattr("vljepa_core.audit.MOST_SCORED", 60)
    found = audit(SHUFFLED, CAPTIONS, scores=np.full((100, 100), -4.0))
    assert found.images == N and found.answers["own"]["cider"].n == 60
    assert found.probes["image_r1"].n == 60 and found.probes["image_r1"].value == pytest.approx(1 / 60)


def metric(value: float, low: float | None = None, high: float | None = None) -> Metric:
    return Metric(value, low, high, 1000)


@pytest.mark.parametrize(
    ("gain", "human_gain", "top", "distinct", "label"),
    [
        ((0.30, 0.25, 0.35), 0.8, 0.01, 0.90, "uses the image"),
        ((0.081, 0.07, 0.09), 0.8, 0.01, 0.90, "uses the image"),
        ((0.07, 0.06, 0.09), 0.8, 0.01, 0.90, "barely uses the image"),
        ((0.00, -0.01, 0.07), 0.8, 0.01, 0.90, "varied but unrelated to the image"),
        ((0.02, -0.06, 0.10), 0.8, 0.01, 0.90, "cannot tell"),
        ((0.00, -0.01, 0.09), None, 0.01, 0.90, "varied but unrelated to the image"),
        ((0.30, 0.25, 0.35), 0.0, 0.01, 0.90, "cannot tell"),
        ((0.00, -0.01, 0.01), -0.1, 0.01, 0.90, "cannot tell"),
        ((0.11, 0.02, 0.20), None, 0.01, 0.90, "uses the image"),
        ((0.30, 0.25, 0.35), 0.8, 0.50, 0.90, "collapsed"),
        ((0.30, 0.25, 0.35), 0.8, 0.49, 0.06, "uses the image"),
        ((0.30, 0.25, 0.35), 0.8, 0.02, 0.04, "collapsed"),
    ],
)
def test_rules_of_the_verdict(gain, human_gain, top, distinct, label) -> None:
    names = ("own", "permuted", "constant", "chance")
    answers = {name: {"cider": metric(0.1)} for name in names}
    variety = {
        "own": {"distinct": metric(distinct), "top_caption": metric(top)},
        "human": {"distinct": metric(1.0), "top_caption": metric(0.01)},
    }
    humans_gain = None if human_gain is None else metric(human_gain, human_gain - 0.05, human_gain + 0.05)
    found = judge(answers, metric(*gain), humans_gain, variety, "a man", None)
    assert found.label == label and found.reason.endswith(".")
    if label == "collapsed":
        assert "what varies does follow the image" in found.reason


def test_captions_of_other_images_are_noticed() -> None:
    spoken = [c for each in CAPTIONS.values() for c in each]
    random.Random("muddled").shuffle(spoken)
    muddled = {i: spoken[3 * i : 3 * i + 3] for i in CAPTIONS}
    found = audit(PREDICTIONS["uses the image"], muddled)
    assert found.verdict.label == "cannot tell"
    assert "check that the captions file is of these images" in found.verdict.reason


def test_few_captions_are_no_collapse_where_humans_write_few() -> None:
    same = {i: ["a red circle"] * 2 if i % 5 else ["a blue square"] * 2 for i in range(100)}
    found = audit({i: each[0] for i, each in same.items()}, same)
    assert found.verdict.label == "uses the image"


def test_one_caption_for_all_is_a_collapse_even_where_most_humans_write_it() -> None:
    """As in reports on X-rays, of which most find nothing."""
    same = {i: ["no acute finding"] * 2 if i % 5 else ["a broken rib"] * 2 for i in range(100)}
    assert audit(dict.fromkeys(same, "no acute finding"), same).verdict.label == "collapsed"
    alike = dict.fromkeys(same, ["no acute finding"] * 2)
    assert audit(dict.fromkeys(same, "no acute finding"), alike).verdict.label != "collapsed"


GOOD = results(SHUFFLED)
BAD_PREDICTIONS = {
    "not JSON": ("[{", "not JSON"),
    "an object": ({"annotations": GOOD}, "'annotations', not a list; expected the COCO results format"),
    "rows of text": (["a dog"], "row 0 is 'a dog', not an object"),
    "other keys": ([{"image_id": 0, "captions": "a dog"}], 'row 0 has no "caption" (it has "captions")'),
    "id of another kind": ([{"image_id": [1], "caption": "a"}], "row 0 has image_id [1], not a whole number or text"),
    "caption list": ([{"image_id": 0, "caption": ["a"]}], "row 0 (image 0) has \"caption\" ['a'], not text"),
    "half a character": ([{"image_id": 0, "caption": "a \ud800"}], "half a character"),
    "id as text": ([{"image_id": "3", "caption": "a"}], "image_id '3' should be 3"),
    "unknown id": ([{"image_id": 12345, "caption": "a"}], "12345 has no caption in the captions file, whose ids"),
    "id of too many digits": ([{"image_id": "1" * 5000, "caption": "a"}], "... has no caption in the captions file"),
    "twice": ([*GOOD, GOOD[4]], "a second prediction for image 4"),
    "missing": (GOOD[3:], "no prediction for 3 of 150 images, such as 0, 1, 2; caption them too, or say --partial"),
    "empty": ([], "no prediction for 150 of 150"),
}


@pytest.mark.parametrize("name", BAD_PREDICTIONS)
def test_bad_predictions_are_named(name: str, files, tmp_path: Path, capsys) -> None:
    value, says = BAD_PREDICTIONS[name]
    bad = write(tmp_path / "bad.json", value)
    status, out, err = run(capsys, bad, files["captions"])
    assert status == 2 and not out and "Traceback" not in err
    assert "bad.json: " in err and says in err


def test_part_of_the_images_on_request(files, tmp_path: Path, capsys) -> None:
    part = write(tmp_path / "part.json", GOOD[3:])
    assert run(capsys, part, files["captions"], "--partial")[0] == 0
    status, _, err = run(capsys, write(tmp_path / "one.json", GOOD[:1]), files["captions"], "--partial")
    assert status == 2 and "fewer than two images" in err


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "a JSON list, not an object; expected COCO captions"),
        ({"images": []}, 'no list "annotations"'),
        ({"images": [{"id": 1}], "annotations": [{"id": 1, "image_id": 1}]}, 'annotations[0] has no "caption"'),
        ({"images": [{"id": 1}], "annotations": [{"id": 1, "image_id": 1, "caption": 5}]}, '"caption" 5, not text'),
        ({"images": [{"id": 1}], "annotations": [{"id": 1, "image_id": 1, "caption": " "}]}, "no captions in it"),
    ],
)
@pytest.mark.parametrize("as_train", [False, True])
def test_bad_captions_are_named(value, says, as_train, files, tmp_path: Path, capsys) -> None:
    bad = write(tmp_path / "bad.json", value)
    where = [files["captions"], "--train", bad] if as_train else [bad]
    status, out, err = run(capsys, files["predictions"], *where)
    assert status == 2 and not out and "bad.json: " in err and says in err


def test_an_annotation_that_is_there_twice_is_one(tmp_path: Path) -> None:
    """Two people who wrote the same are two: their annotations have ids of their own."""
    held = coco({1: ["a dog", "a dog", "one dog"], 2: ["a cat"]})
    held["annotations"] *= 2
    path = Path(write(tmp_path / "merged.json", held))
    assert audit_files.read_captions(path) == {1: ["a dog", "a dog", "one dog"], 2: ["a cat"]}


def spoiled(value: float) -> np.ndarray:
    scores = np.full((N, N), -30.0)
    scores[3, 7] = value
    return scores


BAD_SCORES = {
    "NaN": (spoiled(np.nan), "scores[3, 7] is nan, not finite (1 of 22,500 are); clip"),
    "minus infinity": (spoiled(-np.inf), "scores[3, 7] is -inf, not finite"),
    "losses": (-spoiled(-2.0), "above 0 (22,500 of 22,500 are); a log-likelihood is at most 0; if these are losses"),
    "not square": (np.zeros((N, N + 1)), "shape (150, 151), and there are 150 predictions"),
    "too many": (np.zeros((N + 1, N + 1)), "shape (151, 151)"),
    "too few": (np.zeros((3, 3)), "N from 8 to 150"),
    "one row": (np.zeros(N), "shape (150,)"),
    "whole numbers": (np.zeros((N, N), dtype=int), "numbers of type int64, not floats"),
}


@pytest.mark.parametrize("name", BAD_SCORES)
def test_bad_scores_are_named(name: str, files, tmp_path: Path, capsys) -> None:
    value, says = BAD_SCORES[name]
    np.save(tmp_path / "bad.npy", value)
    status, out, err = run(capsys, files["predictions"], files["captions"], "--scores", str(tmp_path / "bad.npy"))
    assert status == 2 and not out and "bad.npy: " in err and says in err


def test_scores_that_are_no_array_are_named_and_never_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "bad.npy"
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(audit_files.DataError, match="bad.npy: not an array of numbers"):
        audit_files.read_scores(path, N)
    path.write_bytes(b"not an array")
    with pytest.raises(audit_files.DataError, match="bad.npy: not an array of numbers"):
        audit_files.read_scores(path, N)
    path.write_bytes(b"")
    with pytest.raises(audit_files.DataError, match="bad.npy: not an array of numbers"):
        audit_files.read_scores(path, N)
    np.savez(tmp_path / "many.npz", a=np.zeros((9, 9)))
    with pytest.raises(audit_files.DataError, match="many.npz: an archive"):
        audit_files.read_scores(tmp_path / "many.npz", N)
    with pytest.raises(audit_files.DataError, match="none.npy: can't be read"):
        audit_files.read_scores(tmp_path / "none.npy", N)


def test_files_that_are_not_there_and_a_page_over_an_input(files, capsys) -> None:
    assert "can't be read" in run(capsys, "none.json", files["captions"])[2]
    status, _, err = run(capsys, files["predictions"], files["captions"], "--html", files["captions"])
    assert status == 2 and "is a file to be read" in err
    status, out, err = run(capsys, files["predictions"], files["captions"], "--html", files["folder"])
    assert status == 2 and not out and "that is a folder; name a file" in err


def test_an_audit_needs_no_torch() -> None:
    code = "import sys, vljepa_core.__main__, vljepa_core.audit, vljepa_core.audit_page; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_25_000_captions_in_under_a_minute(tmp_path: Path, capsys) -> None:
    """Of CPU time, which other programs on the machine don't add to."""
    many = humans(25_000)
    captions = write(tmp_path / "captions.json", coco(many))
    predictions = write(tmp_path / "predictions.json", results({i: each[0] for i, each in many.items()}))
    began = time.process_time()
    status, out, _ = run(capsys, predictions, captions, "--train", captions, "--html", str(tmp_path / "report.html"))
    assert status == 0 and "VERDICT: uses the image" in out
    assert time.process_time() - began < 60


def test_the_published_constant_captions_on_the_real_captions(coco_captions: Path) -> None:
    references = audit_files.read_captions(coco_captions)
    some = {i: references[i] for i in list(references)[:250]}
    found = audit(dict.fromkeys(some, "A man is standing in the water next to a boat."), some)
    assert found.verdict.label == "collapsed"
    assert found.answers["own"]["content_match"].value == pytest.approx(0.19, abs=0.05)  # 18.9% of 5,000 images
    ids = list(some)
    found = audit({i: references[ids[j]][1] for i, j in zip(ids, others(len(ids), seed=5), strict=True)}, some)
    assert found.verdict.label == "varied but unrelated to the image"
