"""The default checkpoint: vits where it can be had, else the built-in one, within two seconds."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from fake_hub import Hub

from depth_anything_v2.checkpoints import cache, download, resolve_checkpoint
from depth_anything_v2.errors import CheckpointDownloadError, CheckpointNotFoundError

FILE = "depth-anything/Depth-Anything-V2-Small/depth_anything_v2_vits.pth"
STAND_IN = "a small stand-in, not Depth Anything V2 Small"


def test_vits_is_downloaded_when_the_hub_is_there(hub: Hub, tiny_vits: bytes, fake_builtin: Path) -> None:
    hub.files[FILE] = tiny_vits
    found = resolve_checkpoint()
    assert (found.name, found.origin, found.notes) == ("vits", "download", ())


def test_vits_on_disk_needs_no_network(hub: Hub, fake_builtin: Path) -> None:
    Path("checkpoints").mkdir()
    Path("checkpoints/depth_anything_v2_vits.pth").write_bytes(b"mine")
    found = resolve_checkpoint()
    assert (found.name, found.origin) == ("vits", "working directory")
    assert hub.requests == []


def test_closed_port_costs_nothing_and_is_remembered(tiny_vits: bytes, fake_builtin: Path) -> None:
    started = time.perf_counter()
    found = resolve_checkpoint()
    assert time.perf_counter() - started < 2
    assert found.origin == "builtin"
    (note,) = found.notes
    assert STAND_IN in note
    assert "no network" in note


def test_stalling_network_costs_two_seconds_once(
    hub: Hub, tiny_vits: bytes, fake_builtin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.stall = True
    started = time.perf_counter()
    assert resolve_checkpoint().origin == "builtin"
    assert 1 < time.perf_counter() - started < 2
    asked = len(hub.requests)
    cache._unreachable.clear()  # another process
    started = time.perf_counter()
    again = resolve_checkpoint()
    assert time.perf_counter() - started < 0.3
    assert "could not be reached" in again.notes[0]
    assert STAND_IN in again.notes[0]
    assert len(hub.requests) == asked
    hub.stall, hub.files[FILE] = False, tiny_vits
    monkeypatch.setattr(cache, "NETWORK_RETRY_S", 0.0)
    assert resolve_checkpoint().name == "vits"


@pytest.mark.parametrize("first", [0, 49_152])
def test_a_transfer_that_stalls_is_given_up_soon_and_its_part_is_kept(
    hub: Hub, tiny_vits: bytes, fake_builtin: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    assert download.AUTO_PATIENCE_S <= 10
    monkeypatch.setattr(download, "AUTO_PATIENCE_S", 1.5)
    hub.files[FILE], hub.stall_after, hub.stalls_left = tiny_vits, first, 99
    started = time.perf_counter()
    found = resolve_checkpoint()
    assert time.perf_counter() - started < 4
    assert found.origin == "builtin"
    assert "can't be downloaded" in found.notes[0]
    assert STAND_IN in found.notes[0]
    assert len(hub.methods("GET")) == 1
    hub.stalls_left = 0
    hub.requests.clear()
    assert resolve_checkpoint("vits").path.read_bytes() == tiny_vits
    (wanted,) = [wanted for method, _, wanted in hub.requests if method == "GET"]
    assert wanted == (f"bytes={first}-" if first else None)


def test_name_resolution_that_hangs_is_given_up(
    tiny_vits: bytes, fake_builtin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = threading.Event()

    def hang(*args: object, **kwargs: object) -> None:
        released.wait(10)
        raise socket.gaierror("no such name")

    monkeypatch.setattr("socket.getaddrinfo", hang)
    started = time.perf_counter()
    assert "doesn't answer" in resolve_checkpoint().notes[0]
    assert time.perf_counter() - started < 2
    released.set()


def test_failure_is_remembered_without_a_writable_cache(
    hub: Hub, fake_builtin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DEPTH_ANYTHING_CACHE", str(tmp_path / "file"))
    hub.status = 503
    assert "answered 503" in resolve_checkpoint().notes[0]
    asked = len(hub.requests)
    assert resolve_checkpoint().origin == "builtin"
    assert len(hub.requests) == asked


def test_a_named_download_tries_again_and_clears_the_memory(hub: Hub, tiny_vits: bytes, fake_builtin: Path) -> None:
    hub.status = 503
    assert resolve_checkpoint().origin == "builtin"
    hub.status, hub.files[FILE] = None, tiny_vits
    assert resolve_checkpoint("vits").origin == "download"
    assert cache.unreachable_since(download.endpoint()) is None


def test_missing_on_the_hub_or_wrong_bytes_fall_back_with_the_reason(
    hub: Hub, tiny_vits: bytes, fake_builtin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "answered 404" in resolve_checkpoint().notes[0]
    monkeypatch.setattr(cache, "NETWORK_RETRY_S", 0.0)
    hub.files[FILE] = tiny_vits[:-1]
    note = resolve_checkpoint().notes[0]
    assert "was deleted" in note
    assert STAND_IN in note
    monkeypatch.setattr(cache, "NETWORK_RETRY_S", 300.0)
    asked = len(hub.requests)
    assert resolve_checkpoint().origin == "builtin"  # and isn't downloaded in vain by the next run
    assert len(hub.requests) == asked


@pytest.mark.parametrize("how", ["argument", "HF_HUB_OFFLINE"])
def test_offline_takes_the_builtin_one_at_once(
    hub: Hub, fake_builtin: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how != "argument":
        monkeypatch.setenv(how, "1")
    found = resolve_checkpoint(offline=how == "argument")
    assert (found.name, found.path) == ("builtin", fake_builtin)
    assert "offline" in found.notes[0]
    assert hub.requests == []


def test_a_named_checkpoint_is_never_replaced(fake_builtin: Path) -> None:
    with pytest.raises(CheckpointDownloadError):
        resolve_checkpoint("vits")
    with pytest.raises(CheckpointNotFoundError):
        resolve_checkpoint("vits", offline=True)


def test_builtin_by_name_needs_no_note(fake_builtin: Path) -> None:
    found = resolve_checkpoint("builtin")
    assert (found.origin, found.notes) == ("builtin", ())
    fake_builtin.unlink()
    with pytest.raises(CheckpointNotFoundError, match="no built-in checkpoint"):
        resolve_checkpoint("builtin")


def test_an_address_that_is_none_is_a_reason_too(fake_builtin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "not an address")
    assert "HF_ENDPOINT is not an address" in resolve_checkpoint().notes[0]
