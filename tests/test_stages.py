"""The stages of the estimator: what they give together and apart, and how they end."""

from __future__ import annotations

import gc
import itertools
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from depth_anything_v2.config import model_config
from depth_anything_v2.dpt import build_model
from depth_anything_v2.engines.torch_engine import TorchEngine
from depth_anything_v2.errors import InputError, OutOfMemoryError
from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.io.images import to_float
from depth_anything_v2.util.transform import preprocess, resize_depth

CONFIG = model_config("lite0")


class StubEngine:
    """The mean of the three channels; may take its time, or have room for few pictures at once."""

    name, device, precision = "stub", "cpu", "float32"

    def __init__(self, *, room: int | None = None, delay: float = 0.0) -> None:
        self.room, self.delay = room, delay
        self.batches: list[tuple[int, ...]] = []

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        if self.room is not None and batch.size > self.room:
            raise OutOfMemoryError("the device has too little memory")
        self.batches.append(batch.shape)
        time.sleep(self.delay)
        return batch.mean(axis=1)


def stub(**options: Any) -> DepthEstimator:
    room, delay = options.pop("room", None), options.pop("delay", 0.0)
    return DepthEstimator(StubEngine(room=room, delay=delay), CONFIG, **({"input_size": 32} | options))


def noise(height: int, width: int, seed: int = 0, dtype: Any = np.uint8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return rng.random((height, width, 3), np.float32)
    return rng.integers(0, np.iinfo(dtype).max + 1, (height, width, 3), dtype)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("depth-anything")]


