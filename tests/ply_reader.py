"""A plain reader of PLY, written from the format's description, independent of the package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

TYPES = {"float": "<f4", "uchar": "u1", "int": "<i4"}


@dataclass(frozen=True)
class Ply:
    comments: list[str]
    points: npt.NDArray[np.float32]
    normals: npt.NDArray[np.float32] | None
    colors: npt.NDArray[np.uint8] | None
    faces: npt.NDArray[np.int32] | None


def read_ply(path: str | Path) -> Ply:
    """Read a binary little-endian PLY of points, and triangles if there are any; fails on anything else in it."""
    data = Path(path).read_bytes()
    end = data.index(b"end_header\n") + len(b"end_header\n")
    lines = data[:end].decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    comments, counts = [], {}
    vertex: list[tuple[str, str]] = []
    element = ""
    for line in lines[2:-1]:
        word, _, rest = line.partition(" ")
        if word == "comment":
            comments.append(rest)
        elif word == "element":
            element, count = rest.split()
            counts[element] = int(count)
        elif element == "vertex":
            kind, name = rest.split()
            vertex.append((name, TYPES[kind]))
        else:
            assert (element, line) == ("face", "property list uchar int vertex_indices")
    rows = np.frombuffer(data, np.dtype(vertex), counts["vertex"], end)
    faces = None
    rest_of_file = data[end + rows.nbytes :]
    if "face" in counts:
        triangles = np.frombuffer(rest_of_file, np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
        assert len(triangles) == counts["face"]
        assert (triangles["count"] == 3).all()
        faces = triangles["corners"]
    else:
        assert not rest_of_file

    def columns(*names: str) -> npt.NDArray[np.generic] | None:
        return np.stack([rows[name] for name in names], axis=1) if names[0] in (rows.dtype.names or ()) else None

    return Ply(comments, columns("x", "y", "z"), columns("nx", "ny", "nz"), columns("red", "green", "blue"), faces)
