"""RGB-D sequences in folders: TUM style (time stamps) and ScanNet style (frame numbers)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.lists import read_text
from depth_anything_v2.datasets.reader import FolderDataset
from depth_anything_v2.datasets.sample import DepthMap, Frame, above, known_camera
from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.io.depth_files import read_depth

# Sturm et al. 2012: the calibration of the three colour cameras, by the number in the name of the sequence.
TUM_CAMERAS = {
    "freiburg1": Camera(640, 480, 517.3, 516.5, 318.6, 255.3, source="dataset"),
    "freiburg2": Camera(640, 480, 520.9, 521.0, 325.1, 249.7, source="dataset"),
    "freiburg3": Camera(640, 480, 535.4, 539.2, 320.1, 247.6, source="dataset"),
}
ASSOCIATIONS = ("associations.txt", "associate.txt", "associated.txt")


class TumRgbd(FolderDataset):
    """Sequences of the TUM RGB-D benchmark: rgb.txt, depth.txt, rgb/*.png, depth/*.png (1/5000 m a count, 0 = none).

    The root is one sequence or holds several; each is a scene. Pictures and depth maps are matched by
    `associations.txt` where it is there, otherwise by time stamps within `max_difference_s`, the nearest first.
    scale: metres of one count. camera: of all sequences whose name does not say which of TUM's cameras it was.
    """

    name = "tum"
    layout = ("depth.txt", "*/depth.txt", *ASSOCIATIONS, *(f"*/{name}" for name in ASSOCIATIONS))

    def __init__(
        self,
        root: str | Path,
        *,
        file_list: str | Path | None = None,
        split: str = "",
        scale: float = 1 / 5000,
        max_difference_s: float = 0.02,
        camera: Camera | None = None,
        resize_image: bool = False,
    ) -> None:
        self.scale, self.max_difference_s, self.camera = scale, max_difference_s, camera
        super().__init__(root, file_list=file_list, split=split, resize_image=resize_image)

    def discover(self) -> Iterator[Frame]:
        for sequence in sorted({path.parent for pattern in self.layout for path in self.root.glob(pattern)}):
            table = next((sequence / name for name in ASSOCIATIONS if (sequence / name).is_file()), None)
            pairs = _associated(table) if table else self._matched(sequence)
            for image, depth in pairs:
                yield self.frame_of(sequence / image, sequence / depth, "")

    def frame_of(self, image: Path, depth: Path, split: str) -> Frame:
        scene = above(image, 2).resolve().name
        return Frame(image, depth, scene=scene, name=f"{scene}/{image.stem}", split=split)

    def read_depth(self, frame: Frame) -> DepthMap:
        stored = read_depth(frame.depth, kind="metric", scale=self.scale)
        camera = next((known for name, known in TUM_CAMERAS.items() if name in frame.scene), self.camera)
        fitted = None if camera is None else known_camera(stored.depth.shape, camera)
        return DepthMap(stored.depth, stored.valid, camera=fitted)

    def _matched(self, sequence: Path) -> list[tuple[str, str]]:
        """Return pairs of rgb.txt and depth.txt: each file once, the smallest difference of time first."""
        pictures, depths = _stamped(sequence / "rgb.txt"), _stamped(sequence / "depth.txt")
        if not pictures or not depths:
            return []
        stamps = np.array([stamp for stamp, _ in depths])
        near = []
        for i, (stamp, _) in enumerate(pictures):
            first = int(np.searchsorted(stamps, stamp - self.max_difference_s))
            last = int(np.searchsorted(stamps, stamp + self.max_difference_s, side="right"))
            near += [(abs(stamp - stamps[j]), i, j) for j in range(first, last)]
        matched: dict[int, int] = {}
        taken: set[int] = set()
        for _, i, j in sorted(near):
            if i not in matched and j not in taken:
                matched[i] = j
                taken.add(j)
        return [(pictures[i][1], depths[j][1]) for i, j in sorted(matched.items())]


class ScanNet(FolderDataset):
    """SCENE/color/N.jpg, SCENE/depth/N.png (millimetres, 0 = none), SCENE/intrinsic/intrinsic_depth.txt.

    Colour pictures are larger than depth maps, and are made as small. scale: metres of one count.
    """

    name = "scannet"
    layout = ("depth/*.png", "*/depth/*.png", "*/*/depth/*.png")

    def __init__(
        self,
        root: str | Path,
        *,
        file_list: str | Path | None = None,
        split: str = "",
        scale: float = 0.001,
        resize_image: bool = True,
    ) -> None:
        self.scale = scale
        super().__init__(root, file_list=file_list, split=split, resize_image=resize_image)

    def discover(self) -> Iterator[Frame]:
        for pattern in self.layout:
            for depth in self.root.glob(pattern):
                pictures = depth.parent.with_name("color")
                found = (pictures / f"{depth.stem}{suffix}" for suffix in (".jpg", ".png", ".jpeg"))
                image = next((path for path in found if path.is_file()), None)
                if image is not None:
                    yield self.frame_of(image, depth, "")

    def frame_of(self, image: Path, depth: Path, split: str) -> Frame:
        scene = above(image, 2).resolve().name
        return Frame(image, depth, scene=scene, name=f"{scene}/{image.stem}", split=split)

    def read_depth(self, frame: Frame) -> DepthMap:
        stored = read_depth(frame.depth, kind="metric", scale=self.scale)
        path = above(frame.depth, 2) / "intrinsic" / "intrinsic_depth.txt"
        height, width = stored.depth.shape
        camera = camera_of_matrix(path, width, height) if path.is_file() else None
        return DepthMap(stored.depth, stored.valid, camera=camera)


@lru_cache(maxsize=64)
def camera_of_matrix(path: Path, width: int, height: int) -> Camera:
    """Return the camera of a text file with K as a 3 x 3 or 4 x 4 matrix. Raises InputError, OptionError."""
    try:
        values = [float(word) for word in read_text(path).replace(",", " ").split()]
    except ValueError as error:
        raise InputError(f"cannot read '{path}': a camera matrix is numbers ({error})") from error
    if len(values) not in (9, 16):
        raise InputError(f"cannot read '{path}': {len(values)} numbers are neither a 3 x 3 nor a 4 x 4 matrix")
    side = 3 if len(values) == 9 else 4
    try:
        return Camera.from_matrix(np.reshape(values, (side, side))[:3, :3], width, height, source="file")
    except OptionError as error:
        raise OptionError(f"'{path}': {error}") from error


def _stamped(path: Path) -> list[tuple[float, str]]:
    """Return (seconds, file) of the lines 'time file', in order of time; '#' begins a comment."""
    entries = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            try:
                stamp, file = line.split()[:2]
                entries.append((float(stamp), file))
            except ValueError as error:
                raise InputError(f"'{path}', line {number}: 'time file' is expected, not '{line}'") from error
    return sorted(entries)


def _associated(path: Path) -> list[tuple[str, str]]:
    """Return (picture, depth) of lines 'time file time file', whichever of the two comes first."""
    pairs = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields or line.startswith("#"):
            continue
        if len(fields) < 4:
            raise InputError(f"'{path}', line {number}: 'time file time file' is expected, not '{line}'")
        first, second = fields[1], fields[3]
        pairs.append((second, first) if first.startswith("depth") else (first, second))
    return pairs
