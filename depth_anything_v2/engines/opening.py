"""From a checkpoint on disk to an engine that runs it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.checkpoints import ResolvedCheckpoint, cache
from depth_anything_v2.checkpoints.exported import Exported, exported_engine, read_exported, weights_file
from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines import accuracy, store
from depth_anything_v2.engines.accuracy import Accuracy
from depth_anything_v2.engines.base import Engine
from depth_anything_v2.engines.choose import PRECISIONS, Request, choose
from depth_anything_v2.engines.source import Source
from depth_anything_v2.errors import CheckpointFormatError, OptionError
from depth_anything_v2.version import __version__

if TYPE_CHECKING:
    from depth_anything_v2.engines.openvino_engine import Network

_BLOB, _ONNX, _EMBEDDING = "model.blob", "model.onnx", "positions.npy"
_KEPT_SHAPES, _KEPT_BYTES = 4, 500_000_000  # of each network: the sizes of one camera, held in two ways


@dataclass(frozen=True)
class Opened:
    """An engine with the model in it.

    notes: sentences for the user; accuracy: of a precision that 'auto' chose; exported: what the file says of itself
    where it is an exported model.
    """

    engine: Engine
    config: ModelConfig
    licence: str | None
    notes: tuple[str, ...]
    accuracy: Accuracy | None = None
    exported: Exported | None = None


def open_engine(resolved: ResolvedCheckpoint, request: Request, on_wait: Callable[[str], None] | None = None) -> Opened:
    """Return the engine for a checkpoint; torch is imported only where the engine needs it, or a conversion.

    on_wait: called with a sentence before work that is done once per checkpoint and takes long.

    Raises OptionError, CheckpointError, MissingExtraError.
    """
    if request.precision not in PRECISIONS:
        raise OptionError(f"unknown precision '{request.precision}': {', '.join(PRECISIONS)}")
    source = Source(resolved, request, on_wait or (lambda _: None))
    if exported_engine(resolved.path) is not None:
        return _open_exported(source)
    engine, device = choose(request.engine, request.device)
    if engine.startswith("torch"):
        return _open_torch(source, device, compiled=engine == "torch-compile")
    return _open_openvino(source) if engine == "openvino" else _open_onnx(source, device)


def _open_torch(source: Source, device: str, *, compiled: bool) -> Opened:
    from depth_anything_v2.engines.torch_engine import HALF_ON, TorchEngine

    loaded = source.load()
    model = source.model()

    def engine(precision: str) -> TorchEngine:
        return TorchEngine(model, device, precision, compiled=compiled)

    precision, measured = source.request.precision, None
    exact = engine("float32")
    if precision == "auto":
        key = _key(source, loaded.config, "torch", _torch_version(), processor=exact.describe_device())
        precision, measured = _fastest(source, key, HALF_ON[exact.device.split(":")[0]], engine, loaded.config)
    return Opened(engine(precision), loaded.config, loaded.licence, loaded.notes, measured)


def _torch_version() -> str:
    import torch

    return torch.__version__


def _open_openvino(source: Source) -> Opened:
    from depth_anything_v2.engines import openvino_engine

    openvino_engine.check_precision(source.request.precision)  # told before anything is converted
    config, licence, notes = source.describe()
    conversion = _OpenVINO(source, config)
    precision, measured = conversion.precision()
    engine, note = conversion.open(precision)
    conversion.forget()
    return Opened(engine, config, licence, (*notes, *([note] if note else [])), measured)


class _OpenVINO:
    """A checkpoint on its way to OpenVINO; converted at most once, and only if an entry is missing."""

    def __init__(self, source: Source, config: ModelConfig) -> None:
        self.source, self.config = source, config
        self._converted: Any = None

    def key(self, precision: str, shape: Sequence[int] | None = None) -> dict[str, Any]:
        """Return the key in the store of the network, or of what was compiled of it for a shape."""
        from depth_anything_v2.engines import openvino_engine

        key = _key(self.source, self.config, "openvino", openvino_engine.version(), openvino_engine.processor())
        return {**key, "precision": precision, **({} if shape is None else {"shape": list(shape)})}

    def precision(self, size: tuple[int, int] | None = None) -> tuple[str, Accuracy | None]:
        """Return the precision asked for, or the one that 'auto' is; size: the only one that the network takes."""
        from depth_anything_v2.engines import openvino_engine

        asked = self.source.request.precision
        if asked != "auto":
            return asked, None
        candidates = [name for name in openvino_engine.precisions() if name != "float32"]
        return _fastest(self.source, self.key("auto"), candidates, self.fresh, self.config, size)

    def open(self, precision: str) -> tuple[Engine, str | None]:
        """Return the engine from its entry in the store, made or made anew if need be, and a note for the user."""
        from depth_anything_v2.engines.openvino_engine import Network

        place, note = self._place(precision)
        network = Network(lambda: self._read(place, precision), precision, _Kept(self, precision))
        return self._engine(network, _embedding(place)), note

    def fresh(self, precision: str) -> Engine:
        """Return the engine to measure, for any shape: float32 from the checkpoint itself, others as they will run."""
        from depth_anything_v2.engines.openvino_engine import Network

        if precision == "float32":
            return self._engine(Network(self._network().clone, precision, one_shape=False), self._trained_embedding())
        place, _ = self._place(precision)
        network = Network(lambda: self._read(place, precision), precision, one_shape=False)
        return self._engine(network, _embedding(place))

    def forget(self) -> None:
        """Give back the memory of a conversion."""
        self._converted = None
        self.source.forget()

    def _place(self, precision: str) -> tuple[Path, str | None]:
        place = store.find(self.key(precision))
        if place is not None:
            return place, None
        return store.add(self.key(precision), lambda work: self._write(work, precision))

    def _read(self, place: Path, precision: str) -> Any:
        """Return the `openvino.Model` of an entry, which may be gone or useless by now."""
        from depth_anything_v2.engines.openvino_engine import NETWORK, read

        try:
            return read(place / NETWORK)
        except CheckpointFormatError:
            store.discard(place)
            return read(self._place(precision)[0] / NETWORK)

    def _engine(self, network: Network, embedding: npt.NDArray[np.float32] | None) -> Engine:
        from depth_anything_v2.engines.openvino_engine import OpenVINOEngine

        fallback: Callable[[], Engine] | None = None
        if network.precision != "float32":
            fallback = lambda: self.open("float32")[0]  # noqa: E731 - in one line it says all
        return OpenVINOEngine(network, self.config, embedding=embedding, fallback=fallback)

    def _network(self) -> Any:
        from depth_anything_v2.engines import openvino_engine

        if self._converted is None:
            self.source.on_wait(f"making {self.source.resolved.name} ready for OpenVINO on this machine, once")
            self._converted = openvino_engine.convert(self.source.model(), self.config)
        return self._converted

    def _trained_embedding(self) -> npt.NDArray[np.float32] | None:
        found = self.source.load().state.get("pretrained.pos_embed")
        return None if found is None else found.numpy()

    def _write(self, work: Path, precision: str) -> None:
        from depth_anything_v2.engines import openvino_engine

        openvino_engine.save(self._network(), work, precision)
        embedding = self._trained_embedding()
        if embedding is not None:
            np.save(work / _EMBEDDING, embedding)


class _Kept:
    """What was compiled for one shape, between processes."""

    def __init__(self, conversion: _OpenVINO, precision: str) -> None:
        self._key = functools.partial(conversion.key, precision)

    def find(self, shape: Sequence[int]) -> bytes | None:
        place = store.find(self._key(shape))
        with contextlib.suppress(OSError):  # another process may have removed it since
            return None if place is None else (place / _BLOB).read_bytes()
        return None

    def add(self, shape: Sequence[int], compiled: bytes) -> None:
        def write(work: Path) -> None:
            (work / _BLOB).write_bytes(compiled)

        unusable = store.find(self._key(shape))  # or another process was faster, which costs nothing
        if unusable is not None:
            store.discard(unusable)
        store.offer(self._key(shape), write, _KEPT_SHAPES, _KEPT_BYTES)


def _embedding(place: Path) -> npt.NDArray[np.float32] | None:
    path = place / _EMBEDDING
    return np.load(path) if path.is_file() else None


def _open_onnx(source: Source, device: str) -> Opened:
    from depth_anything_v2.engines import onnx_engine

    _check_onnx_precision(source.request)
    onnx_engine.runtime()  # told before anything is converted
    config, licence, notes = source.describe()
    # The file is the same for every version of the runtime; another version of this package may convert otherwise.
    key = {**_key(source, config, "onnx", f"opset{onnx_engine.OPSET}"), "package": __version__, "precision": "float32"}

    def write(work: Path) -> None:
        source.on_wait(f"converting {source.resolved.name} to ONNX, once")
        onnx_engine.convert(source.model(), config).save(work / _ONNX)

    place, note = store.find(key), None
    if place is not None:
        try:
            return Opened(onnx_engine.OnnxEngine(place / _ONNX, config, device), config, licence, notes)
        except CheckpointFormatError:
            store.discard(place)
    place, note = store.add(key, write)
    engine = onnx_engine.OnnxEngine(place / _ONNX, config, device)
    return Opened(engine, config, licence, (*notes, *([note] if note else [])))


def _check_onnx_precision(request: Request) -> None:
    if request.precision not in ("auto", "float32"):
        raise OptionError(
            f"the engine onnx computes in float32, not in {request.precision}: leave --precision out, "
            "or use another engine"
        )


def _open_exported(source: Source) -> Opened:
    """Open a file that `depth-anything export` wrote: it decides the engine, and nothing is converted."""
    request, path = source.request, source.resolved.path
    exported = read_exported(path)
    if request.engine not in ("auto", exported.engine):
        name = "ONNX" if exported.engine == "onnx" else "OpenVINO"
        raise OptionError(
            f"{path} is an {name} model and runs through the engine {exported.engine} only, not {request.engine}: "
            "leave the engine (and exact) out, or name the checkpoint that it was exported from"
        )
    _, device = choose(exported.engine, request.device)
    notes = (*source.resolved.notes, *exported.check_reading(str(path), **request.reading))
    if exported.engine == "onnx":
        from depth_anything_v2.engines import onnx_engine

        _check_onnx_precision(request)
        engine: Engine = onnx_engine.OnnxEngine(path, exported.config, device)
        measured = None
    else:
        engine, measured = _open_exported_openvino(source, exported)
    engine.precision = _with_weights(engine.precision, exported.precision)
    return Opened(engine, exported.config, exported.licence, notes, measured, exported)


def _with_weights(computed: str, stored: str) -> str:
    """Return what a result is exact to: in what the engine computes, and in what the weights are stored."""
    if stored == "int8":
        return "int8" if computed == "float32" else f"int8+{computed}"
    return "float16-weights" if (computed, stored) == ("float32", "float16") else computed


def _open_exported_openvino(source: Source, exported: Exported) -> tuple[Engine, Accuracy | None]:
    from depth_anything_v2.engines import openvino_engine

    conversion = _ExportedOpenVINO(source, exported.config)
    openvino_engine.check_precision(source.request.precision)
    precision, measured = conversion.precision(exported.static)
    return conversion.open(precision)[0], measured


class _ExportedOpenVINO(_OpenVINO):
    """An exported file, which needs no conversion; what was compiled of it for one shape is kept all the same."""

    def key(self, precision: str, shape: Sequence[int] | None = None) -> dict[str, Any]:
        weights = cache.file_digest(weights_file(self.source.resolved.path))
        return {**super().key(precision, shape), "weights": weights}

    def open(self, precision: str) -> tuple[Engine, str | None]:
        from depth_anything_v2.engines import openvino_engine

        network = openvino_engine.Network(self._file, precision, _Kept(self, precision))
        return self._engine(network, None), None

    def fresh(self, precision: str) -> Engine:
        from depth_anything_v2.engines import openvino_engine

        return self._engine(openvino_engine.Network(self._file, precision, one_shape=False), None)

    def _file(self) -> Any:
        from depth_anything_v2.engines import openvino_engine

        try:
            return openvino_engine.read(self.source.resolved.path)
        except CheckpointFormatError as error:
            raise CheckpointFormatError(f"{self.source.resolved.path} is damaged: export it again ({error})") from error


def _key(
    source: Source, config: ModelConfig, engine: str, version: str, processor: str | None = None
) -> dict[str, Any]:
    return {
        "checkpoint": source.resolved.sha256,
        "config": config.to_dict(),
        "engine": engine,
        "version": version,
        "processor": processor,
    }


def _fastest(
    source: Source,
    key: Mapping[str, Any],
    candidates: Sequence[str],
    engine_in: Callable[[str], Engine],
    config: ModelConfig,
    size: tuple[int, int] | None = None,
) -> tuple[str, Accuracy | None]:
    """Return the fastest precision that passes the accuracy gate and is worth it, measured once and remembered."""
    known = store.recall(key) or {}
    found = {name: accuracy.from_record(known[name]) for name in candidates if name in known}
    if set(candidates) != {name for name, result in found.items() if result}:
        source.on_wait(f"measuring how exact {' and '.join(candidates)} is, once")
        found = {name: accuracy.measure(engine_in("float32"), engine_in(name), config, size) for name in candidates}
        store.remember(key, {name: result.to_dict() for name, result in found.items() if result})
    paying = {name: result for name, result in found.items() if result and result.pays}
    if not paying:
        return "float32", None
    best = min(paying, key=lambda name: paying[name].time_ratio)
    return best, paying[best]
