"""The batch of a step: a function of the configuration, the seed and the step, whatever reads it and in how many parts.

That is what makes a resumed run the same run, and two processes the same as one.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset

from depth_anything_v2.config import Preprocessing
from depth_anything_v2.errors import DepthAnythingError, InputError, OptionError
from depth_anything_v2.training.augment import Crop, disturb, random_crop
from depth_anything_v2.training.config import TrainConfig
from depth_anything_v2.training.sources import SHARDS_IN_MEMORY, Opened, Pictures, RenderedShards
from depth_anything_v2.training.task import Task

_TRIES = 4  # samples that may fail to be read before a place of a batch is given up


@dataclass(frozen=True, eq=False)
class Batch:
    """A process's part of the batch of a step.

    pictures: (N, 3, H, W) float32, normalised. target: (N, H, W) float32; valid: its mask. taught: (N,) bool, labelled
    by the teacher, who sees `clean`: (N, 3, H, W) uint8, None where nothing is taught. names: of the samples. unread:
    sentences on samples that could not be read, for which others stand. error: why there is no batch.
    """

    step: int
    pictures: torch.Tensor
    target: torch.Tensor
    valid: torch.Tensor
    taught: torch.Tensor
    clean: torch.Tensor | None = None
    names: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    error: str | None = None

    def to(self, device: torch.device) -> Batch:
        """Return it on a device."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        moved: dict[str, Any] = {
            name: v.to(device, non_blocking=True) for name, v in fields.items() if isinstance(v, torch.Tensor)
        }
        return dataclasses.replace(self, **moved)

    def part(self, index: int, parts: int) -> Batch:
        """Return one of so many equal parts."""
        count = len(self.pictures) // parts
        here = slice(index * count, (index + 1) * count)
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        cut: dict[str, Any] = {name: v[here] for name, v in fields.items() if isinstance(v, torch.Tensor)}
        return dataclasses.replace(self, names=self.names[here], **cut)


@dataclass(frozen=True)
class Share:
    """Which part of each batch a process has: `index` of `processes`, each in `passes` backward passes."""

    index: int = 0
    processes: int = 1
    passes: int = 1


class StepBatches(Dataset[Batch]):
    """`batches[step]` is this process's part of the batch of a step.

    Raises OptionError for a batch size that cannot be shared out.
    """

    def __init__(
        self,
        config: TrainConfig,
        sources: Sequence[Opened],
        task: Task,
        preprocessing: Preprocessing,
        share: Share | None = None,
    ) -> None:
        self.config, self.sources, self.task, self.preprocessing = config, tuple(sources), task, preprocessing
        self.share = share or Share()
        self.places = _places(self.sources)
        self.counts = _batch_counts(config, task.unit_pictures, self.share)
        self._order: tuple[int, npt.NDArray[np.intp]] | None = None

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.places) // max(self.counts))

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng((self.config.run.seed, step))
        which = int(rng.integers(len(self.config.data.sizes)))
        size, count = self.config.data.sizes[which], self.counts[which]
        mine = count // self.share.processes
        slots = range(self.share.index * mine, (self.share.index + 1) * mine)
        try:
            return self._stacked(step, [self._read(step, slot, size) for slot in slots])
        except DepthAnythingError as error:
            return _no_batch(step, str(error))

    def samples_of(self, indices: Iterable[int]) -> list[tuple[Opened, int]]:
        """Return source and index of places in the order of an epoch."""
        return [(self.sources[s], int(i)) for s, i in self.places[list(indices)]]

    def _index(self, position: int) -> int:
        """Return which sample is at a position of the endless sequence of epochs."""
        epoch, place = divmod(position, len(self.places))
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, _shuffled(self.sources, self.places, (self.config.run.seed, epoch))
        return int(self._order[1][place])

    def _read(self, step: int, slot: int, size: tuple[int, int]) -> tuple[Any, ...]:
        """Return picture, clean picture, target, mask, whether it is taught, name and sentences of one place."""
        rng = np.random.default_rng((self.config.run.seed, step, slot))
        unread: list[str] = []
        index = self._index(step * max(self.counts) + slot)
        for _ in range(_TRIES):
            opened, number = self.samples_of([index])[0]
            name = opened.dataset.frames[number].name or str(opened.dataset.frames[number].image)
            try:
                whole = self._whole(opened, number)
                break
            except InputError as error:
                unread.append(str(error))
                index = int(rng.integers(len(self.places)))
        else:
            raise InputError(f"{_TRIES} samples, one after the other, cannot be read; the last one: {unread[-1]}")
        crop = random_crop(whole, size, self.config.augmentation, rng)
        shown = disturb(crop.picture, self.config.augmentation, rng)
        return shown, crop.picture, crop.target, crop.valid, opened.taught, name, unread

    def _whole(self, opened: Opened, number: int) -> Crop:
        """Return a whole sample with its target. Raises InputError, DepthKindError."""
        if opened.taught:
            picture = opened.dataset.read_image(opened.dataset.frames[number])
            unknown = Pictures.unknown(*picture.shape[:2])
            return Crop(picture, unknown.depth, unknown.valid)
        sample = opened.dataset[number]
        target, valid = self.task.target(sample)
        return Crop(sample.image, target, valid)

    def _stacked(self, step: int, rows: Sequence[tuple[Any, ...]]) -> Batch:
        shown, clean, target, valid, taught, names, unread = zip(*rows, strict=True)
        mean, std = (np.array(values, np.float32) for values in (self.preprocessing.mean, self.preprocessing.std))
        light = (np.stack(shown) - mean) / std
        pictures = torch.from_numpy(np.ascontiguousarray(light.transpose(0, 3, 1, 2)))
        seen = torch.from_numpy(np.stack(clean).transpose(0, 3, 1, 2).copy()) if any(taught) else None
        masks = torch.from_numpy(np.stack(valid))
        sentences = tuple(sentence for group in unread for sentence in group)
        return Batch(
            step, pictures, torch.from_numpy(np.stack(target)), masks, torch.tensor(taught), seen, names, sentences
        )


