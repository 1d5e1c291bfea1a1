"""Converted models between processes: whole or not there, whoever else is at it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine_models import batch, conversions_in, drift, open_at_once, opened

from depth_anything_v2.engines import opening, openvino_engine, store
from depth_anything_v2.errors import CheckpointFormatError

TESTS = Path(__file__).parents[1]
KEY = {"checkpoint": "c" * 64, "engine": "e", "version": "1", "precision": "float32", "config": {"taps": (0, 1)}}


def write(*contents: bytes) -> Callable[[Path], None]:
    def build(work: Path) -> None:
        for index, content in enumerate(contents):
            (work / f"{index}.bin").write_bytes(content)

    return build


def never(work: Path) -> None:
    raise AssertionError("made again")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def entries_of(cache: Path) -> list[Path]:
    return sorted(path for path in cache.iterdir() if path.is_dir())


def test_an_entry_is_found_again(own_cache: Path) -> None:
    assert store.find(KEY) is None
    place, note = store.add(KEY, write(b"one", b"two"))
    assert note is None
    assert place.parent == own_cache
    assert names(own_cache) == [place.name]
    assert names(place) == ["0.bin", "1.bin", store.RECORD]
    assert store.find(KEY) == place
    assert [(path, size) for path, _, size in store.entries()] == [(place, 6)]
    for part in KEY:
        assert store.find({**KEY, part: "other"}) is None
    assert store.find(KEY) == place


def flipped(place: Path) -> None:
    data = bytearray((place / "0.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (place / "0.bin").write_bytes(data)


def record(text: str) -> Callable[[Path], None]:
    return lambda place: (place / store.RECORD).write_text(text) and None


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "a flipped bit": flipped,
    "cut off": lambda place: os.truncate(place / "0.bin", 50),
    "too long": lambda place: (place / "0.bin").write_bytes(b"x" * 101),
    "an empty file": lambda place: os.truncate(place / "0.bin", 0),
    "a missing file": lambda place: (place / "0.bin").unlink(),
    "a folder for a file": lambda place: ((place / "0.bin").unlink(), (place / "0.bin").mkdir()),
    "no record": lambda place: (place / store.RECORD).unlink(),
    "an empty record": record(""),
    "half a record": record('{"key": {"che'),
    "a record of another kind": record("[1, 2]"),
    "a record that lists nothing": record('{"key": {}}'),
    "a record with other types": record('{"key": {}, "files": 3}'),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_entry_is_made_again(own_cache: Path, damage: Callable[[Path], Any]) -> None:
    place, _ = store.add(KEY, write(b"x" * 100, b"y"))
    damage(place)
    assert store.find(KEY) is None
    assert names(own_cache) == []
    assert store.add(KEY, write(b"new")) == (place, None)
    assert store.find(KEY) == place
    assert names(place) == ["0.bin", store.RECORD]


def test_a_file_in_the_place_of_an_entry(own_cache: Path) -> None:
    place, _ = store.add(KEY, write(b"x"))
    store.discard(place)
    place.write_text("a file")
    assert store.find(KEY) is None
    assert store.add(KEY, write(b"x")) == (place, None)


def test_an_entry_of_another_layout_or_version_is_not_used_and_removed(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(key: dict[str, Any]) -> Path:
        return store.add(key, write(b"x"))[0]

    old = [make({**KEY, "version": "0.9"}), make({**KEY, "version": "0.9", "shape": [1, 28, 42]})]
    others = [make({**KEY, "version": "0.9", part: "other"}) for part in ("checkpoint", "precision", "engine")]
    assert entries_of(own_cache) == sorted([*old, *others])
    assert store.find(KEY) is None
    made = make(KEY)
    assert entries_of(own_cache) == sorted([made, *others])
    with monkeypatch.context() as patch:
        patch.setattr(store, "LAYOUT", store.LAYOUT + 1)
        assert store.find(KEY) is None
        made = make(KEY)
        assert entries_of(own_cache) == sorted([made, *others])


def test_what_another_version_of_this_package_converted_is_removed(own_cache: Path) -> None:
    old, _ = store.add({**KEY, "package": "1.0"}, write(b"x"))
    new, _ = store.add({**KEY, "package": "1.1"}, write(b"x"))
    assert entries_of(own_cache) == [new] != [old]


def test_only_what_was_used_last_is_kept_of_many_shapes(own_cache: Path) -> None:
    network, _ = store.add(KEY, write(b"network"))
    other, _ = store.add({**KEY, "precision": "other", "shape": [1, 1, 1]}, write(b"x"))
    places = []
    for index in range(6):
        key = {**KEY, "shape": [1, 14, 14 * index]}
        store.offer(key, write(b"x" * 10), most=3, most_bytes=1000)
        places.append(store.find(key))
        os.utime(places[-1], (index, index))
        if index == 4:
            assert store.find({**KEY, "shape": [1, 14, 28]}) == places[2]  # used: it stays
    assert entries_of(own_cache) == sorted([network, other, places[2], places[4], places[5]])
    store.offer({**KEY, "shape": [9, 9, 9]}, write(b"x" * 995), most=3, most_bytes=1000)
    assert entries_of(own_cache) == sorted([network, other, store.find({**KEY, "shape": [9, 9, 9]})])


def test_the_first_of_two_that_make_one_entry_wins(own_cache: Path) -> None:
    def slower(work: Path) -> None:
        assert store.add(KEY, write(b"first"))[1] is None
        (work / "0.bin").write_bytes(b"second")

    place, note = store.add(KEY, slower)
    assert note is None
    assert (place / "0.bin").read_bytes() == b"first"
    assert names(own_cache) == [place.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, CheckpointFormatError])
def test_what_fails_in_the_middle_leaves_nothing(own_cache: Path, error: type[BaseException]) -> None:
    def broken(work: Path) -> None:
        (work / "0.bin").write_bytes(b"half")
        raise error

    with pytest.raises(error):
        store.add(KEY, broken)
    assert names(own_cache) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from depth_anything_v2.engines import store
def build(work):
    (work / "0.bin").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
store.folder = lambda: Path(sys.argv[1])
store.add({"checkpoint": "c", "engine": "e"}, build)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_what_a_killed_process_leaves_is_not_found_and_removed_later(own_cache: Path) -> None:
    key = {"checkpoint": "c", "engine": "e"}
    done = subprocess.run([sys.executable, "-c", KILLED, str(own_cache)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = own_cache.iterdir()
    assert store.find(key) is None
    assert list(store.entries()) == []
    place, _ = store.add(key, write(b"whole"))
    assert names(own_cache) == sorted([left.name, place.name])  # it may still be at work, for all that others know
    os.utime(left, (time.time() - 2 * 86_400,) * 2)
    other, _ = store.add({**key, "engine": "f"}, write(b"x"))
    assert entries_of(own_cache) == sorted([place, other])


PASSING = """
import sys
from pathlib import Path
from depth_anything_v2.engines import store
store.folder = lambda: Path(sys.argv[1])
place, note = store.add({"checkpoint": "c"}, lambda work: (work / "a").write_text("x") and None)
assert (place / "a").read_text() == "x"
print(place)
print(note)
"""


@pytest.mark.parametrize("blocked", ["file", "file/below"])
def test_a_folder_that_can_t_be_written_costs_no_answer(tmp_path: Path, blocked: str) -> None:
    """Root may write anywhere, but not into a file; the folder for the process is gone with the process."""
    (tmp_path / "file").touch()
    command = [sys.executable, "-c", PASSING, str(tmp_path / blocked)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    place, note = done.stdout.splitlines()
    assert not Path(place).exists()
    assert note.startswith("the converted model is not kept, so that every start converts it again: cannot write")
    assert str(tmp_path / blocked) in note


@pytest.mark.parametrize("refusing", ["mkdir", "rename"])
def test_a_folder_that_refuses_is_told(own_cache: Path, monkeypatch: pytest.MonkeyPatch, refusing: str) -> None:
    def refuse(self: Path, *_arguments: Any, **_options: Any) -> None:
        raise PermissionError(13, "no")

    own_cache.mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, refusing, refuse)
        place, note = store.add(KEY, write(b"x"))
    assert (place / "0.bin").read_bytes() == b"x"
    assert note is not None
    assert "there is no permission to write there" in note
    assert names(own_cache) == []


def test_two_processes_at_once(small: Path, tmp_path: Path) -> None:
    """Both convert, because neither finds anything; both have an engine, and there is one entry for each part."""
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(2), context.Queue()
    cache = tmp_path / "cache"
    processes = [context.Process(target=open_at_once, args=(small, cache, barrier, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=200) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    np.testing.assert_array_equal(*found)
    assert drift(found[0], opened(small, "torch").engine(batch(1, 28, 42))) < 1e-4
    kinds = sorted("blob" if (path / "model.blob").exists() else "network" for path in entries_of(cache / "converted"))
    assert kinds == ["blob", "network"]


def damage_files(cache: Path, pattern: str) -> None:
    found = list(cache.glob(pattern))
    assert found, pattern
    for path in found:
        path.write_bytes(path.read_bytes()[:-7] + b"damaged")


@pytest.fixture(scope="module")
def prepared(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    with conversions_in(folder):
        opened(small, "openvino").engine(batch(1, 28, 42))
    return folder


@pytest.fixture
def cached(prepared: Path, own_cache: Path) -> Path:
    """The small checkpoint, converted and compiled for one shape in a cache of the test's own."""
    return Path(shutil.copytree(prepared, own_cache))


