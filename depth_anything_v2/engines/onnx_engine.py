"""The network through ONNX Runtime, and its conversion to ONNX."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines.base import check_batch
from depth_anything_v2.errors import CheckpointFormatError, MissingExtraError, OptionError

if TYPE_CHECKING:
    from torch import nn

OPSET = 18
_CUDA = "CUDAExecutionProvider"
_SMALL = 1024  # values; what has fewer stays float32


def runtime() -> Any:
    """Return the module onnxruntime, kept from reporting its use to its makers. Raises MissingExtraError."""
    # Read when it is imported, which already reports; the call below is for who imported it before.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("onnxruntime", "onnx", "the engine onnx") from error
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def convert(model: nn.Module, config: ModelConfig, static: tuple[int, int] | None = None) -> Any:
    """Return the `torch.onnx.ONNXProgram` of a torch model; 'image' (N, 3, H, W) in, 'depth' (N, H, W) out, float32.

    Any batch size, height and width, or one (height, width) where `static` says so; the position embedding is
    sampled in the graph. `model` is used up. Raises MissingExtraError, OptionError for a size the network can't take.
    """
    import torch

    for package in ("onnx", "onnxscript"):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingExtraError(package, "onnx", "converting a model to ONNX") from error
    multiple = config.preprocessing.multiple_of
    if static and (static[0] % multiple or static[1] % multiple or min(static) < 1):
        raise OptionError(f"a static size of {static[0]} x {static[1]}: both sides must be multiples of {multiple}")
    # Any sizes of the example do, but for one: that would make a constant of the batch or a side.
    height, width = static or (5 * multiple, 7 * multiple)
    batch = torch.export.Dim("batch", min=1)
    axes: dict[int, Any] = {0: batch}
    if static is None:
        axes |= {2: multiple * torch.export.Dim("rows", min=1), 3: multiple * torch.export.Dim("columns", min=1)}
    if config.family == "dinov2":
        encoder: Any = model.pretrained
        encoder.exportable = True
    with torch.no_grad(), quiet():
        program = torch.onnx.export(
            model,
            (torch.zeros(2, 3, height, width),),
            dynamo=True,
            dynamic_shapes=(axes,),
            input_names=["image"],
            output_names=["depth"],
            opset_version=OPSET,
            verbose=False,
        )
    if program is None:
        raise CheckpointFormatError("torch made no ONNX program of this model: a newer torch may")
    return program


def save_exported(program: Any, path: Path, metadata: Mapping[str, str], *, half: bool = False) -> None:
    """Write what `convert` returned, or an `onnx.ModelProto` made from it, as a file for others to use, too.

    metadata: of `Exported.metadata`; half: weights of 16 bit, which become 32 bit again when the file is loaded.
    Weights of more than 2 GB lie in a second file, PATH.data.
    """
    if not hasattr(program, "model"):
        import onnx

        onnx.helper.set_model_props(program, dict(metadata))
        onnx.save(program, path)
        return
    _forget_sources(program.model)
    if half:
        _halve_weights(program.model.graph)
    program.model.metadata_props.update(metadata)
    program.save(path)


def to_proto(program: Any) -> Any:
    """Return what `convert` returned as an `onnx.ModelProto`, which holds at most 2 GB."""
    _forget_sources(program.model)
    return program.model_proto


def _forget_sources(model: Any) -> None:
    """Take out which lines of source code made each operator: their paths are nobody else's business."""
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
        for value in (*node.inputs, *node.outputs):
            if value is not None:
                value.metadata_props.clear()


def _halve_weights(graph: Any) -> None:
    """Store float32 weights as float16, each followed by a Cast to float32, which the runtime does once."""
    import onnx_ir

    for name, value in list(graph.initializers.items()):
        weight = value.const_value
        if weight is None or weight.dtype != onnx_ir.DataType.FLOAT or weight.size < _SMALL:
            continue
        halved = weight.numpy().astype(np.float16)
        if not np.isfinite(halved).all():
            continue
        stored = onnx_ir.Value(name=f"{name}.float16", const_value=onnx_ir.tensor(halved, name=f"{name}.float16"))
        stored.shape, stored.dtype = value.shape, onnx_ir.DataType.FLOAT16
        cast = onnx_ir.node("Cast", [stored], {"to": onnx_ir.DataType.FLOAT})
        cast.outputs[0].name = name
        value.replace_all_uses_with(cast.outputs[0])
        del graph.initializers[name]
        graph.register_initializer(stored)
        graph.insert_before(graph[0], cast)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what an exporter prints, warns of and logs, on operators this model does not have, from the user."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


class OnnxEngine:
    """An ONNX model in float32, on the processor or, with device 'cuda', on the GPU.

    model: a file, or its bytes. Raises CheckpointFormatError when it cannot be loaded, OptionError when the device
    is not one that the installed ONNX Runtime offers.
    """

    name = "onnx"

    def __init__(
        self, model: Path | bytes, config: ModelConfig, device: str = "cpu", precision: str = "float32"
    ) -> None:
        ort = runtime()
        providers = ["CPUExecutionProvider"]
        if device.startswith("cuda"):
            if _CUDA not in ort.get_available_providers():
                raise OptionError(
                    f"device '{device}' is not there for the engine onnx (see onnxruntime-gpu): use --device cpu"
                )
            providers = [_CUDA, *providers]
        elif device not in ("cpu", "auto"):
            raise OptionError(f"the engine onnx does not run on device '{device}': cpu or cuda")
        self.device = "cpu" if device == "auto" else device
        self.config, self.precision = config, precision
        options = ort.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session = ort.InferenceSession(model if isinstance(model, bytes) else str(model), options, providers)
        except Exception as error:  # the library's exceptions have no common class of their own
            where = "a converted model" if isinstance(model, bytes) else str(model)
            raise CheckpointFormatError(
                f"{where} cannot be loaded by ONNX Runtime {ort.__version__} ({error})"
            ) from error

    def __call__(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        check_batch(batch, self.config)
        result: npt.NDArray[np.float32] = self.session.run(None, {"image": np.ascontiguousarray(batch, np.float32)})[0]
        return result
