"""From a TOML file or a preset to `TrainConfig`: every mistake is named with its place and the nearest right word."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from depth_anything_v2.errors import InputError, MissingExtraError, OptionError, suggestion
from depth_anything_v2.training.config import TaskName, TrainConfig

PRESETS = Path(__file__).parent / "presets"
T = TypeVar("T")
_NAMES = {int: "a whole number", float: "a number", str: "a text in quotes", bool: "true or false"}


def list_presets(task: TaskName | None = None) -> dict[str, str]:
    """Return the presets by name, each with the comment on its first line."""
    found = {}
    for path in sorted(PRESETS.glob("*.toml")):
        text = path.read_text(encoding="utf-8")
        if task is None or f'task = "{task}"' in text:
            found[path.stem] = text.splitlines()[0].lstrip("# ")
    return found


def load_config(
    name: str | Path, task: TaskName, *, changes: Sequence[str] = (), roots: Sequence[str] = ()
) -> TrainConfig:
    """Return the configuration of a preset or a TOML file.

    changes: 'table.key=value' each, the value as in TOML ('data.train.0.limit=100' for the first source); roots:
    'NAME=FOLDER' each, for all sources of that name. Raises OptionError for what is wrong, InputError for a file that
    cannot be read.
    """
    where = str(name)
    data = _read(name)
    for change in changes:
        _change(data, change)
    for given in roots:
        _set_root(data, given)
    if data.setdefault("task", task) != task:
        raise OptionError(f"'{where}' is for the task '{data['task']}': depth-anything train {data['task']} {where}")
    return build(TrainConfig, data, where)


def _read(name: str | Path, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the data of a file, laid over those of its base."""
    path = Path(name)
    if path.suffix != ".toml":
        presets = list_presets()
        if str(name) not in presets:
            raise OptionError(
                f"no preset is called '{name}' (a file ends in .toml): {suggestion(str(name), list(presets))}"
            )
        path = PRESETS / f"{name}.toml"
    if str(path) in seen:
        raise OptionError(f"'{path}' is its own base")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"cannot read '{path}': {reason}") from error
    data = _parse(text, str(path))
    base = data.get("base")
    if not isinstance(base, str) or not base:
        return data
    beside = path.parent / base
    return _merged(_read(beside if beside.is_file() else base, (*seen, str(path))), data)


def _parse(text: str, where: str) -> dict[str, Any]:
    try:
        reader = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ModuleNotFoundError:
        raise MissingExtraError("tomli", "train", "reading TOML files before Python 3.11") from None
    try:
        data: dict[str, Any] = reader.loads(text)
    except ValueError as error:
        raise OptionError(f"'{where}' is not TOML: {error}") from error
    return data


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _change(data: dict[str, Any], change: str) -> None:
    """Set one value of nested tables, making those that are not there: what is unknown is found later."""
    path, separator, text = change.partition("=")
    keys = path.strip().split(".")
    if not separator or not all(keys):
        raise OptionError(f"a change is TABLE.KEY=VALUE, not '{change}'")
    try:
        value = _parse(f"value = {text}", change)["value"]
    except OptionError:
        value = text.strip()
    here: Any = data
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(here, list):
            if not key.isdigit() or int(key) >= len(here):
                raise OptionError(f"cannot set '{path}': '{key}' is not one of its {len(here)} places (0 is the first)")
            place: Any = int(key)
        elif isinstance(here, dict):
            place = key
            here.setdefault(key, {})
        else:
            raise OptionError(f"cannot set '{path}': '{'.'.join(keys[:depth])}' is not a table")
        if last:
            here[place] = value
        else:
            here = here[place]


def _set_root(data: dict[str, Any], given: str) -> None:
    name, separator, root = given.partition("=")
    if not separator or not name or not root:
        raise OptionError(f"where data are is said as NAME=PATH, not '{given}'")
    tables = data.get("data", {})
    lists = [tables.get(part, []) for part in ("train", "val")] if isinstance(tables, dict) else []
    sources = [source for part in lists if isinstance(part, list) for source in part if isinstance(source, dict)]
    names = [str(source.get("name") or source.get("dataset")) for source in sources]
    if name not in names:
        raise OptionError(f"no source is called '{name}': {suggestion(name, sorted(set(names)))}")
    for source, called in zip(sources, names, strict=True):
        if called == name:
            source["root"] = root


def build(cls: type[T], data: Mapping[str, Any], where: str, path: str = "") -> T:
    """Return the dataclass that plain data describe. Raises OptionError that names the key and what fits it."""
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise OptionError(f"'{where}': there is no '{_join(path, key)}': {_suggest(key, list(fields), path)}")
    values = {}
    for key, value in data.items():
        place = _join(path, key)
        values[key] = _convert(hints[key], value, where, place)
        _check_limits(fields[key].metadata, values[key], where, place)
    missing = [
        name
        for name, field in fields.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise OptionError(f"'{where}': '{_join(path, missing[0])}' is missing")
    try:
        return cls(**values)
    except OptionError as error:
        raise OptionError(f"'{where}': {error}") from error


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _suggest(key: str, here: list[str], path: str) -> str:
    """Return a hint: a key of this table that is spelt nearly so, or the table that the key belongs to."""
    if difflib.get_close_matches(key, here, n=1, cutoff=0.6):
        return suggestion(key, here)
    tables = [f for f in dataclasses.fields(TrainConfig) if dataclasses.is_dataclass(f.default) and f.name != path]
    homes = [f"{t.name}.{f.name}" for t in tables for f in dataclasses.fields(t.default) if f.name == key]  # type: ignore[arg-type]
    return f"did you mean '{homes[0]}'?" if homes else suggestion(key, here)


def _convert(hint: Any, value: Any, where: str, place: str) -> Any:
    """Return the value as the type that a field has."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert(next(part for part in parts if part is not type(None)), value, where, place)
    if origin is Literal:
        if value not in parts:
            raise OptionError(f"'{where}': {place} is not '{value}': {suggestion(str(value), list(parts))}")
        return value
    if origin is tuple:
        return _convert_list(parts, value, where, place)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise OptionError(f"'{where}': {place} is a table, not {value!r}")
        return build(hint, value, where, place)  # type: ignore[arg-type]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise OptionError(f"'{where}': {place} is {_NAMES[hint]}, not {value!r}")
    return value


def _convert_list(parts: tuple[Any, ...], value: Any, where: str, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise OptionError(f"'{where}': {place} is a list in brackets, not {value!r}")
    if parts[-1] is Ellipsis:
        parts = (parts[0],) * len(value)
    if len(value) != len(parts):
        raise OptionError(f"'{where}': {place} has {len(parts)} values, not {len(value)}")
    return tuple(_convert(part, v, where, f"{place}.{i}") for i, (part, v) in enumerate(zip(parts, value, strict=True)))


def _check_limits(metadata: Mapping[str, Any], value: Any, where: str, place: str) -> None:
    if isinstance(value, tuple):
        for part in value:
            _check_limits(metadata, part, where, place)
        return
    low, high = metadata.get("low"), metadata.get("high")
    if value is None or isinstance(value, (str, bool)) or (low is None and high is None):
        return
    too_low = low is not None and (value <= low if metadata["above"] else value < low)
    if too_low or not value < float("inf") or (high is not None and value > high):
        least = "" if low is None else f"more than {low:g}" if metadata["above"] else f"at least {low:g}"
        most = "" if high is None else f"at most {high:g}"
        raise OptionError(f"'{where}': {place} must be {' and '.join(filter(None, (least, most)))}, not {value:g}")
