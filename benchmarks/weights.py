"""Weights to measure with, and the same weights for the other ways of running the model.

    python benchmarks/weights.py FOLDER [--encoder vits] [--checkpoint FILE] [--rivals] [--height 518 --width 518]

writes FOLDER/checkpoints/depth_anything_v2_<encoder>.pth in the published layout, FOLDER/transformers, and with
--rivals what plain conversions of transformers' model give: FOLDER/plain-<height>x<width>.onnx (the exporter
of torch) and .xml (OpenVINO's converter). What is there already is kept. Without --checkpoint the weights are
random: speed does not depend on their values, and every part of the network has an effect on the result.
"""

from __future__ import annotations

import argparse
import importlib
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_anything_v2.config import ENCODERS


@dataclass(frozen=True)
class Weights:
    """Where the files lie. given: real weights, in any format that this package reads."""

    folder: Path
    encoder: str = "vits"
    given: Path | None = None

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoints" / f"depth_anything_v2_{self.encoder}.pth"

    @property
    def transformers(self) -> Path:
        return self.folder / "transformers"

    def plain(self, height: int, width: int, suffix: str) -> Path:
        return self.folder / f"plain-{height}x{width}{suffix}"


def write_random(path: Path, encoder: str) -> None:
    """Write random weights in the published layout: normal, scaled by fan-in, LayerScale near 0.3."""
    import torch

    from depth_anything_v2.config import model_config
    from depth_anything_v2.dpt import DepthAnythingV2

    random = torch.Generator().manual_seed(1)
    state = {}
    with torch.device("meta"):
        shapes = {
            name: value.shape for name, value in DepthAnythingV2(config=model_config(encoder)).state_dict().items()
        }
    for name, shape in shapes.items():
        noise = torch.randn(shape, generator=random)
        if name.endswith("gamma"):
            state[name] = 0.3 + 0.05 * noise
        elif name.endswith(("token", "pos_embed")):
            state[name] = 0.1 * noise
        elif name.endswith("bias"):
            state[name] = 0.02 * noise
        elif len(shape) == 1:
            state[name] = 1 + 0.1 * noise
        else:
            state[name] = noise / math.sqrt(math.prod(shape[1:]))
    state["depth_head.scratch.output_conv2.2.bias"] = torch.ones(1)  # most of the depth stays above zero
    _save(state, path)


def copy_checkpoint(source: Path, path: Path) -> None:
    """Write a checkpoint of any format as the published .pth: a dictionary of float32 tensors."""
    from depth_anything_v2.checkpoints import load_checkpoint, resolve_checkpoint

    _save(load_checkpoint(resolve_checkpoint(str(source), offline=True)).state, path)


def _save(state: dict[str, Any], path: Path) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def write_transformers(weights: Weights) -> None:
    """Write the folder that transformers' `from_pretrained` reads."""
    from depth_anything_v2.checkpoints import convert_checkpoint, load_checkpoint, resolve_checkpoint

    source = resolve_checkpoint(str(weights.given or weights.checkpoint), offline=True)
    convert_checkpoint(load_checkpoint(source), weights.transformers, to="transformers")


def load_transformers(folder: Path) -> Any:
    """Return transformers' model in float32, in evaluation mode, otherwise as it loads by default."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what importing transformers warns of
        transformers: Any = importlib.import_module("transformers")  # it declares types, but only for some of it
        transformers.utils.logging.disable_progress_bar()
        return transformers.DepthAnythingForDepthEstimation.from_pretrained(folder, dtype=torch.float32).eval()


def write_plain(weights: Weights, height: int, width: int) -> None:
    """Convert transformers' model with the tools of torch and OpenVINO as they are, at one size, batch 1."""
    import torch

    from depth_anything_v2.engines.openvino_engine import import_openvino

    onnx_file, ir_file = (weights.plain(height, width, suffix) for suffix in (".onnx", ".xml"))
    if onnx_file.exists() and ir_file.exists():
        return

    class DepthAlone(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = load_transformers(weights.transformers)

        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            depth: torch.Tensor = self.model(pixel_values).predicted_depth
            return depth

    model, example = DepthAlone().eval(), torch.zeros(1, 3, height, width)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing notes
        torch.onnx.export(model, (example,), onnx_file, dynamo=True, verbose=False)
        openvino = import_openvino()
        converted = openvino.convert_model(model, example_input=example, input=[1, 3, height, width])
    openvino.save_model(converted, ir_file, compress_to_fp16=False)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write weights to measure with.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", choices=[name for name in ENCODERS if name.startswith("vit")], default="vits")
    parser.add_argument("--checkpoint", type=Path, help="real weights, relative; default: random ones")
    parser.add_argument("--rivals", action="store_true", help="also plain ONNX and OpenVINO files")
    parser.add_argument("--height", type=int, default=518)
    parser.add_argument("--width", type=int, default=518)
    options = parser.parse_args()
    weights = Weights(options.folder, options.encoder, options.checkpoint)
    if not weights.checkpoint.exists():
        if weights.given:
            copy_checkpoint(weights.given, weights.checkpoint)
        else:
            write_random(weights.checkpoint, options.encoder)
    if not (weights.transformers / "model.safetensors").exists():
        write_transformers(weights)
    if options.rivals:
        write_plain(weights, options.height, options.width)


if __name__ == "__main__":
    main()