def check_openvino(small: Path) -> None:
    """The shape that is kept, and one that is not."""
    engine = opened(small, "openvino").engine
    exact = opened(small, "torch").engine
    for shape in ((1, 28, 42), (1, 42, 28)):
        assert drift(engine(batch(*shape)), exact(batch(*shape))) < 1e-4


@pytest.mark.parametrize("pattern", ["*/network.bin", "*/network.xml", "*/positions.npy", "*/model.blob", "*.json"])
def test_a_damaged_network_is_converted_again(small: Path, cached: Path, pattern: str) -> None:
    before = names(cached)
    damage_files(cached, pattern)
    check_openvino(small)
    assert names(cached) == before


def test_a_network_that_is_whole_but_of_no_use(small: Path, cached: Path) -> None:
    """What another build of OpenVINO wrote under the same version, say: checksums fit, and it cannot be loaded."""
    useless = {"network.xml", "model.blob"}
    for place in entries_of(cached):
        (file,) = [path for path in place.iterdir() if path.name in useless]
        file.write_bytes(b"something else")
        key = json.loads((place / store.RECORD).read_text())["key"]
        (place / store.RECORD).unlink()
        store._finish(place, key)
    check_openvino(small)
    for place in entries_of(cached):
        assert all(path.read_bytes() != b"something else" for path in place.iterdir())


