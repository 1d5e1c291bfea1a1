"""The network through OpenVINO: the fastest way on a processor, and one that needs no torch to run."""

from __future__ import annotations

import io
import queue
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines.base import Engine, check_batch
from depth_anything_v2.engines.positions import sample_positions
from depth_anything_v2.errors import CheckpointFormatError, MissingExtraError, OptionError

if TYPE_CHECKING:
    from torch import nn

# Our name of a precision -> OpenVINO's, and the capability that a processor must have for it.
PRECISIONS = {"float32": ("f32", "FP32"), "bfloat16": ("bf16", "BF16"), "float16": ("f16", "FP16")}
_CACHED_SIZES = 8
_core: Any = None
_lock = threading.Lock()


def import_openvino() -> Any:
    """Return the module openvino, kept from reporting its use to its makers. Raises MissingExtraError."""
    # It reports through this package, already when imported, and does without where there is none.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino", "the engine openvino") from error
    return openvino


def core() -> Any:
    """Return the one `openvino.Core` of this process. Raises MissingExtraError."""
    global _core
    with _lock:
        if _core is None:
            _core = import_openvino().Core()
    return _core


def version() -> str:
    """Return OpenVINO's version without its build, such as '2026.4.1'."""
    return str(import_openvino().__version__).split("-")[0]


def processor() -> str:
    """Return what a compiled model depends on beside OpenVINO's version: the processor's name and abilities."""
    abilities = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return " ".join([core().get_property("CPU", "FULL_DEVICE_NAME"), *sorted(abilities)])


def precisions() -> tuple[str, ...]:
    """Return the precisions that this processor computes in itself, float32 first."""
    abilities = set(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return tuple(name for name, (_, ability) in PRECISIONS.items() if ability in abilities)


def check_precision(precision: str) -> str:
    """Return `precision`; raises OptionError where it is unknown or the processor lacks it."""
    if precision not in PRECISIONS:
        raise OptionError(f"unknown precision '{precision}': auto, {', '.join(PRECISIONS)}")
    if precision not in precisions():
        raise OptionError(
            f"this processor does not compute in {precision} through OpenVINO: use {' or '.join(precisions())}"
        )
    return precision


def convert(model: nn.Module, config: ModelConfig) -> Any:
    """Return an `openvino.Model` of a torch model: any batch size, height and width.

    Inputs: 'image' (N, 3, H, W) and, for a transformer, 'positions' (1, 1 + tokens, dim), which `OpenVINOEngine`
    samples in float32; output: 'depth' (N, H, W). `model` is used up.
    """
    import torch
    from torch import nn

    openvino = import_openvino()

    class Positioned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model: Any = model

        def forward(self, image: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
            self.model.pretrained._position_embedding = lambda rows, columns: positions
            depth: torch.Tensor = self.model(image)
            return depth

    multiple = config.preprocessing.multiple_of
    rows, columns = 4, 5
    image = torch.zeros(1, 3, rows * multiple, columns * multiple)
    shapes, names = [openvino.PartialShape([-1, 3, -1, -1])], ["image"]
    wrapped, example = model, (image,)
    if config.family == "dinov2":
        wrapped, example = Positioned(), (image, torch.zeros(1, 1 + rows * columns, config.embed_dim))  # type: ignore[assignment]
        shapes.append(openvino.PartialShape([1, -1, config.embed_dim]))
        names.append("positions")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, on checks that do not depend on the picture
        converted = openvino.convert_model(wrapped, example_input=example, input=shapes)
    for port, name in zip((*converted.inputs, *converted.outputs), (*names, "depth"), strict=True):
        port.get_tensor().set_names({name})
    return converted


def compile_to_bytes(model: Any, precision: str) -> bytes:
    """Return a converted model compiled for this processor, as `OpenVINOEngine` takes it."""
    with tempfile.TemporaryDirectory() as folder:
        if precision != "float32":
            # Weights of 16 bit: the processor makes 16 bit of them anyway, and a file of half the size loads faster.
            path = Path(folder) / "model.xml"
            import_openvino().save_model(model, path, compress_to_fp16=True)
            model = core().read_model(path)
        compiled = core().compile_model(model, "CPU", _settings(precision))
        exported = compiled.export_model()
        return exported.getvalue() if isinstance(exported, io.BytesIO) else bytes(exported)


def _settings(precision: str) -> dict[str, str]:
    return {"INFERENCE_PRECISION_HINT": PRECISIONS[precision][0], "PERFORMANCE_HINT": "LATENCY"}


class OpenVINOEngine:
    """A compiled network on the processor.

    compiled: what `compile_to_bytes` returned, or an `openvino.CompiledModel`; embedding: the trained position
    embedding (1, 1370, dim) of a model that `convert` made, None for one without that input; fallback: makes the
    float32 engine that computes again what is not finite in lower precision.

    Raises CheckpointFormatError when the bytes cannot be loaded.
    """

    name = "openvino"
    device = "cpu"

    def __init__(
        self,
        compiled: Any,
        config: ModelConfig,
        precision: str,
        *,
        embedding: npt.NDArray[np.float32] | None = None,
        fallback: Callable[[], Engine] | None = None,
    ) -> None:
        if isinstance(compiled, bytes):
            try:
                compiled = core().import_model(compiled, "CPU", _settings(precision))
            except RuntimeError as error:
                raise CheckpointFormatError(
                    f"a compiled model cannot be loaded by OpenVINO {version()} ({error})"
                ) from error
        self.config, self.precision = config, precision
        self._compiled, self._embedding, self._fallback = compiled, embedding, fallback
        self._exact: Engine | None = None
        self._requests: queue.LifoQueue[Any] = queue.LifoQueue()
        self._positions: dict[tuple[int, int], npt.NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    def __call__(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        check_batch(batch, self.config)
        inputs: Mapping[str, Any] = {"image": np.ascontiguousarray(batch, np.float32)}
        if self._embedding is not None:
            patch = self.config.preprocessing.multiple_of
            inputs = {
                **inputs,
                "positions": self._sampled(self._embedding, batch.shape[2] // patch, batch.shape[3] // patch),
            }
        try:
            request = self._requests.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            result: npt.NDArray[np.float32] = request.infer(inputs)[0]
        finally:
            self._requests.put(request)
        if self._fallback is None or np.isfinite(result).all():
            return result
        warnings.warn(f"{self.precision} gave values that are not finite; run again in float32", stacklevel=2)
        with self._lock:
            self._exact = self._exact or self._fallback()
        return self._exact(batch)

    def _sampled(self, embedding: npt.NDArray[np.float32], rows: int, columns: int) -> npt.NDArray[np.float32]:
        with self._lock:
            found = self._positions.get((rows, columns))
            if found is None:
                if len(self._positions) >= _CACHED_SIZES:
                    self._positions = {}
                found = self._positions[rows, columns] = sample_positions(embedding, rows, columns)
            return found