def load_batches(batches: StepBatches, start: int, stop: int) -> Iterable[Batch]:
    """Return the batches of steps start .. stop - 1, read ahead by the processes that the configuration asks for."""
    workers = batches.config.data.workers
    return DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, stop),
        collate_fn=_as_it_is,
        worker_init_fn=_begin_reading if workers else None,
        num_workers=workers,
        multiprocessing_context="spawn" if workers else None,
    )


def _as_it_is(batch: Any) -> Any:
    return batch


def _begin_reading(_worker: int) -> None:
    cv2.setNumThreads(1)
    # Ctrl-C reaches all processes, and the one that trains ends the others; a batch just being taken over is lost,
    # which multiprocessing would print. Errors of reading don't come this way: the batch carries them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = lambda *_: None


def _no_batch(step: int, error: str) -> Batch:
    nothing = torch.zeros(0)
    return Batch(step, nothing, nothing, nothing, nothing, error=error)


def _batch_counts(config: TrainConfig, unit: int, share: Share) -> tuple[int, ...]:
    """Return the pictures of a batch for each size."""
    parts = share.processes * share.passes * unit
    data = config.data
    if not data.batch_pixels:
        if data.batch_size % parts:
            up = -(-data.batch_size // parts) * parts
            raise OptionError(
                f"data.batch_size ({data.batch_size}) cannot be shared by {share.processes} processes, run.accumulate "
                f"= {share.passes} passes and loss.silog_pictures = {unit}: take {up}"
            )
        return (data.batch_size,) * len(data.sizes)
    return tuple(max(1, data.batch_pixels // (h * w) // parts) * parts for h, w in data.sizes)


def _places(sources: Sequence[Opened]) -> npt.NDArray[np.intp]:
    """Return (samples of an epoch, 2): source and index in it."""
    rows = []
    for place, opened in enumerate(sources):
        index = np.tile(np.arange(len(opened.dataset), dtype=np.intp), opened.source.repeat)
        rows.append(np.stack([np.full_like(index, place), index], axis=1))
    return np.concatenate(rows)


def _shuffled(sources: Sequence[Opened], places: npt.NDArray[np.intp], seed: tuple[int, int]) -> npt.NDArray[np.intp]:
    """Return the places in the random order of an epoch; scenes of a few shards stay together: each is read once."""
    rng = np.random.default_rng(seed)
    keys = rng.random(len(places))
    for place, opened in enumerate(sources):
        if isinstance(opened.dataset, RenderedShards):
            shards = [frame.image for frame in opened.dataset.frames]
            known = sorted(set(shards))
            rank = dict(zip(known, rng.permutation(len(known)), strict=True))
            pool = np.array([rank[shard] // SHARDS_IN_MEMORY for shard in shards])
            rows = places[:, 0] == place
            keys[rows] = (pool[places[rows, 1]] + keys[rows]) / (pool.max() + 1)
    return np.argsort(keys, kind="stable")


def check_sources(sources: Sequence[Opened], task: Task) -> None:
    """Read a few samples of each source, so that a wrong kind or format is told before anything is trained.

    Raises InputError where none of them can be read, DepthKindError, MissingExtraError.
    """
    for opened in sources:
        if opened.taught:
            continue
        failures = []
        for number in range(min(_TRIES, len(opened.dataset))):
            try:
                task.target(opened.dataset[number])
                break
            except InputError as error:
                failures.append(error)
        else:
            raise failures[0]
