"""Evaluation: benchmarks as data, any model that is a function of a picture, and reports that name their protocol."""

from depth_anything_v2.evaluation.benchmark import Benchmark, list_benchmarks, load_benchmark
from depth_anything_v2.evaluation.evaluator import Evaluation, EvaluationOptions, ModelLoader, evaluate
from depth_anything_v2.evaluation.pictures import worst_panels
from depth_anything_v2.evaluation.report import build_report, write_report
from depth_anything_v2.evaluation.sources import Source, open_source
from depth_anything_v2.evaluation.statistics import compare, estimate

__all__ = [
    "Benchmark",
    "Evaluation",
    "EvaluationOptions",
    "ModelLoader",
    "Source",
    "build_report",
    "compare",
    "estimate",
    "evaluate",
    "list_benchmarks",
    "load_benchmark",
    "open_source",
    "worst_panels",
    "write_report",
]
