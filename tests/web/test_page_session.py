"""What the page does with an upload, without a browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from depth_anything_v2 import (
    CheckpointNotFoundError,
    DepthPrediction,
    ImageTooLargeError,
    InputError,
    OptionError,
    Provenance,
)
from depth_anything_v2.io import read_depth
from depth_anything_v2.jobs.options import EstimatorOptions
from depth_anything_v2.web import session as module
from depth_anything_v2.web.offers import list_offers
from depth_anything_v2.web.session import PageSession

FIELDS = ("before", "after", "colours", "grey", "png16", "npz")


class Ramp:
    """An estimator whose depth is the row number; metric ones answer up to 20 m."""

    notes = ("a note for the visitor",)

    def __init__(self, options: EstimatorOptions) -> None:
        self.options = options
        self.sizes: list[int | None] = []

    def predict_arrays(self, pictures, sources, *, input_size=None):
        self.sizes.append(input_size)
        if input_size == 5000:
            raise ImageTooLargeError("an input size of 1000 or less fits")
        (rgb,), (source,) = pictures, sources
        depth = np.repeat(np.arange(rgb.shape[0], dtype=np.float32)[:, None], rgb.shape[1], 1)
        name = self.options.checkpoint
        told = Provenance(name, licence="Apache-2.0", device="cpu", network_size=(64, 96), source=source)
        if name.startswith("metric"):
            return [DepthPrediction(depth, "metric", 20.0, provenance=told)]
        return [DepthPrediction(depth, "relative", provenance=told)]


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No checkpoint on disk but the built-in one."""
    for name in ("DEPTH_ANYTHING_CACHE", "HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def session():
    with PageSession(EstimatorOptions("mine.pth"), load=Ramp) as session:
        yield session


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "a – photo.jpg"
    Image.fromarray(np.full((40, 60, 3), (200, 30, 30), np.uint8)).save(path)
    return path


def put_checkpoint(name: str) -> None:
    """Put a file where the published one of `name` is looked for."""
    spec = list_offers()[name].spec
    assert spec is not None
    Path("checkpoints").mkdir(exist_ok=True)
    Path("checkpoints", spec.file).write_bytes(b"weights")


def rgb(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_an_upload_gives_two_pictures_four_files_and_the_truth_about_them(session, upload) -> None:
    result = session.compute(upload, "mine.pth", None, "spectral")
    before, after = rgb(result.before), rgb(result.after)
    assert before.shape == after.shape == (40, 60, 3)
    assert before[0, 0, 0] > 150
    assert after[0, 0, 2] > after[0, 0, 0]  # far is blue
    assert after[-1, 0, 0] > after[-1, 0, 2]  # near is red
    rows = np.arange(40)
    for path, tolerance in ((result.png16, 39 / 65534), (result.npz, 0)):
        again = read_depth(path)
        assert (again.kind, again.provenance.checkpoint) == ("relative", "mine.pth")
        np.testing.assert_allclose(again.depth[:, 0], rows, atol=tolerance)
    with Image.open(result.grey) as grey:
        assert (grey.mode, grey.size) == ("L", (60, 40))
        assert [grey.getpixel((0, y)) for y in (0, 39)] == [0, 255]
    with Image.open(result.png16) as png16:
        assert np.asarray(png16).max() == 65535
    names = [result.colours.name, result.grey.name, result.png16.name, result.npz.name]
    assert names == [f"a – photo{end}" for end in ("_spectral.png", "_grey.png", "_depth16.png", ".npz")]
    for part in ("Inverse depth (relative, larger = nearer)", "0 to 39", "`mine.pth`", "Apache-2.0", "a note for the"):
        assert part in result.text
    assert str(upload.parent) not in result.text


def test_metres_are_told_with_what_is_out_of_range(session, upload) -> None:
    put_checkpoint("metric-indoor-vits")
    result = session.compute(upload, "metric-indoor-vits", None, "spectral")
    for part in ("Depth in metres", "0 to 19 m", "Larger = farther", "50.0%", "20 m or farther"):
        assert part in result.text
    after = rgb(result.after)
    assert after[0, 0, 0] > after[0, 0, 2]  # near is red
    again = read_depth(result.png16)
    assert (again.kind, again.unit) == ("metric", "m")
    assert again.valid.sum() == 20 * 60


def test_other_colours_need_no_computing(session, upload) -> None:
    result = session.compute(upload, "mine.pth", None, "spectral")
    again = session.recolour(result, "viridis")
    assert session.estimator("mine.pth").sizes == [None]
    assert (again.png16, again.text) == (result.png16, result.text)
    assert not np.array_equal(rgb(again.after), rgb(result.after))
    fresh = session.compute(upload, "mine.pth", None, "viridis")
    np.testing.assert_array_equal(rgb(again.colours), rgb(fresh.colours))
    with pytest.raises(OptionError, match="viridian"):
        session.recolour(result, "viridian")
    result.npz.unlink()
    with pytest.raises(InputError, match="compute it again"):
        session.recolour(result, "grey")


def test_a_rotated_photograph_is_upright(session, tmp_path) -> None:
    path = tmp_path / "phone.jpg"
    picture = Image.fromarray(np.full((40, 60, 3), 128, np.uint8))
    exif = picture.getexif()
    exif[274] = 6
    picture.save(path, exif=exif)
    result = session.compute(path, "mine.pth", None, "grey")
    assert rgb(result.before).shape == rgb(result.after).shape == (60, 40, 3)
    assert read_depth(result.png16).depth.shape == (60, 40)


def test_large_pictures_are_shown_smaller_and_downloaded_whole(session, tmp_path) -> None:
    path = tmp_path / "wide.png"
    Image.fromarray(np.zeros((30, 4096, 3), np.uint8)).save(path)
    result = session.compute(path, "mine.pth", None, "grey")
    assert rgb(result.before).shape == rgb(result.after).shape == (15, 2048, 3)
    assert rgb(result.colours).shape == (30, 4096, 3)
    assert read_depth(result.png16).depth.shape == (30, 4096)


@pytest.mark.parametrize(("given", "used"), [(252, 252), (252.0, 252), (0, None), (None, None)])
def test_the_input_size_is_passed_on(session, upload, given, used) -> None:
    session.compute(upload, "mine.pth", given, "grey")
    assert session.estimator("mine.pth").sizes == [used]


@pytest.mark.parametrize("given", [-3, "many", 1e9, True, [518]])
def test_an_input_size_that_is_none_is_refused(session, upload, given) -> None:
    with pytest.raises(OptionError, match="input size"):
        session.compute(upload, "mine.pth", given, "grey")


def test_no_picture_and_bad_pictures_are_one_sentence(session, upload, tmp_path) -> None:
    with pytest.raises(InputError, match="no picture yet"):
        session.compute(None, "mine.pth", None, "grey")
    bad = tmp_path / "text.jpg"
    bad.write_text("not a picture")
    with pytest.raises(InputError, match=r"'text\.jpg'") as caught:
        session.compute(bad, "mine.pth", None, "grey")
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(ImageTooLargeError, match="or less fits"):
        session.compute(upload, "mine.pth", 5000, "grey")


def test_a_visitor_chooses_from_the_list_and_names_no_files(session, upload) -> None:
    for name in ("/etc/passwd", "someone/model", "vitz", None, ["vits"]):
        with pytest.raises(OptionError, match="offers no checkpoint"):
            session.compute(upload, name, None, "grey")
        with pytest.raises(OptionError, match="offers no checkpoint"):
            session.download(name)


def test_nothing_is_downloaded_unasked(session, upload) -> None:
    with pytest.raises(CheckpointNotFoundError, match=r"vitl .*download it first \(1\.34 GB\)"):
        session.compute(upload, "vitl", None, "grey")
    with pytest.raises(CheckpointNotFoundError, match="offline"):
        session.download("vitl")


def test_options_of_the_command_line_are_for_its_own_checkpoint() -> None:
    options = EstimatorOptions("mine.pth", max_depth_m=10.0, device="cpu")
    with PageSession(options, load=Ramp) as session:
        assert session.estimator("mine.pth").options is options
        put_checkpoint("vitb")
        other = session.estimator("vitb").options
        assert (other.checkpoint, other.max_depth_m, other.device, other.offline) == ("vitb", None, "cpu", True)


def test_estimators_are_kept_for_the_next_visitor_and_few(session) -> None:
    for name in ("vits", "vitb"):
        put_checkpoint(name)
    first = session.estimator("mine.pth")
    second = session.estimator("vits")
    assert session.estimator("mine.pth") is first
    session.estimator("vitb")
    assert session.estimator("mine.pth") is first
    assert session.estimator("vits") is not second
    assert len(session._estimators) == module.KEPT_ESTIMATORS


def test_old_files_are_swept_and_all_at_the_end(upload, monkeypatch) -> None:
    with PageSession(EstimatorOptions("mine.pth"), load=Ramp) as session:
        old = session.compute(upload, "mine.pth", None, "grey")
        monkeypatch.setattr(module, "KEPT_SECONDS", -1.0)
        new = session.compute(upload, "mine.pth", None, "grey")
        assert not any(getattr(old, field).exists() for field in FIELDS)
        assert all(getattr(new, field).is_file() for field in FIELDS)
    assert not session.folder.exists()


def test_offers_tell_licence_size_and_place_and_begin_with_the_default() -> None:
    offers = list_offers()
    assert next(iter(offers)) == "builtin"
    assert offers["vitl"].label == "vitl · relative · CC-BY-NC-4.0 · 1.34 GB"
    assert offers["builtin"].download_size is None
    assert "metres, up to 20" in offers["metric-indoor-vits"].label
    assert "no commercial use" in offers["vitb"].describe()
    assert "Not on this machine yet (99 MB)" in offers["vits"].describe()
    assert offers["vitg"].download_size is None
    assert "can't be downloaded" in offers["vitg"].describe()
    put_checkpoint("vits")
    assert offers["vits"].download_size is None
    assert "On this machine" in offers["vits"].describe()
    assert next(iter(list_offers())) == "vits"
    assert next(iter(list_offers("vitb"))) == "vitb"
    mine = list_offers("mine.pth")
    assert (next(iter(mine)), mine["mine.pth"].label) == ("mine.pth", "mine.pth")
    assert len(mine) == len(offers) + 1
