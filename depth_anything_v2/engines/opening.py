"""From a checkpoint on disk to an engine that runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.checkpoints import ResolvedCheckpoint
from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines import accuracy, store
from depth_anything_v2.engines.accuracy import Accuracy
from depth_anything_v2.engines.base import Engine
from depth_anything_v2.engines.choose import PRECISIONS, Request, choose
from depth_anything_v2.engines.source import Source
from depth_anything_v2.errors import CheckpointFormatError, OptionError
from depth_anything_v2.version import __version__

_BLOB, _ONNX, _EMBEDDING = "model.blob", "model.onnx", "positions.npy"


@dataclass(frozen=True)
class Opened:
    """An engine with the model in it. notes: sentences for the user; accuracy: of a precision that 'auto' chose."""

    engine: Engine
    config: ModelConfig
    licence: str | None
    notes: tuple[str, ...]
    accuracy: Accuracy | None = None


def open_engine(resolved: ResolvedCheckpoint, request: Request, on_wait: Callable[[str], None] | None = None) -> Opened:
    """Return the engine for a checkpoint; torch is imported only where the engine needs it, or a conversion.

    on_wait: called with a sentence before work that is done once per checkpoint and takes long.

    Raises OptionError, CheckpointError, MissingExtraError.
    """
    engine, device = choose(request.engine, request.device)
    if request.precision not in PRECISIONS:
        raise OptionError(f"unknown precision '{request.precision}': {', '.join(PRECISIONS)}")
    source = Source(resolved, request, on_wait or (lambda _: None))
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

    config, licence, notes = source.describe()
    conversion = _OpenVINO(source, config)
    precision, measured = source.request.precision, None
    if precision == "auto":
        candidates = [name for name in openvino_engine.precisions() if name != "float32"]
        precision, measured = _fastest(source, conversion.key("auto"), candidates, conversion.fresh, config)
    openvino_engine.check_precision(precision)
    engine, note = conversion.open(precision)
    return Opened(engine, config, licence, (*notes, *([note] if note else [])), measured)


class _OpenVINO:
    """A checkpoint on its way to OpenVINO; converted at most once, and only if an entry is missing."""

    def __init__(self, source: Source, config: ModelConfig) -> None:
        self.source, self.config = source, config
        self._converted: Any = None
        self._compiled: dict[str, bytes] = {}

    def key(self, precision: str) -> dict[str, Any]:
        from depth_anything_v2.engines import openvino_engine

        return {
            **_key(self.source, self.config, "openvino", openvino_engine.version(), openvino_engine.processor()),
            "precision": precision,
        }

    def open(self, precision: str) -> tuple[Engine, str | None]:
        """Return the engine from its entry in the store, made or made anew if need be, and a note for the user."""
        place = store.find(self.key(precision))
        if place is not None:
            try:
                return self._engine((place / _BLOB).read_bytes(), _embedding(place), precision), None
            except (CheckpointFormatError, OSError, ValueError):
                store.discard(place)
        place, note = store.add(self.key(precision), lambda work: self._write(work, precision))
        return self._engine((place / _BLOB).read_bytes(), _embedding(place), precision), note

    def fresh(self, precision: str) -> Engine:
        """Return the engine from the checkpoint itself."""
        return self._engine(self._bytes(precision), self._trained_embedding(), precision)

    def _engine(self, blob: bytes, embedding: npt.NDArray[np.float32] | None, precision: str) -> Engine:
        from depth_anything_v2.engines.openvino_engine import OpenVINOEngine

        fallback: Callable[[], Engine] | None = None
        if precision != "float32":
            fallback = lambda: self.open("float32")[0]  # noqa: E731 - in one line it says all
        return OpenVINOEngine(blob, self.config, precision, embedding=embedding, fallback=fallback)

    def _bytes(self, precision: str) -> bytes:
        from depth_anything_v2.engines import openvino_engine

        if precision not in self._compiled:
            if self._converted is None:
                self.source.on_wait(f"making {self.source.resolved.name} ready for OpenVINO on this machine, once")
                self._converted = openvino_engine.convert(self.source.model(), self.config)
            self._compiled[precision] = openvino_engine.compile_to_bytes(self._converted, precision)
        return self._compiled[precision]

    def _trained_embedding(self) -> npt.NDArray[np.float32] | None:
        found = self.source.load().state.get("pretrained.pos_embed")
        return None if found is None else found.numpy()

    def _write(self, work: Path, precision: str) -> None:
        (work / _BLOB).write_bytes(self._bytes(precision))
        embedding = self._trained_embedding()
        if embedding is not None:
            np.save(work / _EMBEDDING, embedding)


def _embedding(place: Path) -> npt.NDArray[np.float32] | None:
    path = place / _EMBEDDING
    return np.load(path) if path.is_file() else None


def _open_onnx(source: Source, device: str) -> Opened:
    from depth_anything_v2.engines import onnx_engine

    if source.request.precision not in ("auto", "float32"):
        raise OptionError(
            f"the engine onnx computes in float32, not in {source.request.precision}: leave --precision out, "
            "or use another engine"
        )
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
) -> tuple[str, Accuracy | None]:
    """Return the fastest precision that passes the accuracy gate and is worth it, measured once and remembered."""
    known = store.recall(key) or {}
    found = {name: accuracy.from_record(known[name]) for name in candidates if name in known}
    if set(candidates) != {name for name, result in found.items() if result}:
        source.on_wait(f"measuring how exact {' and '.join(candidates)} is, once")
        found = {name: accuracy.measure(engine_in("float32"), engine_in(name), config) for name in candidates}
        store.remember(key, {name: result.to_dict() for name, result in found.items() if result})
    paying = {name: result for name, result in found.items() if result and result.pays}
    if not paying:
        return "float32", None
    best = min(paying, key=lambda name: paying[name].time_ratio)
    return best, paying[best]
