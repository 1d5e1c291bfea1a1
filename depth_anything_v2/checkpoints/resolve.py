"""From what a person names to a file on disk: registry name, file, folder or Hub repository."""

from __future__ import annotations

import dataclasses
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

from depth_anything_v2.checkpoints import cache, download
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
    CheckpointError,
    CheckpointNotFoundError,
)

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
LOCAL_FOLDER = "checkpoints"
_REPO = re.compile(r"^[\w.-]+/[\w.-]+(?:/[\w./-]+)?$")
_TRANSFORMERS_FILES = ("config.json", "model.safetensors")


@dataclass(frozen=True)
class ResolvedCheckpoint:
    """A checkpoint that is on disk.

    name: registry name where the bytes are known, else the file, folder or repository; path: the file of weights;
    spec: the registry's record that the file is, or that its name promises; sha256: of the file; origin: 'builtin',
    'working directory', 'cache', 'download', 'file', 'folder' or 'repository'; notes: sentences for the user.
    """

    name: str
    path: Path
    spec: CheckpointSpec | None
    sha256: str | None
    origin: str
    notes: tuple[str, ...] = ()


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
    offline = offline or download.offline_by_environment()
    if isinstance(name, Path):
        return _from_path(name)
    if name == "auto":
        return _automatic(offline, progress)
    if any(spec.name == name for spec in list_checkpoints()):
        return _from_registry(find_spec(name), offline, progress)
    path = Path(name).expanduser()
    if path.exists() or path.is_absolute() or name.startswith((".", "~")) or "\\" in name:
        return _from_path(path)
    named_file = path.suffix.lower() in SUFFIXES
    if named_file and (name.count("/") < 2 or Path(path.parts[0]).is_dir()):
        return _from_path(path)
    if _REPO.match(name):
        return _from_repository(name, offline, progress)
    find_spec(name)  # raises, and suggests the nearest names
    raise CheckpointNotFoundError(f"no checkpoint is named '{name}'")


def _automatic(offline: bool, progress: bool) -> ResolvedCheckpoint:
    spec = find_spec("vits")
    found = _on_disk(spec)
    if found is not None:
        return found
    reason = "offline" if offline else _recently_unreachable()
    if reason is None and (reason := download.probe(spec.repo or "", spec.hub_path)) is not None:
        cache.remember_unreachable(download.endpoint(), True)
    if reason is None:
        try:
            return _download(spec, progress)
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


def _from_registry(spec: CheckpointSpec, offline: bool, progress: bool) -> ResolvedCheckpoint:
    if spec.builtin:
        return _builtin(spec)
    found = _on_disk(spec)
    if found is not None:
        return found
    if not spec.downloadable:
        raise CheckpointNotFoundError(
            f"{spec.name} can't be downloaded ({spec.status or 'never published'}): "
            f"put {spec.file} into ./{LOCAL_FOLDER}, or name the file"
        )
    if offline:
        raise CheckpointNotFoundError(
            f"{spec.name} is not on disk, and offline mode forbids the download: put {spec.file} into "
            f"./{LOCAL_FOLDER}, or run `depth-anything checkpoints download {spec.name}` with a network"
        )
    return _download(spec, progress)


def _download(spec: CheckpointSpec, progress: bool) -> ResolvedCheckpoint:
    path = download.fetch(
        spec.repo or "", spec.hub_path, repo_type=spec.repo_type, sha256=spec.sha256, progress=progress
    )
    return ResolvedCheckpoint(spec.name, path, spec, cache.file_digest(path), "download")


def _on_disk(spec: CheckpointSpec) -> ResolvedCheckpoint | None:
    """Look into ./checkpoints (also for a converted file), the cache, and the cache of huggingface-hub."""
    folder = Path(LOCAL_FOLDER)
    for path in (folder / spec.file, folder / Path(spec.file).with_suffix(".safetensors")):
        if path.is_file():
            return _recognised(path, "working directory", spec.name)
    if spec.repo is None:
        return None
    return _cached(spec.repo, spec.hub_path, spec, "cache")


def _cached(repo: str, file: str, spec: CheckpointSpec | None, origin: str) -> ResolvedCheckpoint | None:
    """Look into both caches; our own download is deleted when its bytes have changed."""
    name = spec.name if spec else repo
    expected = (spec.sha256 if spec else None) or cache.recorded_digest(repo, file)
    path = cache.repo_dir(repo) / file
    if path.is_file():
        digest = cache.file_digest(path)
        if expected in (None, digest):
            return ResolvedCheckpoint(name, path, spec, digest, origin)
        path.unlink()
        _warn(f"the cached file {path} had changed since it was downloaded and was deleted")
    shared = cache.hub_cache_file(repo, spec.repo_type if spec else "model", file)
    if shared is not None:
        digest = cache.file_digest(shared)
        if expected in (None, digest):
            return ResolvedCheckpoint(name, shared, spec, digest, origin)
    return None


