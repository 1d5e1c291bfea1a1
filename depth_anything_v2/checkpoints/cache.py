"""What is remembered between runs: where downloads lie, digests that were computed, and that the network was away.

Everything here is a convenience: a cache folder that can't be written costs time, never an answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from depth_anything_v2.errors import CheckpointNotFoundError, OutputError

NETWORK_RETRY_S = 300.0  # how long a failed attempt to reach the hub is believed
_REMEMBERED = 500  # digests kept in the file
_lock = threading.Lock()
_unreachable: dict[str, float] = {}  # endpoint -> time.time() of the failure, for when the folder is read-only


def cache_dir() -> Path:
    """Return the folder of downloads: $DEPTH_ANYTHING_CACHE, or 'depth-anything-v2' in the platform's cache folder."""
    chosen = os.environ.get("DEPTH_ANYTHING_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "depth-anything-v2"


def repo_dir(repo: str) -> Path:
    """Return the folder inside the cache that holds the files of one Hub repository."""
    return cache_dir() / repo.replace("/", "--")


def hub_cache_file(repo: str, repo_type: str, file: str) -> Path | None:
    """Return the file in the Hugging Face cache, where other programs may have put it, or None; nothing is written."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "huggingface"
    root = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    folder = root / f"{repo_type}s--{repo.replace('/', '--')}"
    with contextlib.suppress(OSError):
        commit = (folder / "refs" / "main").read_text(encoding="utf-8").strip()
        path = folder / "snapshots" / commit / file
        if path.is_file():
            return path
    return None


def _read(name: str) -> dict[str, Any]:
    try:
        data = json.loads((cache_dir() / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _write(name: str, data: dict[str, Any]) -> None:
    from depth_anything_v2.io.atomic import atomic_path

    with contextlib.suppress(OSError, OutputError):
        folder = cache_dir()
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / name) as temporary:
            temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file in lower-case hexadecimal; remembered by path, size and time of change.

    Raises CheckpointNotFoundError when the file can't be read.
    """
    try:
        path = path.resolve()
        state = path.stat()
        stamp = [state.st_size, state.st_mtime_ns]
        with _lock:
            known = _read("digests.json").get(str(path))
        if isinstance(known, list) and known[:2] == stamp:
            return str(known[2])
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise CheckpointNotFoundError(f"the checkpoint {path} can't be read: {error.strerror or error}") from error
    with _lock:
        digests = _read("digests.json")
        digests.pop(str(path), None)
        digests[str(path)] = [*stamp, digest.hexdigest()]
        _write("digests.json", dict(list(digests.items())[-_REMEMBERED:]))
    return digest.hexdigest()


def recorded_digest(repo: str, file: str) -> str | None:
    """Return the SHA-256 recorded when this file was first downloaded, or None."""
    value = _read("downloads.json").get(f"{repo}/{file}")
    return value.get("sha256") if isinstance(value, dict) else None


def record_download(repo: str, file: str, sha256: str, commit: str | None) -> None:
    """Keep the SHA-256 and the commit of a file that was downloaded for the first time."""
    with _lock:
        downloads = _read("downloads.json")
        downloads.setdefault(f"{repo}/{file}", {"sha256": sha256, "commit": commit})
        _write("downloads.json", downloads)


def downloads_record() -> Path:
    """Return the file that holds the digests of first downloads."""
    return cache_dir() / "downloads.json"


def unreachable_since(endpoint: str) -> float | None:
    """Return how many seconds ago the hub could not be reached, if that is recent enough to be believed."""
    moment = _unreachable.get(endpoint) or _read("unreachable.json").get(endpoint)
    if not isinstance(moment, (int, float)):
        return None
    age = time.time() - moment
    return age if 0 <= age < NETWORK_RETRY_S else None


def remember_unreachable(endpoint: str, unreachable: bool) -> None:
    """Note that the hub could not be reached just now, or that it could."""
    if unreachable:
        _unreachable[endpoint] = time.time()
        _write("unreachable.json", dict(_unreachable))
        return
    if _unreachable.pop(endpoint, None) is not None or _read("unreachable.json"):
        _write("unreachable.json", {})
