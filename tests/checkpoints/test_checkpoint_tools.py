"""Convert, inspect, and the commands of `depth-anything checkpoints`."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from fake_hub import Hub
from safetensors import safe_open
from typer.testing import CliRunner

from depth_anything_v2.checkpoints import (
    convert_checkpoint,
    inspect_checkpoint,
    load_checkpoint,
    resolve_checkpoint,
    save_checkpoint,
)
from depth_anything_v2.checkpoints.load import LoadedCheckpoint
from depth_anything_v2.cli.checkpoints import checkpoints_app
from depth_anything_v2.config import model_config
from depth_anything_v2.errors import CheckpointFormatError, CheckpointNotFoundError, OptionError, OutputExistsError

State = dict[str, torch.Tensor]
NAME = "depth_anything_v2_metric_hypersim_vits.pth"


@pytest.fixture
def metric(vits_state: State) -> LoadedCheckpoint:
    torch.save(vits_state, NAME)
    return load_checkpoint(resolve_checkpoint(NAME))


def run(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(checkpoints_app, list(arguments))
    assert result.exit_code == status, result.output
    return result


@pytest.mark.parametrize("half", [False, True])
def test_a_converted_file_says_what_it_is(metric: LoadedCheckpoint, vits_state: State, half: bool) -> None:
    (path,) = convert_checkpoint(metric, "anything.safetensors", half=half)
    with safe_open(path, "pt") as file:
        assert file.get_tensor("pretrained.cls_token").dtype == (torch.float16 if half else torch.float32)
        described = json.loads(file.metadata()["depth_anything_v2"])
    assert described["source"] == {"name": NAME, "sha256": metric.resolved.sha256}
    again = load_checkpoint(resolve_checkpoint(path))
    assert (again.config, again.licence) == (model_config("vits", 20), "Apache-2.0")
    assert all(torch.equal(again.state[key], value.float()) for key, value in vits_state.items())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_files_are_readable_as_the_umask_says(metric: LoadedCheckpoint, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        written = [
            save_checkpoint("saved.safetensors", metric.state, metric.config, licence=None),
            *convert_checkpoint(metric, "native.safetensors"),
            *convert_checkpoint(metric, "hf", to="transformers"),
        ]
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in written} == dict.fromkeys(
        (path.name for path in written), mode
    )
    assert len(written) == 5


def test_the_builtin_checkpoint_is_small_and_says_what_it_is() -> None:
    report = inspect_checkpoint("builtin")
    assert (report.encoder, report.kind, report.kind_from) == ("lite0", "relative", "metadata in the file")
    assert (report.licence, report.problems) == ("Apache-2.0", ())
    assert report.bytes < 15_000_000
    assert run("verify", "builtin").exit_code == 0


def test_conversions_that_make_no_sense(metric: LoadedCheckpoint, lite_state: State) -> None:
    with pytest.raises(OptionError, match=r"must end in \.safetensors"):
        convert_checkpoint(metric, "x.pth")
    (path,) = convert_checkpoint(metric, "x.safetensors")
    with pytest.raises(OptionError, match="is the checkpoint to convert"):
        convert_checkpoint(load_checkpoint(resolve_checkpoint(path)), path)
    odd = dataclasses.replace(metric, config=metric.config.with_max_depth(12.5))
    with pytest.raises(OptionError, match=r"whole metres as maximum depth, not 12\.5"):
        convert_checkpoint(odd, "hf", to="transformers")
    torch.save(lite_state, "lite.pth")
    lite = load_checkpoint(resolve_checkpoint("lite.pth"), relative=True)
    with pytest.raises(OptionError, match="no such architecture as lite0"):
        convert_checkpoint(lite, "hf", to="transformers")


def test_inspect_tells_what_a_good_file_is(metric: LoadedCheckpoint, vits_state: State) -> None:
    report = inspect_checkpoint(NAME)
    assert (report.format, report.names, report.encoder) == ("pytorch", "published", "vits")
    assert (report.kind, report.kind_from, report.max_depth_m) == ("metric", "file name", 20)
    assert (report.taps, report.dtypes) == ((2, 5, 8, 11), ("float16",))
    assert report.parameters == sum(value.numel() for value in vits_state.values())
    assert (report.sha256, report.known_as) == (metric.resolved.sha256, None)
    assert report.problems == ()
    assert any("as modified" in note for note in report.notes)
    json.dumps(report.to_dict())


def test_inspect_tells_what_is_wrong(lite_state: State) -> None:
    broken = {**lite_state, "pretrained.stem.bias": torch.full((32,), float("nan"))}
    torch.save(broken, "x.pth")
    report = inspect_checkpoint("x.pth")
    assert report.kind == "unknown"
    assert any("relative or metric" in problem for problem in report.problems)
    assert any("NaN or infinity (first: pretrained.stem.bias)" in problem for problem in report.problems)
    Path("web.pth").write_bytes(b"<html>")
    assert "web page" in inspect_checkpoint("web.pth").problems[0]
    torch.save({"layer1.0.conv1.weight": torch.zeros(1)}, "resnet.pth")
    assert "a ResNet" in inspect_checkpoint("resnet.pth").problems[0]
    with pytest.raises(CheckpointNotFoundError):
        inspect_checkpoint("gone.pth")


@pytest.mark.parametrize("name", ["vits", "depth-anything/Depth-Anything-V2-Small", "someone/else"])
def test_looking_at_a_changed_download_reports_and_keeps_it(hub: Hub, tiny_vits: bytes, name: str) -> None:
    hub.files["depth-anything/Depth-Anything-V2-Small/depth_anything_v2_vits.pth"] = tiny_vits
    hub.files["someone/else/mine.pth"] = tiny_vits
    path = resolve_checkpoint(name).path
    assert not any("had changed" in problem for problem in inspect_checkpoint(name).problems)
    path.write_bytes(b"changed")
    asked = len(hub.requests)
    report = inspect_checkpoint(name)
    assert report.path == path
    assert "had changed since it was downloaded" in report.problems[0]
    assert "had changed" in run("inspect", name, status=1).stdout
    run("verify", name, status=1)
    run("list")
    assert path.read_bytes() == b"changed"
    assert len(hub.requests) == asked


def test_list_show_and_verify_see_a_converted_file(fake_builtin: Path) -> None:
    path = Path("checkpoints/depth_anything_v2_vits.safetensors")
    path.parent.mkdir()
    path.write_bytes(b"converted")
    assert any(row.startswith("vits ") and row.endswith(str(path)) for row in run("list").stdout.splitlines())
    assert str(path) in run("show", "vits").stdout
    assert str(path) in run("verify", "vits", status=1).stdout


def test_list_and_show(fake_builtin: Path) -> None:
    rows = run("list").stdout.splitlines()
    assert rows[0].split() == ["NAME", "KIND", "SIZE", "LICENCE", "ON", "DISK"]
    line = next(row for row in rows if row.startswith("metric-outdoor-vitl"))
    assert "metric, 80 m" in line
    assert "1.34 GB" in line
    assert "CC-BY-NC-4.0" in line
    assert any(row.startswith("vitg") and "never published" in row for row in rows)
    assert any(row.startswith("builtin") and "in the package" in row for row in rows)
    data = json.loads(run("list", "--json").stdout)
    assert {"name", "kind", "max_depth_m", "licence", "sha256"} <= data[0].keys()
    shown = run("show", "vitl").stdout
    assert "a7ea19fa0ed99244" in shown
    assert "CC-BY-NC-4.0" in shown
    assert json.loads(run("show", "vitl", "--json").stdout)["bytes"] == 1341395338
    with pytest.raises(CheckpointNotFoundError, match="did you mean vitl"):
        CliRunner().invoke(checkpoints_app, ["show", "vitll"], catch_exceptions=False)


def test_download_says_the_licence_and_prints_the_path(hub: Hub, tiny_vits: bytes) -> None:
    hub.files["depth-anything/Depth-Anything-V2-Small/depth_anything_v2_vits.pth"] = tiny_vits
    result = run("download", "vits")
    assert "vits: relative, 0.2 MB, Apache-2.0" in result.stderr
    assert Path(result.stdout.strip()).read_bytes() == tiny_vits


def test_verify_has_an_exit_status(tiny_vits: bytes, registered: Callable[..., None]) -> None:
    Path("checkpoints").mkdir()
    path = Path("checkpoints/depth_anything_v2_vits.pth")
    path.write_bytes(tiny_vits)
    assert "this is vits, as published" in run("verify", "vits").stdout
    path.write_bytes(b"other")
    assert "not the published vits" in run("verify", "vits", status=1).stderr
    Path("own.pth").write_bytes(b"own")
    assert "no digest is known" in run("verify", "own.pth", status=1).stderr


def test_convert_command(metric: LoadedCheckpoint) -> None:
    result = run("convert", NAME, "--out", "out.safetensors", "--half", "--max-depth", "25")
    assert result.stdout.strip() == "out.safetensors"
    assert "max depth 25 m overrides" in result.stderr
    assert load_checkpoint(resolve_checkpoint("out.safetensors")).config.max_depth_m == 25
    for arguments in (["out.safetensors"], ["hf", "--to", "transformers"]):
        Path("hf").mkdir(exist_ok=True)
        Path("hf/model.safetensors").touch()
        with pytest.raises(OutputExistsError, match="--overwrite"):
            CliRunner().invoke(checkpoints_app, ["convert", NAME, "-o", *arguments], catch_exceptions=False)
    run("convert", NAME, "-o", "hf", "--to", "transformers", "--overwrite")
    assert load_checkpoint(resolve_checkpoint(Path("hf"))).config.max_depth_m == 20


def test_convert_asks_for_the_kind_where_nothing_tells(vits_state: State) -> None:
    torch.save(vits_state, "latest.pth")
    arguments: list[Any] = ["convert", "latest.pth", "-o", "x.safetensors"]
    with pytest.raises(CheckpointFormatError, match="--relative, or --max-depth"):
        CliRunner().invoke(checkpoints_app, arguments, catch_exceptions=False)
    assert not Path("x.safetensors").exists()
    run(*arguments, "--relative", "--v1")
    assert load_checkpoint(resolve_checkpoint("x.safetensors")).config.taps == (8, 9, 10, 11)


def test_inspect_command(metric: LoadedCheckpoint) -> None:
    shown = run("inspect", NAME).stdout
    assert "metric, 20 m (from its file name)" in shown
    assert json.loads(run("inspect", NAME, "--json").stdout)["encoder"] == "vits"
    Path("x.pth").write_bytes(b"")
    assert "problem: x.pth is empty" in run("inspect", "x.pth", status=1).stdout
