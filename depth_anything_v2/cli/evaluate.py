"""`depth-anything evaluate`: how good a checkpoint is on a benchmark, and whether another is better."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from depth_anything_v2.cli import common
from depth_anything_v2.cli.common import (
    CheckpointOption,
    DeviceOption,
    EncoderOption,
    EngineOption,
    ExactOption,
    InputSizeOption,
    MaxDepthOption,
    OfflineOption,
    PrecisionOption,
    QuietOption,
    RelativeOption,
    V1Option,
)
from depth_anything_v2.errors import OptionError

if TYPE_CHECKING:
    from depth_anything_v2.evaluation.benchmark import Benchmark
    from depth_anything_v2.evaluation.evaluator import Evaluation, EvaluationOptions
    from depth_anything_v2.evaluation.pictures import Panel
    from depth_anything_v2.evaluation.sources import Source
    from depth_anything_v2.jobs.options import EstimatorOptions


def evaluate(
    benchmark: Annotated[
        str,
        typer.Option("--benchmark", "-b", metavar="NAME", help="A benchmark, or a JSON file of one's own; see --list."),
    ] = "rendered",
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", metavar="PATH", help="Folder of the data set, or a manifest (benchmark 'own')."),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the report and the results so far.")
    ] = Path("evaluation"),
    checkpoint: CheckpointOption = "auto",
    against: Annotated[
        str | None, typer.Option("--against", metavar="NAME", help="A second checkpoint, compared image by image.")
    ] = None,
    alignment: Annotated[
        str | None,
        typer.Option(
            "--alignment",
            metavar="NAME",
            help="none, scale, scale-shift-inverse, scale-shift-depth or median. [default: the benchmark's for "
            "relative checkpoints, none for metric ones]",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", help="Only the first samples.")] = None,
    processes: Annotated[int, typer.Option("--processes", "-p", metavar="N", help="That predict and score.")] = 1,
    worst: Annotated[int, typer.Option("--worst", metavar="N", help="Pictures of the worst in the report.")] = 8,
    file_list: Annotated[
        Path | None, typer.Option("--file-list", metavar="FILE", help="Lines 'picture depth' instead of all frames.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", metavar="NAME", help="Another split of the data.")] = None,
    depth_kind: Annotated[
        str | None, typer.Option("--depth-kind", metavar="KIND", help="metric or relative: of own depth files.")
    ] = None,
    depth_scale: Annotated[
        float | None, typer.Option("--depth-scale", metavar="METRES", help="One count of own integer depth files.")
    ] = None,
    encoder: EncoderOption = None,
    max_depth: MaxDepthOption = None,
    relative: RelativeOption = False,
    v1: V1Option = False,
    offline: OfflineOption = False,
    input_size: InputSizeOption = None,
    engine: EngineOption = "auto",
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    exact: ExactOption = False,
    quiet: QuietOption = False,
    show_list: Annotated[bool, typer.Option("--list", help="Name the benchmarks and end.")] = False,
) -> None:
    """Score a checkpoint on a benchmark and write a report (HTML, Markdown, JSON).

    The benchmarks 'rendered' and 'rendered-clips' need no data. Run the same command again to go on after an
    interruption. Exit status: 0 all scored, 1 some samples failed, 2 wrong usage, 130 interrupted.
    """

    def action() -> int:
        if show_list:
            return _list()
        from depth_anything_v2.evaluation.benchmark import load_benchmark
        from depth_anything_v2.evaluation.evaluator import EvaluationOptions
        from depth_anything_v2.evaluation.sources import open_source
        from depth_anything_v2.io.atomic import make_folder
        from depth_anything_v2.jobs.options import EstimatorOptions

        if worst < 0:
            raise OptionError(f"the number of pictures of the worst must not be negative, not {worst}")
        chosen = load_benchmark(benchmark)
        options = EvaluationOptions(_known(alignment, "Alignment"), limit, processes)
        kind = _known(depth_kind, "Kind")
        source = open_source(chosen, data, file_list=file_list, split=split, kind=kind, scale=depth_scale)
        make_folder(output)
        shared: dict[str, Any] = {"encoder": encoder, "max_depth_m": max_depth, "relative": relative, "v1": v1}
        shared |= {"offline": offline, "engine": engine, "device": device, "precision": precision, "exact": exact}
        shared["input_size"] = input_size
        names = [checkpoint] if against is None else [checkpoint, against]
        loadings = [EstimatorOptions(checkpoint=name, **shared) for name in names]
        return _run(chosen, source, loadings, options, output, worst, quiet)

    raise typer.Exit(common.run_safely(action))


def _known(value: str | None, what: str) -> Any:
    """Return an option of a few words. Raises OptionError."""
    from typing import get_args

    from depth_anything_v2.config import Kind
    from depth_anything_v2.evaluation.benchmark import Alignment

    choices = get_args({"Alignment": Alignment, "Kind": Kind}[what])
    if value is not None and value not in choices:
        name = {"Alignment": "alignment", "Kind": "depth kind"}[what]
        raise OptionError(f"unknown {name} '{value}': choose from {', '.join(choices)}")
    return value


def _list() -> int:
    from depth_anything_v2.evaluation.benchmark import list_benchmarks, load_benchmark

    for name in list_benchmarks():
        common.say(f"{name:16s}{load_benchmark(name).title}")
    return common.OK


def _run(
    benchmark: Benchmark,
    source: Source,
    loadings: Sequence[EstimatorOptions],
    options: EvaluationOptions,
    output: Path,
    worst: int,
    quiet: bool,
) -> int:
    from depth_anything_v2.evaluation.report import write_report

    evaluations: list[Evaluation] = []
    panels: list[list[Panel]] = []
    for loading in loadings:
        taken = {evaluation.model for evaluation in evaluations}
        evaluation, pictures = _one(benchmark, source, loading, options, output, worst, quiet, taken)
        evaluations.append(evaluation)
        panels.append(pictures)
    report = write_report(output, evaluations, panels)
    if not quiet:
        _summarise(report, output)
    return common.OK if all(evaluation.ok for evaluation in evaluations) else common.FAILED


def _one(
    benchmark: Benchmark,
    source: Source,
    loading: EstimatorOptions,
    options: EvaluationOptions,
    output: Path,
    worst: int,
    quiet: bool,
    taken: set[str],
) -> tuple[Evaluation, list[Panel]]:
    from depth_anything_v2.cli.progress import JobProgress
    from depth_anything_v2.evaluation.evaluator import evaluate as run
    from depth_anything_v2.evaluation.pictures import worst_panels
    from depth_anything_v2.evaluation.records import Record, results_key
    from depth_anything_v2.jobs.report import ItemResult

    # Loaded before any process is started: what is wrong with a checkpoint is said once, in one sentence.
    estimator = common.load_estimator(loading, quiet=quiet)
    name = estimator.name if estimator.name not in taken else f"{estimator.name} (second)"
    about = {"Checkpoint": str(loading.checkpoint), "SHA-256": estimator.sha256 or "not known"}
    about |= {"Depth": "relative" if estimator.config.kind == "relative" else "metric"}
    about |= {"Network": f"{estimator.config.encoder}, input size {estimator.input_size}"}
    about["Runs on"] = f"{estimator.engine.name}, {estimator.device}, {estimator.precision}"
    about["Licence"] = estimator.licence or "not known"
    fields = {key: value for key, value in dataclasses.asdict(loading).items() if key not in ("checkpoint", "offline")}
    identity = (
        f"{estimator.name}, SHA-256 {estimator.sha256}, options {results_key({**fields, 'on': about['Runs on']})}"
    )
    total = min(options.limit or len(source.samples), len(source.samples))
    with JobProgress(total, quiet=quiet) as progress:

        def on_record(record: Record, done: int, of: int) -> None:
            failed = record.status == "failed"
            progress.on_result(
                ItemResult(record.name, "failed" if failed else "done", (), record.message, record.seconds), done, of
            )

        evaluation = run(
            loading if options.processes > 1 else estimator,
            source.samples,
            benchmark,
            name=name,
            identity=identity,
            data=source.identity,
            about=about,
            options=options,
            results=output / "results",
            on_record=on_record,
        )
    return evaluation, worst_panels(estimator, source.samples, evaluation, worst) if worst else []


def _summarise(report: dict[str, Any], output: Path) -> None:
    from depth_anything_v2.evaluation.report import figure, interval, signed

    for model in report["models"]:
        figures = (
            f"{report['metrics'][key]['name']} {figure(part['mean'])} ({interval(part)})"
            for key, part in model["estimates"].items()
        )
        counts = ", ".join(f"{number} {what}" for what, number in model["counts"].items() if number)
        common.say(f"{model['name']}: {'; '.join(figures)}; {counts}")
        if model["alignment"]:
            common.say(f"alignment: {model['alignment']}")
    for part in report["comparison"]:
        said = "undecided" if part["verdict"] == "undecided" else f"the second is {part['verdict']}"
        change = f"{signed(part['difference'])} ({interval(part, signed)})"
        common.say(f"{report['metrics'][part['metric']]['name']}: {change}, {said}")
    common.say(f"report: {output / 'report.html'}")
