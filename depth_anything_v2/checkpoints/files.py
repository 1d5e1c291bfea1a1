"""Reading files of weights without running anything that is in them."""

from __future__ import annotations

import argparse
import contextlib
import json
import pickle
import re
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depth_anything_v2.errors import CheckpointFormatError, CheckpointNotFoundError, CheckpointUnsafeError

if TYPE_CHECKING:
    import torch

METADATA_KEY = "depth_anything_v2"
_HEADER_LIMIT = 100 << 20  # the limit of the safetensors format itself
_NESTS = ("model", "state_dict", "model_state_dict", "net", "network", "params", "weights", "ema", "model_ema")
# What torch.load raises, beside its own errors, for files with bytes that are not what was saved.
_DAMAGED = (
    *(EOFError, OSError, ValueError, KeyError, AttributeError, TypeError, IndexError),
    *(AssertionError, OverflowError, MemoryError, struct.error),
)
_GLOBAL = re.compile(r"GLOBAL `?([\w.]+)")


@dataclass(frozen=True)
class WeightFile:
    """What a file holds: tensors under their own names, and the metadata of this project if it has any."""

    format: str  # 'safetensors' or 'pytorch'
    tensors: dict[str, torch.Tensor]
    metadata: dict[str, Any]
    notes: tuple[str, ...] = ()


def sniff(path: Path) -> str:
    """Return 'safetensors' or 'pytorch' by the first bytes; raises CheckpointFormatError that says what it is."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
        size = path.stat().st_size
    except OSError as error:
        raise CheckpointNotFoundError(f"the checkpoint {path} can't be read: {error.strerror or error}") from error
    if not head:
        raise CheckpointFormatError(f"{path} is empty (0 bytes): download it again")
    header = len(head) > 8 and head[8:9] == b"{"
    # Before the text formats: the length that comes first may read like the start of a page.
    if header and struct.unpack("<Q", head[:8])[0] <= size - 8:
        return "safetensors"
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointFormatError(f"{path} is a Git LFS pointer, not the weights: run `git lfs pull` in its folder")
    if head.lstrip()[:1] == b"<" and path.suffix.lower() != ".xml":
        raise CheckpointFormatError(
            f"{path} is a web page saved under this name, not weights: download the file itself"
        )
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return "pytorch"
    if header:
        raise CheckpointFormatError(f"{path} is cut off ({size} bytes): download it again")
    kinds = {".onnx": "an ONNX model", ".xml": "an OpenVINO model", ".gguf": "a GGUF file", ".h5": "an HDF5 file"}
    what = kinds.get(path.suffix.lower())
    detail = f"{path} is {what}" if what else f"{path} starts like no file of weights that is known"
    raise CheckpointFormatError(f"{detail}: a .safetensors or PyTorch .pth file is needed")


def safetensors_metadata(path: Path) -> dict[str, Any]:
    """Return this project's metadata from the header of a safetensors file, {} if it has none; needs no torch."""
    try:
        with path.open("rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            if length > min(_HEADER_LIMIT, path.stat().st_size):
                return {}
            header = json.loads(file.read(length))
        data = json.loads(header.get("__metadata__", {}).get(METADATA_KEY, "{}"))
    except (OSError, ValueError, RecursionError, struct.error, AttributeError):
        return {}
    return data if isinstance(data, dict) else {}


def read_weights(path: Path) -> WeightFile:
    """Read every tensor of a file onto the CPU, as stored.

    Raises CheckpointUnsafeError for a pickle that would run code, CheckpointFormatError for a damaged file or
    one without tensors, CheckpointNotFoundError when it can't be read.
    """
    if sniff(path) == "safetensors":
        return _read_safetensors(path)
    loaded = _load_pickle(path)
    metadata, notes = {}, []
    if isinstance(loaded, Mapping) and isinstance(loaded.get(METADATA_KEY), Mapping):
        metadata = dict(loaded[METADATA_KEY])
    tensors, nest = _unwrap(loaded)
    if not tensors:
        keys = list(loaded)[:5] if isinstance(loaded, Mapping) else type(loaded).__name__
        raise CheckpointFormatError(f"{path} holds no tensors by name (found: {keys}): save model.state_dict()")
    if nest:
        notes.append(f"the weights were found under '{'.'.join(nest)}'")
    return WeightFile("pytorch", tensors, metadata, tuple(notes))


def _read_safetensors(path: Path) -> WeightFile:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointFormatError(f"{path} is a damaged safetensors file ({error}): download it again") from error
    if not tensors:
        raise CheckpointFormatError(f"{path} holds no tensors")
    return WeightFile("safetensors", tensors, safetensors_metadata(path))


def _load_pickle(path: Path) -> Any:
    import torch

    def load(mmap: bool) -> Any:
        # Training scripts keep their options beside the weights; a Namespace is plain data (torch < 2.5 refuses it).
        allow = getattr(torch.serialization, "safe_globals", lambda classes: contextlib.nullcontext())
        with allow([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch warns of here is refused below, in words for users
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)

    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    try:
        return load(mmap=zipped)
    except pickle.UnpicklingError as error:
        text = str(error)
        refused = _GLOBAL.search(text)
        if refused or re.search(r"unsupported (?!operand)|unrecognized|blocked|can only", text, re.IGNORECASE):
            what = f"'{refused[1]}'" if refused else "Python objects"
            raise CheckpointUnsafeError(
                f"{path} was refused: beside tensors it holds {what}, which could run code when loaded; "
                "where you trust its origin, save the tensors alone: torch.save(model.state_dict(), ...)"
            ) from error
        raise CheckpointFormatError(f"{path} is damaged or not saved by torch.save: download it again") from error
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise CheckpointUnsafeError(
                f"{path} was refused: it is a TorchScript archive, which holds code; a state_dict is needed"
            ) from error
        raise CheckpointFormatError(f"{path} is damaged or cut off: download it again") from error
    except _DAMAGED as error:
        raise CheckpointFormatError(f"{path} is damaged or not saved by torch.save: download it again") from error


def _unwrap(loaded: Any) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Follow {'model': ...}, {'state_dict': ...} and the like down to tensors; return them and the way taken."""
    import torch

    nest: list[str] = []
    for _ in range(4):
        if not isinstance(loaded, Mapping):
            return {}, tuple(nest)
        inner = next((key for key in _NESTS if isinstance(loaded.get(key), Mapping) and loaded[key]), None)
        if inner is None:
            break
        nest.append(inner)
        loaded = loaded[inner]
    return {str(key): value for key, value in loaded.items() if isinstance(value, torch.Tensor)}, tuple(nest)
