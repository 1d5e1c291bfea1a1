"""Files of weights: what is read, what is forgiven, what is refused."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import struct
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_weights import random_state
from safetensors.torch import save_file

from depth_anything_v2.checkpoints import load_checkpoint, resolve_checkpoint, save_checkpoint
from depth_anything_v2.checkpoints.load import LoadedCheckpoint
from depth_anything_v2.config import model_config
from depth_anything_v2.dpt import build_model
from depth_anything_v2.errors import (
    CheckpointFormatError,
    CheckpointNotFoundError,
    CheckpointUnsafeError,
    OptionError,
    OutputError,
)

State = dict[str, torch.Tensor]
NAME = "depth_anything_v2_vits.pth"


def load(path: str | Path, **options: Any) -> LoadedCheckpoint:
    return load_checkpoint(resolve_checkpoint(Path(path)), **options)


def same(left: State, right: State) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key].float()) for key in left)


def test_published_file_gives_a_model_that_runs(real_vits: None) -> None:
    state = random_state(model_config("vits"), torch.float16)
    torch.save(state, NAME)
    loaded = load(NAME)
    assert (loaded.config, loaded.config.embed_dim, loaded.licence) == (model_config("vits"), 384, "Apache-2.0")
    assert all(value.dtype == torch.float32 for value in loaded.state.values())
    assert same(loaded.state, state)
    build_model(loaded.config).load_state_dict(loaded.state, strict=True)


@pytest.mark.parametrize(
    ("nest", "prefix"),
    [
        (("model",), ""),
        (("state_dict",), "module."),
        (("model_state_dict",), "_orig_mod."),
        (("model", "state_dict"), "module.model."),
        ((), "net."),
    ],
)
def test_nesting_and_prefixes_are_undone_and_named(lite_state: State, nest: tuple[str, ...], prefix: str) -> None:
    content: Any = {prefix + key: value for key, value in lite_state.items()}
    for key in reversed(nest):
        content = {key: content, "epoch": 3, "optimizer": {"state": {}}}
    torch.save(content, "mine.pth")
    loaded = load("mine.pth", relative=True)
    assert same(loaded.state, lite_state)
    assert loaded.config == model_config("lite0")
    assert any(".".join(nest) in note for note in loaded.notes) or not nest
    assert any(f"'{prefix}'" in note for note in loaded.notes) or not prefix


def test_the_options_of_a_training_script_do_no_harm(lite_state: State) -> None:
    torch.save({"model": lite_state, "args": argparse.Namespace(lr=5e-6, encoder="vits")}, "latest.pth")
    assert same(load("latest.pth", relative=True).state, lite_state)


def test_legacy_pickles_and_bfloat16_are_read(lite_state: State) -> None:
    content = {key: value.bfloat16() for key, value in lite_state.items()}
    torch.save(content, "old.pt", _use_new_zipfile_serialization=False)
    assert same(load("old.pt", relative=True).state, content)


def test_another_encoder_than_asked_for_is_used_and_said(vits_state: State) -> None:
    torch.save(vits_state, NAME)
    with pytest.warns(UserWarning, match="holds the encoder vits, not vitl: vits is used"):
        loaded = load(NAME, encoder="vitl")
    assert loaded.config.encoder == "vits"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(NAME, encoder="vits")
    with pytest.raises(OptionError, match="unknown encoder 'vitx'"):
        load(NAME, encoder="vitx")


@pytest.mark.parametrize("encoder", ["vitb", "vitl", "vitg"])
def test_the_encoder_is_told_from_shapes(encoder: str) -> None:
    from depth_anything_v2.checkpoints.load import model_shapes
    from depth_anything_v2.checkpoints.recognise import detect_config

    config = model_config(encoder)
    assert detect_config(model_shapes(config), "x.pth") == config


def test_a_smaller_head_is_kept(lite_state: State) -> None:
    import dataclasses

    config = dataclasses.replace(model_config("lite0"), features=16, head_hidden=8)
    state = random_state(config)
    torch.save(state, "small.pth")
    loaded = load("small.pth", relative=True)
    assert loaded.config == config
    assert same(loaded.state, state)


def test_missing_tensors_are_counted_and_named(vits_state: State) -> None:
    part = {key: value for key, value in vits_state.items() if not key.startswith("pretrained.blocks.3.")}
    torch.save(part, NAME)
    with pytest.raises(CheckpointFormatError, match=r"lacks 14 of \d+ tensors \(pretrained.blocks.3.norm1.weight"):
        load(NAME)


def test_tensors_that_nothing_reads_may_be_missing(vits_state: State) -> None:
    unused = "depth_head.scratch.refinenet4.resConfUnit1"
    part = {k: v for k, v in vits_state.items() if k != "pretrained.mask_token" and not k.startswith(unused)}
    torch.save(part, NAME)
    loaded = load(NAME)
    assert loaded.state.keys() == vits_state.keys()
    assert any("lacks 5 tensors that no computation reads" in note for note in loaded.notes)


def test_extra_tensors_are_left_out_and_named(lite_state: State) -> None:
    torch.save({**lite_state, "criterion.weight": torch.zeros(2)}, "x.pth")
    loaded = load("x.pth", relative=True)
    assert "criterion.weight" not in loaded.state
    assert any("criterion.weight" in note for note in loaded.notes)


def test_extra_tensors_that_change_the_model_are_refused(vits_state: State) -> None:
    torch.save({**vits_state, "pretrained.register_tokens": torch.zeros(1, 4, 24)}, NAME)
    with pytest.raises(CheckpointFormatError, match=r"changed architecture: it has pretrained\.register_tokens"):
        load(NAME)


def test_wrong_shapes_and_quantised_tensors_are_refused(lite_state: State) -> None:
    key = "pretrained.stem.weight"
    torch.save({**lite_state, key: torch.zeros(32, 4, 3, 3)}, "x.pth")
    with pytest.raises(CheckpointFormatError, match=r"stem\.weight is \(32, 4, 3, 3\), not \(32, 3, 3, 3\)"):
        load("x.pth", relative=True)
    torch.save({**lite_state, key: lite_state[key].to(torch.int8)}, "y.pth")
    with pytest.raises(CheckpointFormatError, match="is quantised"):
        load("y.pth", relative=True)


class Bomb:
    """Pickled, it asks the reader to make a folder."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_a_pickle_with_code_is_refused_and_does_not_run(lite_state: State, nested: bool, zipped: bool) -> None:
    content = {"model": lite_state, "args": Bomb()} if nested else Bomb()
    torch.save(content, "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointUnsafeError, match=r"refused: .* '\w+\.mkdir', which could run.*save the tensors"):
        load("evil.pth", relative=True)
    assert not Path("ran").exists()
    # The same bytes do run where nobody looks, so the proof above means something.
    torch.load("evil.pth", weights_only=False)
    assert Path("ran").exists()


def test_a_plain_pickle_with_code_is_refused_and_does_not_run() -> None:
    Path("evil.pt").write_bytes(pickle.dumps({"model": Bomb()}))
    with pytest.raises(CheckpointFormatError, match=r"not saved by torch\.save"):
        load("evil.pt")
    assert not Path("ran").exists()


def test_torchscript_holds_code_and_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), "script.pt")
    with pytest.raises(CheckpointUnsafeError, match="TorchScript"):
        load("script.pt")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer.*git lfs pull"),
        (b"<!doctype html><html>404</html>", "a web page"),
        (b"hello, world, this is text", "starts like no file of weights"),
        (b"PK\x03\x04 not really a zip", "is damaged"),
        (b"\x80\x02 not really a pickle", "is damaged"),
        (b'\x00\x10\x00\x00\x00\x00\x00\x00{"__meta', "is cut off"),
    ],
)
def test_files_that_are_no_weights_say_what_they_are(data: bytes, says: str) -> None:
    Path("x.pth").write_bytes(data)
    with pytest.raises(CheckpointFormatError, match=f"x.pth .*{says}|{says}"):
        load("x.pth", relative=True)


