"""A checkpoint and what is known of it, so that an engine can start without reading the weights through torch."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from depth_anything_v2.checkpoints import LoadedCheckpoint, ResolvedCheckpoint, load_checkpoint
from depth_anything_v2.config import ModelConfig
from depth_anything_v2.engines import store
from depth_anything_v2.engines.choose import Request
from depth_anything_v2.version import __version__

if TYPE_CHECKING:
    from torch import nn

_PACKAGE = __name__.partition(".")[0]


@dataclass
class Source:
    """A checkpoint that is loaded, through torch, only when somebody needs more than what is remembered of it."""

    resolved: ResolvedCheckpoint
    request: Request
    on_wait: Callable[[str], None]
    _loaded: LoadedCheckpoint | None = field(default=None, init=False)

    def load(self) -> LoadedCheckpoint:
        if self._loaded is None:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                self._loaded = load_checkpoint(self.resolved, **self.request.reading)
            self._warn([str(warning.message) for warning in caught])
            own = self._loaded.notes[len(self.resolved.notes) :]
            store.remember(
                self._key(),
                {
                    "config": self._loaded.config.to_dict(),
                    "licence": self._loaded.licence,
                    "notes": own,
                    "warnings": [str(warning.message) for warning in caught],
                },
            )
        return self._loaded

    def describe(self) -> tuple[ModelConfig, str | None, tuple[str, ...]]:
        """Return configuration, licence and notes, from an earlier process where it remembered them."""
        known = store.recall(self._key()) if self._loaded is None else None
        if known is not None:
            try:
                config = ModelConfig.from_dict(known["config"])
                licence, notes, said = known["licence"], known["notes"], known["warnings"]
            except (KeyError, TypeError, ValueError):
                known = None
        if known is None:
            loaded = self.load()
            return loaded.config, loaded.licence, loaded.notes
        self._warn(said)
        return config, licence, (*self.resolved.notes, *notes)

    def forget(self) -> None:
        """Give back the memory of the weights; who needs them again loads them again."""
        self._loaded = None

    def model(self) -> nn.Module:
        """Return a new model; its weights are shared with other models made of this source."""
        return build(self.load())

    def _key(self) -> dict[str, Any]:
        """What decides how a file is understood: its bytes, its name, what lies beside it, and the options."""
        path = self.resolved.path.absolute()
        beside = path.parent / "config.json"
        config = hashlib.sha256(beside.read_bytes()).hexdigest() if beside.is_file() else None
        return {
            "checkpoint": self.resolved.sha256,
            "what": "reading",
            "path": str(path),
            "beside": config,
            "package": __version__,
            **self.request.reading,
        }

    def _warn(self, sentences: list[str]) -> None:
        for sentence in sentences:
            warnings.warn(sentence, UserWarning, stacklevel=_levels_to_caller())


def _levels_to_caller() -> int:
    """Return the `stacklevel`, for who calls this, of the code that uses this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(f"{_PACKAGE}."):
        level, frame = level + 1, frame.f_back
    return level


def build(loaded: LoadedCheckpoint) -> nn.Module:
    """Return the model with its weights, without first filling it with random ones."""
    import torch

    from depth_anything_v2.dpt import build_model

    with torch.device("meta"):
        model = build_model(loaded.config)
    model.load_state_dict(loaded.state, strict=True, assign=True)
    return model
