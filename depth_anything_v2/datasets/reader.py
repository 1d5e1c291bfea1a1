"""What all readers share: a lazy sequence of samples, found in a folder or named by a list."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar, overload

from depth_anything_v2.datasets.lists import read_file_list
from depth_anything_v2.datasets.sample import DepthMap, Frame, Image, Sample, make_sample
from depth_anything_v2.errors import NoInputError
from depth_anything_v2.io.images import read_image, to_uint8

Self = TypeVar("Self", bound="DepthDataset")


def frames_of_split(frames: Sequence[Frame], split: str, missing: str) -> list[Frame]:
    """Return the frames of a split, '' for all; raises NoInputError, `missing` and the splits there are, for none."""
    chosen = [frame for frame in frames if split in ("", frame.split)]
    if not chosen:
        there = ", ".join(sorted({frame.split for frame in frames} - {""})) or "none"
        raise NoInputError(f"{missing}: there are {there}")
    return chosen


class DepthDataset(Sequence[Sample], ABC):
    """A sequence of samples, read when asked for. A slice is a dataset, too. Picklable, for loader processes.

    frames: what there is; nothing of it is read before it is asked for. resize_image: a picture of another size
    than its depth map, but of the same shape, is resized to it (otherwise InputError when it is read).
    """

    name: ClassVar[str] = ""

    def __init__(self, frames: Iterable[Frame], *, resize_image: bool = False) -> None:
        self.frames, self.resize_image = tuple(frames), resize_image

    @abstractmethod
    def read_depth(self, frame: Frame) -> DepthMap:
        """Return the depth of a frame. Raises InputError, MissingExtraError."""

    def read_image(self, frame: Frame) -> Image:
        """Return the picture of a frame, (H, W, 3) uint8 RGB. Raises InputError."""
        return to_uint8(read_image(frame.image))

    def __len__(self) -> int:
        return len(self.frames)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self: Self, index: slice) -> Self: ...
    def __getitem__(self: Self, index: int | slice) -> Sample | Self:
        if isinstance(index, slice):
            return self.select(self.frames[index])
        frame = self.frames[index]
        return make_sample(frame, self.read_image(frame), self.read_depth(frame), resize_image=self.resize_image)

    def select(self: Self, frames: Iterable[Frame]) -> Self:
        """Return the same dataset with only these of its frames."""
        chosen = copy.copy(self)
        chosen.frames = tuple(frames)
        return chosen

    def splits(self) -> dict[str, int]:
        """Return how many frames each split has, in the order in which they appear."""
        counts: dict[str, int] = {}
        for frame in self.frames:
            counts[frame.split] = counts.get(frame.split, 0) + 1
        return counts


class FolderDataset(DepthDataset):
    """A dataset in its own layout below `root`, or the pairs that a file list names.

    file_list: text file of lines 'picture depth' (see `datasets.lists`). split: only the frames of this split;
    with a file list, the name to give to its frames (the list's own name without it).

    Raises NoInputError when there is nothing, InputError for a list that cannot be read.
    """

    layout: ClassVar[tuple[str, ...]] = ()  # globs, one of which matches in a folder of this dataset

    def __init__(
        self, root: str | Path, *, file_list: str | Path | None = None, split: str = "", resize_image: bool = False
    ) -> None:
        self.root = Path(root)
        if file_list is None:
            frames = self._in_folder(split)
        else:
            label = split or Path(file_list).stem
            pairs = read_file_list(Path(file_list), self.root)
            frames = [self.frame_of(image, depth, label) for image, depth in pairs]
            if not frames:
                raise NoInputError(f"'{file_list}' lists no pairs of picture and depth")
        super().__init__(frames, resize_image=resize_image)

    @abstractmethod
    def discover(self) -> Iterable[Frame]:
        """Yield the frames below `root`, in any order."""

    @abstractmethod
    def frame_of(self, image: Path, depth: Path, split: str) -> Frame:
        """Return the frame of a picture and its depth, as a file list names them."""

    def _in_folder(self, split: str) -> list[Frame]:
        if not self.root.is_dir():
            raise NoInputError(f"'{self.root}' is not a folder: give the one that holds {self.name}")
        found = sorted(self.discover(), key=lambda frame: (frame.split, str(frame.image), frame.index))
        if not found:
            raise NoInputError(f"'{self.root}' holds no frames of {self.name}: {self.layout[0]} is looked for")
        return frames_of_split(found, split, f"{self.name} in '{self.root}' has no split '{split}'")
