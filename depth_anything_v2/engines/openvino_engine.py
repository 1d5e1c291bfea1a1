"""The network through OpenVINO: the fastest way on a processor, and one that needs no torch to run."""

from __future__ import annotations

import contextlib
import io
import queue
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from depth_anything_v2.checkpoints.files import METADATA_KEY
from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines.base import Engine, check_batch
from depth_anything_v2.errors import CheckpointFormatError, MissingExtraError, OptionError, OutputError
from depth_anything_v2.util.positions import sample_positions

if TYPE_CHECKING:
    from torch import nn

# Our name of a precision -> OpenVINO's, and the capability that a processor must have for it.
PRECISIONS = {"float32": ("f32", "FP32"), "bfloat16": ("bf16", "BF16"), "float16": ("f16", "FP16")}
NETWORK = "network.xml"  # beside it network.bin, the weights
_CACHED_SIZES = 8
_FLOAT16_MAX = float(np.finfo(np.float16).max)
_OFTEN = 25  # pictures of one shape, after which compiling for it has paid: it takes about as long as one pass
_OWN_SHAPES = 3  # each holds the weights once more

Shape = tuple[int, int, int]  # number of pictures, height, width


class Keep(Protocol):
    """Where compiled networks lie between processes."""

    def find(self, shape: Shape) -> bytes | None: ...
    def add(self, shape: Shape, compiled: bytes) -> None: ...


_core: Any = None
_lock = threading.Lock()


def import_openvino() -> Any:
    """Return the module openvino, kept from reporting its use to its makers. Raises MissingExtraError."""
    # It reports through this package, already when imported, and does without where there is none.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("openvino", None, "the engine openvino") from error
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


def check_precision(precision: str) -> None:
    """Raise OptionError where the processor lacks a precision, which 'auto' never does; MissingExtraError."""
    own = precisions()
    if precision not in ("auto", *own):
        raise OptionError(f"this processor does not compute in {precision} through OpenVINO: use {' or '.join(own)}")


def convert(
    model: nn.Module, config: ModelConfig, *, self_contained: bool = False, static: tuple[int, int] | None = None
) -> Any:
    """Return an `openvino.Model` of a torch model: any batch size, height and width.

    Inputs: 'image' (N, 3, H, W) and, for a transformer, 'positions' (1, 1 + tokens, dim), which `OpenVINOEngine`
    samples in float32; output: 'depth' (N, H, W). self_contained: the position embedding is sampled in the graph,
    so that 'image' is the only input; static: its one (height, width). `model` is used up.
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
    if config.family == "dinov2" and self_contained:
        encoder: Any = model.pretrained
        encoder.exportable = True
    elif config.family == "dinov2":
        wrapped, example = Positioned(), (image, torch.zeros(1, 1 + rows * columns, config.embed_dim))  # type: ignore[assignment]
        shapes.append(openvino.PartialShape([1, -1, config.embed_dim]))
        names.append("positions")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, on checks that do not depend on the picture
        converted = openvino.convert_model(wrapped, example_input=example, input=shapes)
    for port, name in zip((*converted.inputs, *converted.outputs), (*names, "depth"), strict=True):
        port.get_tensor().set_names({name})
    if static is not None:
        converted.reshape({converted.input("image"): [-1, 3, *static]})
    return converted


def save_exported(model: Any, path: Path, metadata: Mapping[str, str], *, half: bool = False) -> None:
    """Write a model that `convert` made self-contained as an .xml with its .bin, for others to use, too.

    metadata: of `Exported.metadata`; half: weights of 16 bit. Raises OutputError.
    """
    for key, value in metadata.items():
        model.set_rt_info(value, key if key == METADATA_KEY else ["model_info", key])
    _save(model, path, half)


def save(model: Any, folder: Path, precision: str) -> None:
    """Write a converted model as NETWORK into a folder. Raises OutputError."""
    # In half precision the processor makes 16 bit of the weights anyway: a file of half the size loads faster.
    _save(model, folder / NETWORK, precision != "float32" and _fits_float16(model))


def _save(model: Any, path: Path, half: bool) -> None:
    try:
        import_openvino().save_model(model, path, compress_to_fp16=half)
    except RuntimeError as error:
        raise OutputError(f"cannot write '{path}': OpenVINO says '{error}'") from error


def _fits_float16(model: Any) -> bool:
    """Say whether no weight is beyond the range of float16, where it would become another number without a word."""
    weights = (operation.data for operation in model.get_ops() if operation.get_type_name() == "Constant")
    return all(np.abs(values).max() <= _FLOAT16_MAX for values in weights if values.dtype == np.float32 and values.size)


def read(path: Path) -> Any:
    """Return the `openvino.Model` in a file. Raises CheckpointFormatError."""
    try:
        return core().read_model(path)
    except RuntimeError as error:
        raise _unusable(error) from error


def _unusable(error: RuntimeError) -> CheckpointFormatError:
    return CheckpointFormatError(f"a converted model cannot be loaded by OpenVINO {version()} ({error})")


class Network:
    """A converted model, compiled for this processor when it is needed: for one shape, or for any.

    model: returns an `openvino.Model` of the caller's own. keep: for what is compiled for one shape. one_shape:
    whether compiling for one shape is wanted at all.

    Raises CheckpointFormatError when the model cannot be compiled.
    """

    def __init__(
        self, model: Callable[[], Any], precision: str, keep: Keep | None = None, *, one_shape: bool = True
    ) -> None:
        self.precision, self.one_shape = precision, one_shape
        self._model, self._keep = model, keep

    def compiled(self, shape: Shape | None) -> Any:
        """Return the `openvino.CompiledModel` for images of `shape`, None for any."""
        if shape is None or self._keep is None:
            return self._compile(shape)
        kept = self._keep.find(shape)
        if kept is not None:
            with contextlib.suppress(RuntimeError):  # of another make, for all its key says: compile again
                return core().import_model(kept, "CPU", _settings(self.precision))
        compiled = self._compile(shape)
        self._keep.add(shape, _exported(compiled))
        return compiled

    def _compile(self, shape: Shape | None) -> Any:
        model = self._model()
        try:
            if shape is not None:
                number, height, width = shape
                model.reshape({model.input("image"): [number, 3, height, width]})
            return core().compile_model(model, "CPU", _settings(self.precision))
        except RuntimeError as error:
            raise _unusable(error) from error


def _exported(compiled: Any) -> bytes:
    exported = compiled.export_model()
    return exported.getvalue() if isinstance(exported, io.BytesIO) else bytes(exported)


def _settings(precision: str) -> dict[str, str]:
    return {"INFERENCE_PRECISION_HINT": PRECISIONS[precision][0], "PERFORMANCE_HINT": "LATENCY"}


class _Requests:
    """A compiled model and its idle requests, of which every thread takes one of its own."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: queue.LifoQueue[Any] = queue.LifoQueue()

    def infer(self, inputs: Mapping[str, Any]) -> npt.NDArray[np.float32]:
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = self._compiled.create_infer_request()
        try:
            result: npt.NDArray[np.float32] = request.infer(inputs)[0]
        finally:
            self._idle.put(request)
        return result


