"""The estimator around a small random model: what it promises does not depend on trained weights."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from depth_anything_v2 import pipeline
from depth_anything_v2.config import model_config
from depth_anything_v2.dpt import build_model
from depth_anything_v2.engines.torch_engine import TorchEngine, pick_device
from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.util.transform import preprocess, resize_depth


@pytest.fixture(scope="module")
def engine() -> TorchEngine:
    torch.manual_seed(3)
    model = build_model(model_config("lite0"))
    model.depth_head.scratch.output_conv2[2].bias.data.fill_(1.0)
    return TorchEngine(model, "cpu")


@pytest.fixture(scope="module")
def estimator(engine: TorchEngine) -> DepthEstimator:
    return DepthEstimator(engine, model_config("lite0"), name="random", input_size=96, licence="none")


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def test_every_form_of_a_picture_gives_the_same_depth(estimator: DepthEstimator, tmp_path) -> None:
    rgb = picture(90, 130)
    path = tmp_path / "a picture – ü.png"
    Image.fromarray(rgb).save(path)
    encoded = io.BytesIO()
    Image.fromarray(rgb).save(encoded, "PNG")
    reference = estimator(rgb)
    assert reference.depth.shape == (90, 130)
    assert reference.depth.dtype == np.float32
    assert reference.depth.std() > 0
    forms = [path, str(path), encoded.getvalue(), Image.fromarray(rgb), rgb.astype(np.float32) / 255]
    forms += [rgb.astype(np.uint16) * 257]
    for form in forms:
        np.testing.assert_allclose(estimator(form).depth, reference.depth, rtol=1e-5, atol=1e-6)


def test_a_prediction_says_what_it_is(estimator: DepthEstimator, tmp_path) -> None:
    path = tmp_path / "x.png"
    Image.fromarray(picture(64, 96)).save(path)
    prediction = estimator(path)
    assert (prediction.kind, prediction.unit, prediction.geometry) == ("relative", "none", "planar")
    told = prediction.provenance
    assert (told.checkpoint, told.encoder, told.engine, told.precision) == ("random", "lite0", "torch", "float32")
    assert told.source == str(path)
    assert (told.input_size, told.network_size) == (96, (96, 128))  # 144 / 32 = 4.5 rounds to even
    assert prediction.valid.all()


def test_metric_depth_is_bounded_and_saturation_is_not_valid() -> None:
    torch.manual_seed(0)
    config = model_config("lite0", 20.0)
    model = build_model(config)
    model.depth_head.scratch.output_conv2[2].bias.data.fill_(50.0)
    prediction = DepthEstimator(TorchEngine(model, "cpu"), config, input_size=64)(picture(40, 60))
    assert (prediction.kind, prediction.unit, prediction.max_depth_m) == ("metric", "m", 20.0)
    assert not prediction.valid.any()
    assert float(prediction.depth.max()) <= 20.0


def test_many_equal_one_by_one_in_order_and_batched_by_shape(estimator: DepthEstimator) -> None:
    shapes = [(60, 90), (90, 60), (60, 90), (64, 64), (90, 60), (120, 180), (60, 91)]
    pictures = [picture(h, w, seed) for seed, (h, w) in enumerate(shapes)]
    batches: list[tuple[int, ...]] = []

    class Counting:
        name, device, precision = "torch", "cpu", "float32"

        def __call__(self, batch: np.ndarray) -> np.ndarray:
            batches.append(batch.shape)
            return estimator.engine(batch)

    counting = DepthEstimator(Counting(), estimator.config, input_size=96, batch_size=4)
    together = list(counting.predict_many(iter(pictures)))
    assert max(shape[0] for shape in batches) > 1
    assert [p.depth.shape for p in together] == shapes
    for one, rgb in zip(together, pictures, strict=True):
        np.testing.assert_allclose(one.depth, estimator(rgb).depth, rtol=1e-5, atol=1e-5)


def test_many_gives_what_came_before_a_bad_input_and_then_raises(estimator: DepthEstimator, tmp_path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    stream = estimator.predict_many([picture(50, 50), picture(50, 50), bad, picture(50, 50)], batch_size=2)
    assert next(stream).depth.shape == (50, 50)
    assert next(stream).depth.shape == (50, 50)
    with pytest.raises(InputError, match=r"bad\.jpg"):
        next(stream)


def test_many_reads_no_further_than_it_must(estimator: DepthEstimator) -> None:
    drawn = []

    def endless():
        for number in range(10_000):
            drawn.append(number)
            yield picture(40, 40, number)

    stream = estimator.predict_many(endless(), batch_size=2)
    next(stream)
    stream.close()
    assert len(drawn) < 40


def test_threads_share_one_estimator(estimator: DepthEstimator) -> None:
    pictures = [picture(64, 96, seed) for seed in range(6)]
    expected = [estimator(rgb).depth for rgb in pictures]
    got: dict[int, np.ndarray] = {}

    def work(index: int) -> None:
        got[index] = estimator(pictures[index]).depth

    threads = [threading.Thread(target=work, args=(index,)) for index in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, depth in enumerate(expected):
        np.testing.assert_allclose(got[index], depth, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(1, 5000), (5000, 1), (100, 5000)])
def test_a_thin_picture_is_shrunk_with_its_aspect_and_says_so(
    estimator: DepthEstimator, height: int, width: int
) -> None:
    limited = DepthEstimator(estimator.engine, estimator.config, input_size=320, max_tokens=6_000)
    prediction = limited(picture(height, width))
    assert prediction.depth.shape == (height, width)
    assert np.isfinite(prediction.depth).all()
    seen = prediction.provenance.network_size
    assert seen is not None
    assert seen[0] * seen[1] <= 6_000 * 196
    assert max(seen) / min(seen) == pytest.approx(min(5000 / min(height, width), 36 * 32), rel=0.1)
    (note,) = prediction.provenance.notes
    assert f"saw {seen[1]} x {seen[0]} pixels instead of" in note
    assert "6000 tokens" in note
    assert estimator(picture(40, 60)).provenance.notes == ()


@pytest.mark.parametrize(
    "bad",
    [np.zeros((4, 4, 3), np.int32), np.full((4, 4, 3), 3.0), np.full((4, 4, 3), np.nan), np.zeros((4, 4, 7), np.uint8)],
)
def test_arrays_that_are_no_pictures_are_refused(estimator: DepthEstimator, bad: np.ndarray) -> None:
    with pytest.raises(InputError):
        estimator(bad)


@pytest.mark.parametrize("options", [{"input_size": 0}, {"batch_size": 0}, {"max_tokens": 0}, {"max_pixels": 0}])
def test_senseless_options_are_refused(estimator: DepthEstimator, options: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="at least 1"):
        DepthEstimator(estimator.engine, estimator.config, **options)


def test_an_input_size_of_nothing_is_refused(estimator: DepthEstimator) -> None:
    for size in (0, -3):
        with pytest.raises(OptionError, match=f"input size must be at least 1, not {size}"):
            estimator(picture(40, 40), input_size=size)


def test_large_pictures_end_a_window_early(estimator: DepthEstimator, monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "WINDOW_PIXELS", 3 * 96 * 96)
    drawn = []

    def pictures():
        for number in range(60):
            drawn.append(number)
            yield picture(64, 64, number)

    stream = estimator.predict_many(pictures(), batch_size=8)
    next(stream)
    stream.close()
    # Two windows of three at the network, what is read ahead of them, and the few results of the window before.
    assert len(drawn) <= 2 * 3 + (8 + 1) + 3


def test_devices_and_precisions_are_checked(engine: TorchEngine) -> None:
    for name in ("tpu9", "meta"):
        with pytest.raises(OptionError, match=name):
            pick_device(name)
    if not torch.cuda.is_available():
        with pytest.raises(OptionError, match="0 CUDA devices"):
            pick_device("cuda")
    with pytest.raises(OptionError, match="float8"):
        TorchEngine(engine._model, "cpu", "float8")


def test_half_precision_that_overflows_is_run_again_in_float32() -> None:
    class Overflows(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x.mean(1)
            return y / 0 if torch.is_autocast_enabled("cpu") else y

    engine = TorchEngine(Overflows(), "cpu", "bfloat16")
    batch = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    with pytest.warns(UserWarning, match="run again in float32"):
        out = engine(batch)
    np.testing.assert_allclose(out[0], batch[0].mean(0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("source", "target"), [((5, 7), (40, 60)), ((37, 37), (12, 9)), ((4, 6), (1, 1)), ((1, 1), (3, 5))]
)
def test_resizing_back_is_bilinear_with_aligned_corners(source: tuple[int, int], target: tuple[int, int]) -> None:
    depth = np.random.default_rng(1).random(source, dtype=np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(depth)[None, None], target, mode="bilinear", align_corners=True
    )[0, 0].numpy()
    np.testing.assert_allclose(resize_depth(depth, *target), expected, atol=1e-6)


def test_area_preprocessing_averages_when_it_shrinks() -> None:
    steps = model_config("lite0").preprocessing
    checks = (np.indices((128, 128)).sum(0) % 2).astype(np.float32)[..., None].repeat(3, 2)
    assert np.abs(preprocess(checks, steps, (32, 32))).max() < 1e-6
