from __future__ import annotations

import pytest
import torch

from depth_anything_v2.training.losses import anchor, gradient_matching, normalise, ranking, relative_loss


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 24, 32, generator=generator) + torch.linspace(0, 3, 24)[None, :, None]
    return target, torch.ones_like(target, dtype=torch.bool)


def test_a_perfect_prediction_up_to_scale_and_shift_costs_nothing_but_ranking(maps) -> None:
    target, valid = maps
    parts = relative_loss(7 * target + 3, target, valid, torch.Generator().manual_seed(0))
    assert float(parts["ssi"]) == pytest.approx(0, abs=1e-5)
    assert float(parts["gradient"]) == pytest.approx(0, abs=1e-4)
    rest = 0.1 * float(parts["ranking"]) + 0.1 * float(parts["anchor"])
    assert float(parts["loss"]) == pytest.approx(rest, abs=1e-4)


def test_an_upside_down_prediction_costs_more_than_a_flat_one(maps) -> None:
    target, valid = maps
    costs = [
        float(relative_loss(p, target, valid, torch.Generator().manual_seed(0))["loss"])
        for p in (target, torch.ones_like(target), -target)
    ]
    assert costs[0] < costs[1] < costs[2]


def test_invalid_pixels_and_nan_do_not_count(maps) -> None:
    target, valid = maps
    prediction = 2 * target + torch.rand(target.shape, generator=torch.Generator().manual_seed(1))
    broken, mask = target.clone(), valid.clone()
    broken[:, :6], mask[:, :6] = float("nan"), False
    clean = relative_loss(prediction[:, 6:], target[:, 6:], valid[:, 6:], torch.Generator().manual_seed(0))
    masked = relative_loss(prediction, broken, mask, torch.Generator().manual_seed(0))
    assert float(masked["ssi"]) == pytest.approx(float(clean["ssi"]), rel=1e-4)
    assert torch.isfinite(masked["loss"])


def test_a_batch_without_valid_pixels_has_a_finite_loss_and_no_gradient(maps) -> None:
    target, valid = maps
    prediction = torch.rand(target.shape, requires_grad=True)
    loss = relative_loss(prediction, target * float("nan"), ~valid, torch.Generator().manual_seed(0))["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    assert float(prediction.grad.abs().max()) == 0


def test_normalise_is_median_and_mean_deviation() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0, 100.0]]])
    valid = torch.tensor([[[True, True, True, True, False]]])
    # The median of an even number of values is the lower middle one; deviations from 2 are 1, 0, 1, 2.
    torch.testing.assert_close(normalise(x, valid)[0, 0, :4], torch.tensor([-1.0, 0.0, 1.0, 2.0]))


def test_gradient_matching_by_hand() -> None:
    difference = torch.zeros(1, 4, 4)
    difference[0, :, 2:] = 1.0
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    # One step per row at full size (4 of 16 pixels); at half size 2 rows of 2 of 4 pixels; then single pixels.
    assert float(gradient_matching(difference, torch.zeros_like(difference), valid)) == pytest.approx(4 / 16 + 2 / 4)


def test_ranking_prefers_the_right_order_of_what_is_far_away() -> None:
    truth = torch.linspace(0.01, 1.0, 32 * 32).reshape(1, 32, 32)
    valid = torch.ones_like(truth, dtype=torch.bool)
    right, wrong = truth * 3, -truth * 3
    cost = [float(ranking(p, truth, valid, torch.Generator().manual_seed(0))) for p in (right, wrong)]
    assert cost[0] < 0.3 * cost[1]


def test_the_anchor_is_satisfied_by_one_scale_only() -> None:
    def cost(median: float, deviation: float) -> float:
        return float(anchor(torch.tensor([[median]]), torch.tensor([[deviation]])))

    assert cost(1.0, 0.3) == pytest.approx(0, abs=1e-6)
    assert cost(1.0, 0.3e9) > cost(1.0, 0.6) > 0
    assert cost(1.0, 0.15) == pytest.approx(cost(1.0, 0.6))
    assert cost(3.0, 0.3) > 1