def test_a_cache_that_is_emptied_meanwhile(small: Path, cached: Path) -> None:
    engine = opened(small, "openvino").engine
    for place in entries_of(cached):
        store.discard(place)
    exact = opened(small, "torch").engine
    for shape in ((1, 28, 42), (1, 42, 28)):
        assert drift(engine(batch(*shape)), exact(batch(*shape))) < 1e-4


def test_a_shape_that_another_process_removes_between_finding_and_reading(
    small: Path, cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, removed = store.find, []

    def vanishing(key: store.Key) -> Path | None:
        place = find(key)
        if place is not None and "shape" in key:
            store.discard(place)
            removed.append(place)
        return place

    monkeypatch.setattr(store, "find", vanishing)
    check_openvino(small)
    assert removed


def test_another_version_of_openvino_converts_again(small: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = entries_of(cached)
    monkeypatch.setattr(openvino_engine, "version", lambda: "9.9")
    said: list[str] = []
    opened(small, "openvino", on_wait=said.append)
    assert said == ["making small.safetensors ready for OpenVINO on this machine, once"]
    assert not set(before) & set(entries_of(cached))
    opened(small, "openvino", on_wait=said.append)
    assert len(said) == 1


def test_a_new_start_needs_the_kept_parts_only(small: Path, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("the checkpoint is read")

    monkeypatch.setattr(opening.Source, "load", load)
    monkeypatch.setattr(openvino_engine, "read", load)
    assert opened(small, "openvino").engine(batch(1, 28, 42)).shape == (1, 28, 42)


def test_a_network_that_can_t_be_written(small: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's own error on a full disk is no OSError."""
    openvino = openvino_engine.import_openvino()
    written, failures = openvino.save_model, [RuntimeError("basic_ios::clear")]

    def save_model(*arguments: Any, **options: Any) -> None:
        if failures:
            raise failures.pop()
        written(*arguments, **options)

    monkeypatch.setattr(openvino, "save_model", save_model)
    result = opened(small, "openvino")
    assert "is not kept, so that every start converts it again: cannot write" in result.notes[-1]
    assert "basic_ios::clear" in result.notes[-1]
    assert drift(result.engine(batch(1, 28, 42)), opened(small, "torch").engine(batch(1, 28, 42))) < 1e-4
    assert not [path for path in entries_of(own_cache) if not (path / "model.blob").exists()]


def test_an_onnx_file_that_can_t_be_loaded_is_converted_again(
    small: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from depth_anything_v2.engines import onnx_engine

    class Program:
        def save(self, path: Path) -> None:
            path.write_bytes(contents.pop(0))

    contents = [b"no model", b"neither"]
    monkeypatch.setattr(onnx_engine, "convert", lambda model, config: Program())
    with pytest.raises(CheckpointFormatError, match="cannot be loaded by ONNX Runtime"):
        opened(small, "onnx")
    (place,) = entries_of(own_cache)
    with pytest.raises(CheckpointFormatError, match="cannot be loaded by ONNX Runtime"):
        opened(small, "onnx")
    assert (place / "model.onnx").read_bytes() == b"neither"
