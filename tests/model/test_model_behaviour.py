"""What the model does besides giving the right numbers: heads, taps, sizes, types, errors, and its fixed names."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from filler import network_input, picture
from model_building import TINY, filled, random_model
from torch import nn

from depth_anything_v2.config import MODEL_CONFIGS, ModelConfig, model_config
from depth_anything_v2.dinov2 import DINOv2
from depth_anything_v2.dpt import DepthAnythingV2, DPTHead, build_model
from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.util.blocks import FeatureFusionBlock, _make_scratch


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def with_max_depth(model: DepthAnythingV2, max_depth_m: float | None) -> DepthAnythingV2:
    other = DepthAnythingV2(config=model.config.with_max_depth(max_depth_m)).eval()
    other.load_state_dict(model.state_dict())
    return other


def test_metric_is_the_sigmoid_of_what_relative_cuts_at_zero(tiny: DepthAnythingV2) -> None:
    tiny.load_state_dict({**tiny.state_dict(), "depth_head.scratch.output_conv2.2.bias": torch.zeros(1)})
    x = noise(2, 3, 56, 70)
    with torch.no_grad():
        relative, indoor, outdoor = tiny(x), with_max_depth(tiny, 20)(x), with_max_depth(tiny, 80)(x)
    logit = torch.logit(indoor.double() / 20)
    assert (logit < 0).any()
    assert (logit > 0).any()
    torch.testing.assert_close(relative.double(), logit.clamp(min=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(outdoor, 4 * indoor)
    assert indoor.min() > 0
    assert indoor.max() < 20


def test_pictures_of_a_batch_do_not_touch_each_other(tiny: DepthAnythingV2) -> None:
    x = noise(3, 3, 42, 56)
    with torch.no_grad():
        together = tiny(x)
        alone = torch.cat([tiny(x[i : i + 1]) for i in range(3)])
    assert together.shape == (3, 42, 56)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(together[0], together[1], rtol=1e-2)


def test_version_one_reads_the_last_four_blocks(vits: DepthAnythingV2) -> None:
    config = model_config("vits").with_last_taps()
    assert config.taps == (8, 9, 10, 11)
    first = DepthAnythingV2(config=config).eval()
    first.load_state_dict(vits.state_dict())
    assert first.intermediate_layer_idx["vits"] == [8, 9, 10, 11]
    x = torch.from_numpy(network_input(70, 98))
    with torch.inference_mode():
        one, two = first(x), vits(x)
        last = vits.pretrained.get_intermediate_layers(x, 4, return_class_token=True)
        by_hand = vits.depth_head(last, 5, 7)[:, 0]
    assert torch.equal(one, by_hand)
    assert (one - two).norm() / two.norm() > 0.05


@pytest.mark.parametrize(("encoder", "taps"), [("vitb", (8, 9, 10, 11)), ("vitl", (20, 21, 22, 23))])
def test_last_taps_of_the_larger_encoders(encoder: str, taps: tuple[int, ...]) -> None:
    assert model_config(encoder).with_last_taps().taps == taps


def test_intermediate_layers_in_every_form(tiny: DepthAnythingV2) -> None:
    encoder, x = tiny.pretrained, noise(2, 3, 28, 42)
    with torch.no_grad():
        plain = encoder.get_intermediate_layers(x, [1, 3])
        pairs = encoder.get_intermediate_layers(x, [1, 3], return_class_token=True)
        grids = encoder.get_intermediate_layers(x, [1, 3], reshape=True)
        raw = encoder.get_intermediate_layers(x, [1, 3], norm=False)
        (last,) = encoder.get_intermediate_layers(x)
        token = encoder(x)
    assert [p.shape for p in plain] == [(2, 6, 32)] * 2
    for index, (patches, class_token) in enumerate(pairs):
        assert torch.equal(patches, plain[index])
        assert class_token.shape == (2, 32)
        assert torch.equal(grids[index], patches.transpose(1, 2).reshape(2, 32, 2, 3))
        torch.testing.assert_close(encoder.norm(raw[index]), patches)
    assert torch.equal(last, plain[1])
    assert torch.equal(token, pairs[1][1])


@pytest.mark.parametrize("blocks", [[0, 4], [-1], 5])
def test_blocks_that_are_not_there_are_refused(tiny: DepthAnythingV2, blocks: Any) -> None:
    with pytest.raises(OptionError, match="blocks 0 to 3"):
        tiny.pretrained.get_intermediate_layers(noise(1, 3, 14, 14), blocks)


@pytest.mark.parametrize("size", [(14, 14), (14, 602), (546, 28)])
def test_sizes_off_the_trained_one(vits: DepthAnythingV2, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        depth = vits(noise(1, 3, *size))
    assert depth.shape == (1, *size)
    assert depth.isfinite().all()
    assert depth.min() >= 0
    assert depth.std() > 0


@pytest.mark.slow
def test_a_side_of_1092(vits: DepthAnythingV2, tiny: DepthAnythingV2) -> None:
    with torch.inference_mode():
        for model, size in ((vits, (546, 1092)), (tiny, (1092, 1092))):
            depth = model(noise(1, 3, *size))
            assert depth.shape == (1, *size)
            assert depth.isfinite().all()
            assert depth.std() > 0


def test_infer_image_of_one_pixel_and_back_to_any_size(tiny: DepthAnythingV2) -> None:
    assert tiny.infer_image(np.zeros((1, 1, 3), np.uint8), 28).shape == (1, 1)
    bgr = picture(45, 31)
    depth = tiny.infer_image(bgr, 42)
    tensor, size = tiny.image2tensor(bgr, 42)
    with torch.no_grad():
        network = tiny(tensor)
    assert size == (45, 31)
    assert depth.shape == size
    corners = np.ix_([0, -1], [0, -1])  # bilinear with align_corners keeps them
    np.testing.assert_allclose(depth[corners], network[0].numpy()[corners], rtol=1e-5)


def test_channels_are_taken_as_blue_green_red(tiny: DepthAnythingV2) -> None:
    blue = np.zeros((14, 14, 3), np.uint8)
    blue[..., 0] = 255
    tensor, _ = tiny.image2tensor(blue, 14)
    torch.testing.assert_close(tensor[0, :, 5, 5], torch.tensor([-2.11790, -2.03571, 2.64]), rtol=1e-5, atol=1e-5)


def test_infer_image_follows_the_type_of_the_parameters(tiny: DepthAnythingV2) -> None:
    bgr = picture(40, 60)
    exact = tiny.infer_image(bgr, 70)
    tiny.to(torch.float64)
    assert tiny.image2tensor(bgr, 70)[0].dtype == torch.float64
    double = tiny.infer_image(bgr, 70)
    assert double.dtype == np.float32
    np.testing.assert_allclose(exact, double, rtol=1e-5)
    half = tiny.to(torch.bfloat16).infer_image(bgr, 70)
    assert np.linalg.norm(half - double) / np.linalg.norm(double) < 0.02


def test_bfloat16_autocast_stays_close(vits: DepthAnythingV2) -> None:
    x = torch.from_numpy(network_input(252, 336))
    with torch.inference_mode():
        exact = vits(x)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = vits(x)
    assert ((rounded.float() - exact).norm() / exact.norm()).item() < 0.02


@pytest.mark.parametrize(
    "bad",
    [
        None,
        np.zeros((4, 5), np.uint8),
        np.zeros((4, 5, 4), np.uint8),
        np.zeros((4, 5, 3), np.float32),
        np.zeros((4, 5, 3), np.uint16),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((1, 4, 5, 3), np.uint8),
        [[0, 0, 0]],
    ],
    ids=["none", "grey", "alpha", "float", "uint16", "empty", "batch", "list"],
)
def test_what_is_not_a_bgr_picture_is_refused(tiny: DepthAnythingV2, bad: Any) -> None:
    with pytest.raises(InputError, match="BGR uint8"):
        tiny.infer_image(bad, 28)


@pytest.mark.parametrize("size", [(28, 30), (27, 28), (13, 14)])
def test_sides_that_are_not_multiples_of_14_are_refused(tiny: DepthAnythingV2, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"{size[0]} x {size[1]}.*multiples of 14"):
        tiny(noise(1, 3, *size))


def test_unknown_encoders_are_refused() -> None:
    for build in (DepthAnythingV2, DINOv2, model_config):
        with pytest.raises(OptionError, match="vits, vitb, vitl, vitg"):
            build("vitx")
    for build in (DepthAnythingV2, DINOv2):
        with pytest.raises(OptionError, match="vits"):
            build("lite0")


@pytest.mark.parametrize("metres", [0, -1, float("inf"), float("nan")])
def test_a_maximum_depth_that_is_no_length_is_refused(metres: float) -> None:
    with pytest.raises(OptionError, match="positive number of metres"):
        DepthAnythingV2("vits", max_depth=metres)


def test_models_are_built_as_scripts_of_the_original_do() -> None:
    with torch.device("meta"):
        for encoder, features, channels in (
            ("vits", 64, [48, 96, 192, 384]),
            ("vitb", 128, [96, 192, 384, 768]),
            ("vitl", 256, [256, 512, 1024, 1024]),
            ("vitg", 384, [1536, 1536, 1536, 1536]),
        ):
            asked = DepthAnythingV2(encoder=encoder, features=features, out_channels=channels)
            assert asked.config == MODEL_CONFIGS[encoder]
            assert asked.intermediate_layer_idx[encoder] == list(MODEL_CONFIGS[encoder].taps)
        metric = DepthAnythingV2(encoder="vitl", features=256, out_channels=channels, max_depth=20)
        assert DepthAnythingV2().encoder == "vitl"
    assert metric.max_depth == 20
    assert metric.config.kind == "metric"


def test_dinov2_and_the_head_work_apart() -> None:
    encoder = DINOv2(model_name="vits").eval()
    head = DPTHead(encoder.embed_dim, 64, False, out_channels=[48, 96, 192, 384], use_clstoken=False)
    names = {f"pretrained.{n}" for n in encoder.state_dict()} | {f"depth_head.{n}" for n in head.state_dict()}
    assert names == set(DepthAnythingV2("vits").state_dict())
    with torch.no_grad():
        taps = encoder.get_intermediate_layers(noise(1, 3, 28, 42), [2, 5, 8, 11], return_class_token=True)
        assert head(taps, 2, 3).shape == (1, 1, 28, 42)


def test_the_class_token_can_be_read_by_the_head() -> None:
    torch.manual_seed(0)
    head = DPTHead(8, 16, False, (8, 12, 16, 24), use_clstoken=True).eval()
    nn.init.constant_(head.scratch.output_conv2[2].bias, 1.0)
    taps = [(noise(1, 6, 8), noise(1, 8))] * 4
    with torch.no_grad():
        first = head(taps, 2, 3)
        second = head([(patches, token + 1) for patches, token in taps], 2, 3)
    assert not torch.allclose(first, second)


def test_batch_norm_variant_has_no_biases_before_the_norms() -> None:
    model = DepthAnythingV2(config=TINY, use_bn=True).eval()
    names = set(model.state_dict())
    unit = "depth_head.scratch.refinenet1.resConfUnit2"
    assert {f"{unit}.bn1.running_var", f"{unit}.conv1.weight"} <= names
    assert f"{unit}.conv1.bias" not in names
    with torch.no_grad():
        assert model(noise(1, 3, 28, 28)).shape == (1, 28, 28)


def test_fusion_is_residuals_resize_then_projection() -> None:
    """The order of the original: its 1x1 convolution comes after the resize."""
    torch.manual_seed(1)
    block = FeatureFusionBlock(6, nn.ReLU(False)).eval()
    coarse, fine = noise(1, 6, 4, 5), noise(1, 6, 4, 5) * 0.5

    def unit(module: Any, x: torch.Tensor) -> torch.Tensor:
        return x + module.conv2(torch.relu(module.conv1(torch.relu(x))))

    with torch.no_grad():
        merged = unit(block.resConfUnit2, coarse + unit(block.resConfUnit1, fine))
        for size in ((8, 10), (7, 9)):
            large = nn.functional.interpolate(merged, size, mode="bilinear", align_corners=True)
            torch.testing.assert_close(block(coarse, fine, size=size), block.out_conv(large), rtol=1e-5, atol=1e-5)
        assert block(coarse).shape == (1, 6, 8, 10)
        assert torch.equal(block(coarse, fine), block(coarse, fine, size=(8, 10)))
        assert torch.equal(coarse, noise(1, 6, 4, 5))  # the inputs are not changed in place


def test_scratch_makes_four_bare_convolutions() -> None:
    plain = _make_scratch([3, 5, 7, 9], 4, groups=1, expand=False)
    assert [tuple(p.shape) for p in plain.parameters()] == [(4, n, 3, 3) for n in (3, 5, 7, 9)]
    wide = _make_scratch([3, 5, 7, 9], 4, expand=True)
    assert [wide.get_submodule(f"layer{i}_rn").out_channels for i in (1, 2, 3, 4)] == [4, 8, 16, 32]


def test_a_model_follows_its_configuration_and_that_survives_json() -> None:
    for config in (TINY, *MODEL_CONFIGS.values(), model_config("lite0", 20), TINY.with_last_taps()):
        data = {key: list(value) if isinstance(value, tuple) else value for key, value in config.to_dict().items()}
        assert ModelConfig.from_dict(data) == config
    taller = dataclasses.replace(TINY, head_hidden=9, max_depth_m=5.0)
    model = build_model(taller)
    assert not model.training
    assert model.state_dict()["depth_head.scratch.output_conv2.2.weight"].shape == (1, 9, 1, 1)
    with torch.no_grad():
        assert model(noise(1, 3, 28, 28)).max() <= 5


def test_constructing_takes_no_device_of_its_own() -> None:
    assert {p.device.type for p in random_model(TINY, 0).parameters()} == {"cpu"}
    with torch.device("meta"):
        assert {p.device.type for p in DepthAnythingV2("vits").parameters()} == {"meta"}


def test_filled_models_are_the_same_every_time(vits: DepthAnythingV2) -> None:
    again = filled("vits").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in vits.state_dict().items())
