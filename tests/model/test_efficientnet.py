"""The small encoder: shapes, the folding of its batch norms, and the depth model on top."""

from __future__ import annotations

import math

import pytest
import torch
from model_building import random_state
from torch.nn import functional

from depth_anything_v2.config import model_config
from depth_anything_v2.dpt import DepthAnythingV2, build_model
from depth_anything_v2.efficientnet import EfficientNetDepth, EfficientNetLite
from depth_anything_v2.errors import CheckpointFormatError, InputError

State = dict[str, torch.Tensor]
EPS = 1e-3
# EfficientNet-Lite0 block by block, from its published table: (in, out, kernel, stride, expansion).
BLOCKS = (
    *[(32, 16, 3, 1, 1), (16, 24, 3, 2, 6), (24, 24, 3, 1, 6), (24, 40, 5, 2, 6), (40, 40, 5, 1, 6)],
    *[(40, 80, 3, 2, 6), (80, 80, 3, 1, 6), (80, 80, 3, 1, 6)],
    *[(80, 112, 5, 1, 6), (112, 112, 5, 1, 6), (112, 112, 5, 1, 6)],
    *[(112, 192, 5, 2, 6), (192, 192, 5, 1, 6), (192, 192, 5, 1, 6), (192, 192, 5, 1, 6), (192, 320, 3, 1, 6)],
)
TAPS = {2: 24, 4: 40, 10: 112, 15: 320}  # the last block of a stride, and its channels


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def imagenet_state(seed: int) -> State:
    """A random float64 state under the names of the published weights, batch norms unfolded."""
    random = torch.Generator().manual_seed(seed)
    state: State = {}

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    def conv(name: str, out: int, fan_in: int, kernel: int) -> None:
        scale = 1.5 / math.sqrt(fan_in * kernel * kernel)
        state[f"{name}.weight"] = scale * randn(out, fan_in, kernel, kernel)

    def norm(name: str, channels: int) -> None:
        state[f"{name}.weight"] = 1 + 0.2 * randn(channels)
        state[f"{name}.bias"] = 0.5 + 0.5 * randn(channels)
        state[f"{name}.running_mean"] = 0.2 * randn(channels)
        state[f"{name}.running_var"] = 0.5 + torch.rand(channels, generator=random, dtype=torch.float64)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    conv("_conv_stem", 32, 3, 3)
    norm("_bn0", 32)
    for index, (channels, out, kernel, _, expansion) in enumerate(BLOCKS):
        block, wide = f"_blocks.{index}", channels * expansion
        if expansion != 1:
            conv(f"{block}._expand_conv", wide, channels, 1)
            norm(f"{block}._bn0", wide)
        conv(f"{block}._depthwise_conv", wide, 1, kernel)
        norm(f"{block}._bn1", wide)
        conv(f"{block}._project_conv", out, wide, 1)
        norm(f"{block}._bn2", out)
    conv("_conv_head", 1280, 320, 1)
    return state


