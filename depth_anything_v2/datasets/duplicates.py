"""The same picture twice: exactly, or to the eye."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from depth_anything_v2.datasets.sample import Image

_SIDE, _LOW = 32, 8  # a picture of 32 x 32, of whose cosine transform the 8 x 8 lowest frequencies count
_BANDS = 4  # of 16 bits each: two hashes that differ in at most three bits agree in one of them
_DIFFERENT_BITS = 3
_ALIKE = 0.98  # correlation of the small pictures


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """digest: of the pixels. bits: perceptual hash of 64 bits (low frequencies). small: (1024,) float16, normalised."""

    digest: str
    bits: int
    small: npt.NDArray[np.float16]


def fingerprint(image: Image) -> Fingerprint:
    """Return what two copies of a picture have in common, even at another size or compression."""
    import cv2

    digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16)
    digest.update(repr(image.shape).encode())
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_LOW, :_LOW].ravel()[1:]
    bits = int("".join("1" if value else "0" for value in low > np.median(low)), 2)
    small -= small.mean()
    small /= max(float(np.linalg.norm(small)), 1.0)
    return Fingerprint(digest.hexdigest(), bits, small.ravel().astype(np.float16))


def same_pictures(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """Return the groups of two or more pictures with the same pixels, as indices."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, one in enumerate(prints):
        groups[one.digest].append(index)
    return [group for group in groups.values() if len(group) > 1]


def alike_across(prints: Sequence[Fingerprint], groups: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of pictures of different groups that look the same; each picture in at most one of them."""
    buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
    pairs: list[tuple[int, int]] = []
    for index, one in enumerate(prints):
        keys = [(band, one.bits >> 16 * band & 0xFFFF) for band in range(_BANDS)]
        candidates = {other for key in keys for other in buckets[key] if groups[other] != groups[index]}
        for other in sorted(candidates):
            if _look_alike(one, prints[other]):
                pairs.append((other, index))
                break
        for key in keys:
            buckets[key].append(index)
    return pairs


def _look_alike(one: Fingerprint, other: Fingerprint) -> bool:
    if (one.bits ^ other.bits).bit_count() > _DIFFERENT_BITS:
        return False
    return float(one.small.astype(np.float32) @ other.small.astype(np.float32)) >= _ALIKE
