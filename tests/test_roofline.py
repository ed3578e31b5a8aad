"""Counts of a step's traffic against cases worked by hand, and what is predicted from them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tests.conftest import TINY
from vljepa_core import roofline
from vljepa_core.describe import describe, step_cost
from vljepa_core.recipes import recipe


def counted(work) -> tuple[int, int]:
    traffic = roofline.Traffic()
    with torch.device("meta"), roofline.FusedAttention(traffic), traffic:
        work()
    return traffic.operators, traffic.bytes


def test_matrix_product_and_views() -> None:
    x, w = torch.empty(4, 8, device="meta"), torch.empty(3, 8, device="meta")
    assert counted(lambda: x @ w.T) == (1, 4 * (4 * 8 + 8 * 3 + 4 * 3))  # the transpose is a view
    assert counted(lambda: x.relu_()) == (1, 4 * 2 * 32)  # read and written
    assert counted(lambda: x.view(8, 4)[2:].expand(3, 6, 4)) == (0, 0)
    assert counted(lambda: torch.empty(5)) == (0, 0)
    assert counted(lambda: torch.zeros(5)) == (1, 20)
    row = torch.empty(1, 8, device="meta").expand(4, 8)  # stored once
    assert counted(lambda: x + row) == (1, 4 * (32 + 8 + 32))


def test_attention_is_one_operator_each_way() -> None:
    shape = (2, 3, 5, 4)
    q, k, v = (torch.empty(shape, device="meta", requires_grad=True) for _ in range(3))
    one = 4 * 2 * 3 * 5 * 4
    assert counted(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)) == (1, 4 * one)
    out = torch.empty(shape, device="meta")
    both = counted(lambda: F.scaled_dot_product_attention(q, k, v).backward(out))
    assert both == (2, (4 + 8) * one)  # backward reads q, k, v, out and its gradient, writes three


def test_linear_layer_forward_and_backward() -> None:
    """y = x W + b, loss = sum(y): addmm; sum; gradients of W and b. x needs none."""
    x = torch.empty(4, 8, device="meta")
    layer = torch.nn.Linear(8, 3, device="meta")
    operators, moved = counted(lambda: layer(x).sum().backward())
    addmm = 3 + 4 * 8 + 8 * 3 + 4 * 3
    forward_sum, ones = 4 * 3 + 1, 1 + 1  # backward begins with a one, made like the loss
    weight, bias = 3 * 4 + 4 * 8 + 3 * 8, 4 * 3 + 3
    stored_once = 1 - 4 * 3  # the gradient of a sum is one number, expanded: as an input it is read once
    assert operators == 5
    assert moved == 4 * (addmm + forward_sum + ones + weight + bias + 2 * stored_once)


def test_prediction_by_hand() -> None:
    slow_memory = roofline.Card("slow memory", flops=1e12, bandwidth=1e9, source="made up")
    slow_cores = roofline.Card("slow cores", flops=1e9, bandwidth=1e12, source="made up")
    cost = {"flops": 2e9, "bytes": 3e9, "operators": 100}
    first, second = roofline.predict(cost, (slow_memory, slow_cores))
    assert first["seconds"] == pytest.approx(
        {"arithmetic": 2e-3, "memory": 3.0, "issuing": 100 * roofline.ISSUE_SECONDS}
    )
    assert (first["at_least"], first["waits_for"]) == (3.0, "memory")
    assert (second["at_least"], second["waits_for"]) == (2.0, "arithmetic")
    assert roofline.predict({"flops": 1, "bytes": 1, "operators": 1}, (slow_cores,))[0]["waits_for"] == "issuing"


def test_cost_of_a_step_grows_as_it_should() -> None:
    one, two = (step_cost(recipe("run4", "smoke", **{**TINY, "batch_size": n})) for n in (8, 16))
    parameters = describe(recipe("run4", "smoke", **TINY))["parameters"]["total"]
    assert one["operators"] == two["operators"]  # a larger batch is no more operators
    assert two["bytes"] < 2 * one["bytes"]  # weights are read once
    assert one["bytes"] > 4 * parameters * 10 + 2 * one["activation_bytes"]  # update; written forward, read backward


def test_published_step_only_for_the_published_recipe() -> None:
    found = describe(recipe("run3", "paper"))["published_step"]
    assert found["seconds"] == pytest.approx(5147 / 56_300)
    assert describe(recipe("run3", "paper", K=32))["published_step"] is None
    assert describe(recipe("run3", "laptop"))["published_step"] is None
    assert describe(recipe("run2", "paper"))["published_step"] is None  # no time was reported


def test_issuing_takes_what_it_took_where_it_was_measured() -> None:
    """Milliseconds a step of Run 2 at paper on an H200, one process and six at once (benchmarks/PROFILE.md)."""
    measured = sorted([65.15, 60.08, 68.35, 62.29, 58.37, 62.39, 58.37])
    operators = step_cost(recipe("run2", "paper"))["operators"]
    assert operators * roofline.ISSUE_SECONDS == pytest.approx(measured[3] / 1e3, rel=0.01)
