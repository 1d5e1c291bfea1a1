"""Every engine against torch in float32, at many sizes: what a conversion that fixes the positions gets wrong."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_models import Batch, batch, conversions_in, drift, opened, relative_error
from picture_files import save_filled

from depth_anything_v2.config import model_config
from depth_anything_v2.engines import openvino_engine
from depth_anything_v2.engines.accuracy import PHOTOGRAPHS
from depth_anything_v2.engines.base import Engine
from depth_anything_v2.errors import InputError
from depth_anything_v2.io.images import read_image, to_float
from depth_anything_v2.util import positions
from depth_anything_v2.util.transform import preprocess

EXACT, HALF = 1e-4, 1e-2
SIZES = [
    (1, 518, 518),
    (1, 518, 784),
    (1, 546, 602),
    (1, 1092, 518),
    (1, 266, 1106),
    (1, 14, 14),
    (1, 518, 14),  # 37 patches on one side, as trained
    (1, 28, 518),
    (3, 70, 98),
]
LITE_SIZES = [(1, 256, 256), (1, 256, 384), (1, 416, 256), (2, 64, 96), (1, 32, 32), (1, 32, 512), (1, 288, 32)]
LITE_SIZES += [(1, 608, 608)]
needs_bfloat16 = pytest.mark.skipif(
    "bfloat16" not in openvino_engine.precisions(), reason="this processor does not compute in bfloat16"
)


class Bench:
    """Engines of one checkpoint, each opened once, and what torch answers."""

    def __init__(self, checkpoint: str | Path, cache: Path) -> None:
        self.checkpoint, self._cache = checkpoint, cache
        self.engine = functools.cache(self._open)
        self.exact = functools.cache(self._exact)

    def _open(self, name: str, precision: str = "float32") -> Engine:
        with conversions_in(self._cache):
            return opened(self.checkpoint, name, precision).engine

    def _exact(self, *shape: int) -> Batch:
        return self.engine("torch")(self.inputs(*shape))

    def inputs(self, *shape: int) -> Batch:
        return batch(*shape)


class PhotographBench(Bench):
    """The same with a photograph, whatever its proportions become: trained weights make little of noise."""

    def inputs(self, number: int, height: int, width: int) -> Batch:
        rgb = to_float(read_image(sorted(PHOTOGRAPHS.glob("*.jpg"))[0]))
        picture = preprocess(rgb, model_config("lite0").preprocessing, (height, width))
        return np.stack([np.roll(picture, 5 * index, axis=2) for index in range(number)])


@pytest.fixture(scope="session")
def bench(small: Path, shared_cache: Path) -> Bench:
    return Bench(small, shared_cache / "converted")


@pytest.fixture(scope="session")
def lite(shared_cache: Path) -> Bench:
    return PhotographBench("builtin", shared_cache / "converted")


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_the_transformer_at_any_size(bench: Bench, name: str, shape: tuple[int, int, int]) -> None:
    assert drift(bench.engine(name)(batch(*shape)), bench.exact(*shape)) < EXACT


@pytest.mark.parametrize("shape", LITE_SIZES, ids=str)
@pytest.mark.parametrize("name", ["openvino", "onnx"])
def test_the_small_built_in_network_at_any_size(lite: Bench, name: str, shape: tuple[int, int, int]) -> None:
    assert drift(lite.engine(name)(lite.inputs(*shape)), lite.exact(*shape)) < EXACT


@pytest.mark.parametrize("shape", [(1, 518, 784), (3, 70, 98), (2, 518, 14)], ids=str)
def test_a_network_compiled_for_one_size(bench: Bench, shape: tuple[int, int, int]) -> None:
    """The first size that an engine sees; then as another process finds it."""
    for _ in range(2):
        engine = opened(bench.checkpoint, "openvino").engine
        assert drift(engine(batch(*shape)), bench.exact(*shape)) < EXACT
        other = (shape[0] + 1, 28, 42)
        assert drift(engine(batch(*other)), bench.exact(*other)) < EXACT


def test_a_size_that_comes_often_gives_what_it_gave(bench: Bench) -> None:
    engine = opened(bench.checkpoint, "openvino").engine
    engine(batch(1, 42, 28))
    inputs = batch(1, 28, 42)
    answers = [engine(inputs) for _ in range(2 * openvino_engine._OFTEN)]
    for answer in answers:
        np.testing.assert_allclose(answer, answers[0], rtol=1e-5, atol=1e-6)
    assert drift(answers[-1], bench.exact(1, 28, 42)) < EXACT


def test_the_whole_of_vits(tmp_path: Path) -> None:
    path = save_filled(tmp_path / "vits.safetensors", model_config("vits"))
    inputs = batch(1, 154, 210)
    exact = opened(path, "torch").engine(inputs)
    assert drift(opened(path, "openvino").engine(inputs), exact) < EXACT
    if "bfloat16" in openvino_engine.precisions():
        assert relative_error(opened(path, "openvino", "bfloat16").engine(inputs), exact) < HALF


@pytest.mark.parametrize("shape", [shape for shape in SIZES if shape[1:] != (518, 518)], ids=str)
def test_the_comparison_sees_positions_that_are_sampled_for_the_target_size(
    bench: Bench, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(positions, "OFFSET", 0.0)
    engine = opened(bench.checkpoint, "openvino").engine
    assert drift(engine(batch(*shape)), bench.exact(*shape)) > 3 * EXACT


@needs_bfloat16
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_the_transformer_in_bfloat16(bench: Bench, shape: tuple[int, int, int]) -> None:
    found, exact = bench.engine("openvino", "bfloat16")(batch(*shape)), bench.exact(*shape)
    assert relative_error(found, exact) < HALF
    assert drift(found, exact) > EXACT, "this is not bfloat16"


@needs_bfloat16
@pytest.mark.parametrize("shape", LITE_SIZES, ids=str)
def test_the_small_built_in_network_in_bfloat16(lite: Bench, shape: tuple[int, int, int]) -> None:
    found = lite.engine("openvino", "bfloat16")(lite.inputs(*shape))
    assert relative_error(found, lite.exact(*shape)) < 2 * HALF  # near the limit: the gate decides for photographs


def test_what_torch_compile_traces(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traced as torch.compile does, but not made into machine code, which takes minutes on a processor."""
    compile_ = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda model, **_how: compile_(model, backend="eager", fullgraph=True, dynamic=False)
    )
    engine = opened(bench.checkpoint, "torch-compile").engine
    assert (engine.name, engine.device) == ("torch-compile", "cpu")
    for shape in ((1, 70, 98), (2, 518, 28)):
        assert drift(engine(batch(*shape)), bench.exact(*shape)) < EXACT


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.compile takes minutes on a processor")
def test_torch_compile_on_a_gpu(bench: Bench) -> None:
    engine = opened(bench.checkpoint, "torch-compile", device="cuda").engine
    for shape in [(1, 70, 98), (1, 518, 518), (1, 70, 98)]:
        assert drift(engine(batch(*shape)), bench.exact(*shape)) < 1e-3