def safetensors_file(header: bytes, length: int | None = None, body: bytes = bytes(16)) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + body


def tensor_header(dtype: str = "F32", shape: tuple[int, ...] = (4,), end: int = 16) -> bytes:
    return json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}).encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(safetensors_file(tensor_header(), 1 << 62), id="a header of exabytes"),
        pytest.param(safetensors_file(b"{" + b" " * (101 << 20), body=b""), id="a header of 101 MiB"),
        pytest.param(safetensors_file(b"{nonsense"), id="no JSON"),
        pytest.param(safetensors_file(b'{"\xff": 1}'), id="no UTF-8"),
        pytest.param(safetensors_file(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), id="too deep"),
        pytest.param(safetensors_file(b'{"a": [1]}'), id="another layout"),
        pytest.param(safetensors_file(tensor_header(), 0), id="a header of no length"),
        pytest.param(safetensors_file(tensor_header(end=1600)), id="tensors beyond the end"),
        pytest.param(safetensors_file(tensor_header(shape=(2**62, 2**62))), id="a shape that overflows"),
    ],
)
def test_malformed_safetensors_are_one_sentence(data: bytes) -> None:
    Path("x.safetensors").write_bytes(data)
    with pytest.raises(CheckpointFormatError, match=r"x\.safetensors is (a damaged|cut off)") as caught:
        load("x.safetensors", relative=True)
    assert str(caught.value).endswith("download it again")
    assert "\n" not in str(caught.value)


