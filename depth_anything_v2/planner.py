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
from depth_anything_v2.util.transform import network_size

Size = tuple[int, int]  # height, width in pixels

GPU_BATCH = 8
GPU_SHARE = 0.5  # of its free memory, for a batch that nobody asked for
READING_BYTES, WRITING_BYTES = 8, 20  # for each pixel of a picture in the first and the last stage of a pipeline

_MB = 1_000_000
_LIBRARIES = {"torch": 250 * _MB, "openvino": 130 * _MB, "onnx": 130 * _MB}
_WEIGHT_COPIES = {"torch": 1.1, "openvino": 2.2, "onnx": 2.2}
_ACTIVATIONS = {"torch": 1.0, "openvino": 1.1, "onnx": 1.1}  # beside torch on a processor, in float32
_HALF = 0.7  # of the activations that remain in bfloat16 and float16
_GPU_WORKSPACE = 1.5  # cuDNN's algorithms and copies in another memory layout


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


def default_batch(engine: Engine) -> int:
    """Return the batch size where memory is no matter."""
    return 1 if engine.device == "cpu" else GPU_BATCH


def largest_batch(config: ModelConfig, engine: Engine, size: Size, wanted: int, available: int | None) -> int:
    """Return the largest batch up to `wanted` that fits, at least 1: `wanted` itself, a half, a quarter..."""
    if available is None:
        return wanted
    room = available * (GPU_SHARE if _is_gpu(engine) else 1.0)
    while wanted > 1 and needed_bytes(config, engine, size, wanted) > room:
        wanted //= 2
    return wanted


def check_memory(
    config: ModelConfig, engine: Engine, picture: Size, input_size: int, max_tokens: int, name: str | None = None
) -> None:
    """Raise ImageTooLargeError, naming the input size that fits, for a picture whose network input cannot fit.

    On a processor only: a GPU says itself when it has too little. name: what to call the picture.
    """
    if engine.device != "cpu":
        return
    multiple = config.preprocessing.multiple_of

    def need(input_size: int) -> int:
        return needed_bytes(config, engine, network_size(*picture, input_size, multiple, max_tokens))

    needed, available = need(input_size), available_bytes(engine)
    if available is None or needed <= available:
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


def needed_bytes(config: ModelConfig, engine: Engine, size: Size, batch_size: int = 1) -> int:
    """Return the peak that a pass leads to: of the whole process on a processor, of the pass itself on a GPU."""
    activations = activation_bytes(config, engine.name, engine.precision, size, batch_size)
    if _is_gpu(engine):
        return int(activations * _GPU_WORKSPACE)
    kind = _kind(engine.name)
    return int(_LIBRARIES[kind] + weight_bytes(config) * _WEIGHT_COPIES[kind] + activations)


def activation_bytes(config: ModelConfig, engine: str, precision: str, size: Size, batch_size: int = 1) -> int:
    """Return what the network needs beside its weights for a batch of size (height, width), at the peak.

    engine: 'torch', 'openvino', 'onnx'; others are taken to be like OpenVINO.

    The peak is in the head: features / 2 channels at the full size of the input, and 32 more after the next
    convolution. Attention never holds its matrix of all pairs of tokens, so memory grows with the number of
    pixels and not with its square. Per pixel: 4 * (2.5 * features / 2 + 60) bytes for DINOv2, 340 bytes for
    EfficientNet; and 30 MB or 12 MB for a pass of any size.
    """
    pixels = batch_size * size[0] * size[1]
    if config.family == "dinov2":
        fixed, per_pixel = 30 * _MB, 4 * (1.25 * config.features + 60)
    else:
        fixed, per_pixel = 12 * _MB, 340.0
    half = _HALF if precision in ("bfloat16", "float16") else 1.0
    return int(fixed + pixels * per_pixel * _ACTIVATIONS[_kind(engine)] * half)


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


def _kind(engine: str) -> str:
    """Return the engine in the tables that one is like: 'torch-compile' like 'torch', an unknown one like OpenVINO."""
    return next((name for name in _LIBRARIES if engine.startswith(name)), "openvino")


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
