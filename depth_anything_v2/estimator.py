"""Pictures in, depth predictions out: the object that most programs use."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines.base import Engine
from depth_anything_v2.errors import ImageTooLargeError, OptionError
from depth_anything_v2.io import images
from depth_anything_v2.pipeline import ordered_map
from depth_anything_v2.prediction import DepthPrediction, Provenance
from depth_anything_v2.util.transform import network_size, preprocess, resize_depth
from depth_anything_v2.version import __version__

if TYPE_CHECKING:
    from depth_anything_v2.checkpoints import LoadedCheckpoint

TOKEN_PIXELS = 14 * 14
MAX_TOKENS = 32_768  # about 2,530 x 2,530 pixels of network input
MAX_PIXELS = images.MAX_PIXELS
GPU_BATCH = 8
WINDOW_PIXELS = 100_000_000  # of pictures that wait for others of their shape


class DepthEstimator:
    """A checkpoint ready to run; safe to call from several threads.

    Make one with `from_pretrained`. `config` is the architecture, `name`, `licence` and `sha256` say which
    weights these are, `notes` what a user should be told about how they were chosen.
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
        input_size: int | None = None,
        batch_size: int | None = None,
        max_tokens: int = MAX_TOKENS,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        limits = {"input size": input_size, "batch size": batch_size, "token limit": max_tokens}
        for what, value in (limits | {"pixel limit": max_pixels}).items():
            if value is not None:
                _at_least_one(what, value)
        self.engine, self.config = engine, config
        self.name, self.sha256, self.licence, self.notes = name, sha256, licence, tuple(notes)
        self.input_size = input_size or config.preprocessing.input_size
        self.batch_size = batch_size or (1 if engine.device == "cpu" else GPU_BATCH)
        self.max_tokens, self.max_pixels = max_tokens, max_pixels

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path = "auto",
        *,
        device: str = "auto",
        precision: str = "auto",
        input_size: int | None = None,
        batch_size: int | None = None,
        encoder: str | None = None,
        max_depth_m: float | None = None,
        relative: bool = False,
        v1: bool = False,
        offline: bool = False,
        progress: bool = False,
        max_tokens: int = MAX_TOKENS,
        max_pixels: int = MAX_PIXELS,
    ) -> DepthEstimator:
        """Find (and if need be download) a checkpoint and make it ready.

        name: a registry name ('vits', 'metric-indoor-vitl', 'builtin'), a file, a folder, a Hub repository,
        or 'auto': 'vits' if it can be had, else the built-in one, said in `notes`. device: 'auto' (CUDA,
        then MPS, then CPU), 'cpu', 'cuda', 'cuda:N', 'mps'. precision: 'auto' (float32), 'float32',
        'bfloat16', 'float16'. max_depth_m or relative: what the file answers, where it does not say so
        itself; v1: its head reads the last four blocks. encoder: the one it must hold.
        max_tokens: refuse pictures whose network input would be larger (one token is 14 x 14 pixels);
        max_pixels: refuse to decode larger pictures.

        Raises CheckpointError when there is no usable checkpoint, OptionError for a bad option.
        """
        from depth_anything_v2.checkpoints import load_checkpoint, resolve_checkpoint
        from depth_anything_v2.engines.torch_engine import TorchEngine, pick_device

        pick_device(device)
        resolved = resolve_checkpoint(name, offline=offline, progress=progress)
        loaded = load_checkpoint(resolved, encoder=encoder, max_depth_m=max_depth_m, relative=relative, v1=v1)
        engine = TorchEngine(_build(loaded), device, precision)
        return cls(
            engine,
            loaded.config,
            name=resolved.name,
            sha256=resolved.sha256,
            licence=loaded.licence,
            notes=loaded.notes,
            input_size=input_size,
            batch_size=batch_size,
            max_tokens=max_tokens,
            max_pixels=max_pixels,
        )

    @property
    def device(self) -> str:
        return self.engine.device

    @property
    def precision(self) -> str:
        return self.engine.precision

    def __call__(self, image: images.ImageSource, *, input_size: int | None = None) -> DepthPrediction:
        """Return the depth of one picture, at the picture's own size.

        image: a path, an http(s) address, a file's bytes, a PIL image, or an RGB array (H, W, 3) of
        uint8, uint16 or floating point in [0, 1]. input_size: length of the shorter side that the network
        sees, in pixels; without it the estimator's own.

        Raises InputError when it cannot be read, ImageTooLargeError when it is over a limit.
        """
        rgb = images.read_image(image, max_pixels=self.max_pixels)
        return self.predict_arrays([rgb], [_source_name(image)], input_size=input_size)[0]

    def predict_many(
        self, inputs: Iterable[images.ImageSource], *, batch_size: int | None = None
    ) -> Iterator[DepthPrediction]:
        """Yield the depth of each input, in order; the next ones are read while the network works.

        Inputs are drawn as needed and may be endless. Pictures of one network size are batched within a
        window of four batches or 100 megapixels, whichever is less; one batch more is read ahead. The first
        input that cannot be read raises InputError in its place.
        """
        batch_size = self.batch_size if batch_size is None else _at_least_one("batch size", batch_size)
        window = 1 if batch_size == 1 else 4 * batch_size

        def read(image: images.ImageSource) -> tuple[npt.NDArray[Any], str | None]:
            return images.read_image(image, max_pixels=self.max_pixels), _source_name(image)

        loaded = ordered_map(read, inputs, workers=2, ahead=batch_size + 1)
        while chunk := _take(loaded, window):
            arrays, sources = [rgb for rgb, _ in chunk.items], [source for _, source in chunk.items]
            yield from self.predict_arrays(arrays, sources, batch_size=batch_size)
            if chunk.error is not None:
                raise chunk.error

    def predict_arrays(
        self,
        pictures: Sequence[npt.NDArray[Any]],
        sources: Sequence[str | None] | None = None,
        *,
        input_size: int | None = None,
        batch_size: int | None = None,
    ) -> list[DepthPrediction]:
        """Return the depth of RGB arrays (H, W, 3) as `read_image` gives them, batched by network size.

        Raises ImageTooLargeError when one of them would need more tokens than the limit.
        """
        sources = sources or [None] * len(pictures)
        size = self.input_size if input_size is None else _at_least_one("input size", input_size)
        batch_size = batch_size or self.batch_size
        buckets: dict[tuple[int, int], list[int]] = {}
        for index, picture in enumerate(pictures):
            shape = self.network_size(picture.shape[0], picture.shape[1], size, sources[index])
            buckets.setdefault(shape, []).append(index)
        results: list[DepthPrediction | None] = [None] * len(pictures)
        for shape, members in buckets.items():
            for start in range(0, len(members), batch_size):
                group = members[start : start + batch_size]
                batch = np.stack(
                    [preprocess(images.to_float(pictures[i]), self.config.preprocessing, shape) for i in group]
                )
                for i, depth in zip(group, self.engine(batch), strict=True):
                    full = resize_depth(depth, *pictures[i].shape[:2])
                    results[i] = self._prediction(full, size, shape, sources[i])
        return [result for result in results if result is not None]

    def network_size(
        self, height: int, width: int, input_size: int | None = None, name: str | None = None
    ) -> tuple[int, int]:
        """Return (height, width) of the network input for a picture of height x width pixels.

        Raises ImageTooLargeError, naming the input size that would do, when it has more than `max_tokens`
        tokens.
        """
        size = input_size or self.input_size
        multiple = self.config.preprocessing.multiple_of
        shape = network_size(height, width, size, multiple)
        tokens = shape[0] * shape[1] // TOKEN_PIXELS
        if tokens <= self.max_tokens:
            return shape
        fitting = (
            candidate
            for candidate in range(size - size % multiple, 0, -multiple)
            if np.prod(network_size(height, width, candidate, multiple), dtype=float) / TOKEN_PIXELS <= self.max_tokens
        )
        fits = next(fitting, None)
        way_out = f"an input size of {fits} or less fits" if fits else "crop it, or raise the limit (max tokens)"
        called = f"'{name}'" if name else "the picture"
        raise ImageTooLargeError(
            f"{called} is {width} x {height} pixels: at input size {size} the network would see "
            f"{shape[1]} x {shape[0]} pixels, {tokens} tokens, over the limit of {self.max_tokens}; {way_out}"
        )

    def _prediction(
        self, depth: npt.NDArray[np.float32], input_size: int, shape: tuple[int, int], source: str | None
    ) -> DepthPrediction:
        provenance = Provenance(
            checkpoint=self.name,
            sha256=self.sha256,
            licence=self.licence,
            encoder=self.config.encoder,
            engine=self.engine.name,
            device=self.engine.device,
            precision=self.engine.precision,
            input_size=input_size,
            network_size=shape,
            source=source,
            version=__version__,
        )
        return DepthPrediction(depth, self.config.kind, self.config.max_depth_m, provenance=provenance)


