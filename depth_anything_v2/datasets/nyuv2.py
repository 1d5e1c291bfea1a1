"""NYU Depth V2, the labelled part (Silberman et al. 2012): Kinect pictures of rooms in one MATLAB 7.3 file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.hdf5 import open_hdf5
from depth_anything_v2.datasets.matlab5 import read_mat5
from depth_anything_v2.datasets.reader import FolderDataset
from depth_anything_v2.datasets.sample import DepthMap, Frame, Image, known_camera
from depth_anything_v2.errors import InputError, NoInputError

# camera_params.m of the toolbox, colour camera.
CAMERA = Camera(640, 480, 518.857901, 519.469611, 325.582449, 253.736166, source="dataset")
FILE, SPLIT_FILE = "nyu_depth_v2_labeled.mat", "splits.mat"


class NyuV2(FolderDataset):
    """`nyu_depth_v2_labeled.mat` (HDF5) in the root, and `splits.mat` of the toolbox for the splits train and test.

    Depth is `rawDepths` in metres, 0 = no measurement; with filled=True `depths`, where holes were painted over,
    and all pixels are valid. MATLAB's arrays are column by column: in HDF5 their axes come in the reverse order.
    """

    name = "nyuv2"
    layout = (FILE,)

    def __init__(self, root: str | Path, *, split: str = "", filled: bool = False, resize_image: bool = False) -> None:
        root = Path(root)
        self.filled = filled
        self._file: Any = None
        self._owner = 0
        super().__init__(root.parent if root.suffix == ".mat" else root, split=split, resize_image=resize_image)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None, "_owner": 0}

    def discover(self) -> Iterator[Frame]:
        path = self.root / FILE
        if not path.is_file():
            raise NoInputError(f"there is no {FILE} in '{self.root}'")
        with open_hdf5(path) as file:
            missing = [key for key in ("images", "depths", "rawDepths") if key not in file]
            if missing:
                raise InputError(f"cannot read '{path}': it has no {' and no '.join(missing)}")
            count = len(file["images"])
            scenes = [""] * count
            if "scenes" in file:
                scenes = [_text(file[reference]) for reference in np.ravel(file["scenes"])]
        split_of = self._splits()
        for index in range(count):
            yield Frame(path, path, None, scenes[index], f"{index + 1:04d}", split_of.get(index, ""), index)

    def frame_of(self, image: Path, depth: Path, split: str) -> Frame:
        return Frame(image, depth, name=image.stem, split=split)

    def read_image(self, frame: Frame) -> Image:
        return np.ascontiguousarray(self._array(frame, "images").transpose(2, 1, 0), dtype=np.uint8)

    def read_depth(self, frame: Frame) -> DepthMap:
        depth = np.ascontiguousarray(self._array(frame, "depths" if self.filled else "rawDepths").T, dtype=np.float32)
        return DepthMap(depth, np.isfinite(depth) & (depth > 0), camera=known_camera(depth.shape, CAMERA))

    def _splits(self) -> dict[int, str]:
        path = self.root / SPLIT_FILE
        if not path.is_file():
            return {}
        variables = read_mat5(path)
        if not {"trainNdxs", "testNdxs"} <= variables.keys():
            raise InputError(f"cannot read '{path}': it has no trainNdxs and testNdxs")
        names = (("trainNdxs", "train"), ("testNdxs", "test"))
        return {int(number) - 1: split for key, split in names for number in np.ravel(variables[key])}

    def _array(self, frame: Frame, key: str) -> npt.NDArray[Any]:
        # An HDF5 handle does not survive a fork, so every process opens its own.
        if self._file is None or self._owner != os.getpid():
            self._file, self._owner = open_hdf5(frame.image), os.getpid()
        try:
            return np.asarray(self._file[key][frame.index])
        except OSError as error:
            raise InputError(f"cannot read '{frame.image}': picture {frame.name} of '{key}' is damaged") from error


def _text(codes: Any) -> str:
    """Return a MATLAB string, which HDF5 stores as a column of UTF-16 codes."""
    return "".join(chr(int(code)) for code in np.ravel(codes))
