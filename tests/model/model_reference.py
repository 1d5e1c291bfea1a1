"""Reference numbers of the original implementation, thinned out to a small file.

`python tests/model/model_reference.py FULL.npz KEYS_DIR` writes reference.npz anew from complete outputs of
the original on the weights and inputs of tests/filler.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FILE = Path(__file__).with_name("reference.npz")
SAMPLES = {"preprocess": 768, "features": 48}
WHOLE = 56 * 84  # a map as small as the Giant's is stored whole


def thin(name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return values evenly spaced over the flattened array, then its mean and standard deviation."""
    flat = np.asarray(array, np.float32).ravel()
    kind = next((kind for kind in SAMPLES if kind in name), "depth")
    count = flat.size if flat.size <= WHOLE and kind == "depth" else min(flat.size, SAMPLES.get(kind, 384))
    chosen = flat[np.arange(count) * flat.size // count]
    return np.append(chosen, (flat.mean(dtype=np.float64), flat.std(dtype=np.float64))).astype(np.float32)


def difference(name: str, ours: npt.NDArray[Any], reference: npt.NDArray[np.float32]) -> float:
    """Return the larger relative L2 distance: of the samples, and of (mean, standard deviation)."""
    mine = thin(name, ours)
    if mine.shape != reference.shape:
        return float("inf")
    parts = ((mine[:-2], reference[:-2]), (mine[-2:], reference[-2:]))
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in parts)


def stacked_features(full: Any, prefix: str) -> npt.NDArray[np.float32]:
    """Return (4, 98): of each tap the thinned first patch token and class token, and the statistics of all patches."""
    rows = []
    for tap in range(4):
        tokens = [
            thin("features", full[f"{prefix}/{tap}/{what}"])[:-2] for what in ("patch_first_token", "class_token")
        ]
        rows.append(np.concatenate((*tokens, full[f"{prefix}/{tap}/patch_mean_std"])))
    return np.stack(rows).astype(np.float32)


def main(full_file: str, keys_folder: str) -> None:
    from filler import ENCODERS, shapes_digest

    full = np.load(full_file)
    stored: dict[str, npt.NDArray[Any]] = {"resize_rule": full["resize_rule"].astype(np.int32)}
    for name in full.files:
        if "/features/" in name:
            prefix = "/".join(name.split("/")[:3])
            stored[prefix] = stacked_features(full, prefix)
        elif name != "resize_rule":
            stored[name] = thin(name, full[name])
    for encoder in ENCODERS:
        shapes = json.loads((Path(keys_folder) / f"keys_{encoder}.json").read_text())
        stored[f"{encoder}/keys"] = np.array(shapes_digest({k: tuple(v) for k, v in shapes.items()}))
    np.savez_compressed(FILE, **stored)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main(sys.argv[1], sys.argv[2])
