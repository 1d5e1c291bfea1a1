from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_hub import Hub

from depth_anything_v2.checkpoints import cache, download, is_on_disk, resolve_checkpoint
from depth_anything_v2.errors import (
    CheckpointDigestError,
    CheckpointDownloadError,
    CheckpointError,
    CheckpointNotFoundError,
)

FILE = "depth-anything/Depth-Anything-V2-Small/depth_anything_v2_vits.pth"


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and path.suffix in (".part", ".pth")]


def test_download_lands_in_the_cache_and_is_found_there(hub: Hub, tiny_vits: bytes, tmp_path: Path) -> None:
    hub.files[FILE] = tiny_vits
    first = resolve_checkpoint("vits")
    assert first.origin == "download"
    assert first.path.read_bytes() == tiny_vits
    assert first.path.is_relative_to(tmp_path / "cache")
    assert first.sha256 == hashlib.sha256(tiny_vits).hexdigest()
    asked = len(hub.requests)
    second = resolve_checkpoint("vits")
    assert (second.origin, second.path) == ("cache", first.path)
    assert len(hub.requests) == asked


def test_slow_hub_is_waited_for(hub: Hub, tiny_vits: bytes) -> None:
    hub.files[FILE], hub.delay_s = tiny_vits, 0.03
    assert resolve_checkpoint("vits").path.read_bytes() == tiny_vits


def test_cut_off_download_goes_on_where_it_stopped(hub: Hub, tiny_vits: bytes) -> None:
    hub.files[FILE], hub.cut_after, hub.cuts_left = tiny_vits, 100_000, 1
    assert resolve_checkpoint("vits").path.read_bytes() == tiny_vits
    ranges = [wanted for method, _, wanted in hub.requests if method == "GET"]
    assert ranges[0] is None
    assert ranges[1] is not None
    assert int(ranges[1].removeprefix("bytes=").rstrip("-")) >= 90_000


def test_a_named_download_outlasts_a_silence(hub: Hub, tiny_vits: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "READ_TIMEOUT_S", 0.4)
    hub.files[FILE], hub.stall_after, hub.stalls_left = tiny_vits, 49_152, 2
    assert resolve_checkpoint("vits").path.read_bytes() == tiny_vits
    assert [wanted for method, _, wanted in hub.requests if method == "GET"] == [None, "bytes=49152-", "bytes=98304-"]


def test_a_named_download_gives_up_in_the_end(hub: Hub, tiny_vits: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "READ_TIMEOUT_S", 0.2)
    monkeypatch.setattr(download, "PATIENCE_S", 1.5)
    monkeypatch.setattr(download, "_RETRY_PAUSE_S", 0.1)
    hub.files[FILE], hub.stall_after, hub.stalls_left = tiny_vits, 0, 99
    with pytest.raises(CheckpointDownloadError, match="goes on where it stopped"):
        resolve_checkpoint("vits")
    assert len(hub.methods("GET")) > 2


def test_next_run_goes_on_after_a_failure(
    hub: Hub, tiny_vits: bytes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    hub.files[FILE], hub.cut_after, hub.cuts_left, hub.status_after_cut = tiny_vits, 50_000, 1, 503
    with pytest.raises(CheckpointDownloadError, match="goes on where it stopped"):
        resolve_checkpoint("vits")
    folder = tmp_path / "cache" / "depth-anything--Depth-Anything-V2-Small"
    done = next(folder.glob("*.part")).stat().st_size
    assert 0 < done < len(tiny_vits)
    hub.status = None
    hub.requests.clear()
    assert resolve_checkpoint("vits").path.read_bytes() == tiny_vits
    assert [wanted for method, _, wanted in hub.requests if method == "GET"] == [f"bytes={done}-"]
    assert leftovers(folder) == ["depth_anything_v2_vits.pth"]


def test_a_run_killed_before_the_check_is_finished_by_the_next(hub: Hub, tiny_vits: bytes, tmp_path: Path) -> None:
    hub.files[FILE] = tiny_vits
    digest = hashlib.sha256(tiny_vits).hexdigest()
    partial = tmp_path / "cache" / "depth-anything--Depth-Anything-V2-Small" / f"{Path(FILE).name}.{digest[:16]}.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(tiny_vits)
    assert resolve_checkpoint("vits").path.read_bytes() == tiny_vits
    assert hub.methods("GET") == []


def test_wrong_bytes_are_deleted(hub: Hub, tiny_vits: bytes, tmp_path: Path) -> None:
    hub.files[FILE] = tiny_vits[:-1] + b"!"
    with pytest.raises(CheckpointDigestError, match="was deleted"):
        resolve_checkpoint("vits")
    assert leftovers(tmp_path / "cache") == []


def test_a_cached_download_that_changed_is_fetched_again(hub: Hub, tiny_vits: bytes) -> None:
    hub.files[FILE] = tiny_vits
    path = resolve_checkpoint("vits").path
    path.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="had changed since it was downloaded"):
        again = resolve_checkpoint("vits")
    assert (again.origin, path.read_bytes()) == ("download", tiny_vits)


