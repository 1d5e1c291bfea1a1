"""From what a person names to a file on disk: registry name, file, folder or Hub repository."""

from __future__ import annotations

import dataclasses
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from depth_anything_v2.checkpoints import cache, download
from depth_anything_v2.checkpoints.exported import ENGINE_OF, exported_engine, weights_file
from depth_anything_v2.checkpoints.registry import (
    DATA,
    CheckpointSpec,
    find_spec,
    list_checkpoints,
    spec_by_digest,
    spec_by_file_name,
    spec_by_repo,
)
from depth_anything_v2.errors import (
    CheckpointDigestError,
    CheckpointDownloadError,
    CheckpointNotFoundError,
)

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
LOCAL_FOLDER = "checkpoints"
_REPO = re.compile(r"^[\w.-]+/[\w.-]+(?:/[\w./-]+)?$")
_TRANSFORMERS_FILES = ("config.json", "model.safetensors")


@dataclass(frozen=True)
class ResolvedCheckpoint:
    """A checkpoint that is on disk.

    name: registry name where the bytes are known, else the file, folder or repository; path: the file of weights,
    or of an exported model (see `checkpoints.exported`);
    spec: the registry's record that the file is, or that its name promises; sha256: of the file; origin: 'builtin',
    'working directory', 'cache', 'download', 'file', 'folder' or 'repository'; notes: sentences for the user.
    """

    name: str
    path: Path
    spec: CheckpointSpec | None
    sha256: str | None
    origin: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Mode:
    """How to search: without network, with a bar on stderr, and whether only to look (nothing will be loaded)."""

    offline: bool
    progress: bool
    look: bool = False


def resolve_checkpoint(
    name: str | Path = "auto", *, offline: bool = False, progress: bool = False
) -> ResolvedCheckpoint:
    """Find a checkpoint, downloading it when it is published and not on disk.

    name: 'auto' (vits if it is on disk or can be downloaded, else the built-in one), a registry name, a file, a
    folder, a Hub repository 'org/name' or one file in it 'org/name/path.pth'. A registry name is looked for in
    ./checkpoints, then in the cache. offline (or HF_HUB_OFFLINE=1) never touches the network; progress shows a bar
    on stderr. A checkpoint that was named is never replaced by another one.

    Raises CheckpointNotFoundError, CheckpointDownloadError, CheckpointDigestError.
    """
    return _resolve(name, _Mode(offline or download.offline_by_environment(), progress))


def look_up(name: str | Path) -> ResolvedCheckpoint:
    """Find what is on disk under a name without network or change; a changed download is returned, not replaced.

    Names are those of `resolve_checkpoint`. Raises CheckpointNotFoundError.
    """
    return _resolve(name, _Mode(offline=True, progress=False, look=True))


def _resolve(name: str | Path, mode: _Mode) -> ResolvedCheckpoint:
    if isinstance(name, Path):
        return _from_path(name)
    if name == "auto":
        return _automatic(mode)
    if any(spec.name == name for spec in list_checkpoints()):
        return _from_registry(find_spec(name), mode)
    path = Path(name).expanduser()
    if path.exists() or path.is_absolute() or name.startswith((".", "~")) or "\\" in name:
        return _from_path(path)
    named_file = path.suffix.lower() in (*SUFFIXES, *ENGINE_OF)
    if named_file and (name.count("/") < 2 or Path(path.parts[0]).is_dir()):
        return _from_path(path)
    if _REPO.match(name):
        return _from_repository(name, mode)
    find_spec(name)  # raises, and suggests the nearest names
    raise CheckpointNotFoundError(f"no checkpoint is named '{name}'")


def _automatic(mode: _Mode) -> ResolvedCheckpoint:
    spec = find_spec("vits")
    found = _on_disk(spec, mode)
    if found is not None:
        return found
    reason = "offline" if mode.offline else _recently_unreachable()
    if reason is None and (reason := download.probe(spec.repo or "", spec.hub_path)) is not None:
        cache.remember_unreachable(download.endpoint(), True)
    if reason is None:
        try:
            return _download(spec, mode.progress, download.AUTO_PATIENCE_S)
        except (CheckpointDownloadError, CheckpointDigestError) as error:
            reason = str(error)
            cache.remember_unreachable(download.endpoint(), True)
    note = (
        f"vits is not on disk and can't be downloaded ({reason}): using the built-in checkpoint, "
        "a small stand-in, not Depth Anything V2 Small"
    )
    return dataclasses.replace(_builtin(find_spec("builtin")), notes=(note,))


def _recently_unreachable() -> str | None:
    age = cache.unreachable_since(download.endpoint())
    if age is None:
        return None
    return f"the hub could not be reached {age:.0f} s ago; `depth-anything checkpoints download vits` tries again now"


def _builtin(spec: CheckpointSpec) -> ResolvedCheckpoint:
    path = DATA / spec.file
    if not path.is_file():
        raise CheckpointNotFoundError(
            "this installation has no built-in checkpoint: name one, or connect to a network so that vits is downloaded"
        )
    return ResolvedCheckpoint(spec.name, path, spec, cache.file_digest(path), "builtin")


