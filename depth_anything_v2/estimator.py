"""Pictures in, depth predictions out: the object that most programs use."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2 import planner
from depth_anything_v2.camera import Camera
from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines.base import Engine
from depth_anything_v2.errors import InputError, OptionError, OutOfMemoryError
from depth_anything_v2.io import images
from depth_anything_v2.io.exif import read_picture
from depth_anything_v2.pipeline import default_workers, ordered_map, windows
from depth_anything_v2.prediction import DepthPrediction, Provenance
from depth_anything_v2.tiles import TiledDepth, TileGrid, plan_tiles, refine, tiles_note, too_small_note
from depth_anything_v2.util.transform import network_size, preprocess, resize_depth
from depth_anything_v2.version import __version__

if TYPE_CHECKING:
    from depth_anything_v2.engines.accuracy import Accuracy

MAX_PIXELS = images.MAX_PIXELS
Answer = npt.NDArray[np.float32] | TiledDepth  # of the network, to one picture
_USUAL_PICTURE = (3000, 4000)  # height, width of what a batch is planned for before there is a picture


@dataclass(frozen=True, eq=False)
class Prepared:
    """One picture on its way through the network; the photograph itself is not needed any more, but for tiles.

    tensor: (3, h, w) float32, the network input. height, width: of the picture. input_size: as it was asked for.
    source, camera: what the prediction will tell of them. notes: on how the picture was prepared. tiles: of the
    photograph, and the photograph, where it is done in tiles.
    """

    tensor: npt.NDArray[np.float32]
    height: int
    width: int
    input_size: int
    source: str | None = None
    camera: Camera | None = None
    notes: tuple[str, ...] = ()
    tiles: tuple[TileGrid, npt.NDArray[Any]] | None = None

    @property
    def network_size(self) -> tuple[int, int]:
        """(height, width) of the network input."""
        return int(self.tensor.shape[1]), int(self.tensor.shape[2])

    @property
    def pixels(self) -> int:
        """How many pixels the picture has."""
        return self.height * self.width

    def noted(self, notes: Sequence[str]) -> Prepared:
        """Return the same with further notes."""
        return dataclasses.replace(self, notes=(*self.notes, *notes)) if notes else self


class DepthEstimator:
    """A checkpoint ready to run; safe to call from several threads.

    Make one with `from_pretrained`. `config` is the architecture, `name`, `licence` and `sha256` say which
    weights these are, `notes` what a user should be told about how they were chosen. `static_size` is the only
    (height, width) of network input that an exported model takes, None for any.
    """

    def __init__(
        self,
        engine: Engine,
        config: ModelConfig,
        *,
        name: str = "custom",
        sha256: str | None = None,
        licence: str | None = None,
        notes: Sequence[str] = (),
        accuracy: Accuracy | None = None,
        input_size: int | None = None,
        batch_size: int | None = None,
        max_tokens: int | None = None,
        max_pixels: int = MAX_PIXELS,
        static_size: tuple[int, int] | None = None,
        tile: int | None = None,
    ) -> None:
        limits = {"input size": input_size, "batch size": batch_size, "token limit": max_tokens}
        for what, value in (limits | {"pixel limit": max_pixels}).items():
            if value is not None:
                _at_least_one(what, value)
        self.engine, self.config = engine, config
        self.name, self.sha256, self.licence, self.notes = name, sha256, licence, tuple(notes)
        self.accuracy = accuracy
        self.static_size = static_size
        self.tile = tile
        self.input_size = input_size or (min(static_size) if static_size else config.preprocessing.input_size)
        self.max_tokens = max_tokens or planner.default_max_tokens(engine)
        self.max_pixels = max_pixels
        self._room_pixels: int | None = None  # of network input in one pass, once a larger one was too much
        self._first_size: tuple[int, int] | None = None
        self._asked_batch_size = batch_size
        self.batch_size = batch_size or self.plan().batch_size

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "auto",
        *,
        engine: str = "auto",
        device: str = "auto",
        precision: str = "auto",
        exact: bool = False,
        input_size: int | None = None,
        batch_size: int | None = None,
        encoder: str | None = None,
        max_depth_m: float | None = None,
        relative: bool = False,
        v1: bool = False,
        offline: bool = False,
        progress: bool = False,
        max_tokens: int | None = None,
        max_pixels: int = MAX_PIXELS,
        tile: int | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> DepthEstimator:
        """Find (and if need be download) a checkpoint and make it ready.

        name: a registry name ('vits', 'metric-indoor-vitl', 'builtin'), a file (of weights, or an exported .onnx
        or .xml, which decides the engine), a folder, a Hub repository, or 'auto': 'vits' if it can be had, else
        the built-in one, said in `notes`. engine: 'auto' (torch on a GPU, OpenVINO on a processor), 'torch',
        'torch-compile', 'openvino', 'onnx'. device: 'auto' (CUDA, then MPS, then CPU), 'cpu', 'cuda', 'cuda:N',
        'mps'. precision: 'auto' (the fastest that stays within 1 % of float32 and keeps the order of pixel pairs on
        the example photographs, measured once per checkpoint), 'float32', 'bfloat16', 'float16'. exact: float32
        through torch, whatever engine and precision would be.
        max_depth_m or relative: what the file answers, where it does not say so itself; v1: its head reads the
        last four blocks. encoder: the one it must hold.
        max_tokens: shrink the network input of a picture that would have more (one token is 14 x 14 pixels), 32,768
        by default, 8,192 with ONNX Runtime; max_pixels: refuse to decode larger pictures.
        tile: after a pass over the whole picture, one over each of many overlapping tiles of so many pixels a side,
        for finer edges in large pictures; 0 chooses the side, None does without.

        on_wait: called with a sentence before what is done once per checkpoint and takes long (conversion).

        Raises CheckpointError when there is no usable checkpoint, OptionError for a bad option.
        """
        from depth_anything_v2.checkpoints import resolve_checkpoint
        from depth_anything_v2.checkpoints.exported import exported_engine
        from depth_anything_v2.engines.choose import Request, choose
        from depth_anything_v2.engines.opening import open_engine

        if exact:
            engine, precision = _exact(engine, precision)
        own = exported_engine(name) if engine == "auto" else None
        choose(own or engine, device)  # a mistake is told before anything is downloaded
        resolved = resolve_checkpoint(name, offline=offline, progress=progress)
        request = Request(engine, device, precision, encoder, max_depth_m, relative, v1)
        opened = open_engine(resolved, request, on_wait)
        exported = opened.exported
        return cls(
            opened.engine,
            opened.config,
            name=exported.source if exported else resolved.name,
            sha256=exported.source_sha256 if exported else resolved.sha256,
            static_size=exported.static if exported else None,
            licence=opened.licence,
            notes=opened.notes,
            accuracy=opened.accuracy,
            input_size=input_size,
            batch_size=batch_size,
            max_tokens=max_tokens,
            max_pixels=max_pixels,
            tile=tile,
        )

    @property
    def device(self) -> str:
        return self.engine.device

    @property
    def precision(self) -> str:
        return self.engine.precision

    def __call__(self, image: images.ImageSource, *, input_size: int | None = None) -> DepthPrediction:
        """Return the depth of one picture, at the picture's own size, with the camera that its EXIF tells.

        image: a path, an http(s) address, a file's bytes, a PIL image, or an RGB array (H, W, 3) of
        uint8, uint16 or floating point in [0, 1]. input_size: length of the shorter side that the network
        sees, in pixels; without it the estimator's own.

        Raises InputError when it cannot be read, ImageTooLargeError when it is over a limit.
        """
        prepared = self._read(image, input_size)
        return self.finish(prepared, self.run([prepared])[0])

    def predict_many(
        self, inputs: Iterable[images.ImageSource], *, batch_size: int | None = None
    ) -> Iterator[DepthPrediction]:
        """Yield the depth of each input, in order; reading, the network and the caller's own work overlap.

        Inputs are drawn as needed, in the caller's thread, and may be endless. Pictures of one network size are
        batched within a window of four batches or 100 megapixels of network input, whichever is less. A few
        pictures are read ahead and a few results wait, bounded in number and in pixels. The first input that
        cannot be read raises InputError in its place; closing the generator ends its threads.
        """
        batch_size = self.batch_size if batch_size is None else _at_least_one("batch size", batch_size)
        workers = default_workers()

        def run(window: list[Prepared]) -> list[tuple[Prepared, Answer]]:
            return list(zip(window, self.run(window, batch_size=batch_size), strict=True))

        def finish(answered: tuple[Prepared, Answer]) -> DepthPrediction:
            return self.finish(*answered)

        with ExitStack() as stages:
            read = ordered_map(
                self._read, inputs, workers=workers, ahead=max(workers, batch_size) + 1, cost=lambda p: (p.pixels, 0)
            )
            stages.enter_context(closing(read))
            answered = ordered_map(run, _windows(read, batch_size), workers=1, ahead=2)
            stages.enter_context(closing(answered))
            pairs = (pair for window in answered for pair in window)
            predictions = ordered_map(
                finish, pairs, workers=workers, ahead=workers, cost=lambda p: (p.depth.size, p.depth.size)
            )
            yield from stages.enter_context(closing(predictions))

    def predict_arrays(
        self,
        pictures: Sequence[npt.NDArray[Any]],
        sources: Sequence[str | None] | None = None,
        *,
        input_size: int | None = None,
        batch_size: int | None = None,
    ) -> list[DepthPrediction]:
        """Return the depth of RGB arrays (H, W, 3) as `read_image` gives them, batched by network size.

        Raises ImageTooLargeError when the network input of one of them does not fit into memory.
        """
        sources = sources or [None] * len(pictures)
        batch_size = batch_size or self.batch_size
        prepared = (
            self.prepare(rgb, source, input_size=input_size) for rgb, source in zip(pictures, sources, strict=True)
        )
        return [
            self.finish(picture, depth)
            for window in _windows(prepared, batch_size)
            for picture, depth in zip(window, self.run(window, batch_size=batch_size), strict=True)
        ]

    def prepare(
        self,
        rgb: npt.NDArray[Any],
        source: str | None = None,
        *,
        input_size: int | None = None,
        camera: Camera | None = None,
    ) -> Prepared:
        """Return an RGB array (H, W, 3), as `read_image` gives it, resized and normalised for the network.

        The first of three stages, for programs that overlap them: `prepare`, `run`, `finish`. source, camera: for
        the prediction to tell. Raises ImageTooLargeError, naming the input size that fits, when the network input
        needs more memory than this machine has left.
        """
        height, width = rgb.shape[:2]
        asked = self.input_size if input_size is None else _at_least_one("input size", input_size)
        size = self.network_size(height, width, asked)
        self._check_static(size, (height, width), source)
        planner.check_memory(
            self.config, self.engine, (height, width), asked, self.max_tokens, source, mixed=self._is_another(size)
        )
        self._first_size = self._first_size or size
        tensor = preprocess(rgb, self.config.preprocessing, size)
        notes, tiles = self._notes_on_size(height, width, asked, size), None
        if self.tile is not None:
            grid = plan_tiles(height, width, asked, self.tile or None)
            tiles = None if grid is None else (grid, rgb)
            notes += () if grid else (too_small_note(height, width, self.tile or asked),)
        return Prepared(tensor, height, width, asked, source, camera, notes, tiles)

    def run(self, prepared: Sequence[Prepared], *, batch_size: int | None = None) -> list[Answer]:
        """Return the network's answer to each picture, in order, batched by network size: (h, w) float32, or tiled.

        Where the device has too little memory for a batch, it is halved, with a warning the first time; raises
        OutOfMemoryError when it is not enough for one picture.
        """
        answers = self._passes(prepared, batch_size)
        return [self._refined(picture, answer, batch_size) for picture, answer in zip(prepared, answers, strict=True)]

    def _passes(self, prepared: Sequence[Prepared], batch_size: int | None) -> list[npt.NDArray[np.float32]]:
        """Return what the network answers to each input, (h, w) float32."""
        buckets: dict[tuple[int, int], list[int]] = {}
        for index, picture in enumerate(prepared):
            buckets.setdefault(picture.network_size, []).append(index)
        answers: dict[int, npt.NDArray[np.float32]] = {}
        for size, waiting in buckets.items():
            while waiting:
                group = waiting[: self._batch_size(size, batch_size)]
                depths = self._run_batch([prepared[index].tensor for index in group])
                if depths is not None:
                    answers.update(zip(group, depths, strict=True))
                    waiting = waiting[len(group) :]
        return [answers[index] for index in range(len(prepared))]

    def _refined(self, prepared: Prepared, answer: npt.NDArray[np.float32], batch_size: int | None) -> Answer:
        """Return the answer with the detail of the tiles, where the picture has some."""
        if prepared.tiles is None:
            return answer
        grid, picture = prepared.tiles
        size = self.network_size(grid.side, grid.side, prepared.input_size)

        def predict(crops: Sequence[npt.NDArray[Any]]) -> Sequence[npt.NDArray[np.float32]]:
            tensors = [preprocess(crop, self.config.preprocessing, size) for crop in crops]
            parts = [Prepared(tensor, grid.side, grid.side, prepared.input_size) for tensor in tensors]
            return self._passes(parts, batch_size)

        coarse = resize_depth(answer, prepared.height, prepared.width)
        return refine(picture, coarse, predict, grid, kind=self.config.kind, batch_size=batch_size or self.batch_size)

    def finish(self, prepared: Prepared, answer: Answer) -> DepthPrediction:
        """Return the prediction for a picture, at its own size, from the network's answer (h, w)."""
        depth, notes = answer, prepared.notes
        if isinstance(depth, TiledDepth):
            notes += (tiles_note(prepared.tiles[0], depth),) if prepared.tiles else ()
            depth = depth.depth
        provenance = Provenance(
            checkpoint=self.name,
            sha256=self.sha256,
            licence=self.licence,
            encoder=self.config.encoder,
            engine=self.engine.name,
            device=self.engine.device,
            precision=self.engine.precision,
            input_size=prepared.input_size,
            network_size=prepared.network_size,
            source=prepared.source,
            version=__version__,
            notes=notes,
        )
        return DepthPrediction(
            resize_depth(depth, prepared.height, prepared.width),
            self.config.kind,
            self.config.max_depth_m,
            provenance=provenance,
            camera=prepared.camera,
        )

    def network_size(self, height: int, width: int, input_size: int | None = None) -> tuple[int, int]:
        """Return (height, width) of the network input for a picture of height x width pixels.

        Both sides shrink, aspect kept, where the original's rule would give more than `max_tokens` tokens.
        """
        size = input_size or self.input_size
        return network_size(height, width, size, self.config.preprocessing.multiple_of, self.max_tokens)

    def plan(self, height: int = _USUAL_PICTURE[0], width: int = _USUAL_PICTURE[1]) -> planner.Plan:
        """Return how pictures of height x width pixels would be run, with the memory that takes."""
        size = self.network_size(height, width)
        return planner.make_plan(self.config, self.engine, (height, width), size, self._asked_batch_size)

    def _read(self, image: images.ImageSource, input_size: int | None = None) -> Prepared:
        rgb, camera, notes = read_picture(image, max_pixels=self.max_pixels)
        return self.prepare(rgb, _source_name(image), input_size=input_size, camera=camera).noted(notes)

    def _batch_size(self, size: tuple[int, int], asked: int | None) -> int:
        """Return how many pictures of a network size go through the network at once."""
        wanted = asked or self.batch_size
        if self._room_pixels is not None:
            wanted = max(1, min(wanted, self._room_pixels // (size[0] * size[1])))
        if wanted == 1:
            return 1
        available = planner.available_bytes(self.engine)
        return planner.largest_batch(self.config, self.engine, size, wanted, available, mixed=self._is_another(size))

    def _is_another(self, size: tuple[int, int]) -> bool:
        return self._first_size not in (None, size)

    def _run_batch(self, tensors: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32] | None:
        """Return (N, h, w); None when that is too much at once, and from now on less will be tried."""
        try:
            return self.engine(np.stack(tensors))
        except OutOfMemoryError:
            if len(tensors) == 1:
                raise
        # Behind the handler: the exception holds what the failed pass had allocated.
        if self._room_pixels is None:
            warnings.warn(
                f"{self.device} has too little memory for {len(tensors)} pictures at a time: running fewer "
                "(a smaller batch size says so from the start)",
                stacklevel=2,
            )
        self._room_pixels = len(tensors) // 2 * tensors[0][0].size
        return None

    def _check_static(self, size: tuple[int, int], picture: tuple[int, int], source: str | None) -> None:
        if self.static_size is None or self.static_size == size:
            return
        (height, width), (own_height, own_width) = size, self.static_size
        called = f"'{source}'" if source else "the picture"
        raise InputError(
            f"{called} ({picture[1]} x {picture[0]}) would be {width} x {height} in the network, and this model was "
            f"exported for {own_width} x {own_height} only: give it pictures of that shape at input size "
            f"{min(own_height, own_width)}, or export without a static size"
        )

    def _notes_on_size(self, height: int, width: int, input_size: int, size: tuple[int, int]) -> tuple[str, ...]:
        full = network_size(height, width, input_size, self.config.preprocessing.multiple_of)
        if full == size:
            return ()
        return (
            f"the network saw {size[1]} x {size[0]} pixels instead of {full[1]} x {full[0]}, which are more than "
            f"{self.max_tokens} tokens (max tokens)",
        )


def _windows(prepared: Iterable[Prepared], batch_size: int) -> Iterator[list[Prepared]]:
    return windows(prepared, batch_size, lambda p: p.network_size, lambda p: p.tensor[0].size)


def _at_least_one(what: str, value: int) -> int:
    if value < 1:
        raise OptionError(f"the {what} must be at least 1, not {value}")
    return value


def _source_name(image: images.ImageSource) -> str | None:
    return str(image) if isinstance(image, (str, Path)) else None


def _exact(engine: str, precision: str) -> tuple[str, str]:
    if engine not in ("auto", "torch") or precision not in ("auto", "float32"):
        raise OptionError(f"exact is float32 through torch, not {precision} through {engine}: leave one of them out")
    return "torch", "float32"
