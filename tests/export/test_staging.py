"""Two files that belong together: both or none, and never one of the old with one of the new."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from export_models import names_in

from depth_anything_v2.errors import OutputError, OutputExistsError
from depth_anything_v2.export.staging import staged


def write_pair(path: Path, *, overwrite: bool = True) -> None:
    """Write PATH.xml and its .bin; a .json may be there, of an earlier one."""
    with staged(path, (path.with_suffix(".bin"), path.with_suffix(".json")), overwrite=overwrite) as work:
        for suffix in (".xml", ".bin"):
            (work / f"m{suffix}").write_text("new")


def old_pair(folder: Path) -> Path:
    for name in ("m.xml", "m.bin", "m.json"):
        (folder / name).write_text("old")
    return folder / "m.xml"


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_new_ones(tmp_path: Path) -> None:
    write_pair(tmp_path / "m.xml", overwrite=False)
    assert texts(tmp_path) == {"m.xml": "new", "m.bin": "new"}


def test_refused_without_overwrite(tmp_path: Path) -> None:
    old_pair(tmp_path).unlink()  # what belongs to it is there still
    with pytest.raises(OutputExistsError, match=r"m\.bin is already there: give --overwrite"):
        write_pair(tmp_path / "m.xml", overwrite=False)
    assert texts(tmp_path) == {"m.bin": "old", "m.json": "old"}


def test_replaced_with_all_that_belonged_to_it(tmp_path: Path) -> None:
    write_pair(old_pair(tmp_path))
    assert texts(tmp_path) == {"m.xml": "new", "m.bin": "new"}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_nothing_is_left_of_a_block_that_fails(tmp_path: Path, error: BaseException) -> None:
    path = old_pair(tmp_path)

    def half_done() -> None:
        with staged(path, (path.with_suffix(".bin"),), overwrite=True) as work:
            (work / "m.bin").write_text("half")
            raise error

    with pytest.raises(type(error)):
        half_done()
    assert set(texts(tmp_path).values()) == {"old"}


@pytest.mark.parametrize("failing", ["m.bin", "m.xml"])
def test_the_old_pair_is_back_when_moving_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path, rename = old_pair(tmp_path), Path.rename

    def rename_or_fail(self: Path, target: Path) -> Path:
        if self.name == failing and self.read_text() == "new":
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_or_fail)
    with pytest.raises(OutputError, match="the disk is full"):
        write_pair(path)
    assert texts(tmp_path) == {"m.xml": "old", "m.bin": "old", "m.json": "old"}
    assert len(names_in(tmp_path)) == 3


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="its folder does not exist: create it first"):
        write_pair(tmp_path / "none" / "m.xml")