def _from_path(path: Path) -> ResolvedCheckpoint:
    path = path.expanduser()
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise CheckpointNotFoundError(f"there is no checkpoint file {path}: check the path")
    return _recognised(path, "file", path.name)


def _from_folder(folder: Path) -> ResolvedCheckpoint:
    weights = [entry for entry in sorted(folder.iterdir()) if entry.is_file() and entry.suffix.lower() in SUFFIXES]
    if not weights:
        raise CheckpointNotFoundError(
            f"the folder {folder} holds no checkpoint: expected a .pth or .safetensors file, "
            "or config.json with model.safetensors"
        )
    choice = folder / _pick([entry.name for entry in weights], str(folder))
    return _recognised(choice, "folder", str(folder))


def _pick(files: list[str], where: str) -> str:
    """Choose the one file of weights in a folder or repository; raises CheckpointNotFoundError when unclear."""
    if "model.safetensors" in files:
        return "model.safetensors"
    weights = [file for file in files if Path(file).suffix.lower() in SUFFIXES]
    published = [file for file in weights if spec_by_file_name(file) is not None]
    for candidates in (weights, published):
        if len(candidates) == 1:
            return candidates[0]
    listed = ", ".join(weights[:6]) or "none"
    raise CheckpointNotFoundError(f"{where} holds {len(weights)} files of weights ({listed}): name one of them")


def _recognised(path: Path, origin: str, name: str) -> ResolvedCheckpoint:
    """Compare a user's own file with the registry, by digest and then by name."""
    digest = cache.file_digest(path)
    known, promised = spec_by_digest(digest), spec_by_file_name(path)
    if known is not None:
        renamed = promised is not None and promised.name != known.name
        note = f"{path} is {known.name} by its digest, whatever its name says" if renamed else None
        return ResolvedCheckpoint(known.name, path, known, digest, origin, (note,) if note else ())
    notes: tuple[str, ...] = ()
    if promised is not None and promised.sha256 is not None and path.name.lower() == promised.file:
        notes = (f"{path} is not the published {promised.file} (its SHA-256 differs): used as it is, as modified",)
    return ResolvedCheckpoint(name, path, promised, digest, origin, notes)


def _from_repository(name: str, offline: bool, progress: bool) -> ResolvedCheckpoint:
    organisation, short, *inside = name.split("/")
    if ".." in inside:
        raise CheckpointNotFoundError(f"'{name}' is not a file of a repository")
    repo = f"{organisation}/{short}"
    spec = None if inside else spec_by_repo(repo)
    wanted = "/".join(inside) or (spec.hub_path if spec else None)
    if wanted is not None:
        found = _cached(repo, wanted, spec, "repository")
        if found is not None:
            has_config = (found.path.parent / "config.json").is_file()
            if offline or has_config or wanted != "model.safetensors":
                return _named(found, repo)
    elif (folder := cache.repo_dir(repo)).is_dir():
        files = [entry.name for entry in folder.iterdir() if entry.suffix.lower() in SUFFIXES]
        if files and (found := _cached(repo, _pick(files, str(folder)), None, "repository")) is not None:
            return _named(found, repo)
    if offline:
        raise CheckpointNotFoundError(
            f"'{name}' is neither a file here nor in the cache, and offline mode forbids the download"
        )
    try:
        return _fetch_repository(repo, wanted, spec, progress)
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


def places_on_disk(spec: CheckpointSpec) -> list[Path]:
    """Return where the published file of a record may lie, in the order of the search; nothing is read."""
    if spec.builtin:
        return [DATA / spec.file]
    places = [Path(LOCAL_FOLDER) / spec.file]
    if spec.repo is not None:
        shared = cache.hub_cache_file(spec.repo, spec.repo_type, spec.hub_path)
        places += [cache.repo_dir(spec.repo) / spec.hub_path, *([shared] if shared else [])]
    return places


def verify_checkpoint(name: str | Path) -> tuple[CheckpointSpec | None, Path, str, bool | None]:
    """Compare a file, or a registry name's file on disk, with the registry.

    Returns the record it was compared with (None when nothing is known of it), the file, its SHA-256, and whether
    that is the published one (None: the registry has no digest to compare with). Raises CheckpointNotFoundError
    when it isn't on disk.
    """
    if isinstance(name, str) and any(spec.name == name for spec in list_checkpoints()):
        spec = find_spec(name)
        places = places_on_disk(spec)
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise CheckpointNotFoundError(f"{name} is not on disk: `depth-anything checkpoints download {name}`")
        digest = cache.file_digest(path)
        expected = spec.sha256 or (cache.recorded_digest(spec.repo, spec.hub_path) if spec.repo else None)
        return spec, path, digest, None if expected is None else digest == expected
    resolved = resolve_checkpoint(name, offline=True)
    if resolved.sha256 is None:
        raise CheckpointError(f"the digest of {resolved.path} can't be computed")
    known = spec_by_digest(resolved.sha256)
    expected = resolved.spec.sha256 if resolved.spec else None
    same = True if known is not None else (False if expected is not None else None)
    return known or resolved.spec, resolved.path, resolved.sha256, same
