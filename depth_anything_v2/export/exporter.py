"""From a checkpoint to an ONNX or OpenVINO file that says what it is and was compared with its checkpoint."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from depth_anything_v2.checkpoints import LoadedCheckpoint, ResolvedCheckpoint, load_checkpoint
from depth_anything_v2.checkpoints.exported import Exported, exported_engine
from depth_anything_v2.engines.source import build
from depth_anything_v2.errors import OptionError
from depth_anything_v2.export import quantize, verify
from depth_anything_v2.export.options import SUFFIX_OF, ExportOptions
from depth_anything_v2.export.report import ExportReport, PhotographDrift
from depth_anything_v2.export.staging import staged
from depth_anything_v2.version import __version__

_PROTO_LIMIT = 2 << 30  # bytes of one Protocol Buffers message


def export_checkpoint(
    resolved: ResolvedCheckpoint,
    path: str | Path,
    options: ExportOptions,
    *,
    max_depth_m: float | None = None,
    relative: bool = False,
    v1: bool = False,
    overwrite: bool = False,
    on_step: Callable[[str], None] | None = None,
) -> ExportReport:
    """Write a checkpoint as an ONNX (.onnx) or OpenVINO (.xml and .bin) file and return how exact it is.

    One input 'image' (N, 3, H, W) float32, normalised; one output 'depth' (N, H, W) float32. The file is run by the
    engine that a user would take and compared with the checkpoint in float32 through torch, at several sizes, and
    for int8 on the calibration photographs, too; the drift of int8 is written beside it as FILE.drift.json. Where it
    is more than is allowed, or on any other exception, no file is left.

    max_depth_m, relative, v1: as in `load_checkpoint`. on_step: called with a sentence before what takes long.

    Raises CheckpointError (refused, or not a checkpoint), OptionError, MissingExtraError, NoInputError and InputError
    (calibration photographs), OutputExistsError, OutputError.
    """
    path, say = Path(path), on_step or (lambda _: None)
    suffix = SUFFIX_OF[options.format]
    if path.suffix.lower() != suffix:
        raise OptionError(f"the output {path} must end in {suffix}")
    if exported_engine(resolved.path) is not None:
        raise OptionError(f"{resolved.path} is an exported model: name the checkpoint that it was exported from")
    _check_installed(options)
    drift = path.with_name(f"{path.name}.drift.json")
    own = path.with_suffix(".bin") if options.format == "openvino" else path.with_name(f"{path.name}.data")
    with staged(path, (own, drift), overwrite=overwrite) as work:
        photographs = quantize.find_photographs(options.calibration) if options.int8 else None
        loaded = load_checkpoint(resolved, max_depth_m=max_depth_m, relative=relative, v1=v1)
        options.check_static(loaded.config.preprocessing.multiple_of)
        task = _Task(loaded, options, photographs, work / path.name, say)
        report = task.run()
        if options.int8:
            text = json.dumps(report.to_dict(), indent=1, ensure_ascii=False)
            (work / drift.name).write_text(text + "\n", encoding="utf-8")
        made = sorted(entry.name for entry in work.iterdir() if entry.name != path.name)
        return dataclasses.replace(report, files=(path, *(path.with_name(name) for name in made)))


def _check_installed(options: ExportOptions) -> None:
    """Raise MissingExtraError before anything is read."""
    from depth_anything_v2.engines import onnx_engine, openvino_engine

    if options.format == "onnx":
        onnx_engine.runtime()
    else:
        openvino_engine.import_openvino()
    if options.int8:
        quantize.import_nncf()


@dataclass(frozen=True)
class _Task:
    """One export, into a file that nobody sees yet."""

    loaded: LoadedCheckpoint
    options: ExportOptions
    photographs: quantize.Photographs | None
    path: Path
    say: Callable[[str], None]

    def run(self) -> ExportReport:
        from depth_anything_v2.engines.torch_engine import TorchEngine

        config, options, resolved = self.loaded.config, self.options, self.loaded.resolved
        exported = Exported(
            options.format,
            config,
            resolved.name,
            resolved.sha256,
            self.loaded.licence,
            options.stored,
            options.static,
            __version__,
        )
        self.say(f"converting {resolved.name}")
        if options.format == "onnx":
            self._write_onnx(exported)
        else:
            self._write_openvino(exported)
        self.say("comparing the file with the checkpoint")
        reference = TorchEngine(build(self.loaded), "cpu", "float32")
        openers = self._openers(exported)
        batches = verify.inputs(config, options.static, options.stored)
        sizes = verify.verify(reference, openers, batches, options.stored)
        drift: tuple[PhotographDrift, ...] = ()
        if self.photographs is not None:
            drift = quantize.measure(reference, openers[0](), config, self.photographs, options.static)
        skipped = () if self.photographs is None else self.photographs.skipped
        allowed = verify.ALLOWED[options.stored]
        return ExportReport((self.path,), exported, sizes, allowed, drift, skipped, self.loaded.notes)

    def _write_openvino(self, exported: Exported) -> None:
        from depth_anything_v2.engines import openvino_engine

        model = build(self.loaded).eval()
        converted = openvino_engine.convert(model, exported.config, self_contained=True, static=exported.static)
        converted = self._quantized(converted)
        openvino_engine.save_exported(
            converted, self.path, exported.metadata(), half=self.options.precision == "float16"
        )

    def _write_onnx(self, exported: Exported) -> None:
        from depth_anything_v2.engines import onnx_engine

        weights = sum(value.numel() for value in self.loaded.state.values()) * 4
        if self.options.int8 and weights > _PROTO_LIMIT:
            raise OptionError(
                f"{self.loaded.resolved.name} is too large for int8 in ONNX, which takes 2 GB: export openvino"
            )
        program = onnx_engine.convert(build(self.loaded).eval(), exported.config, exported.static)
        if self.options.int8:
            program = self._quantized(onnx_engine.to_proto(program))
        half = self.options.precision == "float16"
        onnx_engine.save_exported(program, self.path, exported.metadata(), half=half)

    def _quantized(self, model: Any) -> Any:
        if self.photographs is None:
            return model
        self.say(f"quantising with {len(self.photographs.sources)} photographs")
        return quantize.quantize(
            model,
            self.loaded.config,
            self.photographs,
            self.options.static,
            openvino=self.options.format == "openvino",
        )

    def _openers(self, exported: Exported) -> tuple[verify.Opener, ...]:
        """Return what opens the ways in which a user's engine runs the file, in float32: for any shape, and for one."""
        if exported.engine == "onnx":
            from depth_anything_v2.engines.onnx_engine import OnnxEngine

            engine = OnnxEngine(self.path, exported.config)
            return (lambda: engine,)
        from depth_anything_v2.engines.openvino_engine import Network, OpenVINOEngine, read

        def opened(*, one_shape: bool) -> OpenVINOEngine:
            network = Network(lambda: read(self.path), "float32", one_shape=one_shape)
            return OpenVINOEngine(network, exported.config)

        any_shape = opened(one_shape=False)
        return (lambda: any_shape), (lambda: opened(one_shape=True))
