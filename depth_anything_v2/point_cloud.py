"""From a depth map to points and triangles in space. Arrays only; files are `io.point_clouds`' matter."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import Camera
from depth_anything_v2.config import Kind
from depth_anything_v2.errors import DepthKindError, InputError, OptionError
from depth_anything_v2.prediction import DepthPrediction, Provenance

Frame = Literal["opencv", "opengl"]
CloudUnit = Literal["m", "none"]
FRAMES = {
    "opencv": "OpenCV camera frame: right-handed, x right, y down, z forward",
    "opengl": "OpenGL camera frame: right-handed, x right, y up, z backward",
}

# Chosen on rendered scenes with their true depth; docs/point-clouds.md has the figures.
MAX_JUMP = 0.05
_EVEN_PAIRS = 4  # so many in a row make a slope a surface seen at a grazing angle
_EVEN = 0.25  # of the smaller step: by so much may neighbouring steps differ

VISUAL_REACH = 6.0  # of the picture for looking at: the farthest is so many times as far as the nearest
_VOXEL_BITS = 21  # per axis: three of them are one int64


@dataclass(frozen=True)
class CloudOptions:
    """How a depth map becomes a cloud.

    mesh: triangles between neighbouring pixels. normals: computed, towards the camera. max_jump: pixels beside
    a jump in depth larger than this share of the nearer neighbour's inverse depth are left out; 0 leaves out
    none. affine: (scale, shift) with inverse depth = scale * prediction + shift in 1/m, for relative
    predictions. visual: make a relative prediction a cloud without a unit, for looking at. frame: see FRAMES.
    voxel: side of the cubes of which one point each is kept, in the unit of the points. count: at most so many
    points, drawn at random with `seed`.

    Raises OptionError for values out of range, and thinning of a mesh.
    """

    mesh: bool = False
    normals: bool = True
    max_jump: float = MAX_JUMP
    affine: tuple[float, float] | None = None
    visual: bool = False
    frame: Frame = "opencv"
    voxel: float | None = None
    count: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.frame not in get_args(Frame):
            raise OptionError(f"the frame of a point cloud is 'opencv' or 'opengl', not '{self.frame}'")
        if not 0 <= self.max_jump < 1:
            raise OptionError(f"the largest jump is a share of the depth from 0 (keep all) to 1, not {self.max_jump:g}")
        if self.affine is not None and not (all(map(math.isfinite, self.affine)) and self.affine[0] > 0):
            scale, shift = self.affine
            raise OptionError(
                f"inverse depth = A * prediction + B needs a positive A and a finite B, not {scale:g} and {shift:g}"
            )
        if self.affine is not None and self.visual:
            raise OptionError("scale and shift give metres, a cloud for looking only has none: choose one of them")
        if self.voxel is not None and not (math.isfinite(self.voxel) and self.voxel > 0):
            raise OptionError(f"the side of a voxel is a positive number, not {self.voxel:g}")
        if self.count is not None and self.count < 1:
            raise OptionError(f"the number of points is at least 1, not {self.count}")
        if self.mesh and (self.voxel is not None or self.count is not None):
            raise OptionError("a mesh cannot be thinned point by point: leave out the thinning, or the mesh")

    def check_kind(self, kind: Kind) -> None:
        """Raise DepthKindError for what this kind of depth does not allow."""
        if kind == "metric" and (self.affine is not None or self.visual):
            raise DepthKindError(
                "the depth is in metres already: leave out scale and shift (--assume-affine) and --visual"
            )
        if kind == "relative" and self.affine is None and not self.visual:
            raise DepthKindError(
                "relative depth has no true shape, let alone metres: use a metric checkpoint, or align it to measured "
                "distances first (depth-anything align), or give scale and shift (--assume-affine), or say that the "
                "cloud is for looking only (--visual)"
            )


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points, and what is known of each.

    points: (N, 3) float32 in `unit`, metres or none. colors: (N, 3) uint8 sRGB. normals: (N, 3) float32 of
    length one, (0, 0, 0) where not known. faces: (M, 3) int32, indices of points, counter-clockwise seen from
    the camera. frame: see FRAMES, the camera at the origin. notes: what a user of the points should know, in
    sentences; they go into the files. Raises InputError when the shapes don't fit together.
    """

    points: npt.NDArray[np.float32]
    colors: npt.NDArray[np.uint8] | None = None
    normals: npt.NDArray[np.float32] | None = None
    faces: npt.NDArray[np.int32] | None = None
    frame: Frame = "opencv"
    unit: CloudUnit = "m"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3:
            raise InputError(f"the points of a cloud are (N, 3), not {self.points.shape}")
        for name in ("colors", "normals"):
            values = getattr(self, name)
            if values is not None and values.shape != self.points.shape:
                raise InputError(f"the {name} of a cloud are {self.points.shape} as its points, not {values.shape}")
        if self.faces is not None and (self.faces.ndim != 2 or self.faces.shape[1] != 3):
            raise InputError(f"the faces of a cloud are triangles (M, 3), not {self.faces.shape}")

    def __len__(self) -> int:
        return len(self.points)

    def in_frame(self, frame: Frame) -> PointCloud:
        """Return the same cloud in another frame: y and z change sign, which is a half turn about x."""
        if frame == self.frame:
            return self
        turn = np.array([1, -1, -1], np.float32)
        normals = None if self.normals is None else self.normals * turn
        return dataclasses.replace(self, points=self.points * turn, normals=normals, frame=frame)

    def thinned(self, *, voxel: float | None = None, count: int | None = None, seed: int = 0) -> PointCloud:
        """Return fewer points: one per cube of side `voxel` (mean place, colour and normal of those in it), then
        at most `count` drawn at random, in their order.

        Raises OptionError for a mesh, and for a voxel far too small for the extent of the cloud.
        """
        if self.faces is not None:
            raise OptionError("a mesh cannot be thinned point by point")
        cloud = self if voxel is None else self._one_per_voxel(voxel)
        if count is None or count >= len(cloud):
            return cloud
        chosen = np.sort(np.random.default_rng(seed).choice(len(cloud), count, replace=False))
        return cloud._only(chosen)

    def describe(self) -> list[str]:
        """Return what a file of the cloud should say about itself, in lines of ASCII."""
        unit = "metres" if self.unit == "m" else "none, for looking only"
        lines = [FRAMES[self.frame], f"unit: {unit}", *self.notes]
        return [" ".join(line.split()).encode("ascii", "backslashreplace").decode("ascii") for line in lines]

    def _only(self, chosen: npt.NDArray[Any]) -> PointCloud:
        colors = None if self.colors is None else self.colors[chosen]
        normals = None if self.normals is None else self.normals[chosen]
        return dataclasses.replace(self, points=self.points[chosen], colors=colors, normals=normals)

    def _one_per_voxel(self, voxel: float) -> PointCloud:
        cells = np.floor(self.points.astype(np.float64) / voxel)
        cells -= cells.min(axis=0)
        largest = float(cells.max())
        if not largest < 2**_VOXEL_BITS:
            raise OptionError(
                f"a voxel of {voxel:g} is too small for a cloud that is {largest * voxel:.3g} long: "
                f"{largest * voxel / 2**_VOXEL_BITS:.2g} is the least"
            )
        x, y, z = cells.astype(np.int64).T
        keys = (x << 2 * _VOXEL_BITS) | (y << _VOXEL_BITS) | z
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        counts = np.diff(np.append(starts, len(order)))[:, None]

        def mean(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
            return np.asarray(np.add.reduceat(values[order].astype(np.float64), starts, axis=0) / counts)

        colors = None if self.colors is None else np.rint(mean(self.colors)).astype(np.uint8)
        normals = None if self.normals is None else _unit_length(mean(self.normals).astype(np.float32))
        return dataclasses.replace(self, points=mean(self.points).astype(np.float32), colors=colors, normals=normals)


def build_cloud(
    prediction: DepthPrediction,
    camera: Camera | None = None,
    image: npt.NDArray[np.uint8] | None = None,
    options: CloudOptions | None = None,
) -> PointCloud:
    """Return the cloud of a prediction: one point per pixel that is valid, in front and not beside a jump in depth.

    camera: of this picture, or of one of the same shape, from which it is scaled; without it the prediction's
    own, else an assumed one, said in the notes. image: (H, W, 3) uint8 RGB, the colours. The points stand in
    rows from the top left.

    Raises DepthKindError for a relative prediction without `affine` or `visual` (and for a metric one with
    `affine`), OptionError for the camera of another picture, InputError for an image of another size or when no
    pixel is left.
    """
    options = options or CloudOptions()
    height, width = prediction.depth.shape
    if image is not None and (image.shape != (height, width, 3) or image.dtype != np.uint8):
        raise InputError(
            f"the picture for the colours is {image.dtype} {image.shape}, the depth map {prediction.depth.shape}: "
            "they must be of one size"
        )
    camera = (camera or prediction.camera or Camera.assume(width, height)).fitted(width, height)
    depth, unit, notes = _planar_depth(prediction, camera, options)
    with np.errstate(invalid="ignore"):
        keep = prediction.valid & np.isfinite(depth) & (depth > 0)
    usable = int(np.count_nonzero(keep))
    keep &= ~beside_jumps(depth, options.max_jump, span=_network_pixels(prediction))
    if not keep.any():
        others = f", the other {usable} lie beside jumps in depth" if usable else ""
        raise InputError(
            f"no pixel of the depth map can be a point: {keep.size - usable} of {keep.size} are invalid (not a number, "
            f"not in front, sky or as far as the model can say){others}"
        )
    grid = camera.unproject(np.where(keep, depth, np.float32(0)))
    kept = np.flatnonzero(keep)  # indexing by numbers is faster than by the mask

    def of_kept(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values.reshape(-1, 3).take(kept, axis=0)

    about = [f"camera: {camera}", *camera.notes]
    if camera.assumed:
        about.append("the camera was assumed: angles and shapes are only true if it is the right one")
    cloud = PointCloud(
        of_kept(grid),
        None if image is None else of_kept(image),
        of_kept(grid_normals(grid, keep)) if options.normals else None,
        grid_faces(keep) if options.mesh else None,
        unit=unit,
        notes=(*about, *notes),
    )
    if options.voxel is not None or options.count is not None:
        cloud = cloud.thinned(voxel=options.voxel, count=options.count, seed=options.seed)
    return cloud.in_frame(options.frame)


def _planar_depth(
    prediction: DepthPrediction, camera: Camera, options: CloudOptions
) -> tuple[npt.NDArray[np.float32], CloudUnit, list[str]]:
    """Return depth along the optical axis (not positive, infinite or NaN: no point), its unit, and notes."""
    options.check_kind(prediction.kind)
    provenance = prediction.provenance
    made_by = [] if provenance == Provenance() else [f"depth by {provenance.checkpoint}", *provenance.notes]
    if prediction.kind == "metric":
        planar = prediction.geometry == "planar"
        return prediction.depth if planar else camera.ray_to_planar(prediction.depth), "m", made_by
    values = prediction.depth.astype(np.float64)
    if options.affine is not None:
        scale, shift = options.affine
        inverse = scale * values + shift
        made_by.append(f"inverse depth taken as {scale:g} * prediction + {shift:g} in 1/m")
        return _reciprocal(inverse), "m", made_by
    usable = values[prediction.valid & np.isfinite(values)]
    low, high = (float(usable.min()), float(usable.max())) if usable.size else (0.0, 1.0)
    stretched = (values - low) / (high - low) if high > low else np.ones_like(values)
    made_by.append(
        "for looking only: the depth is relative, shown as if the farthest point were "
        f"{VISUAL_REACH:g} times as far as the nearest; neither shape nor size are true"
    )
    return _reciprocal(1 / VISUAL_REACH + (1 - 1 / VISUAL_REACH) * stretched), "none", made_by


def _reciprocal(inverse: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.where(inverse <= 0, np.inf, 1 / inverse).astype(np.float32)


def _network_pixels(prediction: DepthPrediction) -> int:
    """Return how many pixels of the picture one of the network's output covers: so wide are its blurred edges."""
    network = prediction.provenance.network_size
    return 1 if network is None else max(1, math.ceil(prediction.height / network[0]))


def beside_jumps(depth: npt.NDArray[np.float32], max_jump: float, *, span: int = 1) -> npt.NDArray[np.bool_]:
    """Return (H, W) bool: True for pixels beside or on a jump in depth, where surfaces are mixed ('flying pixels').

    depth: (H, W), planar, +inf for the sky; NaN says nothing. A jump is a pair of pixels `span` apart in a row or
    column whose inverse depths differ by more than `max_jump` of the larger one (which is (far - near) / far in
    depth). Inverse depth is linear on a plane seen in perspective: a step that goes on evenly over four pairs is a
    plane seen at a grazing angle, not a jump. The pair and what lies between is marked; max_jump 0 marks none.
    """
    marked = np.zeros(depth.shape, bool)
    if max_jump <= 0:
        return marked
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        inverse = np.where(depth > 0, 1 / depth, np.where(np.isnan(depth), depth, 0)).astype(np.float32)
        for inverse_rows, marked_rows in ((inverse, marked), (inverse.T, marked.T)):
            if inverse_rows.shape[1] > span:
                _mark_rows(inverse_rows, marked_rows, max_jump, span)
    return marked


def _mark_rows(inverse: npt.NDArray[np.float32], marked: npt.NDArray[np.bool_], max_jump: float, span: int) -> None:
    near, far = inverse[:, span:], inverse[:, :-span]
    step = near - far
    size = np.abs(step)
    jump = size > max_jump * np.maximum(near, far)
    even_count = step.shape[1] - span * (_EVEN_PAIRS - 1)
    if even_count > 0:
        smaller = np.minimum(size[:, span:], size[:, :-span])
        agrees = np.abs(step[:, span:] - step[:, :-span]) <= _EVEN * smaller
        even = agrees[:, :even_count].copy()
        for k in range(1, _EVEN_PAIRS - 1):
            even &= agrees[:, k * span : k * span + even_count]
        for k in range(_EVEN_PAIRS):
            jump[:, k * span : k * span + even_count] &= ~even
    for k in range(span + 1):
        marked[:, k : k + jump.shape[1]] |= jump


def grid_normals(grid: npt.NDArray[np.float32], keep: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Return (H, W, 3) float32 normals towards the camera, from the kept neighbours above, below, left and right.

    grid: (H, W, 3) points in the OpenCV frame. (0, 0, 0) where a pixel has no kept neighbour in its row or column.
    """
    beside, below = keep[:, 1:] & keep[:, :-1], keep[1:] & keep[:-1]
    planes = [np.ascontiguousarray(grid[..., axis]) for axis in range(3)]  # several times as fast as all at once
    across, down = [np.zeros_like(plane) for plane in planes], [np.zeros_like(plane) for plane in planes]
    for plane, to_right, to_below in zip(planes, across, down, strict=True):
        step = (plane[:, 1:] - plane[:, :-1]) * beside
        to_right[:, 1:] += step  # the difference of both neighbours, or of the one there is
        to_right[:, :-1] += step
        step = (plane[1:] - plane[:-1]) * below
        to_below[1:] += step
        to_below[:-1] += step
    x, y, z = (down[i] * across[j] - down[j] * across[i] for i, j in ((1, 2), (2, 0), (0, 1)))
    length = np.sqrt(x * x + y * y + z * z)
    length[length == 0] = 1
    facing_away = x * planes[0] + y * planes[1] + z * planes[2] > 0
    length[facing_away] *= -1
    return np.stack([x / length, y / length, z / length], axis=-1)


def _unit_length(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.sqrt(np.einsum("...k,...k->...", vectors, vectors))
    vectors /= np.where(lengths > 0, lengths, 1)[..., None]
    return vectors


def grid_faces(keep: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return (M, 3) int32 triangles between kept pixels that are neighbours, as indices into the kept ones."""
    number = np.cumsum(keep.ravel(), dtype=np.int32).reshape(keep.shape) - 1
    corners = [(slice(None, -1), slice(None, -1)), (slice(None, -1), slice(1, None))]  # top left, top right
    corners += [(slice(1, None), slice(None, -1)), (slice(1, None), slice(1, None))]  # bottom left, bottom right
    kept = [keep[corner] for corner in corners]
    triangles = []
    # Two triangles where all four are kept, the one that is left where one is missing.
    for (a, b, c), missing in (((0, 2, 1), None), ((1, 2, 3), None), ((0, 2, 3), 1), ((0, 3, 1), 2)):
        there = kept[a] & kept[b] & kept[c]
        if missing is not None:
            there &= ~kept[missing]
        triangles.append(np.stack([number[corners[k]][there] for k in (a, b, c)], axis=1))
    return np.concatenate(triangles)