class OpenVINOEngine:
    """A converted network on the processor.

    The first shape, and one that comes again and again, is compiled for itself, which is a little faster and needs
    less memory; all others share a network compiled for any shape.

    embedding: the trained position embedding (1, 1370, dim) of a model that `convert` made, None for one without
    that input; fallback: makes the float32 engine that computes again what is not finite in lower precision.
    """

    name = "openvino"
    device = "cpu"

    def __init__(
        self,
        network: Network,
        config: ModelConfig,
        *,
        embedding: npt.NDArray[np.float32] | None = None,
        fallback: Callable[[], Engine] | None = None,
    ) -> None:
        self.config, self.precision = config, network.precision
        self._network, self._embedding, self._fallback = network, embedding, fallback
        self._exact: Engine | None = None
        self._compiled: dict[Shape | None, _Requests] = {}
        self._seen: Counter[Shape] = Counter()
        self._positions: dict[tuple[int, int], npt.NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    def __call__(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        check_batch(batch, self.config)
        number, _, height, width = batch.shape
        inputs: dict[str, Any] = {"image": np.ascontiguousarray(batch, np.float32)}
        if self._embedding is not None:
            patch = self.config.preprocessing.multiple_of
            inputs["positions"] = self._sampled(self._embedding, height // patch, width // patch)
        result = self._requests((number, height, width)).infer(inputs)
        if self._fallback is None or np.isfinite(result).all():
            return result
        warnings.warn(f"{self.precision} gave values that are not finite; run again in float32", stacklevel=2)
        with self._lock:
            self._exact = self._exact or self._fallback()
        return self._exact(batch)

    def _requests(self, shape: Shape) -> _Requests:
        with self._lock:
            if shape in self._compiled:
                return self._compiled[shape]
            self._seen[shape] += 1
            own = sum(known is not None for known in self._compiled)
            first = not self._compiled
            worth = first or (self._seen[shape] >= _OFTEN and own < _OWN_SHAPES)
            # OpenVINO 2026.4 is off by up to 6e-3 where it compiles a transformer for a single patch.
            one_patch = shape[1] == shape[2] == self.config.preprocessing.multiple_of
            chosen = shape if worth and self._network.one_shape and not one_patch else None
            if chosen not in self._compiled:
                self._compiled[chosen] = _Requests(self._network.compiled(chosen))
            return self._compiled[chosen]

    def _sampled(self, embedding: npt.NDArray[np.float32], rows: int, columns: int) -> npt.NDArray[np.float32]:
        with self._lock:
            found = self._positions.get((rows, columns))
            if found is None:
                if len(self._positions) >= _CACHED_SIZES:
                    self._positions = {}
                found = self._positions[rows, columns] = sample_positions(embedding, rows, columns)
            return found
