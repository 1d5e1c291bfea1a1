"""Models as ONNX and OpenVINO files: converted, described, quantised and verified; importing this loads no torch."""

from depth_anything_v2.export.exporter import export_checkpoint
from depth_anything_v2.export.options import ExportOptions
from depth_anything_v2.export.report import ExportReport, PhotographDrift, SizeDrift

__all__ = ["ExportOptions", "ExportReport", "PhotographDrift", "SizeDrift", "export_checkpoint"]
