"""The state of a run on disk, and whether a folder's run is the one that is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from depth_anything_v2.errors import InputError, OptionError, OutputError
from depth_anything_v2.io.atomic import atomic_path
from depth_anything_v2.training.config import TrainConfig

STATE, BEFORE_DECAY, SETTINGS = "state.pt", "state-before-decay.pt", "config.json"
# What may differ between the parts of a run: it shapes neither the weights nor their order.
_FREE = (
    *("base", "data.workers", "validation.every", "validation.limit", "validation.pictures", "run.save_every"),
    *("run.log_every", "run.tensorboard", "run.gradient_checkpointing", "run.licence", "run.weights"),
)


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state, complete or not at all. Raises OutputError; the file that was there stays."""
    with atomic_path(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # torch's own writer hides the system's reason
            reason = str(error).splitlines()[0]
            raise OutputError(
                f"cannot write '{path}': the disk is probably full ({reason}); the last good one is still there: free "
                "some space and run the same command again"
            ) from error


def read_state(folder: Path, steps: int, device: torch.device) -> dict[str, Any] | None:
    """Return the state to go on from in a run of so many steps, None where there is none.

    Where other `steps` are asked for than those at whose end the rate fell, it is the last one before it fell. Raises
    InputError for a damaged file.
    """
    if not (folder / STATE).is_file():
        return None
    state = _load(folder / STATE, device)
    before = folder / BEFORE_DECAY
    return _load(before, device) if state["decayed"] and state["steps"] != steps and before.is_file() else state


def _load(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise InputError(f"cannot read '{path}', the state of the run: {error}") from error
    return state


def check_same_run(folder: Path, config: TrainConfig) -> None:
    """Raise OptionError where a run with other settings was begun in a folder."""
    path = folder / SETTINGS
    if not (path.is_file() and (folder / STATE).is_file()):
        return
    try:
        theirs: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read '{path}', the settings of the run: {error}") from error
    mine = _identity(config)
    for key in sorted({*mine, *theirs}):
        if mine.get(key) != theirs.get(key):
            raise OptionError(
                f"the run in '{folder}' has another {key} ({theirs.get(key)!r}, here {mine.get(key)!r}), so it cannot "
                "go on: take another folder, or the same setting"
            )


def note_run(folder: Path, config: TrainConfig) -> None:
    """Write the settings that must stay the same. Raises OutputError."""
    with atomic_path(folder / SETTINGS) as temporary:
        temporary.write_text(json.dumps(_identity(config), indent=1, sort_keys=True), encoding="utf-8")


def _identity(config: TrainConfig) -> dict[str, Any]:
    """Return what must stay the same while a run goes on, as 'table.key' -> value."""
    flat: dict[str, Any] = json.loads(json.dumps(_flat(config.to_dict())))
    free = {*_FREE, *(key for key in flat if key.endswith(".root"))}
    if config.schedule.shape in ("constant", "decay"):
        free |= {"schedule.steps", "schedule.epochs"}
    return {key: value for key, value in flat.items() if key not in free}


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return nested tables and lists of tables as 'a.b.0.c' -> value."""
    if isinstance(value, dict):
        return {k: v for key, part in value.items() for k, v in _flat(part, f"{path}.{key}" if path else key).items()}
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        return {k: v for index, part in enumerate(value) for k, v in _flat(part, f"{path}.{index}").items()}
    return {path: value}
