"""Every reader by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from depth_anything_v2.datasets.diode import Diode
from depth_anything_v2.datasets.eth3d import Eth3d
from depth_anything_v2.datasets.hypersim import Hypersim
from depth_anything_v2.datasets.kitti import Kitti
from depth_anything_v2.datasets.manifest import SUFFIXES, Manifest
from depth_anything_v2.datasets.nyuv2 import NyuV2
from depth_anything_v2.datasets.reader import DepthDataset, FolderDataset
from depth_anything_v2.datasets.rgbd import ScanNet, TumRgbd
from depth_anything_v2.datasets.sintel import Sintel
from depth_anything_v2.datasets.vkitti2 import VirtualKitti2
from depth_anything_v2.errors import NoInputError, OptionError, suggestion

# In the order in which a folder is recognised: ScanNet's 'depth/*.png' is a layout that others may share.
FOLDER_READERS: dict[str, type[FolderDataset]] = {
    reader.name: reader for reader in (Hypersim, VirtualKitti2, Kitti, NyuV2, Diode, Eth3d, Sintel, TumRgbd, ScanNet)
}
DATASETS: tuple[str, ...] = (*FOLDER_READERS, Manifest.name)


def open_dataset(name: str, root: str | Path, **options: Any) -> DepthDataset:
    """Return the dataset `name` ('hypersim', 'kitti', ..., 'manifest') at `root`.

    options: those of its class, `split` and `resize_image` for all, `file_list` for all in folders of files.
    Raises OptionError for an unknown name or option, and what the reader raises.
    """
    readers: dict[str, type[DepthDataset]] = {**FOLDER_READERS, Manifest.name: Manifest}
    if name not in readers:
        raise OptionError(f"unknown dataset '{name}': {suggestion(name, readers, 'choose one of')}")
    try:
        return readers[name](root, **options)  # type: ignore[arg-type]
    except TypeError as error:
        unknown = [option for option in options if f"'{option}'" in str(error)]
        if not unknown:
            raise
        raise OptionError(f"the dataset '{name}' has no option '{unknown[0]}'") from error


def recognise(path: str | Path) -> str:
    """Return the name of the dataset that a file (a manifest) or a folder (by its layout) looks like.

    Raises NoInputError when nothing is there, OptionError when it looks like none.
    """
    path = Path(path)
    if path.suffix.lower() in SUFFIXES:
        return Manifest.name
    if path.name.endswith(".mat") and path.is_file():
        return NyuV2.name
    if not path.exists():
        raise NoInputError(f"'{path}' does not exist: give a manifest or the folder of a dataset")
    if path.is_dir():
        for name, reader in FOLDER_READERS.items():
            if any(next(path.glob(pattern), None) for pattern in reader.layout):
                return name
    raise OptionError(
        f"'{path}' looks like no dataset that is known: say which it is ({', '.join(FOLDER_READERS)}), or write a "
        f"manifest ({', '.join(SUFFIXES)})"
    )
