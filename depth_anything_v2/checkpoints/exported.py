"""Exported models as checkpoints: what an .onnx or .xml file says of itself, read and written without its library."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

from depth_anything_v2.checkpoints.files import METADATA_KEY
from depth_anything_v2.checkpoints.kind import metadata_config
from depth_anything_v2.config import ENCODERS, ModelConfig
from depth_anything_v2.errors import CheckpointFormatError, CheckpointNotFoundError, OptionError

ENGINE_OF = {".onnx": "onnx", ".xml": "openvino"}
_LIBRARY = {"onnx": "ONNX", "openvino": "OpenVINO"}
_GRAPH, _METADATA_PROPS = 7, 14  # fields of ModelProto, see onnx.proto
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # wire types of Protocol Buffers
_METADATA_LIMIT = 1 << 20


@dataclass(frozen=True)
class Exported:
    """A model that `depth-anything export` wrote, as the file tells.

    engine: the one that runs it, 'onnx' or 'openvino'; config: how its input is prepared and what it answers;
    source, source_sha256, licence: of the checkpoint that it came from; precision: of its weights, 'float32',
    'float16' or 'int8'; static: (height, width) of the only network input that it takes, None for any size;
    version: of this package, which wrote it.
    """

    engine: str
    config: ModelConfig
    source: str
    source_sha256: str | None
    licence: str | None
    precision: str
    static: tuple[int, int] | None
    version: str

    def metadata(self) -> dict[str, str]:
        """Return what is written into the file: everything as JSON under one key, and in words for other readers."""
        steps, config = self.config.preprocessing, self.config
        multiple, side = steps.multiple_of, steps.input_size
        sizes = f"multiples of {multiple}" if self.static is None else f"H = {self.static[0]}, W = {self.static[1]}"
        relative = config.max_depth_m is None
        words = {
            "kind": config.kind,
            "unit": "none: inverse depth up to scale and shift, larger = nearer" if relative else "metre",
            "max_depth_m": "" if config.max_depth_m is None else f"{config.max_depth_m:g}",
            "licence": self.licence or "not known",
            "source": self.source,
            "source_sha256": self.source_sha256 or "not known",
            "precision": self.precision,
            "package_version": self.version,
            "input": f"image: float32 (N, 3, H, W), RGB, (value in [0, 1] - mean) / std, {sizes}",
            "output": "depth: float32 (N, H, W), " + ("inverse depth" if relative else "metres along the optical axis"),
            "mean": " ".join(f"{value:g}" for value in steps.mean),
            "std": " ".join(f"{value:g}" for value in steps.std),
            "input_size": str(side),
            "multiple_of": str(multiple),
            "interpolation": "bicubic, a = -0.75, without antialiasing (cv2.INTER_CUBIC)"
            if steps.interpolation == "bicubic"
            else "cv2.INTER_AREA where both sides shrink, else cv2.INTER_CUBIC",
            "size_rule": f"both sides times max({side} / height, {side} / width), each rounded to a multiple of "
            f"{multiple}, half to even, or up where that would be less than {side}",
        }
        return {METADATA_KEY: json.dumps(self._to_dict()), **words}

    def _to_dict(self) -> dict[str, Any]:
        return {
            "config": self.config.to_dict(),
            "kind": self.config.kind,
            "licence": self.licence,
            "source": {"name": self.source, "sha256": self.source_sha256},
            "precision": self.precision,
            "static": self.static,
            "version": self.version,
        }

    def check_reading(
        self, where: str, *, encoder: str | None, max_depth_m: float | None, relative: bool, v1: bool
    ) -> tuple[str, ...]:
        """Return notes on options of `load_checkpoint`; raises OptionError for one that would change the model."""
        if encoder is not None and encoder not in ENCODERS:
            raise OptionError(f"unknown encoder '{encoder}': choose one of {', '.join(ENCODERS)}")
        answers = "relative" if self.config.max_depth_m is None else f"metric up to {self.config.max_depth_m:g} m"
        if (relative and self.config.max_depth_m is not None) or max_depth_m not in (None, self.config.max_depth_m):
            raise OptionError(
                f"{where} was exported as {answers}, which no option changes: give --relative or --max-depth when "
                "exporting"
            )
        if v1 and self.config.taps != self.config.with_last_taps().taps:
            raise OptionError(f"{where} was not exported as Depth Anything V1: give --v1 when exporting")
        if encoder in (None, self.config.encoder):
            return ()
        return (f"{where} holds the encoder {self.config.encoder}, not {encoder}",)


def exported_engine(name: str | Path) -> str | None:
    """Return the engine that runs an exported file, by its suffix alone; None for any other name."""
    return ENGINE_OF.get(Path(name).suffix.lower())


def weights_file(path: Path) -> Path:
    """Return the file that holds the weights of an exported model: the .bin beside an .xml, an .onnx itself."""
    return path.with_suffix(".bin") if exported_engine(path) == "openvino" else path


def read_exported(path: Path) -> Exported:
    """Read what an exported file says of itself; the network itself is not read.

    Raises CheckpointFormatError for a damaged file, one that `depth-anything export` did not write, or an .xml
    without its .bin; CheckpointNotFoundError when it can't be read.
    """
    engine = ENGINE_OF[path.suffix.lower()]
    try:
        found = _onnx_metadata(path) if engine == "onnx" else _openvino_metadata(path)
    except OSError as error:
        raise CheckpointNotFoundError(f"the checkpoint {path} can't be read: {error.strerror or error}") from error
    if found is None:
        raise CheckpointFormatError(
            f"{path} is an {_LIBRARY[engine]} model that `depth-anything export` did not write, so nothing tells how "
            "pictures are prepared for it and what its numbers mean: export it from its checkpoint"
        )
    return _from_dict(engine, found, str(path))


def _from_dict(engine: str, text: str, where: str) -> Exported:
    try:
        data: Mapping[str, Any] = json.loads(text)
        config = metadata_config(data, where)
        if config is None:
            raise KeyError("config")
        return Exported(
            engine,
            config,
            str(data["source"]["name"]),
            data["source"]["sha256"],
            data["licence"],
            str(data["precision"]),
            None if data["static"] is None else (int(data["static"][0]), int(data["static"][1])),
            str(data["version"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CheckpointFormatError(f"the metadata of {where} can't be read by this version ({error})") from error


def _openvino_metadata(path: Path) -> str | None:
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise CheckpointFormatError(f"{path} is damaged or no OpenVINO model ({error}): export it again") from error
    if root.tag != "net":
        raise CheckpointFormatError(f"{path} is an XML file, but no OpenVINO model")
    entry = root.find(f"rt_info/{METADATA_KEY}")
    if entry is None:
        return None
    _check_weights(weights_file(path), root)
    return entry.get("value")


def _check_weights(path: Path, network: ElementTree.Element) -> None:
    """Raise CheckpointFormatError where the file of weights is not there or shorter than the network says."""
    if not path.is_file():
        raise CheckpointFormatError(f"{path.with_suffix('.xml')} lacks its weights: {path.name} must lie beside it")
    constants = [data for data in network.iter("data") if data.get("offset") and data.get("size")]
    try:
        needed = max((int(data.get("offset", 0)) + int(data.get("size", 0)) for data in constants), default=0)
    except ValueError as error:
        raise CheckpointFormatError(f"{path.with_suffix('.xml')} is damaged ({error}): export it again") from error
    if path.stat().st_size < needed:
        raise CheckpointFormatError(f"{path} is cut off ({path.stat().st_size} of {needed} bytes): export it again")


def _onnx_metadata(path: Path) -> str | None:
    """Return our entry among the metadata of an ONNX file; everything else in it is passed over unread."""
    found, graph = None, False
    with path.open("rb") as file:
        try:
            for field, value in _fields(file, path.stat().st_size, wanted=_METADATA_PROPS):
                graph = graph or field == _GRAPH
                if field == _METADATA_PROPS:
                    pair = dict(_pairs(value))
                    if pair.get(1) == METADATA_KEY:
                        found = pair.get(2)
        except (ValueError, EOFError) as error:
            raise CheckpointFormatError(f"{path} is damaged or no ONNX model ({error}): export it again") from error
    if not graph:
        raise CheckpointFormatError(f"{path} is damaged or no ONNX model (there is no graph in it): export it again")
    return found


def _pairs(message: bytes) -> Iterator[tuple[int, str]]:
    for field, value in _fields(io.BytesIO(message), len(message), wanted=None):
        yield field, value.decode("utf-8")


def _fields(file: BinaryIO, size: int, wanted: int | None) -> Iterator[tuple[int, bytes]]:
    """Yield the fields of a Protocol Buffers message up to `size`, with the bytes of those `wanted` (None: all).

    Source: the "Encoding" page of the Protocol Buffers documentation. Raises ValueError, EOFError.
    """
    while file.tell() < size:
        tag = _varint(file)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            _varint(file)
            yield field, b""
            continue
        if wire not in (_BYTES, _EIGHT_BYTES, _FOUR_BYTES):
            raise ValueError(f"wire type {wire}")
        length = _varint(file) if wire == _BYTES else 8 if wire == _EIGHT_BYTES else 4
        if file.tell() + length > size:
            raise EOFError("cut off")
        if wanted in (None, field):
            if length > _METADATA_LIMIT:
                raise ValueError(f"metadata of {length} bytes")
            yield field, file.read(length)
        else:
            file.seek(length, 1)
            yield field, b""


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 64, 7):
        byte = file.read(1)
        if not byte:
            raise EOFError("cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number of more than 64 bits")
