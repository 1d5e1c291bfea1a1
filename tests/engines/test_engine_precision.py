"""Half precision is watched, and its weights are the checkpoint's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from engine_models import SMALL, Batch, batch, opened, relative_error, save_small

from depth_anything_v2.engines import openvino_engine
from depth_anything_v2.engines.openvino_engine import OpenVINOEngine

needs_bfloat16 = pytest.mark.skipif(
    "bfloat16" not in openvino_engine.precisions(), reason="this processor does not compute in bfloat16"
)


class Overflowing:
    """A network in bfloat16 that gives `value` for every picture."""

    precision, one_shape = "bfloat16", False

    def __init__(self, value: float) -> None:
        self.value = value

    def compiled(self, shape: Any) -> Any:
        return self

    def create_infer_request(self) -> Any:
        return self

    def infer(self, inputs: dict[str, Batch]) -> list[Batch]:
        number, _, height, width = inputs["image"].shape
        depth = np.ones((number, height, width), np.float32)
        depth[-1, -1, -1] = self.value
        return [depth]


class Float32:
    name, device, precision = "exact", "cpu", "float32"

    def __call__(self, inputs: Batch) -> Batch:
        return inputs[:, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_enough(value: float) -> None:
    made = []

    def fallback() -> Float32:
        made.append("once")
        return Float32()

    engine = OpenVINOEngine(Overflowing(value), SMALL, fallback=fallback)  # type: ignore[arg-type]
    assert made == []
    for shape in ((1, 28, 42), (2, 14, 14)):
        with pytest.warns(UserWarning, match="bfloat16 gave values that are not finite; run again in float32"):
            found = engine(batch(*shape))
        np.testing.assert_array_equal(found, batch(*shape)[:, 0])
    assert made == ["once"]


def test_finite_values_stay(recwarn: pytest.WarningsRecorder) -> None:
    engine = OpenVINOEngine(Overflowing(3.0), SMALL, fallback=Float32)  # type: ignore[arg-type]
    assert engine(batch(1, 28, 42)).max() == 3
    assert len(recwarn) == 0


@needs_bfloat16
def test_the_float32_network_stands_behind_a_checkpoint_s_engine(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    infer, calls = openvino_engine._Requests.infer, []

    def first_overflows(self: Any, inputs: dict[str, Batch]) -> Batch:
        calls.append(inputs)
        return infer(self, inputs) * np.float32(np.nan if len(calls) == 1 else 1)

    monkeypatch.setattr(openvino_engine._Requests, "infer", first_overflows)
    engine = opened(small, "openvino", "bfloat16").engine
    with pytest.warns(UserWarning, match="run again in float32"):
        found = engine(batch(1, 70, 98))
    exact = opened(small, "torch").engine(batch(1, 70, 98))
    assert relative_error(found, exact) < 1e-5
    assert 1e-4 < relative_error(engine(batch(1, 70, 98)), exact) < 1e-2


@needs_bfloat16
@pytest.mark.parametrize(
    ("factor", "channels"), [(1e7, slice(0, 1)), (1e-7, slice(0, None))], ids=["one large", "all small"]
)
def test_weights_beyond_float16_are_not_cut_off(tmp_path: Path, factor: float, channels: slice) -> None:
    """bfloat16 holds them; a file of 16-bit floating point would not. The next layer takes the factor back."""

    def scale(state: dict[str, torch.Tensor]) -> None:
        state["depth_head.scratch.output_conv1.weight"][channels] *= factor
        state["depth_head.scratch.output_conv1.bias"][channels] *= factor
        state["depth_head.scratch.output_conv2.0.weight"][:, channels] /= factor

    path = save_small(tmp_path / "scaled.safetensors", scale)
    exact = opened(path, "torch").engine(batch(1, 70, 98))
    assert relative_error(opened(path, "openvino", "bfloat16").engine(batch(1, 70, 98)), exact) < 1e-2
