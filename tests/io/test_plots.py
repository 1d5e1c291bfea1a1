"""Diagrams of depth maps: what is drawn is what is in the maps."""

from __future__ import annotations

import builtins
import errno
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depth_anything_v2.errors import DepthKindError, InputError, MissingExtraError, OptionError, OutputError
from depth_anything_v2.io import plots, read_image
from depth_anything_v2.io.plots import PlotOptions, check_plot, plot_maps, profile
from depth_anything_v2.prediction import DepthPrediction

pytest.importorskip("matplotlib")


def ramp(kind: str = "metric", scale: float = 1.0, shift: float = 0.0) -> DepthPrediction:
    depth = 1 + np.indices((30, 40)).sum(axis=0).astype(np.float32) / 10
    return DepthPrediction(scale * depth + shift, kind)  # type: ignore[arg-type]


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every figure that is written, for looking into."""
    written: list[Any] = []
    save = plots.save_figure
    monkeypatch.setattr(plots, "save_figure", lambda figure, path: (written.append(figure), save(figure, path))[1])
    return written


def test_a_profile_is_the_values_along_the_line() -> None:
    at, values = profile(ramp(), (3, 4), (33, 4))
    np.testing.assert_allclose(at, np.arange(31))
    np.testing.assert_allclose(values, 1 + (np.arange(3, 34) + 4) / 10, rtol=1e-6)
    at, values = profile(ramp(), (0, 29), (39, 0))
    assert at[-1] == pytest.approx(np.hypot(39, 29))
    assert (values[0], values[-1]) == (ramp().depth[29, 0], ramp().depth[0, 39])
    hole = ramp()
    valid = hole.valid.copy()
    valid[4, 10:12] = False
    _, values = profile(hole.replace(valid=valid), (3, 4), (33, 4))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(values)), [7, 8])


def test_maps_share_one_scale(tmp_path: Path, figures: list[Any]) -> None:
    maps = [ramp(), ramp(scale=2)]
    options = PlotOptions((0, 5, 39, 5), histogram=True)
    path = plot_maps(maps, ["a.npz", "b.npz"], tmp_path / "p.png", options)
    assert read_image(path).std() > 10
    first, second, bar, section, histogram = _by_order(figures[0])
    same_depth = maps[0].depth == maps[1].depth[0, 0]
    colours = first.get_images()[0].get_array()[same_depth]
    assert np.ptp(colours, axis=0).max() == 0
    np.testing.assert_array_equal(colours[0], second.get_images()[0].get_array()[0, 0])
    assert bar.get_ylim() == pytest.approx([1, 2 * maps[0].depth.max()])
    assert bar.get_ylabel() == "depth in metres"
    np.testing.assert_allclose(section.lines[1].get_ydata(), maps[1].depth[5])
    assert [text.get_text() for text in section.get_legend().get_texts()] == ["a.npz", "b.npz"]
    shares = [patch.get_data().values.sum() for patch in histogram.patches]
    assert shares == pytest.approx([100, 100])


def _by_order(figure: Any) -> tuple[Any, ...]:
    maps = [axes for axes in figure.axes if axes.get_images()]
    titled = {axes.get_title(): axes for axes in figure.axes}
    (bar,) = [axes for axes in figure.axes if axes.get_label() == "<colorbar>"]
    return (*maps, bar, titled.get("Cross-section"), titled.get("Histogram"))


def test_relative_maps_are_fitted_to_the_first_and_say_so(tmp_path: Path, figures: list[Any]) -> None:
    maps = [ramp("relative"), ramp("relative", 3, -7)]
    plot_maps(maps, ["a", "b"], tmp_path / "p.svg", PlotOptions((0, 5, 39, 5)))
    first, second, bar, section, _ = _by_order(figures[0])
    shown = [axes.get_images()[0].get_array().astype(int) for axes in (first, second)]
    assert np.abs(shown[0] - shown[1]).max() <= 4  # one step of the colours, by rounding
    assert "fitted to the first" in second.get_title()
    assert "fitted" not in first.get_title()
    assert "no unit" in bar.get_ylabel()
    np.testing.assert_allclose(section.lines[1].get_ydata(), maps[0].depth[5], rtol=1e-5)


def test_a_fixed_range_and_invalid_pixels(tmp_path: Path, figures: list[Any]) -> None:
    far = DepthPrediction(ramp().depth, "metric", max_depth_m=6.0)
    plot_maps([far], ["a"], tmp_path / "p.png", PlotOptions(histogram=True, value_range=(0.5, 4)))
    image, bar, _, histogram = _by_order(figures[0])
    assert (image.get_images()[0].get_array()[~far.valid] == 255).all()
    assert bar.get_ylim() == (0.5, 4)
    assert "invalid" in histogram.get_legend().get_texts()[0].get_text()


def test_what_cannot_be_drawn_is_said_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    with pytest.raises(DepthKindError, match="no scale in common"):
        plot_maps([ramp(), ramp("relative")], ["a", "b"], path)
    small = DepthPrediction(np.ones((4, 5)), "relative")
    with pytest.raises(InputError, match="same picture at the same size"):
        plot_maps([ramp("relative"), small], ["a", "b"], path)
    with pytest.raises(InputError, match="maps of one size"):
        plot_maps([ramp(), DepthPrediction(np.ones((4, 5)), "metric")], ["a", "b"], path, PlotOptions((0, 0, 3, 3)))
    with pytest.raises(OptionError, match="outside the map: x goes from 0 to 39"):
        plot_maps([ramp()], ["a"], path, PlotOptions((0, 0, 40, 3)))
    with pytest.raises(OptionError, match="no unit"):
        plot_maps([ramp("relative")], ["a"], path, PlotOptions(value_range=(1, 2)))
    with pytest.raises(InputError, match="'a' has no valid pixel"):
        plot_maps([DepthPrediction(np.full((4, 5), np.nan), "metric")], ["a"], path)
    with pytest.raises(OptionError, match=r"\.png, \.pdf, \.svg"):
        check_plot("p.jpg")
    with pytest.raises(OptionError, match="at least one pixel"):
        PlotOptions((3, 3, 3, 3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """matplotlib's writer of PDF trips over itself when the file cannot be written."""
    real = builtins.open

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def full(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        where = str(file)
        return (
            Full(file, "w")
            if where.startswith(str(tmp_path)) and "w" in mode
            else real(file, mode, *arguments, **options)
        )

    monkeypatch.setattr(builtins, "open", full)
    monkeypatch.setattr(io, "open", full)
    with pytest.raises(OutputError, match="the disk is full"):
        plot_maps([ramp()], ["a"], tmp_path / f"p{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *more: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ModuleNotFoundError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match="pip install matplotlib"):
        check_plot("p.png")


def test_a_flat_map_is_drawn(tmp_path: Path) -> None:
    assert plot_maps([DepthPrediction(np.ones((4, 5)), "metric")], ["a"], tmp_path / "p.png").is_file()
