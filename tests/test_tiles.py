"""High resolution by tiles: networks with an analytic answer, and the built-in one on a scene whose depth is known."""

from __future__ import annotations

import importlib
import itertools
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from depth_anything_v2.datasets.rendered import render_scene
from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.metrics import abs_rel, boundary_f1
from depth_anything_v2.tiles import Predict, plan_tiles, refine, too_small_note

FloatMap = npt.NDArray[np.float32]


def relief(height: int, width: int) -> FloatMap:
    """Inverse depth with slopes, waves and sharp edges at many places."""
    y, x = np.mgrid[:height, :width]
    slope = 1 + y / height + 0.3 * np.sin(x / 90) * np.cos(y / 70)
    boxes = ((x // 37 + y // 29) % 3 == 0) * 0.6
    return np.asarray(slope + boxes, np.float32)


def as_picture(depth: FloatMap) -> FloatMap:
    """A picture from whose crops a stub reads what it should answer."""
    return np.repeat(depth[:, :, None], 3, axis=2)


def blurred(depth: FloatMap, sigma: float = 4.0) -> FloatMap:
    """What a network might answer that sees the picture much reduced."""
    return np.asarray(cv2.GaussianBlur(depth, (0, 0), sigma, borderType=cv2.BORDER_REFLECT), np.float32)


def answering(answer: Callable[[FloatMap, int], FloatMap]) -> Predict:
    """A network that answers `answer(crop, number of the tile)`."""
    number = itertools.count()
    return lambda crops: [np.asarray(answer(crop[:, :, 0], next(number)), np.float32) for crop in crops]


def own_scale(crop: FloatMap, number: int) -> FloatMap:
    rng = np.random.default_rng(number)
    return np.float32(rng.uniform(0.2, 5)) * crop + np.float32(rng.uniform(-2, 9))


def error(depth: FloatMap, truth: FloatMap) -> float:
    return float(np.abs(depth - truth).mean() / truth.std())


@pytest.mark.parametrize(("height", "width", "side"), [(301, 467, 128), (256, 777, 97), (200, 200, 100)])
def test_tiles_that_are_affine_versions_of_the_truth_give_the_truth(height: int, width: int, side: int) -> None:
    truth = relief(height, width)
    grid = plan_tiles(height, width, side)
    assert grid is not None
    assert (grid.side, *as_picture(truth).shape[:2]) == (side, height, width)
    exact = refine(as_picture(truth), truth, answering(own_scale), grid, kind="relative")
    assert error(exact.depth, truth) < 0.01
    assert exact.used == len(grid)
    coarse = blurred(truth)
    sharp = refine(as_picture(truth), coarse, answering(own_scale), grid, kind="relative")
    assert error(sharp.depth, truth) < 0.6 * error(coarse, truth)
    assert boundary_f1(1 / sharp.depth, 1 / truth) > 0.5 > 0.1 > boundary_f1(1 / coarse, 1 / truth)


def test_slow_changes_are_those_of_the_global_pass() -> None:
    """A tile without its surroundings tilts; what it says of large shapes must not get in."""
    truth = relief(384, 384)
    coarse = blurred(truth)
    tilt = np.linspace(-0.25, 0.25, 128, dtype=np.float32)
    grid = plan_tiles(384, 384, 128)
    assert grid is not None

    def tilted(crop: FloatMap, number: int) -> FloatMap:
        return crop + (tilt[:, None] if number % 2 else -tilt)

    result = refine(as_picture(truth), coarse, answering(tilted), grid, kind="relative").depth
    large_shapes = np.abs(blurred(result, 30) - blurred(truth, 30)).mean()
    assert large_shapes < 0.3 * np.abs(tilt).mean()
    assert error(result, truth) < 0.7 * error(coarse, truth)


def waves(height: int, width: int, seed: int, sigma: float) -> FloatMap:
    """Something of standard deviation 1 that is alike everywhere."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width)).astype(np.float32)
    smooth = blurred(noise, sigma)
    return np.asarray((smooth - smooth.mean()) / smooth.std(), np.float32)


def test_no_seams() -> None:
    """Where tiles disagree, the change against the global pass is no steeper at their borders than elsewhere."""
    truth = 9 + waves(420, 610, 0, 10)
    coarse = blurred(truth, 6)
    grid = plan_tiles(420, 610, 128)
    assert grid is not None

    def disagreeing(crop: FloatMap, number: int) -> FloatMap:
        return own_scale(crop + 0.5 * waves(*crop.shape, number, 7), number)

    change = refine(as_picture(truth), coarse, answering(disagreeing), grid, kind="relative").depth - coarse
    assert change.std() > 0.05
    for axis, starts in ((0, grid.tops), (1, grid.lefts)):
        steps = np.abs(np.diff(change, axis=axis)).mean(axis=1 - axis)
        borders = {border - 1 for start in starts for border in (start, start + grid.side) if 0 < border <= steps.size}
        inside = np.setdiff1d(np.arange(steps.size), list(borders))
        assert steps[list(borders)].mean() < 1.1 * steps[inside].mean()


@pytest.mark.parametrize(
    "answer",
    [
        lambda crop, number: np.zeros_like(crop),
        lambda crop, number: np.full_like(crop, number),
        lambda crop, number: 5 - crop,
        lambda crop, number: np.where(crop > 2, np.float32("nan"), crop),
        lambda crop, number: np.full_like(crop, np.float32("inf")),
    ],
    ids=["nothing", "constant", "falls", "nan", "infinite"],
)
def test_where_a_tile_says_nothing_the_global_pass_stays(answer: Callable[[FloatMap, int], FloatMap]) -> None:
    truth = relief(200, 260)
    coarse = blurred(truth)
    grid = plan_tiles(200, 260, 100)
    assert grid is not None
    result = refine(as_picture(truth), coarse, answering(answer), grid, kind="relative")
    np.testing.assert_array_equal(result.depth, coarse)
    assert result.used == 0


def test_a_part_that_a_tile_does_not_see_stays() -> None:
    """Of one thing in every tile the network sees nothing, and all of the rest."""
    truth = relief(240, 240)
    y, x = np.mgrid[:240, :240]
    unseen = (y % 60 - 30) ** 2 + (x % 60 - 30) ** 2 < 15**2
    coarse = blurred(truth + unseen, 3)
    grid = plan_tiles(240, 240, 120)
    assert grid is not None
    result = refine(as_picture(truth), coarse, answering(lambda crop, n: crop), grid, kind="relative").depth
    kept = (result - truth)[unseen].mean() / (coarse - truth)[unseen].mean()
    assert kept > 0.6


def test_noise_is_not_stretched_to_structure() -> None:
    coarse = blurred(relief(200, 260))
    grid = plan_tiles(200, 260, 100)
    assert grid is not None

    def noise(crop: FloatMap, number: int) -> FloatMap:
        return np.random.default_rng(number).normal(0, 1, crop.shape).astype(np.float32)

    result = refine(as_picture(coarse), coarse, answering(noise), grid, kind="relative").depth
    assert error(result, coarse) < 0.2
    flat = np.ones((200, 260), np.float32)
    result = refine(as_picture(flat), flat, answering(noise), grid, kind="relative").depth
    np.testing.assert_allclose(result, flat, rtol=1e-6)


def test_metric_depth_is_fitted_as_its_inverse_and_keeps_its_range() -> None:
    metres = 1 / relief(300, 400) * 10
    coarse = np.asarray(1 / blurred(1 / metres), np.float32)
    before = coarse.copy()
    grid = plan_tiles(300, 400, 128)
    assert grid is not None
    # A crop looks like a picture taken with a longer lens: a metric network takes it for nearer.
    result = refine(as_picture(metres), coarse, answering(lambda crop, n: crop * 0.4), grid, kind="metric")
    assert abs_rel(result.depth, metres) < 0.6 * abs_rel(coarse, metres)
    assert result.depth.min() > 0
    assert result.depth.max() <= coarse.max() * (1 + 1e-6)
    np.testing.assert_array_equal(coarse, before)


def test_answers_of_another_size_than_the_tile() -> None:
    """A network answers at its own size: smaller than the tile, as a rule, and not always square."""
    truth = relief(600, 600)
    grid = plan_tiles(600, 600, 140, side=200)
    assert grid is not None

    def reduced(crop: FloatMap, number: int) -> FloatMap:
        return np.asarray(cv2.resize(crop, (154, 140), interpolation=cv2.INTER_AREA), np.float32)

    coarse = blurred(truth, 6)
    result = refine(as_picture(truth), coarse, answering(reduced), grid, kind="relative", batch_size=4)
    assert error(result.depth, truth) < 0.6 * error(coarse, truth)


def test_memory_does_not_grow_with_the_number_of_tiles() -> None:
    """One map of the picture's size beside what is given, whatever the tiles."""
    truth = relief(1500, 2000)
    picture, coarse = as_picture(truth), truth.copy()
    most = 0

    def predict(crops: Sequence[FloatMap]) -> list[FloatMap]:
        nonlocal most
        most = max(most, len(crops))
        return [np.ascontiguousarray(crop[::3, ::3, 0]) for crop in crops]

    grid = plan_tiles(1500, 2000, 64, side=200)
    assert grid is not None
    assert len(grid) > 250
    tracemalloc.start()
    refine(picture, coarse, predict, grid, kind="relative", batch_size=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most == 3
    assert peak < truth.nbytes + 11_000_000  # 8 MB of it for the robust fit


@pytest.mark.parametrize(
    ("height", "width", "input_size", "side", "count"),
    [
        (4000, 6000, 518, 1000, 77),
        (1200, 1600, 518, 518, 24),
        (778, 9000, 518, 518, 102),
        (1536, 1152, 256, 288, 70),
    ],
)
def test_a_grid_covers_the_picture_with_overlap(
    height: int, width: int, input_size: int, side: int, count: int
) -> None:
    grid = plan_tiles(height, width, input_size)
    assert grid is not None
    assert (grid.side, len(grid)) == (side, count)
    assert str(grid) == f"{count} tiles of {side} x {side} pixels"
    total = np.zeros((height, width), np.float32)
    rows, columns = grid.row_weights(), grid.column_weights()
    for top, left in grid:
        total[top : top + side, left : left + side] += rows[top][:, None] * columns[left]
    np.testing.assert_allclose(total, 1, atol=1e-5)
    for starts, length in ((grid.tops, height), (grid.lefts, width)):
        assert (starts[0], starts[-1]) == (0, length - side)
        assert np.diff(starts).max() <= side / 2 + 1


def test_no_tiles_where_they_gain_nothing_and_mistakes_are_named() -> None:
    assert plan_tiles(700, 4000, 518) is None
    assert plan_tiles(4000, 6000, 518, side=3000) is None
    assert too_small_note(700, 4000, 518) == "no tiles: 4000 x 700 pixels are under 1.5 times a tile of 518 x 518"
    with pytest.raises(OptionError, match="at least 32"):
        plan_tiles(4000, 6000, 518, side=8)
    with pytest.raises(OptionError, match="positive"):
        plan_tiles(0, 6000, 518)
    grid = plan_tiles(200, 200, 64)
    assert grid is not None
    with pytest.raises(InputError, match="the tiles are for"):
        refine(np.zeros((200, 201, 3)), np.zeros((200, 201), np.float32), answering(own_scale), grid, kind="relative")


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    """benchmarks/tiles.py, as it is imported when it is run."""
    folder = Path(__file__).parent.parent / "benchmarks"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield importlib.import_module("tiles")
        for name in ("tiles", "measure"):
            sys.modules.pop(name, None)


def test_the_built_in_network_gets_finer_edges(benchmark: ModuleType) -> None:
    plain = DepthEstimator.from_pretrained("builtin", exact=True)
    tiled = DepthEstimator(plain.engine, plain.config, tile=0)
    found = []
    for seed in (10_000_001, 10_000_003):
        scene = render_scene(seed, 768, 1024, kind="tabletop")
        predictions = plain(scene.image), tiled(scene.image)
        found.append([benchmark.scores(prediction.depth, scene.depth_m) for prediction in predictions])
        (note,) = predictions[1].provenance.notes
        assert note.startswith("high resolution by 35 tiles of 256 x 256 pixels")
    f1, away = np.mean(found, axis=0).T
    assert f1[1] > 2 * f1[0]
    assert away[1] < 1.05 * away[0]


def test_the_benchmark_says_what_tiles_bring(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert benchmark.large_picture(600, 420).shape == (420, 600, 3)
    monkeypatch.setattr(benchmark, "HEIGHT", 390)
    monkeypatch.setattr(benchmark, "WIDTH", 520)
    monkeypatch.setattr(sys, "argv", ["tiles.py", "--scenes", "1", "--pictures", str(tmp_path)])
    benchmark.main()
    lines = capsys.readouterr().out.splitlines()
    heads = [line.split("  ")[0] for line in lines[1:5]]
    assert heads == ["global pass", "input size 512", "input size 1024", "12 tiles"]
    assert lines[5].startswith("change across the borders of tiles / elsewhere: mean ")
    (shown,) = tmp_path.glob("*.png")
    assert cv2.imread(str(shown)).shape[2] == 3