def _from_registry(spec: CheckpointSpec, mode: _Mode) -> ResolvedCheckpoint:
    if spec.builtin:
        return _builtin(spec)
    found = _on_disk(spec, mode)
    if found is not None:
        return found
    if not spec.downloadable:
        raise CheckpointNotFoundError(
            f"{spec.name} can't be downloaded ({spec.status or 'never published'}): "
            f"put {spec.file} into ./{LOCAL_FOLDER}, or name the file"
        )
    if mode.offline:
        raise CheckpointNotFoundError(
            f"{spec.name} is not on disk, and offline mode forbids the download: put {spec.file} into "
            f"./{LOCAL_FOLDER}, or run `depth-anything checkpoints download {spec.name}` with a network"
        )
    return _download(spec, mode.progress, download.PATIENCE_S)


def _download(spec: CheckpointSpec, progress: bool, patience_s: float) -> ResolvedCheckpoint:
    path = download.fetch(
        spec.repo or "",
        spec.hub_path,
        repo_type=spec.repo_type,
        sha256=spec.sha256,
        progress=progress,
        patience_s=patience_s,
    )
    return ResolvedCheckpoint(spec.name, path, spec, cache.file_digest(path), "download")


def _local_files(spec: CheckpointSpec) -> list[Path]:
    """Return where ./checkpoints may hold a record's file: as published, or converted."""
    published = Path(LOCAL_FOLDER) / spec.file
    return list(dict.fromkeys((published, published.with_suffix(".safetensors"))))


def _cached_files(repo: str, file: str, repo_type: str) -> list[Path]:
    """Return where a file of a repository may lie in our cache and in that of huggingface-hub."""
    shared = cache.hub_cache_file(repo, repo_type, file)
    return [cache.repo_dir(repo) / file, *([shared] if shared else [])]


def file_on_disk(spec: CheckpointSpec) -> Path | None:
    """Return the first file that a record's name stands for, or None; nothing is read, hashed or changed."""
    places = [DATA / spec.file] if spec.builtin else _local_files(spec)
    if spec.repo is not None:
        places += _cached_files(spec.repo, spec.hub_path, spec.repo_type)
    return next((path for path in places if path.is_file()), None)


def is_on_disk(checkpoint: CheckpointSpec | str | Path) -> bool:
    """Whether a checkpoint is there without a download: a record, or any name that `resolve_checkpoint` takes.

    Cheap: nothing is read, hashed or changed, so a damaged file counts as being there.
    """
    if isinstance(checkpoint, CheckpointSpec):
        return file_on_disk(checkpoint) is not None
    if checkpoint == "auto":
        return is_on_disk("vits") or is_on_disk("builtin")
    if any(spec.name == checkpoint for spec in list_checkpoints()):
        return file_on_disk(find_spec(str(checkpoint))) is not None
    path = Path(checkpoint).expanduser()
    if path.is_dir():
        return bool(_weights_in(path))
    if path.is_file():
        return True
    if isinstance(checkpoint, Path) or not _REPO.match(checkpoint) or ".." in path.parts:
        return False
    repo, wanted, spec = _repository_file(checkpoint)
    if wanted is None:
        return any(entry.suffix.lower() in SUFFIXES for entry in cache.repo_dir(repo).glob("*"))
    return any(place.is_file() for place in _cached_files(repo, wanted, spec.repo_type if spec else "model"))


def _on_disk(spec: CheckpointSpec, mode: _Mode) -> ResolvedCheckpoint | None:
    """Return the file that `file_on_disk` finds; in the caches, only with the bytes that it should have."""
    path = file_on_disk(spec)
    if path in _local_files(spec):
        return _recognised(path, "working directory", spec.name)
    return _cached(spec.repo, spec.hub_path, spec, "cache", mode) if path and spec.repo else None


def _cached(repo: str, file: str, spec: CheckpointSpec | None, origin: str, mode: _Mode) -> ResolvedCheckpoint | None:
    """Look into both caches; a file whose bytes have changed is left where it is and not used, unless to look at."""
    name = spec.name if spec else repo
    expected = (spec.sha256 if spec else None) or cache.recorded_digest(repo, file)
    changed = None
    for path in _cached_files(repo, file, spec.repo_type if spec else "model"):
        if path.is_file():
            found = ResolvedCheckpoint(name, path, spec, cache.file_digest(path), origin)
            if expected in (None, found.sha256):
                return found
            changed = changed or found
    if changed is None or mode.look:
        return changed
    _warn(f"the cached file {changed.path} had changed since it was downloaded and is not used")
    return None


def _from_path(path: Path) -> ResolvedCheckpoint:
    path = path.expanduser()
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise CheckpointNotFoundError(f"there is no checkpoint file {path}: check the path")
    return _recognised(path, "file", path.name)