def test_a_cached_download_that_changed_stays_where_nothing_can_replace_it(
    hub: Hub, tiny_vits: bytes, fake_builtin: Path
) -> None:
    hub.files[FILE] = tiny_vits
    path = resolve_checkpoint("vits").path
    path.write_bytes(b"damaged")
    hub.status = 503
    for name, offline in (("vits", True), ("vits", False), ("depth-anything/Depth-Anything-V2-Small", True)):
        with pytest.warns(UserWarning, match="is not used"), pytest.raises(CheckpointError):
            resolve_checkpoint(name, offline=offline)
    with pytest.warns(UserWarning, match="is not used"):
        assert resolve_checkpoint().origin == "builtin"
    assert path.read_bytes() == b"damaged"


def test_on_disk_knows_repositories(hub: Hub) -> None:
    hub.files["someone/else/mine.pth"] = b"weights"
    assert not is_on_disk("someone/else")
    resolve_checkpoint("someone/else")
    asked = len(hub.requests)
    assert is_on_disk("someone/else")
    assert is_on_disk("someone/else/mine.pth")
    assert not is_on_disk("someone/else/other.pth")
    assert not is_on_disk("someone/../else")
    assert len(hub.requests) == asked


def test_without_a_published_digest_the_first_one_is_kept(
    hub: Hub, registered: Callable[..., None], tmp_path: Path
) -> None:
    key = "spaces/LiheYoung/Depth-Anything/checkpoints/depth_anything_vits14.pth"
    hub.files[key] = b"one" * 1000
    first = resolve_checkpoint("v1-vits")
    record = json.loads((tmp_path / "cache" / "downloads.json").read_text())
    assert record["LiheYoung/Depth-Anything/checkpoints/depth_anything_vits14.pth"]["sha256"] == first.sha256
    first.path.unlink()
    hub.files[key] = b"two" * 1000
    with pytest.raises(CheckpointDigestError, match="recorded in"):
        resolve_checkpoint("v1-vits")
    assert not first.path.exists()


def test_the_hubs_own_digest_is_checked_at_the_first_download(hub: Hub) -> None:
    key = "spaces/LiheYoung/Depth-Anything/checkpoints/depth_anything_vits14.pth"
    hub.files[key], hub.announced[key] = b"one" * 1000, "a" * 64
    with pytest.raises(CheckpointDigestError, match="not aaaaaaaaaaaa"):
        resolve_checkpoint("v1-vits")


def test_not_found_unreachable_and_server_errors_say_what_to_do(
    hub: Hub, tiny_vits: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointDownloadError, match="no repository 'depth-anything/Depth-Anything-V2-Small'"):
        resolve_checkpoint("vits")
    hub.files["depth-anything/Depth-Anything-V2-Small/README.md"] = b"x"
    with pytest.raises(CheckpointDownloadError, match=r"no file 'depth_anything_v2_vits.pth'"):
        resolve_checkpoint("vits")
    hub.status = 503
    with pytest.raises(CheckpointDownloadError, match=r"answered 503.*\./checkpoints"):
        resolve_checkpoint("vits")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointDownloadError, match="no answer from http"):
        resolve_checkpoint("vits")


