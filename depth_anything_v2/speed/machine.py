"""What the figures of a measurement depend on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "openvino", "onnxruntime", "opencv-python-headless", "numpy")


def machine(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Return processor, cores that this process may use, memory in GiB, system, Python and versions of packages.

    None for what is not known or not installed. With 'OMP_NUM_THREADS' where the environment sets it, since it
    limits the threads of torch.
    """
    limit = os.environ.get("OMP_NUM_THREADS")
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        **({"OMP_NUM_THREADS": limit} if limit else {}),
        "python": platform.python_version(),
        **{name: _version(name) for name in packages},
    }


def cores() -> int | None:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def load_average() -> float | None:
    """Return how many processes ran or waited to run in the last minute, None on a system that does not tell."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