def _from_folder(folder: Path) -> ResolvedCheckpoint:
    weights = _weights_in(folder)
    if not weights:
        raise CheckpointNotFoundError(
            f"the folder {folder} holds no checkpoint: expected a .pth or .safetensors file, "
            "config.json with model.safetensors, or an exported model (.onnx, .xml)"
        )
    choice = folder / _pick([entry.name for entry in weights], str(folder))
    return _recognised(choice, "folder", str(folder))


def _weights_in(folder: Path) -> list[Path]:
    """Return the files of weights in a folder; only where there are none, exported models."""
    files = [entry for entry in sorted(folder.iterdir()) if entry.is_file()]
    exported = [entry for entry in files if exported_engine(entry) is not None]
    theirs = {weights_file(entry) for entry in exported}
    return [entry for entry in files if entry.suffix.lower() in SUFFIXES and entry not in theirs] or exported


def _pick(files: list[str], where: str) -> str:
    """Choose the one file of weights in a folder or repository; raises CheckpointNotFoundError when unclear."""
    if "model.safetensors" in files:
        return "model.safetensors"
    weights = [file for file in files if Path(file).suffix.lower() in SUFFIXES]
    weights = weights or [file for file in files if exported_engine(file) is not None]
    published = [file for file in weights if spec_by_file_name(file) is not None]
    for candidates in (weights, published):
        if len(candidates) == 1:
            return candidates[0]
    listed = ", ".join(weights[:6]) or "none"
    raise CheckpointNotFoundError(f"{where} holds {len(weights)} files of weights ({listed}): name one of them")


def _recognised(path: Path, origin: str, name: str) -> ResolvedCheckpoint:
    """Compare a user's own file with the registry, by digest and then by name."""
    digest = cache.file_digest(path)
    if exported_engine(path) is not None:  # it says itself what it came from
        return ResolvedCheckpoint(name, path, None, digest, origin)
    known, promised = spec_by_digest(digest), spec_by_file_name(path)
    if known is not None:
        renamed = promised is not None and promised.name != known.name
        note = f"{path} is {known.name} by its digest, whatever its name says" if renamed else None
        return ResolvedCheckpoint(known.name, path, known, digest, origin, (note,) if note else ())
    notes: tuple[str, ...] = ()
    if promised is not None and promised.sha256 is not None and path.name.lower() == promised.file:
        notes = (f"{path} is not the published {promised.file} (its SHA-256 differs): used as it is, as modified",)
    return ResolvedCheckpoint(name, path, promised, digest, origin, notes)


def _repository_file(name: str) -> tuple[str, str | None, CheckpointSpec | None]:
    """Split 'org/name[/path]' into the repository, the file where it is known, and the registry's record."""
    organisation, short, *inside = name.split("/")
    repo = f"{organisation}/{short}"
    spec = None if inside else spec_by_repo(repo)
    return repo, "/".join(inside) or (spec.hub_path if spec else None), spec


def _from_repository(name: str, mode: _Mode) -> ResolvedCheckpoint:
    if ".." in name.split("/"):
        raise CheckpointNotFoundError(f"'{name}' is not a file of a repository")
    repo, wanted, spec = _repository_file(name)
    if wanted is not None:
        found = _cached(repo, wanted, spec, "repository", mode)
        if found is not None:
            has_config = (found.path.parent / "config.json").is_file()
            if mode.offline or has_config or wanted != "model.safetensors":
                return _named(found, repo)
    elif (folder := cache.repo_dir(repo)).is_dir():
        files = [entry.name for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES]
        if files and (found := _cached(repo, _pick(files, str(folder)), None, "repository", mode)) is not None:
            return _named(found, repo)
    if mode.offline:
        raise CheckpointNotFoundError(
            f"'{name}' is neither a file here nor in the cache, and offline mode forbids the download"
        )
    try:
        return _fetch_repository(repo, wanted, spec, mode.progress)
    except CheckpointDownloadError as error:
        raise CheckpointDownloadError(f"'{name}' is no file or folder here, and as a repository: {error}") from error


def _fetch_repository(repo: str, wanted: str | None, spec: CheckpointSpec | None, progress: bool) -> ResolvedCheckpoint:
    if wanted is None:
        files = download.list_repository(repo)
        wanted = _pick([file for file in files if "/" not in file], f"the repository {repo}")
        has_config = "config.json" in files
    else:
        has_config = wanted == "model.safetensors"
    if has_config and wanted == "model.safetensors":
        download.fetch(repo, "config.json")
    path = download.fetch(repo, wanted, sha256=spec.sha256 if spec else None, progress=progress)
    return _named(ResolvedCheckpoint(repo, path, spec, cache.file_digest(path), "repository"), repo)


def _named(found: ResolvedCheckpoint, repo: str) -> ResolvedCheckpoint:
    """Add what digest and file name tell about a file of a repository that the registry doesn't list."""
    spec = found.spec or spec_by_digest(found.sha256)
    name = spec.name if spec else repo
    return dataclasses.replace(found, name=name, spec=spec or spec_by_file_name(found.path))


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=4)