def test_full_disk_is_seen_before_the_download(hub: Hub, tiny_vits: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files[FILE] = tiny_vits
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(CheckpointDownloadError, match="make room, or set DEPTH_ANYTHING_CACHE"):
        resolve_checkpoint("vits")
    assert hub.methods("GET") == []


def test_unwritable_cache_is_one_sentence(
    hub: Hub, tiny_vits: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.files[FILE] = tiny_vits
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DEPTH_ANYTHING_CACHE", str(tmp_path / "file"))
    with pytest.raises(CheckpointDownloadError, match="can't be saved"):
        resolve_checkpoint("vits")


@pytest.mark.parametrize("how", ["argument", "HF_HUB_OFFLINE"])
def test_offline_asks_nobody(hub: Hub, tiny_vits: bytes, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.files[FILE] = tiny_vits
    if how != "argument":
        monkeypatch.setenv(how, "1")
    with pytest.raises(CheckpointNotFoundError, match="offline mode forbids"):
        resolve_checkpoint("vits", offline=how == "argument")
    with pytest.raises(CheckpointNotFoundError, match="offline mode forbids"):
        resolve_checkpoint("someone/else", offline=how == "argument")
    assert hub.requests == []


def test_two_threads_download_once(hub: Hub, tiny_vits: bytes) -> None:
    hub.files[FILE], hub.delay_s = tiny_vits, 0.01
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(resolve_checkpoint("vits").path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 3
    assert len(hub.methods("GET")) == 1
    assert found[0].read_bytes() == tiny_vits


def test_repository_of_weights_only(hub: Hub) -> None:
    hub.files["someone/else/README.md"] = b"hello"
    hub.files["someone/else/mine.pth"] = b"weights" * 100
    found = resolve_checkpoint("someone/else")
    assert (found.origin, found.name, found.path.name) == ("repository", "someone/else", "mine.pth")
    asked = len(hub.requests)
    assert resolve_checkpoint("someone/else", offline=True).path == found.path
    assert len(hub.requests) == asked


def test_repository_in_transformers_format_brings_its_config(hub: Hub) -> None:
    hub.files["someone/else/config.json"] = b'{"model_type": "depth_anything"}'
    hub.files["someone/else/model.safetensors"] = b"weights" * 100
    found = resolve_checkpoint("someone/else")
    assert found.path.name == "model.safetensors"
    assert found.path.with_name("config.json").read_bytes() == hub.files["someone/else/config.json"]


def test_published_transformers_repository_is_recognised(hub: Hub) -> None:
    repo = "depth-anything/Depth-Anything-V2-Metric-Indoor-Base-hf"
    hub.files[f"{repo}/config.json"], hub.files[f"{repo}/model.safetensors"] = b"{}", b"weights"
    found = resolve_checkpoint(repo)
    assert (found.name, found.path.name) == ("metric-indoor-vitb", "model.safetensors")


def test_repository_with_several_files_asks_which(hub: Hub) -> None:
    hub.files["someone/else/a.pth"], hub.files["someone/else/b.pth"] = b"a", b"b"
    with pytest.raises(CheckpointNotFoundError, match=r"2 files of weights \(a.pth, b.pth\): name one"):
        resolve_checkpoint("someone/else")
    assert resolve_checkpoint("someone/else/b.pth").path.read_bytes() == b"b"


@pytest.mark.parametrize("name", ["some/../../etc/passwd", "someone/else/../../x.pth"])
def test_no_way_out_of_the_cache(hub: Hub, name: str) -> None:
    with pytest.raises(CheckpointNotFoundError):
        resolve_checkpoint(name)
    assert hub.requests == []


def test_unknown_repository_may_also_be_a_wrong_path(hub: Hub) -> None:
    with pytest.raises(CheckpointDownloadError, match="is no file or folder here"):
        resolve_checkpoint("checkpoint/vits")


def test_the_cache_of_other_programs_is_used(tiny_vits: bytes, tmp_path: Path) -> None:
    root = tmp_path / "hf" / "hub" / "models--depth-anything--Depth-Anything-V2-Small"
    snapshot = root / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text("abc")
    (snapshot / "depth_anything_v2_vits.pth").write_bytes(tiny_vits)
    found = resolve_checkpoint("vits", offline=True)
    assert (found.origin, found.path.parent) == ("cache", snapshot)


def test_progress_shows_and_hides_the_bar(hub: Hub, tiny_vits: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    hub.files[FILE] = tiny_vits
    resolve_checkpoint("vits")
    assert capfd.readouterr().err == ""
    cache.repo_dir("depth-anything/Depth-Anything-V2-Small").joinpath("depth_anything_v2_vits.pth").unlink()
    resolve_checkpoint("vits", progress=True)
    assert "depth_anything_v2_vits.pth" in capfd.readouterr().err


def test_telemetry_is_off(hub: Hub) -> None:
    hub.files["a/b/x.pth"] = b"x"
    code = (
        "from depth_anything_v2.checkpoints import resolve_checkpoint; resolve_checkpoint('a/b');"
        "from huggingface_hub import constants; print(constants.HF_HUB_DISABLE_TELEMETRY)"
    )
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "True"
