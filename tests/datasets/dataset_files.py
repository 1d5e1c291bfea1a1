"""Tiny datasets in their real formats, written without the package's own readers or writers."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
HEIGHT, WIDTH = 24, 32


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> npt.NDArray[np.uint8]:
    """Return a smooth colourful RGB picture; other seeds look different."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def write_picture(path: Path, rgb: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[:, :, ::-1])
    return path


def write_counts(path: Path, counts: Array) -> Path:
    """Write a 16-bit PNG (8-bit for uint8)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), counts)
    return path


def write_hdf5(path: Path, **arrays: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, values in arrays.items():
            file.create_dataset(key, data=values)
    return path


def write_npy(path: Path, values: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)
    return path


def write_dpt(path: Path, depth: Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = struct.pack("<fii", 202021.25, depth.shape[1], depth.shape[0])
    path.write_bytes(head + depth.astype("<f4").tobytes())
    return path


def ramp(near: float, far: float, height: int = HEIGHT, width: int = WIDTH) -> npt.NDArray[np.float32]:
    """Return depth that grows from the bottom to the top and a little from left to right."""
    rows = np.linspace(far, near, height)[:, None]
    return (rows + 0.1 * near * np.linspace(0, 1, width)).astype(np.float32)


def corner(height: int, width: int, focal: float, far: float = 4.0) -> npt.NDArray[np.float32]:
    """Return the planar depth of a floor and two walls that meet in a corner, as a pinhole sees them."""
    y, x = np.mgrid[:height, :width].astype(float)
    rays = np.stack([(x - (width - 1) / 2) / focal, (y - (height - 1) / 2) / focal, np.ones((height, width))], axis=2)
    planes = (((0.0, 1.0, 0.0), 1.2), ((0.6, 0.0, 0.8), far), ((-0.8, 0.0, 0.6), 0.8 * far))
    distances = [offset / np.clip(rays @ np.array(normal), 1e-6, None) for normal, offset in planes]
    return np.minimum.reduce(distances).astype(np.float32)
