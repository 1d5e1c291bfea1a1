"""Sequences of what is scored, read when asked for: the parts that `datasets` has no reader for."""

from __future__ import annotations

import csv
import hashlib
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, overload

import numpy as np

from depth_anything_v2.config import Kind
from depth_anything_v2.datasets.lists import read_text
from depth_anything_v2.datasets.reader import FolderDataset
from depth_anything_v2.datasets.sample import DepthMap, Frame, Sample, make_sample
from depth_anything_v2.errors import InputError, NoInputError
from depth_anything_v2.io.depth_files import read_depth
from depth_anything_v2.io.images import IMAGE_SUFFIXES, read_image, to_uint8

Item = TypeVar("Item")

PICTURE_FOLDERS = ("images", "image", "rgb", "color")
DEPTH_FOLDERS = ("depth", "depths", "gt", "ground_truth")
DEPTH_SUFFIXES = (".png", ".npy", ".npz", ".tif", ".tiff", ".exr", ".pfm")
INDEX = "INDEX.csv"
_ENDINGS = ("", "_depth", "-depth", "_gt")


@dataclass(frozen=True, eq=False)
class GroupedSample(Sample):
    """A sample that says what kind of scene it shows."""

    group: str = ""


class SampleSequence(Sequence[Item], ABC, Generic[Item]):
    """A sequence whose items are made when asked for; a slice is a list of them."""

    @abstractmethod
    def read(self, index: int) -> Item:
        """Return item `index`, 0 <= index < len."""

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | Sequence[Item]:
        if isinstance(index, slice):
            return [self.read(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.read(index % len(self))


class FolderPairs(FolderDataset):
    """Pictures and depth maps of the same name, in two folders or in one.

    Two folders: `images` (or image, rgb, color) and `depth` (or depths, gt, ground_truth), searched with their
    subfolders; one folder: NAME.jpg beside NAME_depth.png. kind: 'metric' (metres, or counts of `scale` metres) or
    'relative' (inverse depth), for files that don't say so themselves; in integers 0 is no measurement. The
    scene is the subfolder, where there are subfolders.
    """

    name = "pairs of pictures and depth maps"
    layout = ("images/NAME.jpg with depth/NAME.png, or NAME.jpg with NAME_depth.png",)

    def __init__(
        self, root: str | Path, *, kind: Kind | None = None, scale: float | None = None, resize_image: bool = False
    ) -> None:
        self.kind, self.scale = kind, scale
        super().__init__(root, resize_image=resize_image)

    def discover(self) -> Iterator[Frame]:
        pictures = next((self.root / name for name in PICTURE_FOLDERS if (self.root / name).is_dir()), self.root)
        depths = next((self.root / name for name in DEPTH_FOLDERS if (self.root / name).is_dir()), self.root)
        for picture in pictures.rglob("*"):
            if picture.suffix.lower() in IMAGE_SUFFIXES:
                base = depths / picture.relative_to(pictures).with_suffix("")
                files = (base.with_name(base.name + e + suffix) for e in _ENDINGS for suffix in DEPTH_SUFFIXES)
                depth = next((file for file in files if file != picture and file.is_file()), None)
                if depth is not None:
                    yield self.frame_of(picture, depth, "")

    def frame_of(self, image: Path, depth: Path, split: str) -> Frame:
        inside = image.relative_to(self.root)
        parts = inside.with_suffix("").parts
        parts = parts[1:] if parts[0] in PICTURE_FOLDERS else parts
        return Frame(image, depth, scene="/".join(parts[:-1]), name="/".join(parts), split=split)

    def read_depth(self, frame: Frame) -> DepthMap:
        kind: Kind | None = self.kind or ("metric" if self.scale is not None else None)
        stored = read_depth(frame.depth, kind=kind, scale=self.scale)
        return DepthMap(stored.depth, stored.valid, stored.kind, stored.geometry, stored.camera)


class IndexedFolder(SampleSequence[Sample]):
    """A folder with INDEX.csv: name, rgb_path, gt_path, scale, and if need be gt_kind, group.

    Depth is an image or array of counts; `scale` counts are a metre (1 when empty), 0 is no measurement; gt_kind
    'disparity' says that it is inverse depth. Images of one dataset (the first part of the name) and group
    are one scene. Raises NoInputError without rows, InputError for a table that has not these columns.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise NoInputError(f"'{root}' is not a folder: give the folder that holds {INDEX}")
        text = read_text(self.root / INDEX)
        self.rows = list(csv.DictReader(io.StringIO(text)))
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        if not self.rows:
            raise NoInputError(f"'{self.root / INDEX}' lists nothing")
        missing = [key for key in ("name", "rgb_path", "gt_path", "scale") if key not in self.rows[0]]
        if missing:
            raise InputError(f"'{self.root / INDEX}' has no column {' and no column '.join(missing)}")

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, index: int) -> Sample:
        row = self.rows[index]
        family, group = row["name"].split("/")[0], row.get("group") or ""
        scene = f"{family}, {group}" if group else row["name"]
        inverse = row.get("gt_kind") == "disparity"
        try:
            counts = float(row["scale"] or 1)
        except ValueError as error:
            raise InputError(f"'{self.root / INDEX}': the scale of '{row['name']}' is no number") from error
        path = self.root / row["gt_path"]
        if counts <= 0:
            raise InputError(f"'{self.root / INDEX}': the scale of '{row['name']}' must be positive")
        stored = read_depth(path, kind="relative" if inverse else "metric", scale=1 / counts)
        frame = Frame(self.root / row["rgb_path"], path, scene=scene, name=row["name"])
        image = to_uint8(read_image(frame.image))
        valid = stored.valid & (stored.depth > 0)
        sample = make_sample(frame, image, DepthMap(stored.depth, valid, stored.kind), resize_image=True)
        return GroupedSample(
            sample.image,
            np.where(valid, sample.depth, 0),
            sample.valid,
            sample.kind,
            scene=scene,
            name=sample.name,
            group=family,
        )

    @property
    def identity(self) -> str:
        return f"{self.root}, {len(self)} images, {INDEX} {self.digest}"
