"""Point clouds and meshes to PLY, GLB and XYZ files. Every write is complete or leaves nothing."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import OptionError, OutputError
from depth_anything_v2.io.atomic import atomic_path
from depth_anything_v2.io.formats.stored import SOFTWARE
from depth_anything_v2.point_cloud import PointCloud

CLOUD_FORMATS: tuple[str, ...] = ("ply", "glb", "xyz")

_BLOCK = 1 << 18  # points in memory at a time, besides the cloud itself
_TEXT_BLOCK = 1 << 16
_MAX_BYTES = 2**32 - 1  # of a GLB file

# Numbers of the glTF 2.0 specification.
_GLTF_FLOAT, _GLTF_UINT32 = 5126, 5125
_GLTF_ARRAY, _GLTF_INDICES = 34962, 34963
_GLTF_POINTS, _GLTF_TRIANGLES = 0, 4


def write_cloud(cloud: PointCloud, path: str | Path, format: str | None = None) -> Path:
    """Write a cloud or mesh, and return the path.

    format: without it, what the suffix says. 'ply': binary, little-endian; what the cloud is stands in comments.
    'glb': glTF 2.0 in glTF's own frame (y up, looking along -z: the points are converted), in metres, unlit; notes
    in asset.extras. 'xyz': text, 'x y z' and 'r g b' (0 to 255) per line, and no room for anything else.

    Raises OptionError (unknown format or suffix; a mesh, or a cloud without a unit, as xyz), OutputError.
    """
    path = Path(path)
    format = format or path.suffix.lower().lstrip(".")
    if format not in CLOUD_FORMATS:
        raise OptionError(f"unknown format '{format}' of a point cloud: choose one of {', '.join(CLOUD_FORMATS)}")
    if format == "xyz" and cloud.faces is not None:
        raise OptionError("an xyz file holds points only: write the mesh as ply or glb")
    if format == "xyz" and cloud.unit == "none":
        raise OptionError("an xyz file cannot say that its numbers are no metres: write the cloud as ply or glb")
    write = {"ply": _write_ply, "glb": _write_glb, "xyz": _write_xyz}[format]
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        write(cloud, file)
    return path


def _write_ply(cloud: PointCloud, file: IO[bytes]) -> None:
    vertex: list[tuple[str, str]] = [(name, "<f4") for name in ("x", "y", "z")]
    if cloud.normals is not None:
        vertex += [(name, "<f4") for name in ("nx", "ny", "nz")]
    if cloud.colors is not None:
        vertex += [(name, "u1") for name in ("red", "green", "blue")]
    header = ["ply", "format binary_little_endian 1.0", f"comment {SOFTWARE}"]
    header += [f"comment {line}" for line in cloud.describe()]
    header.append(f"element vertex {len(cloud)}")
    header += [f"property {'float' if kind == '<f4' else 'uchar'} {name}" for name, kind in vertex]
    if cloud.faces is not None:
        header += [f"element face {len(cloud.faces)}", "property list uchar int vertex_indices"]
    file.write("\n".join([*header, "end_header", ""]).encode("ascii"))
    for start in range(0, len(cloud), _BLOCK):
        part = slice(start, start + _BLOCK)
        rows = np.empty(len(cloud.points[part]), np.dtype(vertex))
        for names, values in (("x y z", cloud.points), ("nx ny nz", cloud.normals), ("red green blue", cloud.colors)):
            if values is not None:
                for axis, name in enumerate(names.split()):
                    rows[name] = values[part, axis]
        file.write(rows.data)
    if cloud.faces is not None:
        for start in range(0, len(cloud.faces), _BLOCK):
            corners = cloud.faces[start : start + _BLOCK]
            triangles = np.empty(len(corners), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
            triangles["count"], triangles["corners"] = 3, corners
            file.write(triangles.data)


def _write_xyz(cloud: PointCloud, file: IO[bytes]) -> None:
    line = ("%.7g %.7g %.7g" + " %d %d %d" * (cloud.colors is not None) + "\n").__mod__
    for start in range(0, len(cloud), _TEXT_BLOCK):
        part = slice(start, start + _TEXT_BLOCK)
        values: list[list[Any]] = list(cloud.points[part].T.tolist())
        if cloud.colors is not None:
            values += cloud.colors[part].T.tolist()
        file.write("".join(map(line, zip(*values, strict=True))).encode("ascii"))


def _write_glb(cloud: PointCloud, file: IO[bytes]) -> None:
    cloud = cloud.in_frame("opengl")
    count = len(cloud)
    parts: list[tuple[npt.NDArray[Any], int | None]] = [(cloud.points, _GLTF_ARRAY)]
    low, high = (cloud.points.min(axis=0), cloud.points.max(axis=0)) if count else (np.zeros(3), np.zeros(3))
    accessors: list[dict[str, Any]] = [
        {"componentType": _GLTF_FLOAT, "count": count, "type": "VEC3", "min": low.tolist(), "max": high.tolist()}
    ]
    attributes = {"POSITION": 0}
    if cloud.normals is not None:
        attributes["NORMAL"] = len(parts)
        parts.append((_defined_normals(cloud.normals, cloud.points), _GLTF_ARRAY))
        accessors.append({"componentType": _GLTF_FLOAT, "count": count, "type": "VEC3"})
    if cloud.colors is not None:
        attributes["COLOR_0"] = len(parts)
        parts.append((_linear_colors(cloud.colors), _GLTF_ARRAY))
        accessors.append({"componentType": _GLTF_FLOAT, "count": count, "type": "VEC3"})
    shape: dict[str, Any] = {"attributes": attributes, "mode": _GLTF_POINTS, "material": 0}
    if cloud.faces is not None:
        shape |= {"mode": _GLTF_TRIANGLES, "indices": len(parts)}
        parts.append((cloud.faces.astype("<u4"), _GLTF_INDICES))
        accessors.append({"componentType": _GLTF_UINT32, "count": cloud.faces.size, "type": "SCALAR"})
    views: list[dict[str, Any]] = []
    offset = 0
    for values, target in parts:
        views.append({"buffer": 0, "byteOffset": offset, "byteLength": values.nbytes, "target": target})
        offset += values.nbytes  # all are multiples of four bytes, as the format demands
    # Unlit: the colours are those of the photograph, with its own light in them.
    material = {"doubleSided": True, "extensions": {"KHR_materials_unlit": {}}}
    scene = {
        "asset": {"version": "2.0", "generator": SOFTWARE, "extras": {"notes": cloud.describe()}},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [shape]}],
        "materials": [material],
        "buffers": [{"byteLength": offset}],
        "bufferViews": views,
        "accessors": [{"bufferView": index, **accessor} for index, accessor in enumerate(accessors)],
    }
    text = json.dumps(scene, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 4)
    length = 12 + 8 + len(text) + 8 + offset
    if length > _MAX_BYTES:
        raise OutputError(f"a GLB file holds 4 GB, this cloud needs {length / 1e9:.1f}: thin it, or write it as ply")
    file.write(struct.pack("<4sIIII", b"glTF", 2, length, len(text), 0x4E4F534A) + text)
    file.write(struct.pack("<II", offset, 0x004E4942))
    for values, _ in parts:
        for block in _blocks(values):
            file.write(np.ascontiguousarray(block).data)


def _blocks(values: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    return (values[start : start + _BLOCK] for start in range(0, len(values), _BLOCK))


def _defined_normals(normals: npt.NDArray[np.float32], points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return normals of length one everywhere, as glTF demands: towards the camera where none is known."""
    unknown = ~normals.any(axis=1)
    if not unknown.any():
        return normals
    filled: npt.NDArray[np.float32] = normals.copy()
    filled[unknown] = -points[unknown] / np.linalg.norm(points[unknown], axis=1, keepdims=True)
    return filled


def _linear_colors(colors: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return (N, 3) float32 linear RGB in [0, 1], which glTF's vertex colours are; sRGB by IEC 61966-2-1.

    Floats, though glTF has 16-bit integers, too: trimesh and MeshLab keep only the lower eight bits of those.
    """
    level = np.arange(256) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear.astype(np.float32)[colors])
