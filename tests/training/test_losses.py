from __future__ import annotations

import numpy as np
import pytest
import torch

from depth_anything_v2.training.losses import (
    anchor,
    feature_alignment,
    gradient_matching,
    normalise,
    ranking,
    relative_loss,
    silog,
    without_largest,
)

WEIGHTS = {"ssi": 1.0, "gradient": 2.0, "ranking": 0.1, "anchor": 0.1}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    target = torch.rand(3, 24, 32, generator=seeded()) + torch.linspace(0, 3, 24)[None, :, None]
    return target, torch.ones_like(target, dtype=torch.bool)


def test_a_perfect_prediction_up_to_scale_and_shift_costs_nothing_but_ranking(maps) -> None:
    target, valid = maps
    parts = relative_loss(7 * target + 3, target, valid, WEIGHTS, seeded())
    assert parts["ssi"].shape == parts["loss"].shape == (3,)
    assert float(parts["ssi"].max()) == pytest.approx(0, abs=1e-5)
    assert float(parts["gradient"].max()) == pytest.approx(0, abs=1e-4)
    torch.testing.assert_close(parts["loss"], 0.1 * parts["ranking"] + 0.1 * parts["anchor"], atol=1e-4, rtol=0)


def test_an_upside_down_prediction_costs_more_than_a_flat_one(maps) -> None:
    target, valid = maps
    costs = [
        float(relative_loss(p, target, valid, WEIGHTS, seeded())["loss"].mean())
        for p in (target, torch.ones_like(target), -target)
    ]
    assert costs[0] < costs[1] < costs[2]


def test_the_loss_of_a_picture_is_the_same_whatever_is_in_the_batch_with_it(maps) -> None:
    target, valid = maps
    prediction = target**2 + torch.rand(target.shape, generator=seeded(1))
    together = relative_loss(prediction, target, valid, WEIGHTS, seeded())["loss"]
    alone = [relative_loss(prediction[i, None], target[i, None], valid[i, None], WEIGHTS, seeded()) for i in range(3)]
    torch.testing.assert_close(together, torch.cat([parts["loss"] for parts in alone]))


def test_invalid_pixels_and_nan_do_not_count(maps) -> None:
    target, valid = maps
    prediction = (2 * target + torch.rand(target.shape, generator=seeded(1))).requires_grad_()
    broken, mask = target.clone(), valid.clone()
    broken[:, :6], mask[:, :6] = float("nan"), False
    clean = relative_loss(prediction[:, 6:], target[:, 6:], valid[:, 6:], WEIGHTS, seeded())
    masked = relative_loss(prediction, broken, mask, WEIGHTS, seeded())
    torch.testing.assert_close(masked["ssi"], clean["ssi"], rtol=1e-4, atol=0)
    masked["loss"].sum().backward()
    assert torch.isfinite(prediction.grad).all()
    assert float(prediction.grad[:, :6].abs().max()) == 0


@pytest.mark.parametrize("kind", ["relative", "silog"])
def test_pictures_without_valid_pixels_have_a_finite_loss_and_no_gradient(maps, kind: str) -> None:
    target, valid = maps
    prediction = torch.rand(target.shape, generator=seeded()).requires_grad_()
    target, nothing = target * float("nan"), ~valid
    if kind == "relative":
        loss = relative_loss(prediction, target, nothing, WEIGHTS, seeded())["loss"]
    else:
        loss = silog(prediction, target, nothing)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert float(prediction.grad.abs().max()) == 0


def test_normalise_is_median_and_mean_deviation() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0, 100.0]]])
    valid = torch.tensor([[[True, True, True, True, False]]])
    # The median of an even number of values is the lower middle one; deviations from 2 are 1, 0, 1, 2.
    torch.testing.assert_close(normalise(x, valid)[0, 0], torch.tensor([-1.0, 0.0, 1.0, 2.0, 0.0]))


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
    cost = [float(ranking(p, truth, valid, seeded())) for p in (right, wrong)]
    assert cost[0] < 0.3 * cost[1]


