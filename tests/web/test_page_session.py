"""What the page does with an upload, without a browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depth_anything_v2 import CheckpointNotFoundError, DepthPrediction, InputError, Provenance
from depth_anything_v2.io import read_depth
from depth_anything_v2.web import session as module
from depth_anything_v2.web.session import PageSession, checkpoint_choices


class Ramp:
    """An estimator whose depth is the row number."""

    notes = ("a note for the visitor",)

    def __init__(self, name: str) -> None:
        self.name, self.sizes = name, []

    def predict_arrays(self, pictures, sources, *, input_size=None):
        self.sizes.append(input_size)
        (rgb,), (source,) = pictures, sources
        depth = np.repeat(np.arange(rgb.shape[0], dtype=np.float32)[:, None], rgb.shape[1], 1)
        told = Provenance(self.name, licence="Apache-2.0", device="cpu", network_size=(64, 96), source=source)
        return [DepthPrediction(depth, "relative", provenance=told)]


@pytest.fixture
def session():
    with PageSession(Ramp) as session:
        yield session


@pytest.fixture
def upload(tmp_path: Path) -> str:
    path = tmp_path / "a – photo.jpg"
    Image.fromarray(np.full((40, 60, 3), (200, 30, 30), np.uint8)).save(path)
    return str(path)


def test_an_upload_gives_two_pictures_two_files_and_the_truth_about_them(session, upload) -> None:
    result = session.compute(upload, "ramp", 0, "spectral")
    assert result.before.shape == result.after.shape == (40, 60, 3)
    assert result.before[0, 0, 0] > 150
    top, bottom = result.after[0, 0].astype(int), result.after[-1, 0].astype(int)
    assert top[2] > top[0]  # far is blue
    assert bottom[0] > bottom[2]  # near is red
    again = read_depth(result.png16)
    assert again.kind == "relative"
    np.testing.assert_allclose(again.depth[:, 0], np.arange(40), atol=39 / 65534)
    with Image.open(result.grey) as grey:
        assert (grey.mode, grey.size) == ("L", (60, 40))
    assert result.grey.name == "a – photo_grayscale_depth_map.png"
    for part in ("Inverse depth (relative, larger = nearer)", "0 to 39", "`ramp`", "Apache-2.0", "a note for the"):
        assert part in result.text


def test_the_input_size_is_passed_on_and_zero_is_the_models_own(session, upload) -> None:
    session.compute(upload, "ramp", 252, "grey")
    session.compute(upload, "ramp", 0, "grey")
    assert session.estimator("ramp").sizes == [252, None]


def test_estimators_are_kept_for_the_next_visitor_and_few(session) -> None:
    first = session.estimator("one")
    session.estimator("two")
    assert session.estimator("one") is first
    session.estimator("three")
    assert session.estimator("one") is first
    assert session.estimator("two") is not None
    assert len(session._estimators) == module.KEPT_ESTIMATORS


def test_old_files_are_swept(session, upload, monkeypatch) -> None:
    old = session.compute(upload, "ramp", 0, "grey")
    monkeypatch.setattr(module, "KEPT_SECONDS", -1.0)
    new = session.compute(upload, "ramp", 0, "grey")
    assert not old.png16.exists()
    assert new.png16.exists()


def test_large_pictures_are_shown_smaller_and_downloaded_whole(session, tmp_path) -> None:
    path = tmp_path / "wide.png"
    Image.fromarray(np.zeros((30, 4096, 3), np.uint8)).save(path)
    result = session.compute(str(path), "ramp", 0, "grey")
    assert result.before.shape == result.after.shape == (15, 2048, 3)
    assert read_depth(result.png16).depth.shape == (30, 4096)


def test_no_picture_and_bad_pictures_are_one_sentence(session, tmp_path) -> None:
    with pytest.raises(InputError, match="no picture yet"):
        session.compute(None, "ramp", 0, "grey")
    bad = tmp_path / "text.jpg"
    bad.write_text("not a picture")
    with pytest.raises(InputError, match=r"text\.jpg"):
        session.compute(str(bad), "ramp", 0, "grey")


def test_choices_tell_licence_and_size_and_begin_with_the_default(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEPTH_ANYTHING_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    choices = {name: label for label, name in checkpoint_choices()}
    assert next(iter(choices)) == "builtin"
    assert "vitg" not in choices
    assert "CC-BY-NC-4.0" in choices["vitl"]
    assert "1341 MB" in choices["vitl"]
    assert "metres, up to 20" in choices["metric-indoor-vits"]
    assert "download" not in choices["builtin"]
    assert checkpoint_choices("mine.pth")[0] == ("mine.pth", "mine.pth")


def test_an_unknown_checkpoint_is_said_before_the_page_is_served() -> None:
    from depth_anything_v2.web.page import launch

    with pytest.raises(CheckpointNotFoundError, match="vitz"):
        launch(checkpoint="vitz", port=0)
