"""Which engine runs a checkpoint, and where: what 'auto' means, settled without torch where none is needed."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_anything_v2.errors import OptionError

ENGINES = ("auto", "torch", "torch-compile", "openvino", "onnx")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Request:
    """What a user asked for: see `DepthEstimator.from_pretrained`."""

    engine: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    encoder: str | None = None
    max_depth_m: float | None = None
    relative: bool = False
    v1: bool = False

    @property
    def reading(self) -> dict[str, Any]:
        """The options that say how the file is to be read."""
        return {name: getattr(self, name) for name in ("encoder", "max_depth_m", "relative", "v1")}


def gpu_may_be_there() -> bool:
    """Whether torch might find a GPU, judged without importing torch: by its driver, or an Apple processor."""
    if sys.platform == "darwin":
        return os.uname().machine == "arm64"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all").strip() in ("", "-1"):
        return False
    if sys.platform == "win32":
        system = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32"
        return (system / "nvcuda.dll").is_file()
    return any(Path(place).exists() for place in ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))


def choose(engine: str, device: str) -> tuple[str, str]:
    """Return (engine, device) for what was asked, 'auto' settled: torch on a GPU, OpenVINO on a processor.

    Raises OptionError for names that are unknown, or an engine that does not run on the device.
    """
    if engine not in ENGINES:
        raise OptionError(f"unknown engine '{engine}': {', '.join(ENGINES)}")
    kind = device.split(":")[0]
    if kind not in ("auto", "cpu", "cuda", "mps"):
        raise OptionError(f"unknown device '{device}': auto, cpu, cuda, cuda:N or mps")
    if engine.startswith("torch") or (engine == "auto" and kind in ("cuda", "mps")):
        return ("torch" if engine == "auto" else engine), device
    if engine == "auto":
        if kind == "auto" and gpu_may_be_there():
            from depth_anything_v2.engines.torch_engine import pick_device

            device = pick_device()
            if device != "cpu":
                return "torch", device
        return ("openvino" if importlib.util.find_spec("openvino") else "torch"), "cpu"
    if engine == "openvino" and kind not in ("auto", "cpu"):
        raise OptionError(f"the engine openvino runs on the processor, not on '{device}': --engine torch does")
    if engine == "onnx" and kind == "mps":
        raise OptionError("the engine onnx does not run on 'mps': --engine torch does")
    return engine, "cpu" if device == "auto" else device