def test_the_anchor_is_satisfied_by_one_scale_only() -> None:
    def cost(median: float, deviation: float) -> float:
        return float(anchor(torch.tensor([[median]]), torch.tensor([[deviation]])))

    assert cost(1.0, 0.3) == pytest.approx(0, abs=1e-6)
    assert cost(1.0, 0.3e9) > cost(1.0, 0.6) > 0
    assert cost(1.0, 0.15) == pytest.approx(cost(1.0, 0.6))
    assert cost(3.0, 0.3) > 1


def test_silog_is_the_root_of_mean_square_minus_half_the_squared_mean() -> None:
    rng = np.random.default_rng(0)
    truth, mask = rng.uniform(0.5, 20, (2, 6, 8)), rng.random((2, 6, 8)) < 0.7
    answer = truth * rng.lognormal(0.2, 0.3, truth.shape)
    expected = []
    for t, p, m in zip(truth, answer, mask, strict=True):
        d = np.log(t[m]) - np.log(p[m])
        expected.append(np.sqrt(np.var(d) + 0.5 * np.mean(d) ** 2))  # mean(d^2) = var + mean^2
    got = silog(*(torch.from_numpy(x) for x in (answer, truth, mask)))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9)
    scaled = silog(*(torch.from_numpy(x) for x in (3 * truth, truth, mask)), variance_focus=1.0)
    assert float(scaled.max()) == pytest.approx(0, abs=1e-5)


def test_silog_over_several_pictures_pools_their_pixels() -> None:
    truth, answer = torch.rand(4, 5, 5, generator=seeded()) + 1, torch.rand(4, 5, 5, generator=seeded(1)) + 1
    valid = torch.rand(4, 5, 5, generator=seeded(2)) < 0.6
    pooled = silog(answer, truth, valid, pictures=2)
    wide = [torch.cat([x[:2].reshape(1, -1, 5), x[2:].reshape(1, -1, 5)]) for x in (answer, truth, valid)]
    assert pooled.shape == (2,)
    torch.testing.assert_close(pooled, silog(*wide))


def test_silog_has_a_finite_slope_where_the_prediction_is_perfect_or_zero() -> None:
    truth = torch.full((2, 6, 6), 3.0)
    answer = torch.stack([truth[0], torch.zeros(6, 6)]).requires_grad_()
    loss = silog(answer, truth, torch.ones_like(truth, dtype=torch.bool))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(answer.grad).all()


def test_the_tenth_with_the_largest_error_is_left_out_of_each_picture() -> None:
    error = torch.arange(200.0).reshape(2, 10, 10)
    valid = torch.ones_like(error, dtype=torch.bool)
    valid[1, 9] = False
    kept = without_largest(error, valid, torch.tensor([0.1, 0.5]))
    assert kept[0].flatten().nonzero().max() == 89
    assert int(kept[0].sum()) == 90
    assert int(kept[1].sum()) == 45
    assert torch.equal(without_largest(error, valid, torch.zeros(2)), valid)


def test_a_wrong_tenth_of_the_labels_costs_nothing_when_it_is_dropped(maps) -> None:
    target, valid = maps
    spoilt = target.clone()
    spoilt[:, :2] = 30.0  # 2 of 24 rows
    whole, trimmed = (
        relative_loss(target, spoilt, valid, {**WEIGHTS, "ranking": 0, "anchor": 0}, seeded(), drop)["ssi"]
        for drop in (None, torch.full((3,), 0.1))
    )
    assert float(trimmed.max()) < 0.5 * float(whole.min())


def test_features_that_are_alike_enough_are_left_alone() -> None:
    frozen = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]])
    student = torch.tensor([[[2.0, 0.0], [1.0, 1.0], [0.0, 5.0]]], requires_grad=True)  # cosines 1, 0.71, 0
    loss = feature_alignment(student, frozen, 0.85)
    assert loss.item() == pytest.approx((1 - 0.5**0.5 + 1) / 2, abs=1e-6)
    loss.sum().backward()
    assert float(student.grad[0, 0].abs().max()) == 0
    assert float(student.grad[0, 1].abs().max()) > 0
    assert feature_alignment(student, student.detach(), 0.85).item() == 0
