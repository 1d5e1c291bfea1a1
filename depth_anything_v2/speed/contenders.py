"""Which ways of running a checkpoint are compared: engine, device and precision."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from depth_anything_v2.engines.choose import ENGINES, PRECISIONS, choose, gpu_may_be_there
from depth_anything_v2.errors import MissingExtraError, OptionError
from depth_anything_v2.jobs.options import EstimatorOptions

_ENGINES = tuple(name for name in ENGINES if name != "auto")
_PRECISIONS = tuple(name for name in PRECISIONS if name != "auto")


@dataclass(frozen=True)
class Contender:
    """One way of running a checkpoint. device: 'cpu', 'cuda', 'cuda:N', 'mps'."""

    engine: str
    device: str
    precision: str

    @property
    def label(self) -> str:
        """'openvino bfloat16', 'torch cuda float16'."""
        return " ".join([self.engine, *([] if self.device == "cpu" else [self.device]), self.precision])

    @property
    def is_reference(self) -> bool:
        """Whether this is what drift is measured from: float32 through torch on the processor."""
        return (self.engine, self.device, self.precision) == ("torch", "cpu", "float32")

    def options(self, loading: EstimatorOptions) -> EstimatorOptions:
        """Return `loading` with this engine, device and precision."""
        return dataclasses.replace(loading, engine=self.engine, device=self.device, precision=self.precision)


def make_contenders(engines: Iterable[str] = (), precisions: Iterable[str] = ()) -> tuple[Contender, ...]:
    """Return the contenders for engines ('openvino', or with a device 'torch:cuda') and precisions.

    Without engines: torch, OpenVINO and ONNX Runtime on the processor, and torch on a GPU if there is one. Without
    precisions: float32 everywhere, and what the processor (OpenVINO) or the GPU (torch) computes in itself.
    What turns out not to run is for the measurement to tell. Raises OptionError for unknown names.
    """
    places = list(dict.fromkeys(_place(name) for name in (list(engines) or _usual_engines())))
    wanted = list(dict.fromkeys(precisions))
    for precision in wanted:
        if precision not in _PRECISIONS:
            raise OptionError(f"unknown precision '{precision}': {', '.join(_PRECISIONS)}")
    return tuple(
        Contender(engine, device, precision)
        for engine, device in places
        for precision in (wanted or _usual_precisions(engine, device))
    )


def _place(name: str) -> tuple[str, str]:
    engine, _, device = name.partition(":")
    if engine not in _ENGINES:
        raise OptionError(f"unknown engine '{engine}': {', '.join(_ENGINES)}, each also with a device, as torch:cuda")
    return choose(engine, device or "cpu")


def _usual_engines() -> list[str]:
    gpu = ["torch:mps" if sys.platform == "darwin" else "torch:cuda"] if gpu_may_be_there() else []
    return ["torch", "openvino", "onnx", *gpu]


def _usual_precisions(engine: str, device: str) -> Sequence[str]:
    kind = device.partition(":")[0]
    if engine == "openvino":
        from depth_anything_v2.engines import openvino_engine

        try:
            return openvino_engine.precisions()
        except MissingExtraError:
            return ("float32",)  # for the sentence on what to install
    if engine.startswith("torch") and kind != "cpu":
        from depth_anything_v2.engines.torch_engine import HALF_ON

        return ("float32", *HALF_ON[kind])
    return ("float32",)