def test_a_header_whose_length_reads_like_a_web_page_is_a_header(lite_state: State) -> None:
    from safetensors.torch import save

    data = save(lite_state)
    length = struct.unpack("<Q", data[:8])[0]
    wanted = next(n for n in range(length, length + (1 << 17)) if struct.pack("<Q", n).lstrip().startswith(b"<"))
    header = data[8 : 8 + length].ljust(wanted)
    Path("x.safetensors").write_bytes(safetensors_file(header, body=data[8 + length :]))
    assert same(load("x.safetensors", relative=True).state, lite_state)


def test_metadata_that_is_too_deep_counts_as_none(lite_state: State) -> None:
    save_file(lite_state, "x.safetensors", metadata={"depth_anything_v2": "[" * 100_000})
    assert load("x.safetensors", relative=True).config == model_config("lite0")


def test_a_damaged_record_in_an_old_pickle_is_one_sentence() -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(8)}, buffer, _use_new_zipfile_serialization=False)
    key = pickle.loads(buffer.getvalue()[buffer.getvalue().rindex(b"\x80\x02]") :])[0].encode()
    data = buffer.getvalue()
    place = data.rindex(key)
    Path("x.pth").write_bytes(data[:place] + b"x" * len(key) + data[place + len(key) :])
    with pytest.raises(CheckpointFormatError, match=r"x\.pth is damaged"):
        load("x.pth", relative=True)


def test_cut_off_files_are_damaged(lite_state: State) -> None:
    torch.save(lite_state, "whole.pth")
    save_file(lite_state, "whole.safetensors")
    for suffix in (".pth", ".safetensors"):
        data = Path(f"whole{suffix}").read_bytes()
        Path(f"part{suffix}").write_bytes(data[: len(data) // 2])
        with pytest.raises(CheckpointFormatError, match="damaged"):
            load(f"part{suffix}", relative=True)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (("layer1.0.conv1.weight", "fc.weight"), "a ResNet"),
        (("pretrained.model.blocks.0.attn.qkv.weight", "scratch.refinenet1.out_conv.weight"), "a MiDaS or DPT"),
        (("cls_token", "blocks.0.attn.qkv.weight"), "a plain DINOv2 encoder without a depth head"),
        (("embeddings.patch_embeddings.projection.weight",), "a plain DINOv2 encoder without a depth head"),
        (("core.core.pretrained.cls_token", "seed_bin_regressor._net.0.weight"), "a ZoeDepth checkpoint"),
        (("foo.weight", "bar.bias"), r"a model this project doesn't know \(its tensors: bar.bias, foo.weight"),
    ],
)
def test_other_architectures_are_named(keys: tuple[str, ...], says: str) -> None:
    torch.save({key: torch.zeros(4) for key in keys}, "other.pth")
    with pytest.raises(CheckpointFormatError, match=f"looks like {says}"):
        load("other.pth", relative=True)