class _Chunk:
    """Items taken from an iterator, and the exception that ended it early, to be raised after them."""

    def __init__(self) -> None:
        self.items: list[tuple[npt.NDArray[Any], str | None]] = []
        self.error: Exception | None = None

    def __bool__(self) -> bool:
        return bool(self.items) or self.error is not None


def _take(iterator: Iterator[tuple[npt.NDArray[Any], str | None]], count: int) -> _Chunk:
    chunk = _Chunk()
    pixels = 0
    try:
        for item in itertools.islice(iterator, count):
            chunk.items.append(item)
            pixels += item[0].shape[0] * item[0].shape[1]
            if pixels >= WINDOW_PIXELS:
                break
    except Exception as error:  # noqa: BLE001 - raised again by the caller, after what was read before it
        chunk.error = error
    return chunk


def _at_least_one(what: str, value: int) -> int:
    if value < 1:
        raise OptionError(f"the {what} must be at least 1, not {value}")
    return value


def _source_name(image: images.ImageSource) -> str | None:
    return str(image) if isinstance(image, (str, Path)) else None


def _build(loaded: LoadedCheckpoint) -> Any:
    """Return the model with its weights, without first filling it with random ones."""
    import torch

    from depth_anything_v2.dpt import build_model

    with torch.device("meta"):
        model = build_model(loaded.config)
    model.load_state_dict(loaded.state, strict=True, assign=True)
    return model