def unfolded(state: State, x: torch.Tensor) -> list[torch.Tensor]:
    """The network as it is published: convolution, batch norm, ReLU6; TensorFlow's SAME padding."""

    def layer(x: torch.Tensor, conv: str, norm: str, stride: int = 1, depthwise: bool = False) -> torch.Tensor:
        weight = state[f"{conv}.weight"]
        kernel, pads = weight.shape[-1], []
        for length in (x.shape[-1], x.shape[-2]):
            total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
            pads += [total // 2, total - total // 2]
        x = functional.conv2d(functional.pad(x, pads), weight, stride=stride, groups=x.shape[1] if depthwise else 1)
        mean, variance, gain, bias = (
            state[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, variance, gain, bias, eps=EPS)

    x = layer(x, "_conv_stem", "_bn0", 2).clamp(0, 6)
    maps = []
    for index, (channels, out, _, stride, expansion) in enumerate(BLOCKS):
        block, y = f"_blocks.{index}", x
        if expansion != 1:
            y = layer(y, f"{block}._expand_conv", f"{block}._bn0").clamp(0, 6)
        y = layer(y, f"{block}._depthwise_conv", f"{block}._bn1", stride, depthwise=True).clamp(0, 6)
        y = layer(y, f"{block}._project_conv", f"{block}._bn2")
        x = x + y if stride == 1 and channels == out else y
        if index in TAPS:
            maps.append(x)
    return maps


@pytest.mark.parametrize("size", [(64, 96), (32, 160)])
def test_folding_the_batch_norms_changes_nothing(size: tuple[int, int]) -> None:
    state = imagenet_state(seed=4)
    encoder = EfficientNetLite().double().eval()
    encoder.load_imagenet(state)
    x = noise(2, 3, *size).double()
    with torch.no_grad():
        ours, expected = encoder(x), unfolded(state, x)
    for level, (mine, reference) in enumerate(zip(ours, expected, strict=True)):
        stride = 4 * 2**level
        assert mine.shape == (2, list(TAPS.values())[level], size[0] // stride, size[1] // stride)
        assert reference.std() > 0.05
        assert ((mine - reference).norm() / reference.norm()).item() < 1e-9


def test_weights_of_another_network_are_refused() -> None:
    encoder = EfficientNetLite()
    missing = imagenet_state(0)
    del missing["_blocks.7._project_conv.weight"]
    other = {**imagenet_state(0), "_conv_stem.weight": torch.zeros(32, 1, 3, 3)}
    for state in (missing, other, {}):
        with pytest.raises(CheckpointFormatError, match="EfficientNet-Lite0"):
            encoder.load_imagenet(state)


@pytest.fixture(scope="module")
def model() -> EfficientNetDepth:
    built = build_model(model_config("lite0"))
    assert isinstance(built, EfficientNetDepth)
    built.load_state_dict(random_state(built, 2))
    return built


@pytest.mark.parametrize("size", [(32, 32), (64, 160), (192, 96)])
def test_depth_has_the_size_of_the_input_and_is_never_negative(model: EfficientNetDepth, size: tuple[int, int]) -> None:
    biased = {**model.state_dict(), "depth_head.scratch.output_conv2.2.bias": torch.zeros(1)}
    other = EfficientNetDepth(model.config).eval()
    other.load_state_dict(biased)
    with torch.no_grad():
        depth, cut = model(noise(2, 3, *size)), other(noise(2, 3, *size))
    assert depth.shape == cut.shape == (2, *size)
    assert depth.isfinite().all()
    assert depth.std() > 0
    assert min(depth.min(), cut.min()) >= 0


def test_metric_variant_is_bounded(model: EfficientNetDepth) -> None:
    metric = build_model(model_config("lite0", 20.0))
    state = model.state_dict()
    metric.load_state_dict(state)
    bias = "depth_head.scratch.output_conv2.2.bias"
    x = noise(1, 3, 64, 64)
    with torch.no_grad():
        gentle, relative = metric(x), model(x)
        cut = relative == 0
        assert cut.float().mean() < 0.9
        torch.testing.assert_close(gentle[~cut], 20 * relative.sigmoid()[~cut], rtol=1e-4, atol=1e-4)
        assert gentle[cut].numel() == 0 or gentle[cut].max() <= 10.001
        for extreme, limit in ((1e4, 20.0), (-1e4, 0.0)):
            metric.load_state_dict({**state, bias: torch.full((1,), extreme)})
            assert (metric(x) == limit).all()


@pytest.mark.parametrize("size", [(32, 48), (31, 32), (70, 98)])
def test_sides_that_are_not_multiples_of_32_are_refused(model: EfficientNetDepth, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]} x {size[1]}.*multiples of 32"):
        model(noise(1, 3, *size))


def test_head_has_the_same_parts_as_that_of_the_transformer(model: EfficientNetDepth) -> None:
    def names(of: torch.nn.Module) -> set[str]:
        return {name for name in of.state_dict() if ".scratch." in name}

    with torch.device("meta"):
        assert names(model) == names(DepthAnythingV2("vits"))


def test_all_weights_that_count_are_trained(model: EfficientNetDepth) -> None:
    trained = EfficientNetDepth(model.config)
    trained.load_state_dict(model.state_dict())
    trained(noise(2, 3, 64, 64)).mean().backward()
    untouched = {name for name, value in trained.named_parameters() if value.grad is None or not value.grad.any()}
    assert untouched == {
        f"depth_head.scratch.refinenet4.resConfUnit1.conv{n}.{what}" for n in (1, 2) for what in ("weight", "bias")
    }
