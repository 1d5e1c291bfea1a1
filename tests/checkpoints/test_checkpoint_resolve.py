"""Names, files and folders on disk; the hub is away in every test here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from depth_anything_v2.checkpoints import cache, find_spec, is_on_disk, resolve_checkpoint, verify_checkpoint
from depth_anything_v2.errors import CheckpointNotFoundError

NAME = "depth_anything_v2_vits.pth"


def put(path: str, data: bytes) -> Path:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target


def test_working_directory_comes_before_the_cache(tiny_vits: bytes) -> None:
    cached = put(str(cache.repo_dir("depth-anything/Depth-Anything-V2-Small") / NAME), tiny_vits)
    assert resolve_checkpoint("vits").path == cached
    put(f"checkpoints/{NAME}", tiny_vits)
    found = resolve_checkpoint("vits")
    assert (found.origin, str(found.path), found.notes) == ("working directory", f"checkpoints/{NAME}", ())


def test_a_users_own_file_is_used_and_reported_as_modified(tiny_vits: bytes) -> None:
    put(f"checkpoints/{NAME}", b"fine-tuned")
    for name in ("vits", f"checkpoints/{NAME}", Path("checkpoints")):
        found = resolve_checkpoint(name)
        assert found.path.read_bytes() == b"fine-tuned"
        assert len(found.notes) == 1
        assert "as modified" in found.notes[0]


def test_a_converted_file_in_checkpoints_is_found(tiny_vits: bytes) -> None:
    put("checkpoints/depth_anything_v2_vits.safetensors", b"converted")
    found = resolve_checkpoint("vits")
    assert (found.name, found.origin, found.notes) == ("vits", "working directory", ())


def test_a_renamed_file_is_recognised_by_its_digest(tiny_vits: bytes) -> None:
    found = resolve_checkpoint(put("weights/best.pth", tiny_vits))
    assert (found.name, found.origin) == ("vits", "file")
    assert found.spec is not None
    assert found.spec.licence == "Apache-2.0"
    misnamed = resolve_checkpoint(put("depth_anything_v2_vitl.pth", tiny_vits))
    assert misnamed.name == "vits"
    assert "whatever its name says" in misnamed.notes[0]


def test_giant_is_loaded_from_a_file_and_never_downloaded() -> None:
    with pytest.raises(CheckpointNotFoundError, match=r"vitg can't be downloaded .*never published.*put d"):
        resolve_checkpoint("vitg")
    put("checkpoints/depth_anything_v2_vitg.pth", b"giant")
    found = resolve_checkpoint("vitg")
    assert (found.origin, found.notes) == ("working directory", ())


@pytest.mark.parametrize("name", ["gone.pth", "checkpoints/gone.pth", "./gone", "/nowhere/gone.pth", "~/gone"])
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(CheckpointNotFoundError, match=r"there is no checkpoint file .*gone"):
        resolve_checkpoint(name)


def test_a_missing_file_in_a_folder_that_is_there_is_no_repository() -> None:
    Path("runs").mkdir()
    with pytest.raises(CheckpointNotFoundError, match="there is no checkpoint file"):
        resolve_checkpoint("runs/one/best.pth")


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(CheckpointNotFoundError, match="did you mean vits"):
        resolve_checkpoint("vit-s")
    with pytest.raises(CheckpointNotFoundError, match="the names are auto, builtin, vits"):
        resolve_checkpoint("qqqqqq")


def test_folder_in_either_format() -> None:
    put("original/anything.pth", b"a")
    assert resolve_checkpoint("original").path == Path("original/anything.pth")
    put("hf/config.json", b"{}")
    put("hf/model.safetensors", b"b")
    put("hf/pytorch_model.bin", b"c")
    found = resolve_checkpoint(Path("hf"))
    assert (found.path, found.origin, found.name) == (Path("hf/model.safetensors"), "folder", "hf")


def test_folder_without_or_with_too_many_files() -> None:
    Path("empty").mkdir()
    with pytest.raises(CheckpointNotFoundError, match="holds no checkpoint: expected"):
        resolve_checkpoint("./empty")
    put("many/a.pth", b"a")
    put("many/b.pth", b"b")
    with pytest.raises(CheckpointNotFoundError, match=r"2 files of weights \(a.pth, b.pth\): name one of them"):
        resolve_checkpoint("./many")
    put(f"many/{NAME}", b"c")
    assert resolve_checkpoint("./many").path.name == NAME


def test_a_digest_is_remembered_until_the_file_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    path = put("big.pth", b"one")
    first = cache.file_digest(path)
    real = hashlib.sha256
    monkeypatch.setattr(hashlib, "sha256", lambda *args: pytest.fail("hashed again"))
    assert cache.file_digest(path) == first
    monkeypatch.setattr(hashlib, "sha256", real)
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert cache.file_digest(path) == hashlib.sha256(b"two").hexdigest()


def test_a_cache_that_is_broken_or_in_the_way_costs_nothing_but_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put("big.pth", b"one")
    put(str(tmp_path / "cache" / "digests.json"), b"not json")
    assert cache.file_digest(path) == hashlib.sha256(b"one").hexdigest()
    monkeypatch.setenv("DEPTH_ANYTHING_CACHE", str(put(str(tmp_path / "file"), b"")))
    assert cache.file_digest(path) == hashlib.sha256(b"one").hexdigest()


def test_the_cache_folder_follows_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEPTH_ANYTHING_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.setattr("sys.platform", "linux")
    assert cache.cache_dir() == Path("/x/depth-anything-v2")
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache.cache_dir().parts[-3:] == ("Library", "Caches", "depth-anything-v2")


def test_verify_tells_published_from_modified_and_unknown(tiny_vits: bytes, registered: Callable[..., None]) -> None:
    with pytest.raises(CheckpointNotFoundError, match="is not on disk"):
        verify_checkpoint("vits")
    put(f"checkpoints/{NAME}", tiny_vits)
    spec, path, digest, same = verify_checkpoint("vits")
    assert spec is not None
    assert (spec.name, str(path), digest, same) == ("vits", f"checkpoints/{NAME}", spec.sha256, True)
    put(f"checkpoints/{NAME}", b"fine-tuned")
    assert verify_checkpoint("vits")[3] is False
    assert verify_checkpoint(f"checkpoints/{NAME}")[3] is False
    assert verify_checkpoint(put("renamed.pth", tiny_vits))[3] is True
    assert verify_checkpoint(put("own.pth", b"own"))[3] is None


def test_verify_sees_a_converted_file_as_loading_does(tiny_vits: bytes) -> None:
    put("checkpoints/depth_anything_v2_vits.safetensors", b"converted")
    assert verify_checkpoint("vits")[1] == resolve_checkpoint("vits").path


@pytest.mark.parametrize(
    "path", [f"checkpoints/{NAME}", "checkpoints/depth_anything_v2_vits.safetensors", "cache", "package"]
)
def test_on_disk_tells_without_hashing(
    path: str, tiny_vits: bytes, fake_builtin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashlib, "sha256", lambda *args: pytest.fail("hashed"))
    assert is_on_disk("auto")
    assert is_on_disk("builtin")
    fake_builtin.unlink()
    assert not any(is_on_disk(name) for name in ("auto", "builtin", "vits", find_spec("vits"), "vitg", "nonsense"))
    if path == "package":
        return
    cached = cache.repo_dir("depth-anything/Depth-Anything-V2-Small") / NAME
    put(str(cached) if path == "cache" else path, b"anything")
    assert all(is_on_disk(name) for name in ("auto", "vits", find_spec("vits")))
    assert not is_on_disk("vitb")


def test_on_disk_takes_files_and_folders() -> None:
    put("weights/best.pth", b"x")
    put("notes/a.txt", b"x")
    assert all(map(is_on_disk, ("weights/best.pth", Path("weights/best.pth"), "weights", Path("weights"))))
    assert not any(map(is_on_disk, ("weights/gone.pth", Path("gone.pth"), "notes", "/nowhere/gone.pth")))
