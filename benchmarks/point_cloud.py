"""How long a large point cloud takes, and how much memory: building it from a depth map, and writing it.

    python benchmarks/point_cloud.py [--width 2000 --height 1330] [--runs 3]

The bars, for 2000 x 1330 pixels (2.7 million points with colours and normals): less than 2 s to binary PLY, less than
1 GiB of memory. Each file is made in a process of its own, whose peak memory is that of the whole program.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

FILES = {"cloud.ply": {}, "mesh.ply": {"mesh": True}, "mesh.glb": {"mesh": True}, "cloud.xyz": {}}


def measure(name: str, width: int, height: int, folder: Path) -> dict[str, float]:
    """Build a cloud of waves, write it, and return seconds, points and MiB."""
    from depth_anything_v2 import Camera, DepthPrediction
    from depth_anything_v2.io.point_clouds import write_cloud

    rows, columns = np.indices((height, width), dtype=np.float32)
    depth = (3 + np.sin(columns / 90) + 0.5 * np.cos(rows / 70)).astype(np.float32)
    colours = np.stack([columns % 256, rows % 256, (columns + rows) % 256], axis=-1).astype(np.uint8)
    prediction = DepthPrediction(depth, "metric", camera=Camera.from_fov(width, height, horizontal_deg=60))
    del rows, columns, depth
    began = time.perf_counter()
    options: dict[str, Any] = FILES[name]
    cloud = prediction.to_point_cloud(image=colours, **options)
    built = time.perf_counter()
    path = write_cloud(cloud, folder / name)
    return {
        "build_s": built - began,
        "write_s": time.perf_counter() - built,
        "points": len(cloud),
        "file_mib": path.stat().st_size / 2**20,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of large point clouds.")
    parser.add_argument("--width", type=int, default=2000)
    parser.add_argument("--height", type=int, default=1330)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", choices=FILES, help="measure this in this process, once, and print JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.one:
            print(json.dumps(measure(given.one, given.width, given.height, Path(folder))))
            return
    for name in FILES:
        command = [sys.executable, __file__, "--one", name, "--width", str(given.width), "--height", str(given.height)]
        runs = [
            json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(given.runs)
        ]
        build, write = (statistics.median(run[key] for run in runs) for key in ("build_s", "write_s"))
        peak = max(run["peak_mib"] for run in runs)
        print(
            f"{name:10s} {runs[0]['points']:>9,} points: build {build:.2f} s, write {write:.2f} s, "
            f"{runs[0]['file_mib']:.0f} MiB; peak memory {peak:.0f} MiB"
        )


if __name__ == "__main__":
    main()
