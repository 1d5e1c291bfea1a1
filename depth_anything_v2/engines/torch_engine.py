"""The network through PyTorch."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from depth_anything_v2.engines.base import check_axes
from depth_anything_v2.errors import OptionError, OutOfMemoryError

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
HALF_ON = {"cpu": (), "cuda": ("float16", "bfloat16"), "mps": ("float16",)}  # worth trying, by kind of device


def pick_device(name: str = "auto") -> str:
    """Return the torch device for `name`: 'auto' is CUDA, then MPS, then CPU.

    Raises OptionError when a device that was named is unknown or not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise OptionError(f"unknown device '{name}': auto, cpu, cuda, cuda:N or mps") from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise OptionError(f"device '{name}' is not there: this machine has {count} CUDA devices; use --device cpu")
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise OptionError("device 'mps' is not there: this machine has no Apple GPU; use --device cpu")
    elif device.type not in ("cpu", "cuda", "mps"):
        raise OptionError(f"unsupported device '{name}': auto, cpu, cuda, cuda:N or mps")
    return name


class TorchEngine:
    """A torch model on a device; weights stay float32, lower precision is autocast around the forward pass.

    A result that is not finite in lower precision is computed again in float32, with a warning. compiled: through
    torch.compile, on CUDA with CUDA graphs; each new input size is compiled first, which takes long.
    Raises OptionError for an unknown device or precision.
    """

    name = "torch"

    def __init__(
        self, model: nn.Module, device: str = "auto", precision: str = "auto", *, compiled: bool = False
    ) -> None:
        self.precision = "float32" if precision == "auto" else precision
        if self.precision not in PRECISIONS:
            raise OptionError(f"unknown precision '{precision}': auto, {', '.join(PRECISIONS)}")
        self.device = pick_device(device)
        ready: Any = model.eval().requires_grad_(False)  # torch types leave memory_format out
        self._model: nn.Module = ready.to(device=self.device, memory_format=torch.channels_last)
        if compiled:
            self.name = "torch-compile"
            mode = "reduce-overhead" if self.device.startswith("cuda") else "default"
            self._model = torch.compile(self._model, dynamic=False, mode=mode)  # type: ignore[assignment]

    def describe_device(self) -> str:
        """Return the name of the device's maker, on which the fastest precision depends."""
        return torch.cuda.get_device_name(self.device) if self.device.startswith("cuda") else self.device

    def _forward(self, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        half = dtype is not torch.float32
        autocast = torch.autocast(torch.device(self.device).type, dtype) if half else contextlib.nullcontext()
        with torch.inference_mode(), autocast:
            depth: torch.Tensor = self._model(x)
        return depth.float()

    def free_memory(self) -> int | None:
        """Return how many bytes of the GPU are free or in the cache of torch, None where there is no CUDA device."""
        if not self.device.startswith("cuda"):
            return None
        free, _ = torch.cuda.mem_get_info(self.device)
        cached = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(free) + cached

    def __call__(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Raises OutOfMemoryError, beside what `Engine` says."""
        try:
            return self._run(batch)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            count, _, height, width = batch.shape
            raise OutOfMemoryError(
                f"{self.device} has too little memory for {count} x {width} x {height} pixels at a time: use a smaller "
                "batch or input size, or another device"
            ) from error

    def _run(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        check_axes(batch)  # the model itself checks its sides
        x = torch.from_numpy(np.ascontiguousarray(batch)).to(self.device, memory_format=torch.channels_last)
        depth = self._forward(x, PRECISIONS[self.precision])
        if self.precision != "float32" and not bool(torch.isfinite(depth).all()):
            warnings.warn(f"{self.precision} gave values that are not finite; run again in float32", stacklevel=2)
            depth = self._forward(x, torch.float32)
        result: npt.NDArray[np.float32] = depth.cpu().numpy()
        return result


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Say whether it is one: CUDA has a class for it, Metal and the processor have messages only."""
    text = str(error)
    return isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text
