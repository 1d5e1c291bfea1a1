"""Weights and inputs made from names and shapes, so that numbers can be compared without a checkpoint.

The stored reference numbers (tests/model/reference.npz) come from the original implementation, run on
these weights and inputs. Every array has a stream of its own, seeded by the CRC-32 of its name, from
NumPy's legacy generator, whose values are frozen. The names and shapes of the published files are
written down here by hand from the architecture, independently of the package.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
FloatArray = npt.NDArray[np.float32]

# Width, blocks, hidden width of the feed-forward network, head features, head channels.
ENCODERS: dict[str, tuple[int, int, int, int, Shape]] = {
    "vits": (384, 12, 1536, 64, (48, 96, 192, 384)),
    "vitb": (768, 12, 3072, 128, (96, 192, 384, 768)),
    "vitl": (1024, 24, 4096, 256, (256, 512, 1024, 1024)),
    "vitg": (1536, 40, 4096, 384, (1536, 1536, 1536, 1536)),
}


def _stream(label: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(label.encode()))


def fill(name: str, shape: Shape) -> FloatArray:
    """Return the float32 value of the parameter `name`: centre + spread * N(0, 1).

    Chosen so that signals keep their size through all blocks and most of the depth stays above zero.
    """
    centre, spread = 0.0, 1.0
    if name.endswith("output_conv2.2.bias"):
        centre, spread = 1.0, 0.0
    elif name.endswith("gamma"):
        centre, spread = 0.3, 0.05
    elif name.endswith(("cls_token", "mask_token", "pos_embed")):
        spread = 0.1
    elif name.endswith("bias"):
        spread = 0.02
    elif len(shape) == 1:
        centre, spread = 1.0, 0.1
    else:
        # Divided, not multiplied by the inverse: the last bit is the same as in the reference run.
        return (_stream(name).standard_normal(shape) / math.sqrt(math.prod(shape[1:]))).astype(np.float32)
    return (centre + spread * _stream(name).standard_normal(shape)).astype(np.float32)


def fill_state(shapes: Mapping[str, Shape]) -> Iterator[tuple[str, FloatArray]]:
    """Yield (name, value) one by one: the Giant's weights need not all exist twice."""
    for name, shape in shapes.items():
        yield name, fill(name, shape)


def network_input(height: int, width: int) -> FloatArray:
    """Return a (1, 3, height, width) network input, N(0, 1)."""
    return _stream(f"input{height}x{width}").standard_normal((1, 3, height, width)).astype(np.float32)


def picture(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Return a (height, width, 3) BGR picture: a colour ramp, six discs and noise of 6 grey levels."""
    random = _stream(f"image{height}x{width}")
    rows = np.arange(height, dtype=np.float64)[:, None]
    columns = np.arange(width, dtype=np.float64)[None, :]
    ramps = (columns / width + 0 * rows, rows / height + 0 * columns, (columns + rows) / (width + height))
    canvas = 200.0 * np.stack(ramps, axis=2)
    for _ in range(6):
        row, column = random.uniform(0, height), random.uniform(0, width)
        radius = random.uniform(0.05, 0.3) * min(height, width)
        inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
        canvas[inside] = random.uniform(0, 255, 3)
    noisy = canvas + 6.0 * random.standard_normal(canvas.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def published_shapes(encoder: str) -> dict[str, Shape]:
    """Return the name and shape of every tensor in the published file of `encoder`, in its order."""
    dim, blocks, hidden, features, channels = ENCODERS[encoder]
    shapes: dict[str, Shape] = {}

    def layer(name: str, *shape: int) -> None:
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = (shape[1] if ".resize_layers.0" in name or ".resize_layers.1" in name else shape[0],)

    shapes["pretrained.cls_token"] = (1, 1, dim)
    shapes["pretrained.pos_embed"] = (1, 1 + 37 * 37, dim)
    shapes["pretrained.mask_token"] = (1, dim)
    layer("pretrained.patch_embed.proj", dim, 3, 14, 14)
    for index in range(blocks):
        block = f"pretrained.blocks.{index}"
        layer(f"{block}.norm1", dim)
        layer(f"{block}.attn.qkv", 3 * dim, dim)
        layer(f"{block}.attn.proj", dim, dim)
        shapes[f"{block}.ls1.gamma"] = (dim,)
        layer(f"{block}.norm2", dim)
        wide, narrow = ("w12", "w3") if encoder == "vitg" else ("fc1", "fc2")
        layer(f"{block}.mlp.{wide}", 2 * hidden if encoder == "vitg" else hidden, dim)
        layer(f"{block}.mlp.{narrow}", dim, hidden)
        shapes[f"{block}.ls2.gamma"] = (dim,)
    layer("pretrained.norm", dim)
    for level, width in enumerate(channels):
        layer(f"depth_head.projects.{level}", width, dim, 1, 1)
    for level, kernel in ((0, 4), (1, 2), (3, 3)):
        layer(f"depth_head.resize_layers.{level}", channels[level], channels[level], kernel, kernel)
    scratch = "depth_head.scratch"
    for level, width in enumerate(channels, start=1):
        shapes[f"{scratch}.layer{level}_rn.weight"] = (features, width, 3, 3)
    for level in (1, 2, 3, 4):
        fusion = f"{scratch}.refinenet{level}"
        layer(f"{fusion}.out_conv", features, features, 1, 1)
        for unit in ("resConfUnit1", "resConfUnit2"):
            layer(f"{fusion}.{unit}.conv1", features, features, 3, 3)
            layer(f"{fusion}.{unit}.conv2", features, features, 3, 3)
    layer(f"{scratch}.output_conv1", features // 2, features, 3, 3)
    layer(f"{scratch}.output_conv2.0", 32, features // 2, 3, 3)
    layer(f"{scratch}.output_conv2.2", 1, 32, 1, 1)
    return shapes


def shapes_digest(shapes: Mapping[str, Shape]) -> str:
    """Return the SHA-256 of the sorted lines 'name d0xd1x...'."""
    lines = sorted(f"{name} {'x'.join(map(str, shape))}\n" for name, shape in shapes.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
