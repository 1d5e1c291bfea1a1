"""The datasets of a training, opened, counted, and checked for scenes on both sides."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.datasets.reader import DepthDataset
from depth_anything_v2.datasets.readers import open_dataset
from depth_anything_v2.datasets.sample import DepthMap, Frame, Image
from depth_anything_v2.datasets.shards import list_shards, read_shard
from depth_anything_v2.errors import NoInputError, OptionError
from depth_anything_v2.io.images import IMAGE_SUFFIXES
from depth_anything_v2.training.config import PICTURES, RENDERED, Source

SHARDS_IN_MEMORY = 6


class RenderedShards(DepthDataset):
    """The scenes that `datasets.rendered.write_shards` wrote, as inverse depth; the last few shards stay in memory."""

    name = RENDERED

    def __init__(self, folder: str | Path) -> None:
        self._shards: OrderedDict[Path, tuple[npt.NDArray[Any], npt.NDArray[Any]]] = OrderedDict()
        frames = []
        for shard in list_shards(Path(folder)):
            for index in range(_scenes(shard)):
                name = f"{shard.stem}/{index:03d}"
                frames.append(Frame(shard, shard, scene=f"{shard.resolve()}/{index}", name=name, index=index))
        super().__init__(frames)

    def read_image(self, frame: Frame) -> Image:
        return np.asarray(self._read(frame.image)[0][frame.index], dtype=np.uint8)

    def read_depth(self, frame: Frame) -> DepthMap:
        inverse = self._read(frame.depth)[1][frame.index].astype(np.float32)
        return DepthMap(inverse, np.isfinite(inverse), kind="relative", sky=inverse == 0)

    def _read(self, path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        if path not in self._shards:
            if len(self._shards) >= SHARDS_IN_MEMORY:
                self._shards.popitem(last=False)
            self._shards[path] = read_shard(path)
        self._shards.move_to_end(path)
        return self._shards[path]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": OrderedDict()}


def _scenes(shard: Path) -> int:
    """Return how many scenes a shard holds, from the heading of its array, without reading the pictures."""
    with np.load(shard) as data, data.zip.open("image.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return int(read(file)[0][0])


class Pictures(DepthDataset):
    """All pictures below a folder, without depth: a teacher labels them."""

    name = PICTURES

    def __init__(self, folder: str | Path) -> None:
        root = Path(folder)
        if not root.is_dir():
            raise NoInputError(f"'{root}' is not a folder of pictures")
        found = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
        if not found:
            raise NoInputError(f"there are no pictures in '{root}'")
        super().__init__(Frame(path, path, name=str(path.relative_to(root))) for path in found)

    def read_depth(self, frame: Frame) -> DepthMap:
        height, width = self.read_image(frame).shape[:2]
        return self.unknown(height, width)

    @staticmethod
    def unknown(height: int, width: int) -> DepthMap:
        """Return a depth map of which nothing is known."""
        nothing = np.zeros((height, width), np.float32)
        return DepthMap(nothing, nothing.astype(bool), kind="relative")


@dataclass(frozen=True)
class Opened:
    """A dataset with the way it was asked for."""

    source: Source
    dataset: DepthDataset

    @property
    def taught(self) -> bool:
        """Whether the teacher labels it."""
        return self.source.dataset == PICTURES or self.source.labels == "teacher"


def open_sources(sources: Sequence[Source], part: str) -> tuple[Opened, ...]:
    """Return the datasets of `part` ('train' or 'val'). Raises OptionError without a root, NoInputError, InputError."""
    opened = []
    for place, source in enumerate(sources):
        if not source.root:
            raise OptionError(
                f"where is '{source.called}'? say --data {source.called}=PATH, or give data.{part}.{place}.root"
            )
        dataset = _open(source)
        opened.append(Opened(source, dataset[: source.limit] if source.limit else dataset))
    return tuple(opened)


def _open(source: Source) -> DepthDataset:
    if source.dataset == PICTURES:
        return Pictures(source.root)
    if source.dataset == RENDERED:
        return RenderedShards(source.root)
    options = {"split": source.split, "resize_image": source.resize_image}
    names = ("file_list", "scale", "kind", "geometry")
    options |= {name: value for name in names if (value := getattr(source, name)) not in (None, "")}
    return open_dataset(source.dataset, source.root, **options)


def refuse_shared_scenes(train: Sequence[Opened], val: Sequence[Opened]) -> None:
    """Raise OptionError where a scene, or a picture file, is on both sides: its score would say nothing."""
    trained = {key: frame for opened in train for frame in opened.dataset.frames for key in _keys(opened, frame)}
    shared: dict[tuple[str, str, int], None] = {}
    for opened in val:
        for frame in opened.dataset.frames:
            for key in _keys(opened, frame):
                if key in trained:
                    shared.setdefault(key)
    if not shared:
        return
    scenes = [name for kind, name, _ in shared if kind != "file"]
    names = scenes or [name for _, name, _ in shared]
    what = "scene" if scenes else "picture"
    shown = ", ".join(f"'{name}'" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    raise OptionError(
        f"{len(names)} {what}{'s are' * (len(names) > 1) or ' is'} both trained and validated on ({shown}), so the "
        "validation would flatter: split by scene"
    )


def _keys(opened: Opened, frame: Frame) -> list[tuple[str, str, int]]:
    """Return what a frame must not share with the other side: its file, and its scene within a dataset."""
    keys = [("file", str(frame.image.absolute()), frame.index)]
    return [*keys, (opened.source.dataset, frame.scene, -1)] if frame.scene else keys
