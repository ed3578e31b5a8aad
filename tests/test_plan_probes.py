"""Does a captioner use its plan? The score matrix against a slow loop, blind models at chance, planted information."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import TINY
from vljepa_core import plan_probes, probes, runs, tokenizer
from vljepa_core.blind import gain_over_blind, mismatch
from vljepa_core.model.vljepa import VLJEPA
from vljepa_core.objectives import caption_nats
from vljepa_core.records import Record
from vljepa_core.resident import Resident

CPU = torch.device("cpu")


def made(experiment: str = "run2", **changes) -> tuple[VLJEPA, runs.Prepared]:
    """A random model whose plans do differ, and its run."""
    run = runs.prepare(experiment, "smoke", "shapes", 0, **{**TINY, **changes})
    torch.manual_seed(1)
    model = VLJEPA(run.recipe)
    for parameter in model.parameters():  # at the published scale of 0.02 everything would be nearly equal
        torch.nn.init.normal_(parameter, std=0.3)
    return model, run


@pytest.mark.parametrize("experiment", ["run2", "run3", "run4"])
def test_the_matrix_is_what_a_slow_loop_of_swapped_plans_gives(experiment: str, monkeypatch) -> None:
    """Dropout of Runs 3 and 4 off; parts smaller than the number of plans; captions of different length."""
    model, run = made(experiment)
    model.train()
    split = Resident(run.examples["val"], CPU)
    monkeypatch.setattr(plan_probes, "PLANS_AT_ONCE", 5)
    nats, _, plans = caption_nats(model, split)
    scores = plan_probes.score_matrix(model.decoder, plans, split.ids)
    assert model.training and model.decoder.training and scores.dtype == np.float64
    assert np.diagonal(scores) == pytest.approx(-nats, rel=1e-5)
    assert plan_probes.paired_scores(model.decoder, plans, split.ids) == pytest.approx(-nats, rel=1e-5)
    plans = torch.randn(plans.shape)  # further apart than those of a random model
    scores = plan_probes.score_matrix(model.decoder, plans, split.ids)
    assert np.ptp(scores, axis=1).min() > 0.1
    with torch.autocast("cpu", torch.bfloat16):  # as a run in bf16 is judged
        assert (plan_probes.score_matrix(model.decoder, plans, split.ids) == scores).all()
    model.eval()
    for i in (0, 3, 7):
        ids = tokenizer.encode(run.examples["val"].texts[i], run.recipe.max_length)
        for j in range(len(plans)):
            with torch.no_grad():
                log_p = model.decoder(plans[j : j + 1], torch.tensor([ids[:-1]]))[0].double().log_softmax(dim=-1)
            slow = sum(float(log_p[t, ids[t + 1]]) for t in range(len(ids) - 1))
            assert scores[i, j] == pytest.approx(slow, rel=1e-5)


@pytest.mark.parametrize("experiment", ["run2_blind", "run4_blind"])
def test_a_blind_model_scores_exactly_chance_on_everything(experiment: str) -> None:
    model, run = made(experiment)
    val, train = (Resident(run.examples[split], CPU, "none") for split in ("val", "train"))
    nats, _, plans = caption_nats(model, val)
    scores = plan_probes.score_matrix(model.decoder, plans, val.ids)
    assert (scores == scores[:, :1]).all()
    found = plan_probes.probe_plans(model, val, plans, train)
    chance = {**probes.chance(12), "mean_plan_gap": 0.0, "train_shuffle_gap": 0.0}
    assert found.keys() == chance.keys()
    for name, value in chance.items():
        assert found[name].value == pytest.approx(value, abs=1e-12), name
        assert found[name].low <= value <= found[name].high, name
    for name in ("shuffle_gap", "mean_plan_gap", "train_shuffle_gap", "infonce"):
        assert found[name].value == found[name].low == found[name].high == 0


class Planted(torch.nn.Module):
    """A decoder that knows of each plan only its first number, and gives id 4 + that number all but ``slip`` of p."""

    def __init__(self, vocabulary: int, slip: float) -> None:
        super().__init__()
        self.vocabulary, self.slip, self.prefix_length = vocabulary, slip, 0

    def forward(self, plan: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        told = 4 + plan[:, 0, 0].long()
        p = torch.full((len(plan), self.vocabulary), self.slip / (self.vocabulary - 1))
        p[torch.arange(len(plan)), told] = 1 - self.slip
        return p.log()[:, None].expand(-1, ids.shape[1], -1)


def test_planted_information_is_found_and_nothing_more() -> None:
    """Captions of one byte of 8, known to the decoder with certainty: 3 bits; plans differ in all else as well."""
    n, vocabulary, slip = 160, 64, 1e-6
    kind = np.random.default_rng(0).permutation(np.arange(n) % 8)
    plans = torch.randn(n, 2, 4, generator=torch.Generator().manual_seed(0))
    plans[:, 0, 0] = torch.from_numpy(kind).float()
    ids = torch.from_numpy(np.stack([np.full(n, tokenizer.BOS), 4 + kind], axis=1).astype(np.int32))
    scores = plan_probes.score_matrix(Planted(vocabulary, slip), plans, ids)
    assert scores[0, 0] == pytest.approx(np.log(1 - slip), abs=1e-6)
    found = probes.probe(scores)
    assert found["infonce"].low <= 3 <= found["infonce"].high
    assert found["infonce"].value == pytest.approx(3, abs=0.1)
    assert found["image_r1"].value == pytest.approx(8 / n)  # one of the 20 of its kind, by chance
    wrong = np.log2((1 - slip) * (vocabulary - 1) / slip)
    assert found["shuffle_gap"].value == pytest.approx(wrong * 140 / 159, rel=1e-4)


def test_what_the_mean_plan_and_other_training_plans_cost_is_what_a_loop_says() -> None:
    model, run = made()
    val, train = (Resident(run.examples[split], CPU) for split in ("val", "train"))
    _, _, plans = caption_nats(model, val)
    found = plan_probes.probe_plans(model, val, plans, train)
    at_mean = plan_probes.score_matrix(model.decoder, plans.mean(dim=0, keepdim=True), val.ids)[:, 0]
    own = plan_probes.paired_scores(model.decoder, plans, val.ids)
    assert found["mean_plan_gap"].value == pytest.approx((own - at_mean).mean() / np.log(2), rel=1e-3, abs=1e-4)
    # All 39 other plans of each of the 40 training captions: the eight that are tried are a sample of these.
    nats, _, train_plans = caption_nats(model, train)
    every = probes.shuffle_gap(plan_probes.score_matrix(model.decoder, train_plans, train.ids))
    sampled = found["train_shuffle_gap"]
    assert sampled.n == 40 and sampled.low <= every.value <= sampled.high


def test_few_images_are_not_probed_and_many_are_drawn() -> None:
    assert plan_probes.drawn(5).tolist() == [0, 1, 2, 3, 4]
    some = plan_probes.drawn(1000)
    assert len(some) == len(set(some)) == plan_probes.SCORED and (np.diff(some) > 0).all() and some.max() > 900
    model, run = made(n_val=7)
    val, train = (Resident(run.examples[split], CPU) for split in ("val", "train"))
    assert plan_probes.probe_plans(model, val, caption_nats(model, val)[2], train) == {}


# --- gain over a trained blind model ---------------------------------------------------------------


def record(nats: list[float], experiment: str = "run2", seed: int = 0, data: str = "f", **recipe) -> Record:
    values = {name: None for name in Record.__dataclass_fields__}
    return Record(
        **{
            **values,
            "experiment": experiment,
            "scale": "smoke",
            "data": "toy",
            "seed": seed,
            "recipe": {"experiment": experiment, "decoder": "baseline", "dim": 32, "plan_source": "image", **recipe},
            "dataset": {"fingerprint": data},
            "captions": [{"image_id": i, "greedy": "", "sampled": "", "nats": x} for i, x in enumerate(nats)],
        }
    )


def test_gain_over_a_blind_model_by_hand() -> None:
    blind = record([np.log(8), np.log(4), np.log(2), 40.0], "run2_blind", plan_source="none")
    gain = gain_over_blind(record([np.log(2), 0.0, np.log(4), 40.0]), blind)
    assert gain.value == pytest.approx((2 + 2 - 1 + 0) / 4) and gain.n == 4
    assert gain.low == pytest.approx(-0.5, abs=0.26) and gain.high == pytest.approx(1.75, abs=0.26)
    # Paired: what images cost differs far more than what is gained, and does not count.
    rng = np.random.default_rng(0)
    cost = rng.uniform(20, 60, 300)
    blind = record(list(cost), "run2_blind", plan_source="none")
    gain = gain_over_blind(record(list(cost - 0.5 * np.log(2) + 0.1 * rng.normal(size=300))), blind)
    assert gain.low < 0.5 < gain.high and gain.high - gain.low < 0.05
    assert gain_over_blind(replace(blind, recipe={**blind.recipe}), blind).value == 0


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (dict(plan_source="image"), "no blind model"),
        (dict(seed=1), "other seed"),
        (dict(data="g"), "other data"),
        (dict(decoder="refactored"), "decoder is 'baseline' in one and 'refactored' in the other"),
        (dict(epochs=8), "epochs is 100 in one and 8"),
    ],
)
def test_what_is_no_pair_is_refused(other: dict, says: str) -> None:
    blind = record([1.0, 2.0], "run2_blind", **{"plan_source": "none", **other})
    with pytest.raises(ValueError, match=f"run2_blind.*{says}"):
        gain_over_blind(record([1.0, 2.0]), blind)


def test_other_images_and_records_without_nats_are_refused() -> None:
    blind = record([1.0, 2.0], "run2_blind", plan_source="none", diversity_weight=0.0)
    assert mismatch(record([1.0, 2.0], diversity_weight=0.5), blind) is None
    assert "validation images" in mismatch(record([1.0]), blind)
    old = record([1.0, 2.0])
    for row in old.captions:
        del row["nats"]
    assert "no nats" in mismatch(old, blind)
