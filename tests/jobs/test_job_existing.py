"""What a job finds in its place: outputs, reports and folders of others are never lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from picture_files import FakeEstimator, photo

from depth_anything_v2.errors import OptionError, OutputError, OutputExistsError
from depth_anything_v2.jobs.journal import Journal
from depth_anything_v2.jobs.options import JobOptions, PredictOptions
from depth_anything_v2.jobs.outputs import DepthFiles
from depth_anything_v2.jobs.plan import JobPlan, plan_job
from depth_anything_v2.jobs.report import JobReport
from depth_anything_v2.jobs.runner import run_job
from depth_anything_v2.prediction import DepthPrediction


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(argument: str, output: str = "out", **options: Any) -> JobPlan:
    return plan_job([argument], Path(output), DepthFiles(PredictOptions(("npz",))), JobOptions(**options))


def run(argument: str, **options: Any) -> JobReport:
    return run_job(plan(argument, **options), FakeEstimator())


def statuses(report: JobReport) -> list[str]:
    return [result.status for result in report.results]


def photos(count: int, folder: str = "in") -> None:
    for index in range(count):
        photo(Path(folder, f"{index:02}.png"), 20, 30, seed=index)


def planned_with_report(report: str, existing: Any = "overwrite", argument: str = "in") -> JobPlan:
    return plan_job([argument], Path("out"), DepthFiles(PredictOptions()), JobOptions(existing), report=Path(report))


@pytest.mark.parametrize(
    "report",
    ["in/00.png", "./out/00.png", "link/00.png", "out/00.png/r.json", "out/.depth-anything/journal.jsonl", "list.txt"],
)
def test_a_report_in_the_place_of_an_input_or_an_output(report: str) -> None:
    photos(1)
    Path("link").symlink_to("out")
    Path("list.txt").write_text("in")
    with pytest.raises(OptionError, match="would overwrite an input or an output"):
        planned_with_report(report, argument="list.txt")
    with pytest.raises(OptionError, match="is a folder"):
        planned_with_report("./out")
    assert not Path("out").exists()


def test_a_report_replaces_reports_only() -> None:
    photos(1)
    run("in", output="other").write(Path("report.json"))
    assert planned_with_report("report.json", "refuse").report == Path("report.json")
    for text in ('{"mine": 1}', "[1]", "mine", "[" * 100_000, ""):
        Path("report.json").write_text(text)
        for existing in ("refuse", "resume"):
            with pytest.raises(OutputExistsError, match=r"'report\.json' exists and is no report of an earlier job"):
                planned_with_report("report.json", existing)
        assert planned_with_report("report.json", "overwrite")
        assert Path("report.json").read_text() == text


def test_resuming_does_not_overwrite_what_is_of_another_source() -> None:
    photos(1, "a")
    photos(1, "b")
    run("a/00.png")
    before = Path("out/00.npz").read_bytes()
    with pytest.raises(OutputExistsError) as caught:
        plan("b/00.png", existing="resume")
    assert str(caught.value) == (
        f"cannot resume: '{Path('out/00.npz')}' was made from '{Path('a/00.png').absolute()}', not from "
        f"'{Path('b/00.png')}': choose another output folder, or overwrite (--overwrite)"
    )
    assert Path("out/00.npz").read_bytes() == before
    Path("same").symlink_to("a")
    photo(Path("a/00.png"), 31, 30)
    assert statuses(run("same/00.png", existing="resume")) == ["done"]
    assert run("b/00.png", existing="overwrite").ok
    with pytest.raises(OutputExistsError, match=r"was made from '.*00\.png', not from 'a/00.png'"):
        plan("a/00.png", existing="resume")


def test_resuming_does_not_overwrite_what_no_job_made() -> None:
    photos(2)
    Path("out").mkdir()
    Path("out/01.npz").write_text("mine")
    for _ in range(2):
        with pytest.raises(
            OutputExistsError, match=r"'out/01\.npz' exists, but not by a job that the journal of 'out'"
        ):
            plan("in", existing="resume")
        assert Path("out/01.npz").read_text() == "mine"
        assert statuses(run("in/00.png", existing="overwrite")) == ["done"]


def test_standard_input_is_another_source_when_it_is_another_picture() -> None:
    photos(2)
    first, second = (Path(f"in/{name}.png").read_bytes() for name in ("00", "01"))

    def planned(data: bytes, existing: Any) -> JobPlan:
        product = DepthFiles(PredictOptions(("npz",)))
        return plan_job(["-"], Path("out"), product, JobOptions(existing), read_stdin=lambda: data)

    run_job(planned(first, "refuse"), FakeEstimator())
    assert statuses(run_job(planned(first, "resume"), FakeEstimator())) == ["skipped"]
    with pytest.raises(OutputExistsError, match="was made from another picture on standard input"):
        planned(second, "resume")


def test_outputs_that_were_begun_are_known_before_they_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    photos(1)
    written = DepthFiles.write

    def die(self: DepthFiles, prediction: DepthPrediction, rgb: Any, base: Path) -> None:
        written(self, prediction, rgb, base)
        raise SystemExit  # as good as killed: the line that says 'done' is never written

    monkeypatch.setattr(DepthFiles, "write", die)
    with pytest.raises(SystemExit):
        run("in")
    monkeypatch.setattr(DepthFiles, "write", written)
    assert Path("out/00.npz").is_file()
    assert statuses(run("in", existing="resume")) == ["done"]


def test_a_plan_leaves_nothing_behind() -> None:
    photos(1)
    product = DepthFiles(PredictOptions())
    made = plan_job(["in"], Path("new/out"), product, JobOptions(), report=Path("reports/new/r.json"))
    assert sorted(path.name for path in Path().iterdir()) == ["in"]
    assert run_job(made, FakeEstimator()).ok
    assert Path("reports/new").is_dir()


def test_a_journal_that_cannot_grow_stays_readable(tmp_path: Path) -> None:
    class Full:
        """Takes ten bytes of a line, then the disk is full."""

        def __init__(self, file: Any) -> None:
            self.file = file

        def write(self, line: bytes) -> int:
            return self.file.write(line[:10])

    with Journal(tmp_path) as journal:
        journal.add("a", {"x": "r"})
        whole = journal._file
        journal._file = Full(whole)
        with pytest.raises(OutputError, match="the disk is full"):
            journal.add("b", {"y": "r"})
        journal._file = whole
        journal.add("c", {"z": "r"})
    for name in "xyz":
        (tmp_path / name).write_text("")
    with Journal(tmp_path) as journal:
        assert [journal.is_done(source, {name: "r"}) for source, name in ("ax", "by", "cz")] == [True, False, True]