@pytest.mark.parametrize("name", ["torch", "openvino", "onnx"])
def test_four_threads_at_different_sizes(bench: Bench, name: str) -> None:
    engine = opened(bench.checkpoint, name).engine
    shapes = [(1, 28, 42), (2, 42, 28), (1, 70, 98), (1, 14, 56)] * 6
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda shape: engine(batch(*shape)), shapes))
    for shape, found in zip(shapes, together, strict=True):
        np.testing.assert_allclose(found, engine(batch(*shape)), rtol=1e-5, atol=1e-6)
        assert drift(found, bench.exact(*shape)) < EXACT


@pytest.mark.parametrize("name", ["torch", "openvino", "onnx"])
def test_an_answer_stays_what_it_was(bench: Bench, name: str) -> None:
    """Buffers that an engine uses again must not be in what it gave away."""
    engine = bench.engine(name)
    first = engine(batch(1, 28, 42))
    kept = first.copy()
    engine(2 * batch(1, 28, 42))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    "shape", [(1, 3, 28, 43), (1, 3, 27, 42), (3, 28, 42), (1, 4, 28, 42), (0, 3, 28, 42)], ids=str
)
@pytest.mark.parametrize("name", ["torch", "openvino", "onnx"])
def test_an_input_the_network_can_t_take(bench: Bench, name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"multiples of 14|\(N, 3, H, W\)"):
        bench.engine(name)(np.zeros(shape, np.float32))


@pytest.mark.parametrize("name", ["torch", "openvino", "onnx"])
def test_inputs_that_are_not_contiguous(bench: Bench, name: str) -> None:
    inputs = batch(1, 28, 42)
    turned = np.asfortranarray(inputs)[:, ::-1].copy(order="F")[:, ::-1]
    np.testing.assert_array_equal(turned, inputs)
    np.testing.assert_allclose(bench.engine(name)(turned), bench.exact(1, 28, 42), rtol=1e-4, atol=1e-5)
