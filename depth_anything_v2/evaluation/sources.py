"""From a benchmark and a folder to samples: which reader, with which options, and what tells these data from others."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from depth_anything_v2.config import Kind
from depth_anything_v2.errors import NoInputError, OptionError
from depth_anything_v2.evaluation.benchmark import Benchmark

WITHOUT_DATA = ("rendered", "rendered-clips")

_READERS = {
    "da2k": "depth_anything_v2.datasets.da2k:load_da2k",
    "manifest": "depth_anything_v2.datasets.manifest:Manifest",
    "folders": "depth_anything_v2.evaluation.samples:FolderPairs",
    "indexed": "depth_anything_v2.evaluation.samples:IndexedFolder",
    "rendered": "depth_anything_v2.evaluation.rendered:RenderedScenes",
    "rendered-clips": "depth_anything_v2.evaluation.rendered:RenderedClips",
}


@dataclass(frozen=True)
class Source:
    """Samples to score, and `identity`, a few words with a digest that differ for other data."""

    samples: Sequence[Any]
    identity: str


def open_source(
    benchmark: Benchmark,
    data: str | Path | None = None,
    *,
    file_list: str | Path | None = None,
    split: str | None = None,
    kind: Kind | None = None,
    scale: float | None = None,
) -> Source:
    """Return the samples of a benchmark in the folder or file `data`; they are read when they are scored.

    file_list, split: for the readers that know them (see `datasets`); kind, scale: of depth files that do not say
    what they are (manifests and folders of pairs). Given ones replace the benchmark's own options.

    Raises OptionError when `data` is missing or an option does not belong to this reader, NoInputError where there is
    nothing, InputError for what cannot be read.
    """
    reader = _reader(benchmark, data)
    given = {"file_list": file_list, "split": split, "kind": kind, "scale": scale}
    options = {**benchmark.options, **{key: value for key, value in given.items() if value is not None}}
    accepted = inspect.signature(reader).parameters
    for key in options:
        if key not in accepted:
            raise OptionError(
                f"the data set '{benchmark.dataset}' has no option '{key.replace('_', ' ')}': leave it out"
            )
    if benchmark.dataset in WITHOUT_DATA:
        if data is not None:
            raise OptionError(f"the benchmark '{benchmark.name}' makes its own pictures: leave out the data")
        samples = reader(**options)
    elif data is None:
        raise OptionError(f"the benchmark '{benchmark.name}' needs its data: give the folder (--data DIR)")
    else:
        if not Path(data).exists():
            raise NoInputError(f"there is no '{data}': give the folder of {benchmark.title}")
        samples = reader(data, **options)
    if len(samples) == 0:
        raise NoInputError(f"there is nothing to evaluate on: '{data}' has no samples")
    return Source(samples, identity(samples, data))


def _reader(benchmark: Benchmark, data: str | Path | None) -> Callable[..., Sequence[Any]]:
    dataset = benchmark.dataset
    if dataset == "manifest" and data is not None and Path(data).is_dir():
        dataset = "folders"
    if dataset not in _READERS:
        from depth_anything_v2.datasets.readers import FOLDER_READERS

        if dataset not in FOLDER_READERS:
            choices = ", ".join((*FOLDER_READERS, *_READERS))
            raise OptionError(
                f"benchmark '{benchmark.name}' has the unknown data set '{dataset}': choose from {choices}"
            )
        return FOLDER_READERS[dataset]
    module, name = _READERS[dataset].split(":")
    found: Callable[..., Sequence[Any]] = getattr(import_module(module), name)
    return found


def identity(samples: Sequence[Any], data: str | Path | None = None) -> str:
    """Return words that differ for other data: the place, how many, and a digest of the names of all samples."""
    known = getattr(samples, "identity", None)
    if isinstance(known, str):
        return known
    listed = getattr(samples, "frames", samples)
    root = str(getattr(samples, "root", data or ""))
    digest = hashlib.sha256()
    for frame in listed:
        digest.update(repr(frame).replace(root, "").encode() + b"\n")
    return f"{data or type(samples).__name__}, {len(samples)} samples, list {digest.hexdigest()[:12]}"
