"""Relative or metric, V1 or V2: the order of the evidence, and refusing where there is none."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from depth_anything_v2.checkpoints import keys, load_checkpoint, resolve_checkpoint, save_checkpoint
from depth_anything_v2.checkpoints.convert import transformers_config
from depth_anything_v2.checkpoints.load import LoadedCheckpoint
from depth_anything_v2.config import model_config
from depth_anything_v2.errors import CheckpointFormatError, OptionError

State = dict[str, torch.Tensor]
SPREAD, LAST = (2, 5, 8, 11), (8, 9, 10, 11)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, vits_state: State) -> Path:
    """Weights of vits under a name that says nothing."""
    path = tmp_path_factory.mktemp("weights") / "latest.pth"
    torch.save(vits_state, path)
    return path


@pytest.fixture
def link(stored: Path) -> Callable[[str], Path]:
    """Give the stored weights another name."""

    def named(name: str) -> Path:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).symlink_to(stored)
        return Path(name)

    return named


def load(path: Path, **options: Any) -> LoadedCheckpoint:
    return load_checkpoint(resolve_checkpoint(path), **options)


@pytest.mark.parametrize(
    ("name", "max_depth_m", "taps"),
    [
        ("depth_anything_v2_vits.pth", None, SPREAD),
        ("depth_anything_v2_metric_hypersim_vits.pth", 20, SPREAD),
        ("depth_anything_v2_metric_vkitti_vits.pth", 80, SPREAD),
        ("depth_anything_vits14.pth", None, LAST),
    ],
)
def test_the_file_name_tells(link: Callable[[str], Path], name: str, max_depth_m: float | None, taps: Any) -> None:
    config = load(link(name)).config
    assert (config.max_depth_m, config.taps) == (max_depth_m, taps)


def test_where_nothing_tells_the_question_is_asked(stored: Path) -> None:
    with pytest.raises(CheckpointFormatError, match=r"relative or metric.*--relative, or --max-depth"):
        load(stored)
    assert load(stored, relative=True).config == model_config("vits")
    assert load(stored, max_depth_m=10).config == model_config("vits", 10)
    assert load(stored, relative=True, v1=True).config.taps == LAST


def test_a_name_that_promises_another_encoder_is_not_believed(link: Callable[[str], Path]) -> None:
    path = link("depth_anything_v2_vitl.pth")
    with pytest.raises(CheckpointFormatError, match="nothing tells"):
        load(path)
    assert any("its name is not believed" in note for note in load(path, relative=True).notes)


def test_the_digest_outweighs_the_name(
    link: Callable[[str], Path], stored: Path, registered: Callable[..., None]
) -> None:
    registered("metric-indoor-vits", sha256=hashlib.sha256(stored.read_bytes()).hexdigest())
    assert load(stored).config.max_depth_m == 20
    loaded = load(link("depth_anything_v2_vits.pth"))
    assert loaded.config.max_depth_m == 20
    assert any("metric up to 20 m (digest), although its file name says relative" in note for note in loaded.notes)


def test_metadata_outweighs_the_name(vits_state: State) -> None:
    path = save_checkpoint("depth_anything_v2_vits.safetensors", vits_state, model_config("vits", 35), licence=None)
    loaded = load(path)
    assert loaded.config.max_depth_m == 35
    assert any("although its file name says relative" in note for note in loaded.notes)


def test_the_callers_word_wins_and_a_conflict_warns(link: Callable[[str], Path]) -> None:
    metric = link("depth_anything_v2_metric_hypersim_vits.pth")
    with pytest.warns(UserWarning, match="max depth 30 m overrides the checkpoint's 20 m"):
        loaded = load(metric, max_depth_m=30)
    assert loaded.config.max_depth_m == 30
    assert any("max depth 30 m overrides" in note for note in loaded.notes)
    with pytest.warns(UserWarning, match="is metric up to 20 m by its file name, and running it as relative"):
        assert load(metric, relative=True).config.max_depth_m is None
    with pytest.warns(UserWarning, match="running it as metric up to 20 m"):
        load(link("depth_anything_v2_vits.pth"), max_depth_m=20)
    with pytest.warns(UserWarning, match="the file name of .* says V2"):
        assert load(Path("depth_anything_v2_vits.pth"), v1=True).config.taps == LAST
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(metric, max_depth_m=20)


def test_options_that_exclude_each_other(stored: Path, lite_state: State) -> None:
    with pytest.raises(OptionError, match="exclude each other"):
        load(stored, relative=True, max_depth_m=20)
    with pytest.raises(OptionError, match="positive"):
        load(stored, max_depth_m=-1)
    torch.save(lite_state, "lite.pth")
    with pytest.raises(OptionError, match="v1 is for Depth Anything V1"):
        load(Path("lite.pth"), relative=True, v1=True)


def transformers_folder(state: State, **changes: Any) -> Path:
    folder = Path("hf")
    folder.mkdir()
    torch.save(keys.to_transformers(state), folder / "pytorch_model.bin")
    config = {**transformers_config(model_config("vits")), **changes}
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return folder


@pytest.mark.parametrize(
    ("changes", "max_depth_m", "taps"),
    [
        ({}, None, SPREAD),
        ({"depth_estimation_type": "metric", "max_depth": 80}, 80, SPREAD),
        ({"depth_estimation_type": None}, None, SPREAD),  # transformers takes an absent type as relative
        ({"backbone_config": {"out_indices": [9, 10, 11, 12]}}, None, LAST),
        ({"backbone_config": {"out_features": ["stage3", "stage6", "stage9", "stage12"]}}, None, SPREAD),
    ],
)
def test_transformers_config_tells(
    vits_state: State, changes: dict[str, Any], max_depth_m: float | None, taps: tuple[int, ...]
) -> None:
    loaded = load(transformers_folder(vits_state, **changes))
    assert (loaded.config.max_depth_m, loaded.config.taps) == (max_depth_m, taps)
    assert all(torch.equal(loaded.state[key], value.float()) for key, value in vits_state.items())


@pytest.mark.parametrize("text", ["not json", '{"model_type": "dpt"}', "{}"])
def test_a_config_of_something_else_tells_nothing(vits_state: State, text: str) -> None:
    folder = transformers_folder(vits_state)
    (folder / "config.json").write_text(text)
    with pytest.raises(CheckpointFormatError, match="nothing tells"):
        load(folder)
