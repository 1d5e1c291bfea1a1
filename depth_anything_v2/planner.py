"""Memory that is planned: what a network input will need, what there is, and the batch that follows.

The estimate is a formula fitted to measured peaks (see `activation_bytes`), so that nothing has to be tried out.
What cannot be known (the free memory of a system without a way to ask) is None, and nothing is refused then.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines.base import Engine
from depth_anything_v2.errors import ImageTooLargeError
from depth_anything_v2.pipeline import IN_FLIGHT_PIXELS, default_workers
from depth_anything_v2.util.transform import TOKEN_PIXELS, network_size

Size = tuple[int, int]  # height, width in pixels

MAX_TOKENS = 32_768  # 2,530 x 2,530 pixels: with vits 4 GB, which a laptop of 8 GB has, and minutes on two cores
MAX_TOKENS_IN_PAIRS = 8_192  # 1,260 x 1,260 pixels, where all pairs of tokens are held: 4 GB as well
GPU_BATCH = 8
GPU_SHARE = 0.5  # of its free memory, for a batch that nobody asked for
READING_BYTES, WRITING_BYTES = 8, 14  # for each pixel of a picture in the first and the last stage of a pipeline

_MB = 1_000_000
_CERTAIN = 0.85  # of an estimate, which is at most 17 % too large: what fits must not be refused
_GPU_WORKSPACE = 1.5  # cuDNN's algorithms and copies in another memory layout


@dataclass(frozen=True)
class _Costs:
    """What an engine needs. libraries: in bytes, with no model. weights: copies of them; activations: beside the
    formula of `activation_bytes`; half_*: what remains of both in bfloat16 and float16. pairs: how many matrices
    of all pairs of tokens, one for each head, exist at a time."""

    libraries: int
    weights: float
    activations: float
    half_weights: float
    half_activations: float
    pairs: int = 0


_COSTS = {
    "torch": _Costs(300 * _MB, 1.1, 0.95, 1.0, 0.7),
    "openvino": _Costs(140 * _MB, 1.9, 0.6, 0.5, 0.6),
    "onnx": _Costs(90 * _MB, 1.1, 0.77, 1.0, 1.0, pairs=2),
}
# OpenVINO has a network compiled for the first size it meets, and for others one that takes any.
_MIXED_COSTS = _COSTS | {"openvino": _Costs(140 * _MB, 3.4, 1.35, 0.5, 0.6)}


@dataclass(frozen=True)
class Plan:
    """How pictures of one size will be run.

    network_size: (height, width). needed, available: bytes at the peak, of the whole process on a processor, of
    the network's own on a GPU; available is None where it cannot be known.
    """

    batch_size: int
    network_size: Size
    needed: int
    available: int | None

    def __str__(self) -> str:
        height, width = self.network_size
        room = "" if self.available is None else f" of {gigabytes(self.available)} available"
        return f"batch {self.batch_size} of {width} x {height}, about {gigabytes(self.needed)}{room}"


def make_plan(config: ModelConfig, engine: Engine, picture: Size, size: Size, batch_size: int | None = None) -> Plan:
    """Return how pictures of `picture` pixels are run at network size `size`; batch_size: the one asked for.

    Without it: 1 on a processor, where more is no faster, and on a GPU as many as half of its free memory holds, at
    most 8. `needed` has the pictures in flight in it.
    """
    available = available_bytes(engine)
    batch_size = largest_batch(config, engine, size, batch_size or default_batch(engine), available)
    needed = needed_bytes(config, engine, size, batch_size)
    if not _is_gpu(engine):
        pixels = min(picture[0] * picture[1] * default_workers(), max(IN_FLIGHT_PIXELS, picture[0] * picture[1]))
        needed += pixels * (READING_BYTES + WRITING_BYTES)
    return Plan(batch_size, size, needed, available)


def default_max_tokens(engine: Engine) -> int:
    """Return the token limit where none was asked for: 32,768, or 8,192 with ONNX Runtime."""
    return MAX_TOKENS_IN_PAIRS if _costs(engine.name, False).pairs else MAX_TOKENS


def default_batch(engine: Engine) -> int:
    """Return the batch size where memory is no matter."""
    return 1 if engine.device == "cpu" else GPU_BATCH


def largest_batch(
    config: ModelConfig, engine: Engine, size: Size, wanted: int, available: int | None, *, mixed: bool = False
) -> int:
    """Return the largest batch up to `wanted` that fits, at least 1: `wanted` itself, a half, a quarter..."""
    if available is None:
        return wanted
    room = available * (GPU_SHARE if _is_gpu(engine) else 1.0)
    while wanted > 1 and needed_bytes(config, engine, size, wanted, mixed=mixed) > room:
        wanted //= 2
    return wanted


def check_memory(
    config: ModelConfig,
    engine: Engine,
    picture: Size,
    input_size: int,
    max_tokens: int,
    name: str | None = None,
    *,
    mixed: bool = False,
) -> None:
    """Raise ImageTooLargeError, naming the input size that fits, for a picture whose network input cannot fit.

    On a processor only: a GPU says itself when it has too little. What may just fit, for all that the estimate can
    tell, is not refused. name: what to call the picture.
    """
    if engine.device != "cpu":
        return
    multiple = config.preprocessing.multiple_of

    def need(input_size: int) -> int:
        return needed_bytes(config, engine, network_size(*picture, input_size, multiple, max_tokens), mixed=mixed)

    needed, available = need(input_size), available_bytes(engine)
    if available is None or needed * _CERTAIN <= available:
        return
    smaller = range((input_size - 1) // multiple * multiple, 0, -multiple)
    fitting = next((candidate for candidate in smaller if need(candidate) <= available), None)
    way_out = f"an input size of {fitting} or less fits" if fitting else "use a smaller checkpoint"
    height, width = network_size(*picture, input_size, multiple, max_tokens)
    called = f"'{name}'" if name else "the picture"
    raise ImageTooLargeError(
        f"{called} would need about {gigabytes(needed)} at input size {input_size} ({width} x {height} pixels in the "
        f"network), and there are {gigabytes(available)}: {way_out}"
    )


def needed_bytes(config: ModelConfig, engine: Engine, size: Size, batch_size: int = 1, *, mixed: bool = False) -> int:
    """Return the peak that a pass leads to: of the whole process on a processor, of the pass itself on a GPU.

    mixed: the engine has run another size before.
    """
    costs = _costs(engine.name, mixed)
    activations = activation_bytes(config, engine.name, engine.precision, size, batch_size, mixed=mixed)
    if _is_gpu(engine):
        return int(activations * _GPU_WORKSPACE)
    half = costs.half_weights if _is_half(engine.precision) else 1.0
    return int(costs.libraries + weight_bytes(config) * costs.weights * half + activations)


def activation_bytes(
    config: ModelConfig, engine: str, precision: str, size: Size, batch_size: int = 1, *, mixed: bool = False
) -> int:
    """Return what the network needs beside its weights for a batch of size (height, width), at the peak.

    engine: 'torch', 'openvino', 'onnx'; others are taken to be like OpenVINO. mixed: as in `needed_bytes`.

    The peak is in the head: features / 2 channels at the full size of the input, and 32 more after the next
    convolution. Per pixel: 4 * (2.5 * features / 2 + 60) bytes for DINOv2, 340 bytes for EfficientNet, times what
    the engine makes of it; and 30 MB or 12 MB for a pass of any size. torch and OpenVINO never hold attention's
    matrix of all pairs of tokens, so there memory grows with the number of pixels; ONNX Runtime holds two of them,
    which soon outweigh the rest.

    Fitted, with the rest of `needed_bytes`, to the peak resident memory of processes at 252 x 252 to 2,048 x 2,048
    pixels: within 10 % of most and 18 % of all of them (docs/performance.md).
    """
    pixels, costs = batch_size * size[0] * size[1], _costs(engine, mixed)
    if config.family == "dinov2":
        fixed, per_pixel = 30 * _MB, 4 * (1.25 * config.features + 60)
    else:
        fixed, per_pixel = 12 * _MB, 340.0
    half = costs.half_activations if _is_half(precision) else 1.0
    tokens = size[0] * size[1] // TOKEN_PIXELS
    pairs = costs.pairs * 4 * config.num_heads * batch_size * tokens**2
    return int(fixed + pixels * per_pixel * costs.activations * half + pairs)


def weight_bytes(config: ModelConfig) -> int:
    """Return the size of the weights in float32, within a few per cent."""
    if config.family != "dinov2":
        return 15 * _MB
    dim, features, outs = config.embed_dim, config.features, config.out_channels
    encoder = config.depth * 12 * dim * dim + (14 * 14 * 3 + 37 * 37 + 1) * dim
    levels = sum(dim * out + 9 * out * features for out in outs)
    resizing = 16 * outs[0] ** 2 + 4 * outs[1] ** 2 + 9 * outs[3] ** 2
    fusion = 4 * (4 * 9 + 1) * features**2 + 9 * features * features // 2
    return 4 * (encoder + levels + resizing + fusion)


def available_bytes(engine: Engine) -> int | None:
    """Return what may be used, None where it cannot be known.

    On a GPU the free memory that the engine tells (`free_memory()`); else what this process has and what it may
    still get, so that it can be compared with a peak of the whole process.
    """
    if _is_gpu(engine):
        tell = getattr(engine, "free_memory", None)
        return None if tell is None else tell()
    free = free_memory()
    return None if free is None else free + resident_bytes()


def free_memory(root: Path = Path("/")) -> int | None:
    """Return how many bytes this process may still get without another one's loss, None where nobody tells.

    Linux: MemAvailable and free swap, or what the control groups (v2 or v1) of the process leave, whichever is
    less. macOS, which makes room by compressing and swapping: all of the memory. Windows: what the limit of
    memory and page file leaves. root: where the file system of Linux begins.
    """
    if sys.platform == "win32":
        return _windows_free()
    limits = [room for room in (_meminfo_free(root), _cgroup_free(root)) if room is not None]
    if limits:
        return max(0, min(limits))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def resident_bytes(root: Path = Path("/")) -> int:
    """Return how much memory this process has by now; 0 where the system has no /proc."""
    try:
        return int((root / "proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError, IndexError):
        return 0


def gigabytes(count: float) -> str:
    """Return a number of bytes in words: '0.9 GB', '18 GB'."""
    return f"{count / 1e9:.1f} GB" if count < 10e9 else f"{count / 1e9:.0f} GB"


def _is_gpu(engine: Engine) -> bool:
    return engine.device.startswith("cuda")


def _is_half(precision: str) -> bool:
    return precision in ("bfloat16", "float16")


def _costs(engine: str, mixed: bool) -> _Costs:
    """Return the costs of an engine: 'torch-compile' like 'torch', an unknown one like OpenVINO."""
    table = _MIXED_COSTS if mixed else _COSTS
    return next((costs for name, costs in table.items() if engine.startswith(name)), table["openvino"])


def _meminfo_free(root: Path) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        kilobytes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest}
        return (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0)) * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return None


def _cgroup_free(root: Path) -> int | None:
    """Return the least that the control groups of the process leave, from its own up to the outermost."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    rooms: list[int] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            top, files = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = top / path.strip("/")
        # In a container the path can be that of the host: then only `top` is there.
        for place in (folder, *folder.parents):
            room = _room_in(place, *files)
            rooms += [] if room is None else [room]
            if place == top:
                break
    return min(rooms, default=None)


def _room_in(folder: Path, limit: str, usage: str, reclaimable: str) -> int | None:
    try:
        most, used = int((folder / limit).read_text()), int((folder / usage).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no such group, or 'max': no limit
        return None
    return most - used + int(statistics.get(reclaimable, 0))


def _windows_free() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("total", "free", "page_total", "page_free", "virtual", "virtual_free", "extended")
        ]

    status = Status()
    status.length = ctypes.sizeof(status)
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined, unused-ignore]
    return int(status.page_free) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None
