"""A job from plan to report, around an estimator without a network."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import FakeEstimator, photo
from PIL import Image

from depth_anything_v2.errors import OptionError, OutputError, OutputExistsError
from depth_anything_v2.io import read_depth, read_image
from depth_anything_v2.jobs.journal import JOURNAL, Journal
from depth_anything_v2.jobs.options import EstimatorOptions, JobOptions, PredictOptions
from depth_anything_v2.jobs.outputs import DepthFiles, picture
from depth_anything_v2.jobs.plan import JobPlan, plan_job
from depth_anything_v2.jobs.report import ItemResult, JobReport
from depth_anything_v2.jobs.runner import JobInterrupted, run_job
from depth_anything_v2.prediction import DepthPrediction


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*arguments: str, formats: tuple[str, ...] = ("npz",), output: str = "out", **options: Any) -> JobPlan:
    return plan_job(arguments, Path(output), DepthFiles(PredictOptions(formats)), JobOptions(**options))


def run(*arguments: str, estimator: FakeEstimator | None = None, **options: Any) -> JobReport:
    return run_job(plan(*arguments, **options), estimator or FakeEstimator())


def statuses(report: JobReport) -> list[str]:
    return [result.status for result in report.results]


def files_in(folder: str) -> list[str]:
    """Every file below `folder` but the journal: left-over temporary files would show here."""
    paths = (path.relative_to(folder) for path in Path(folder).rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if path != JOURNAL)


def photos(count: int, folder: str = "in") -> None:
    for index in range(count):
        photo(Path(folder, f"{index:02}.png"), 20 + index % 2, 30, seed=index)


def test_every_format_of_every_input_is_written_and_reads_back() -> None:
    photo(Path("in/a.png"), 20, 30)
    photo(Path("in/sub/b.jpg"), 24, 32, seed=1)
    report = run("in", formats=("png", "png16", "npy", "npz", "tiff"))
    assert statuses(report) == ["done", "done"]
    assert files_in("out") == sorted(
        f"{stem}{ending}"
        for stem in ("a", "sub/b")
        for ending in (".npy", ".npy.json", ".npz", ".png", ".tiff", "_depth16.png")
    )
    red = read_image("in/a.png")[:, :, 0].astype(np.float32) + 1
    for name in ("out/a.npy", "out/a.npz", "out/a.tiff"):
        np.testing.assert_array_equal(read_depth(name).depth, red)
    assert read_depth("out/a.npz").provenance.source == str(Path("in/a.png"))
    assert all(Path(name).is_file() for result in report.results for name in result.outputs)


def test_the_picture_is_coloured_grey_or_beside_the_photograph() -> None:
    rgb = read_image(photo(Path("a.png"), 20, 30))
    prediction = DepthPrediction(np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30), "relative")
    coloured = picture(prediction, rgb, PredictOptions())
    assert coloured.shape == (20, 30, 3)
    assert tuple(coloured[-1, -1]) == (158, 1, 66)  # the nearest is the warm end of Spectral
    grey = picture(prediction, rgb, PredictOptions(grayscale=True))
    assert grey[0, 0].tolist() == [0, 0, 0]
    assert grey[-1, -1].tolist() == [255, 255, 255]
    both = picture(prediction, rgb, PredictOptions(side_by_side=True))
    np.testing.assert_array_equal(both[:, :30], rgb)
    assert (both[:, 30:80] == 255).all()
    np.testing.assert_array_equal(both[:, 80:], coloured)


def test_a_picture_says_what_it_shows() -> None:
    photo(Path("in/a.png"))
    run("in", formats=("png",))
    with Image.open("out/a.png") as file:
        data = json.loads(file.text["depth_anything_v2"])
    assert (data["kind"], data["unit"], data["provenance"]["checkpoint"]) == ("relative", "none", "fake")
    assert data["encoding"]["colormap"] == "spectral"


def test_one_bad_file_does_not_stop_the_folder() -> None:
    photos(4)
    Path("in/01.png").write_bytes(b"")
    report = run("in", "gone.png")
    assert statuses(report) == ["done", "failed", "done", "done", "failed"]
    assert "01.png" in report.failures[0].message
    assert report.failures[1].message == "'gone.png' does not exist"
    assert not report.ok
    assert files_in("out") == ["00.npz", "02.npz", "03.npz"]


def test_an_error_that_no_reader_foresaw_does_not_stop_it_either(monkeypatch: pytest.MonkeyPatch) -> None:
    photos(2)

    def read(source: str, **_options: Any) -> Any:
        if source.endswith("00.png"):
            raise ZeroDivisionError("corrupt header")
        return read_image(source), None, ()

    monkeypatch.setattr("depth_anything_v2.jobs.runner.read_picture", read)
    report = run("in")
    assert statuses(report) == ["failed", "done"]
    assert "ZeroDivisionError: corrupt header" in report.failures[0].message


def test_strict_stops_at_the_first_failure_and_keeps_what_came_before() -> None:
    photos(6)
    Path("in/03.png").write_bytes(b"nothing")
    report = run("in", strict=True)
    assert statuses(report) == ["done", "done", "done", "failed", "not run", "not run"]
    assert report.stopped is not None
    assert "03.png" in report.stopped
    assert [result.ended_job for result in report.results] == [False, False, False, True, False, False]


def test_a_picture_that_is_too_large_fails_alone_in_its_batch() -> None:
    photos(3)
    photo(Path("in/01.png"), 20, 99)
    report = run("in", estimator=FakeEstimator(batch_size=4, widest=60))
    assert statuses(report) == ["done", "failed", "done"]
    assert "60 columns would do" in report.failures[0].message


def test_pictures_of_one_shape_are_batched_within_a_window() -> None:
    photos(8)  # two shapes, alternating
    estimator = FakeEstimator(batch_size=2)
    told: list[tuple[str, int]] = []

    def on_result(result: ItemResult, finished: int, total: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        assert total == 8
        told.append((result.source, finished))

    report = run_job(plan("in"), estimator, on_result=on_result)
    assert report.ok
    assert all(len(batch) >= 2 for batch in estimator.batches[:-1])
    assert told == [(str(Path("in", f"{index:02}.png")), index + 1) for index in range(8)]


def test_existing_outputs_are_refused_before_anything_runs() -> None:
    photos(3)
    Path("out").mkdir()
    Path("out/02.npz").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"1 of 3 output files exist already in 'out', the first is '02\.npz'"):
        plan("in")
    assert Path("out/02.npz").read_text() == "mine"
    report = run("in", existing="overwrite")
    assert report.ok
    assert read_depth("out/02.npz").height == 20


def test_resume_does_the_rest_and_only_the_rest() -> None:
    photos(3)
    run("in")
    before = {name: Path("out", name).stat().st_mtime_ns for name in files_in("out")}
    photos(5)  # the first three written anew: other times
    for index in range(2):
        os.utime(f"in/{index:02}.png", ns=(1, 1))
    run("in", existing="resume")
    os.utime("in/01.png", ns=(2, 2))
    Path("out/04.npz").unlink()
    report = run("in", existing="resume")
    assert statuses(report) == ["skipped", "done", "skipped", "skipped", "done"]
    assert set(before) <= set(files_in("out"))


@pytest.mark.parametrize(
    ("estimator", "formats", "expected"),
    [
        (FakeEstimator(), ("npz",), "skipped"),
        (FakeEstimator(sha256="1" * 64), ("npz",), "done"),
        (FakeEstimator(), ("npz", "npy"), "done"),
        (FakeEstimator(), ("png",), "skipped"),
    ],
)
def test_done_means_the_same_checkpoint_and_outputs(
    estimator: FakeEstimator, formats: tuple[str, ...], expected: str
) -> None:
    photos(1)
    run("in", formats=("png", "npz"))
    assert statuses(run("in", formats=formats, estimator=estimator, existing="resume")) == [expected]


def test_other_colours_concern_the_picture_only() -> None:
    photos(1)
    run("in", formats=("png", "npz"))
    for formats, expected in ((("npz",), "skipped"), (("png",), "done")):
        product = DepthFiles(PredictOptions(formats, colormap="magma"))
        again = plan_job(["in"], Path("out"), product, JobOptions("resume"))
        assert statuses(run_job(again, FakeEstimator())) == [expected]


def test_a_torn_journal_costs_one_input() -> None:
    photos(3)
    run("in")
    journal = Path("out") / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-20])
    assert sorted(statuses(run("in", existing="resume"))) == ["done", "skipped", "skipped"]
    assert statuses(run("in", existing="resume")) == ["skipped"] * 3


def test_a_journal_of_nonsense_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / JOURNAL
    path.parent.mkdir()
    path.write_bytes(b'[1]\nnull\n{"source": 1}\n{"outputs": 3, "source": 1}\n\xff\xfe\n"x')
    with Journal(tmp_path) as journal:
        assert not journal.is_done("a", {"x": "r"})
        journal.add("a", {"x": "r"})
    (tmp_path / "x").write_text("")
    with Journal(tmp_path) as journal:
        assert journal.is_done("a", {"x": "r"})
        assert not journal.is_done("b", {"x": "r"})
        assert not journal.is_done("a", {"x": "r", "y": "r"})


def test_a_full_disk_ends_the_job_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    photos(8)
    written = DepthFiles.write

    def write(self: DepthFiles, prediction: DepthPrediction, rgb: Any, base: Path) -> None:
        if base.name == "03":
            error = OSError(errno.ENOSPC, "No space left on device")
            raise OutputError(f"cannot write '{base}': the disk is full") from error
        written(self, prediction, rgb, base)

    monkeypatch.setattr(DepthFiles, "write", write)
    estimator = FakeEstimator(delay=0.02)
    report = run("in", estimator=estimator)
    assert report.stopped == f"cannot write '{Path('out/03')}': the disk is full"
    assert statuses(report)[:4] == ["done", "done", "done", "failed"]
    assert report.count("failed") == 1
    assert report.count("not run") >= 1
    monkeypatch.setattr(DepthFiles, "write", written)
    assert run("in", existing="resume").count("done") == 8 - report.count("done")


def test_a_failed_input_leaves_none_of_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    photos(1)

    def full(*_arguments: Any) -> None:
        raise OutputError("no room for arrays")

    monkeypatch.setattr("depth_anything_v2.jobs.outputs.write_depth", full)
    report = run("in", formats=("png", "npy"))
    assert statuses(report) == ["failed"]
    assert files_in("out") == []


def test_an_interrupt_keeps_what_is_done_and_says_so() -> None:
    photos(8)

    class Interrupted(FakeEstimator):
        def predict_arrays(self, pictures: Any, sources: Any = None) -> list[DepthPrediction]:
            if len(self.batches) == 4:
                raise KeyboardInterrupt
            return super().predict_arrays(pictures, sources)

    with pytest.raises(JobInterrupted, match="resuming does the rest") as caught:
        run("in", estimator=Interrupted(delay=0.02))
    report = caught.value.report
    done = [result for result in report.results if result.status == "done"]
    assert 1 <= len(done) <= 4
    assert files_in("out") == [Path(result.outputs[0]).name for result in done]
    assert report.count("not run") == 8 - len(done)
    assert statuses(run("in", existing="resume")).count("skipped") == len(done)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("depth-anything")]


def test_a_defect_of_the_estimator_passes_through() -> None:
    photos(3)

    class Broken(FakeEstimator):
        def predict_arrays(self, pictures: Any, sources: Any = None) -> list[DepthPrediction]:
            raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        run("in", estimator=Broken())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("depth-anything")]


def test_an_input_is_never_overwritten() -> None:
    photos(1)
    with pytest.raises(OptionError, match="is the input folder itself"):
        plan("in", output="in", formats=("png",))
    with pytest.raises(OptionError, match="is one of the inputs and would overwrite it"):
        plan("in/00.png", output="in", formats=("png",), existing="overwrite")
    with pytest.raises(OptionError, match=r"the report .* would overwrite an input"):
        plan_job(["in"], Path("out"), DepthFiles(PredictOptions()), JobOptions(), report=Path("in/00.png"))


def test_the_output_folder_inside_the_input_folder_is_not_read() -> None:
    photos(2)
    assert run("in", output="in/depth", formats=("png",)).ok
    assert len(run("in", output="in/depth", formats=("png",), existing="resume").results) == 2


def test_a_file_in_the_place_of_the_output_folder_is_told_before_anything_runs() -> None:
    photos(1)
    Path("out").write_text("a file")
    with pytest.raises(
        OutputError, match="cannot write 'out': it is a file, not a folder: choose another output folder"
    ):
        plan("in")
    with pytest.raises(OutputError, match="cannot write 'out/deeper': a part of its path is a file"):
        plan("in", output="out/deeper")


def test_the_report_as_json(tmp_path: Path) -> None:
    photos(2)
    Path("in/00.png").write_bytes(b"\xff\xd8\xff")
    run("in").write(Path("report.json"))
    data = json.loads(Path("report.json").read_text())
    assert data["format"] == "depth_anything_v2 job report"
    assert data["counts"] == {"inputs": 2, "done": 1, "skipped": 0, "failed": 1, "not_run": 0}
    assert data["checkpoint"]["name"] == "fake"
    assert (data["checkpoint"]["kind"], data["checkpoint"]["unit"]) == ("relative", "none")
    assert data["options"]["formats"] == ["npz"]
    failed, done = data["inputs"]
    assert failed["status"] == "failed"
    assert failed["error"]
    assert done["outputs"] == [str(Path("out/01.npz"))]
    assert done["seconds"] >= 0
    with pytest.raises(OutputError, match="missing"):
        run("in", output="other").write(Path("missing/report.json"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PredictOptions(("jpeg",)), "unknown output format 'jpeg': choose from png, png16"),
        (lambda: PredictOptions((" , ",)), "no output format"),
        (lambda: PredictOptions(colormap="rainbow"), "unknown colour map 'rainbow'"),
        (lambda: PredictOptions(("npy",), grayscale=True), "add 'png'"),
        (lambda: EstimatorOptions(relative=True, max_depth_m=20), "not both"),
        (lambda: EstimatorOptions(max_pixels=0), "the limit on pixels must be at least 1, not 0"),
    ],
)
def test_options_that_make_no_sense(make: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


def test_formats_are_lists_with_or_without_commas() -> None:
    assert PredictOptions(("npz, PNG", ".npy", "npz")).formats == ("npz", "png", "npy")


def test_photographs_are_kept_only_for_what_shows_them() -> None:
    photos(2)
    given: list[tuple[int, ...]] = []

    class Shapes(DepthFiles):
        def write(self, prediction: DepthPrediction, rgb: Any, base: Path) -> Any:
            given.append(rgb.shape)
            return super().write(prediction, rgb, base)

    for beside in (False, True):
        product = Shapes(PredictOptions(("png",), side_by_side=beside))
        assert run_job(plan_job(["in"], Path(f"out{beside}"), product, JobOptions()), FakeEstimator()).ok
    assert sorted(given[:2]) == [(0, 0, 3), (0, 0, 3)]
    assert sorted(given[2:]) == [(20, 30, 3), (21, 30, 3)]


@pytest.mark.parametrize("method", ["prepare", "run", "finish"])
def test_a_defect_in_any_stage_passes_through_and_ends_the_threads(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(6)
    estimator, calls = FakeEstimator(), []
    works = getattr(estimator, method)

    def fail(*arguments: Any, **options: Any) -> Any:
        calls.append(method)
        if len(calls) == 3:
            raise ZeroDivisionError(method)
        return works(*arguments, **options)

    monkeypatch.setattr(estimator, method, fail)
    with pytest.raises(ZeroDivisionError, match=method):
        run("in", estimator=estimator)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("depth-anything")]


@pytest.mark.parametrize("method", ["prepare", "run", "finish"])
def test_too_little_memory_for_one_picture_fails_that_one(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(3)
    estimator, calls = FakeEstimator(), []
    works = getattr(estimator, method)

    def fail(*arguments: Any, **options: Any) -> Any:
        calls.append(method)
        if len(calls) == 2:
            raise MemoryError
        return works(*arguments, **options)

    monkeypatch.setattr(estimator, method, fail)
    report = run_job(plan("in", workers=1), estimator)
    assert statuses(report) == ["done", "failed", "done"]
    assert (
        report.failures[0].error == f"'{Path('in/01.png')}' needs more memory than there is: use a smaller input size"
    )
    assert files_in("out") == ["00.npz", "02.npz"]


def test_notes_on_a_prediction_are_in_the_report() -> None:
    photos(1)

    class Noting(FakeEstimator):
        def finish(self, prepared: Any, depth: Any) -> DepthPrediction:
            found = super().finish(prepared, depth)
            return found.replace(provenance=dataclasses.replace(found.provenance, notes=("smaller than asked for",)))

    report = run("in", estimator=Noting())
    assert report.results[0].notes == ("smaller than asked for",)
    assert report.to_dict()["inputs"][0]["notes"] == ["smaller than asked for"]
    assert read_depth("out/00.npz").provenance.notes == ("smaller than asked for",)