def test_an_encoder_without_its_head_and_other_sizes(vits_state: State) -> None:
    encoder = {key: value for key, value in vits_state.items() if key.startswith("pretrained.")}
    torch.save(encoder, NAME)
    with pytest.raises(CheckpointFormatError, match="its encoder alone, without the depth head"):
        load(NAME)
    torch.save({**encoder, "head.motion_modules.0.weight": torch.zeros(1)}, NAME)
    with pytest.raises(CheckpointFormatError, match="a Video Depth Anything checkpoint"):
        load(NAME)
    tiny = {"pretrained.cls_token": torch.zeros(1, 1, 192), "pretrained.blocks.11.norm1.weight": torch.zeros(192)}
    torch.save({**tiny, "depth_head.x": torch.zeros(1)}, NAME)
    with pytest.raises(CheckpointFormatError, match="192 wide with 12 blocks, which is none of"):
        load(NAME)


def test_a_known_dinov2_encoder_is_named_by_its_digest(lite_state: State) -> None:
    from depth_anything_v2.checkpoints.load import read_content

    torch.save(lite_state, "x.pth")
    digest = "b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9"
    with pytest.raises(CheckpointFormatError, match="the DINOv2 encoder that vits training starts from"):
        read_content(Path("x.pth"), digest)


def test_something_without_tensors() -> None:
    torch.save([1, 2], "list.pth")
    with pytest.raises(CheckpointFormatError, match=r"no tensors by name \(found: list\)"):
        load("list.pth")
    torch.save({"epoch": 1}, "dict.pth")
    with pytest.raises(CheckpointFormatError, match=r"found: \['epoch'\]"):
        load("dict.pth")


def test_saved_checkpoints_say_what_they_are(lite_state: State) -> None:
    config = model_config("lite0", 12.5)
    half = {key: value.half() for key, value in lite_state.items()}
    path = save_checkpoint("mine.safetensors", half, config, licence="CC0-1.0", extra={"parents": ["builtin"]})
    loaded = load(path)
    assert (loaded.config, loaded.licence, loaded.notes) == (config, "CC0-1.0", ())
    assert same(loaded.state, half)
    from depth_anything_v2.checkpoints.files import safetensors_metadata

    assert safetensors_metadata(path)["parents"] == ["builtin"]


def test_saving_is_all_or_nothing(lite_state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import torch as backend

    path = save_checkpoint("mine.safetensors", lite_state, model_config("lite0"), licence=None)
    before = path.read_bytes()

    def interrupted(tensors: Any, name: Any, **rest: Any) -> None:
        Path(name).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(backend, "save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint("mine.safetensors", lite_state, model_config("lite0"), licence=None)
    assert path.read_bytes() == before
    assert [entry.name for entry in Path().iterdir()] == ["mine.safetensors"]


def test_saving_into_a_missing_folder_is_an_output_error(lite_state: State) -> None:
    with pytest.raises(OutputError):
        save_checkpoint("gone/mine.safetensors", lite_state, model_config("lite0"), licence=None)


def test_metadata_of_another_version_is_an_error(lite_state: State) -> None:
    save_file(lite_state, "x.safetensors", metadata={"depth_anything_v2": '{"config": {"encoder": "lite9"}}'})
    with pytest.raises(CheckpointFormatError, match=r"metadata of .*can't be read"):
        load("x.safetensors")


def test_a_file_that_vanished(lite_state: State) -> None:
    torch.save(lite_state, "x.pth")
    resolved = resolve_checkpoint("x.pth")
    resolved.path.unlink()
    with pytest.raises(CheckpointNotFoundError, match="can't be read"):
        load_checkpoint(resolved)
