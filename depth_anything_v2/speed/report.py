"""A measurement as JSON data, as a table, and as sentences on what its figures are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from depth_anything_v2.engines.accuracy import MAX_RELATIVE_ERROR, MIN_ORDER
from depth_anything_v2.speed.benchmark import (
    FOLDER_S,
    PEAK_BYTES,
    START_S,
    BenchmarkResult,
    Measured,
    model_key,
    size_name,
)
from depth_anything_v2.version import __version__

FORMAT = "depth_anything_v2 benchmark"
MIB = 1 << 20
_BUSY = 0.25  # of the cores: a load before the measurement from which its figures are those of a busy machine


def to_record(result: BenchmarkResult) -> dict[str, Any]:
    """Return JSON data: all values of every round, medians, ratios to the first contender; None for what is unknown."""
    return {
        "format": FORMAT,
        "version": __version__,
        "machine": result.machine,
        "load_average": result.load_average,
        "seconds": result.seconds,
        "model": result.model,
        "options": {**dataclasses.asdict(result.options), "sizes": [size_name(size) for size in result.sizes]},
        "contenders": [_contender(result, found) for found in result.measured],
    }


def _contender(result: BenchmarkResult, found: Measured) -> dict[str, Any]:
    drift = found.drift and {name: _known(getattr(found.drift, name)) for name in ("relative_error", "order")}
    figures: dict[str, Any] = {}
    for name, values in found.figures.items() if found.problem is None else ():
        figures[name] = {"median": _known(found.median(name)), "rounds": [_known(value) for value in values]}
        if name.endswith("_s"):
            figures[name]["times_faster"] = _known(result.times_faster(found, name))
    rate = result.options.photos / found.median(FOLDER_S) if figures else None
    return {
        "name": found.contender.label,
        **dataclasses.asdict(found.contender),
        "device_name": found.device_name,
        "problem": found.problem,
        "drift": drift,
        "images_per_s": rate,
        "figures": figures,
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def table(result: BenchmarkResult) -> list[list[str]]:
    """Return the rows of a table, the first of them the heads; `lay_out` makes text of it."""
    sizes = [[f"{size_name(size)} ms", "x"] for size in result.sizes]
    heads = ["start s", "x", *(head for pair in sizes for head in pair), "images/s", "x", "peak MiB", "drift"]
    name = str(result.model["name"])
    rows = [[name if len(name) <= 24 else f"...{name[-21:]}", *heads]]
    for found in result.ran:
        cells = [f"{found.median(START_S):.2f}", _ratio(result, found, START_S)]
        for size in result.sizes:
            cells += [milliseconds(found.median(model_key(size))), _ratio(result, found, model_key(size))]
        cells += [f"{result.options.photos / found.median(FOLDER_S):.2f}", _ratio(result, found, FOLDER_S)]
        peak = found.median(PEAK_BYTES)
        cells += [f"{peak / MIB:.0f}" if math.isfinite(peak) else "unknown", _drift(found)]
        rows.append([found.contender.label, *cells])
    return rows


def milliseconds(seconds: float) -> str:
    """Return a time in milliseconds with three digits or more."""
    value = seconds * 1000
    return f"{value:.{max(0, 2 - int(math.log10(value)))}f}" if value >= 1 else f"{value:.3f}"


def _ratio(result: BenchmarkResult, found: Measured, name: str) -> str:
    return f"{result.times_faster(found, name):.2f}"


def _drift(found: Measured) -> str:
    return "reference" if found.drift is None else f"{found.drift.relative_error:.1e}"


def lay_out(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines of text; the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def sentences(result: BenchmarkResult) -> list[str]:
    """Return what a reader must know of the figures: what they are, how sure, on which machine, and what is missing."""
    options, first = result.options, result.ran[0].contender.label
    gpu = " (its own, not that of the GPU)" if any(found.contender.device != "cpu" for found in result.ran) else ""
    several = f"all {options.photos} photographs" if options.photos > 1 else "the photograph"
    said = [
        f"start: one photograph of about {options.photo_width} pixels to a coloured PNG, from the start of the process "
        f"to its end, converted models in the cache; ms: the network alone; images/s: {several} in one "
        f"process, its start included; peak: the most memory{gpu} that process had; drift: relative error against "
        "torch float32 on the example photographs, the worst of them",
        f"medians of {options.rounds} {'rounds' if options.rounds > 1 else 'round'}, one process at a time, in turns "
        f"(the network alone: the median of {options.passes} in each process); x: times as fast as {first}, median of "
        f"the ratios round by round{_spread(result)}",
        _machine(result),
    ]
    for found in result.ran:
        if found.drift is not None and not found.drift.passes:
            said.append(
                f"{found.contender.label}: further from float32 than the precision 'auto' allows: relative error "
                f"{found.drift.relative_error:.3g} (at most {MAX_RELATIVE_ERROR:g}), order of pixel pairs "
                f"{found.drift.order:.2%} (at least {MIN_ORDER:.1%})"
            )
    return said + [f"{found.contender.label}: left out: {found.problem}" for found in result.measured if found.problem]


def _spread(result: BenchmarkResult) -> str:
    if result.options.rounds == 1:
        return ""
    timed = [START_S, FOLDER_S, *map(model_key, result.sizes)]
    worst = max(found.spread(name) for found in result.ran for name in timed)
    return f"; the rounds of one figure differ by up to {worst:.0%} of it"


def _machine(result: BenchmarkResult) -> str:
    known = {name: value for name, value in result.machine.items() if value is not None}
    cores, memory = known.pop("cores", None), known.pop("memory_gib", None)
    where = [str(known.pop("processor"))]
    where += [f"{cores} {'core' if cores == 1 else 'cores'}"] if cores else []
    where += [f"{memory} GiB of memory"] if memory else []
    where += [str(known.pop("system"))]
    where += [f"{name} {value}" for name, value in known.items()]
    where += sorted({f"{found.device_name}" for found in result.ran if found.contender.device != "cpu"})
    return f"{', '.join(where)}; {busy(result)}"


def busy(result: BenchmarkResult) -> str:
    """Return how busy the machine was before the measurement, in words."""
    load, cores = result.load_average, result.machine.get("cores")
    if load is None or not cores:
        return "how busy it was is not known"
    if load < _BUSY * cores:
        return f"idle before it began (load average {load:.1f})"
    return f"busy before it began (load average {load:.1f}): the ratios mean more than the times"