@pytest.fixture(scope="module")
def vits() -> DepthEstimator:
    torch.manual_seed(5)
    config = model_config("vits")
    model = build_model(config)
    model.depth_head.scratch.output_conv2[2].bias.data.fill_(1.0)
    return DepthEstimator(TorchEngine(model, "cpu"), config, input_size=56)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_stages_give_what_the_steps_give(vits: DepthEstimator, dtype: Any) -> None:
    """Each step for itself, as the package did it before there were stages."""
    for height, width in ((120, 90), (60, 200), (33, 33)):
        rgb = noise(height, width, 1, dtype)
        size = vits.network_size(height, width)
        batch = preprocess(to_float(rgb), vits.config.preprocessing, size)[None]
        expected = resize_depth(vits.engine(batch)[0], height, width)
        (prediction,) = vits.predict_arrays([rgb])
        np.testing.assert_allclose(prediction.depth, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shapes", [[(80, 120)] * 4, [(80, 120), (120, 80), (80, 120), (70, 70), (120, 80)]])
def test_a_batch_gives_what_single_pictures_give(vits: DepthEstimator, shapes: list[tuple[int, int]]) -> None:
    pictures = [noise(height, width, seed) for seed, (height, width) in enumerate(shapes)]
    single = [vits(rgb).depth for rgb in pictures]
    for together in (vits.predict_arrays(pictures, batch_size=4), vits.predict_many(pictures, batch_size=4)):
        for one, prediction in zip(single, together, strict=True):
            np.testing.assert_allclose(prediction.depth, one, rtol=1e-5, atol=1e-5)


def test_results_come_in_order_though_shapes_are_mixed() -> None:
    estimator = stub(batch_size=3)
    pictures = [np.full((32 + 32 * (index % 3), 64, 3), index, np.uint8) for index in range(40)]
    found = [float(prediction.depth.mean()) for prediction in estimator.predict_many(iter(pictures))]
    assert found == sorted(found)
    assert len(found) == 40
    assert max(shape[0] for shape in estimator.engine.batches) == 3


def _unreadable(estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch) -> None:
    pass  # the input itself is


def _fails(method: str) -> Callable[[DepthEstimator, pytest.MonkeyPatch], None]:
    def spoil(estimator: DepthEstimator, monkeypatch: pytest.MonkeyPatch) -> None:
        calls, works = itertools.count(1), getattr(estimator, method)

        def fail(*arguments: Any, **options: Any) -> Any:
            if next(calls) == 7:
                raise ZeroDivisionError(method)
            return works(*arguments, **options)

        monkeypatch.setattr(estimator, method, fail)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "error", "where"),
    [
        (_unreadable, InputError, "read_image"),
        (_fails("prepare"), ZeroDivisionError, "fail"),
        (_fails("run"), ZeroDivisionError, "fail"),
        (_fails("finish"), ZeroDivisionError, "fail"),
    ],
)
def test_an_error_in_any_stage_ends_the_run_with_itself(
    spoil: Callable[..., None], error: type[Exception], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = stub(batch_size=1)
    spoil(estimator, monkeypatch)
    broken = np.zeros((1, 1, 9)) if spoil is _unreadable else noise(32, 32)
    inputs: Iterator[Any] = itertools.chain([noise(32, 32)] * 6, [broken], itertools.repeat(noise(32, 32)))
    stream = estimator.predict_many(inputs)
    for _ in range(6):
        next(stream)
    with pytest.raises(error) as caught:
        next(stream)
    assert where in [entry.name for entry in caught.traceback] or where == "read_image"
    assert not threads()


def test_an_error_of_the_callers_own_generator_comes_after_its_pictures() -> None:
    def inputs() -> Iterator[np.ndarray]:
        yield from [noise(32, 32)] * 5
        raise LookupError("no more of them")

    stream = stub(batch_size=2).predict_many(inputs())
    assert len([next(stream) for _ in range(5)]) == 5
    with pytest.raises(LookupError, match="no more of them"):
        next(stream)
    assert not threads()


def test_the_callers_error_ends_the_threads_of_an_endless_stream() -> None:
    def use() -> None:
        for index, _ in enumerate(stub(batch_size=2).predict_many(noise(32, 32) for _ in itertools.count())):
            if index == 5:
                raise KeyError("the caller")

    with pytest.raises(KeyError):
        use()
    assert not threads()


def test_the_network_works_while_the_caller_does() -> None:
    """With the caller and the network taking turns, the 16 passes after the fourth result would all be begun later."""
    estimator = stub(delay=0.01)
    stream = estimator.predict_many([noise(32, 32)] * 20)
    for _ in range(4):
        next(stream)
    begun = len(estimator.engine.batches)
    for _ in range(200):
        time.sleep(0.005)
        if len(estimator.engine.batches) > begun:
            break
    ahead = len(estimator.engine.batches)
    stream.close()
    assert ahead > 4


def test_memory_stays_flat() -> None:
    """Thousands of pictures, and no more is held after them than after the first hundreds."""
    estimator = stub(batch_size=4)
    rgb = noise(24, 40)
    stream = estimator.predict_many(rgb for _ in itertools.count())
    tracemalloc.start()
    try:
        for _ in range(400):
            next(stream)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(2000):
            next(stream)
        _, peak = tracemalloc.get_traced_memory()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        stream.close()
    # One depth map kept of each would be 7.7 MB; Python's table of names alone may grow by 4 MB at once.
    assert after - before < 5_000_000
    assert peak < before + 7_000_000


def test_too_little_memory_halves_the_batch_and_says_so_once() -> None:
    room = 3 * 3 * 32 * 64  # three pictures
    estimator = stub(batch_size=8, room=room)
    pictures = [noise(32, 64, seed) for seed in range(8)]
    with pytest.warns(UserWarning, match="too little memory for 8 pictures at a time") as caught:
        together = estimator.predict_arrays(pictures)
    assert len(caught) == 1
    assert [shape[0] for shape in estimator.engine.batches] == [2, 2, 2, 2]
    for rgb, prediction in zip(pictures, together, strict=True):
        np.testing.assert_allclose(prediction.depth, stub()(rgb).depth, atol=1e-6)
    assert [p.depth.shape for p in estimator.predict_many(pictures)] == [(32, 64)] * 8  # no further warning
    assert max(shape[0] for shape in estimator.engine.batches) == 2


def test_too_little_memory_for_one_picture_is_an_error() -> None:
    with (
        pytest.warns(UserWarning, match="too little memory for 2 pictures"),
        pytest.raises(OutOfMemoryError, match="too little memory"),
    ):
        stub(batch_size=2, room=10).predict_arrays([noise(32, 32)] * 2)


def test_torch_says_too_little_memory_as_this_package_does() -> None:
    class Full(torch.nn.Module):
        message = "CUDA out of memory. Tried to allocate 2.00 GiB"

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.cuda.OutOfMemoryError(self.message) if "CUDA" in self.message else RuntimeError(self.message)

    model = Full()
    engine = TorchEngine(model, "cpu")
    batch = np.zeros((2, 3, 28, 14), np.float32)
    for message in (Full.message, "MPS backend out of memory (...)", "DefaultCPUAllocator: can't allocate memory: ..."):
        model.message = message
        with pytest.raises(OutOfMemoryError, match="cpu has too little memory for 2 x 14 x 28 pixels"):
            engine(batch)
    model.message = "another defect"
    with pytest.raises(RuntimeError, match="another defect"):
        engine(batch)


def test_a_file_is_read_with_its_source(tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "a.png"
    Image.fromarray(noise(20, 30)).save(path)
    (prediction,) = stub().predict_many([path])
    assert (prediction.provenance.source, prediction.depth.shape) == (str(path), (20, 30))
