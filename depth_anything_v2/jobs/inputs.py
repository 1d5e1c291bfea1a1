"""From what a user names (files, folders, globs, lists, addresses, stdin) to a flat list of pictures."""

from __future__ import annotations

import codecs
import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from depth_anything_v2.errors import NoInputError
from depth_anything_v2.io.images import IMAGE_SUFFIXES, is_url

STDIN = "-"
_UNSAFE_IN_NAMES = re.compile(r'[\x00-\x1f<>:"/\\|?*]')


@dataclass(frozen=True)
class Input:
    """One picture, or one thing named by the user that turned out not to be one.

    source: path, address, or '-' for standard input. parts: its path below the folder that was given (one
    file name for anything else), which the output mirrors. outer: the folders around that, outermost
    first, for telling apart inputs of the same parts. data: the file's bytes where they came from stdin.
    problem: a sentence when it cannot be read at all.
    """

    source: str
    parts: tuple[str, ...]
    outer: tuple[str, ...] = ()
    data: bytes | None = None
    problem: str | None = None

    @property
    def path(self) -> Path | None:
        """The file, None for an address or standard input."""
        return None if self.data is not None or self.problem or is_url(self.source) else Path(self.source)

    @property
    def label(self) -> str:
        """What to call it in messages."""
        return "standard input" if self.data is not None else self.source


@dataclass(frozen=True)
class LookedFor:
    """What a folder is searched for: file suffixes, the words for one and many, and whether addresses are read.

    left_out: says of a file in a folder or pattern that it is not meant, whatever its suffix.
    """

    suffixes: frozenset[str]
    one: str
    many: str
    addresses: bool = True
    left_out: Callable[[Path], bool] | None = None

    def includes(self, path: Path) -> bool:
        """Say whether a file in a folder is one of those."""
        return path.suffix.lower() in self.suffixes and not (self.left_out is not None and self.left_out(path))


PICTURES = LookedFor(IMAGE_SUFFIXES, "a picture", "pictures")


def expand_inputs(
    arguments: Sequence[str],
    *,
    output_folder: Path | None = None,
    read_stdin: Callable[[], bytes] | None = None,
    looked_for: LookedFor = PICTURES,
) -> list[Input]:
    """Return the pictures (or what is `looked_for`) named by `arguments`, in order, each once.

    An argument is a picture file, a folder (all pictures below it, sorted; hidden ones, other files and
    `output_folder` are left out), a glob pattern that the shell did not expand (of lists, when it ends in
    .txt), a `.txt` list (the path of a file or folder or an address per line, relative to the working
    directory, else to the list; blank lines and lines that begin with # are skipped), an http(s) address,
    or '-' for the bytes of one picture from `read_stdin`.
    What does not exist stays in the result with its `problem`.

    Raises NoInputError when there is nothing to do: no argument leads to a picture.
    """
    found: dict[str, Input] = {}
    search = _Search(output_folder, looked_for)
    for argument in arguments:
        for item in search.expand(argument, read_stdin):
            key = item.source if _is_remote(item) else str(absolute(Path(item.source)))
            found.setdefault(key, item)
    inputs = list(found.values())
    if all(item.problem for item in inputs):
        if not inputs:
            raise NoInputError(
                f"no input: name {looked_for.one}, a folder, a list (.txt), an address or - for standard input"
            )
        more = f" (and {len(inputs) - 1} more of {len(inputs)} inputs)" if len(inputs) > 1 else ""
        raise NoInputError(f"no {looked_for.many} to work on: {inputs[0].problem}{more}")
    return inputs


def identity(source: Input) -> dict[str, Any]:
    """Return what tells this version of an input from another one. Raises OSError when a file is gone."""
    if source.data is not None:
        return {"source": "-", "sha256": hashlib.sha256(source.data).hexdigest()}
    if source.path is None:
        return {"source": source.source}
    status = source.path.stat()
    return {"source": str(source.path.absolute()), "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def is_folder(path: Path) -> bool:
    """Say whether a path is that of a folder; one that is too long for the system is not."""
    try:
        return path.is_dir()
    except OSError:
        return False


def absolute(path: Path) -> Path:
    """Return the absolute path without '.' and '..', links left as they are."""
    return Path(os.path.normpath(path.absolute()))


def _is_remote(item: Input) -> bool:
    return item.data is not None or is_url(item.source)


def _is_list(argument: str) -> bool:
    return argument.lower().endswith(".txt") and not is_url(argument) and not is_folder(Path(argument))


def _file(path: Path, root: Path | None = None) -> Input:
    """Return the input for a file, mirrored below `root` or, without one, by its name alone."""
    parts = path.relative_to(root).parts if root is not None else (path.name,)
    around = absolute(path).parts[1 : -len(parts)]
    return Input(str(path), parts, around)


def _folder_identity(folder: Path) -> str:
    return os.path.normcase(os.path.realpath(folder))


def _below(path: Path, folder: str | None) -> bool:
    return folder is not None and any(
        os.path.normcase(parent) == folder for parent in Path(os.path.realpath(path)).parents
    )


def _decode(data: bytes) -> str:
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    # File names in another encoding survive as the operating system's own escapes.
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="surrogateescape")


def _parts_of_address(address: str) -> list[str]:
    """Return host, folders and file name of an address, each fit to be a file's name everywhere."""
    split = urlsplit(address)
    names = [split.hostname or "host", *(unquote(part) for part in split.path.split("/") if part)]
    safe = [Path(_UNSAFE_IN_NAMES.sub("_", name).strip(". ") or "_") for name in names]
    return [name.stem[:100] + name.suffix[:20] for name in safe]


@dataclass(frozen=True)
class _Search:
    """How arguments are followed: the output folder is left out."""

    output: Path | None
    looked_for: LookedFor

    def expand(self, argument: str, read_stdin: Callable[[], bytes] | None) -> Iterator[Input]:
        if argument == STDIN:
            if read_stdin is None:
                yield Input(STDIN, ("stdin",), problem="standard input ('-') cannot be read here")
            else:
                yield Input(STDIN, ("stdin",), data=read_stdin())
        elif glob.has_magic(argument) and not is_url(argument) and not os.path.lexists(argument):
            yield from self._match_lists(argument) if _is_list(argument) else self._match(argument)
        elif _is_list(argument):
            yield from self._read_list(Path(argument))
        else:
            yield from self._expand_one(argument)

    def _expand_one(self, argument: str) -> Iterator[Input]:
        """Yield what a file, a folder or an address stands for: what may stand in a list, too."""
        if is_url(argument) and not self.looked_for.addresses:
            yield Input(argument, ("address",), problem=f"'{argument}' is an address: download it first")
            return
        if is_url(argument):
            *folders, name = _parts_of_address(argument)
            yield Input(argument, (name,), tuple(folders))
            return
        path = Path(argument)
        if is_folder(path):
            pictures = list(self._walk(path, path))
            yield from pictures
            if not pictures:
                yield Input(argument, (path.name,), problem=f"the folder '{argument}' holds no {self.looked_for.many}")
        elif not os.path.lexists(path):
            yield Input(argument, (path.name,), problem=f"'{argument}' does not exist")
        elif path.is_symlink() and not path.exists():
            yield Input(argument, (path.name,), problem=f"'{argument}' is a link to a file that does not exist")
        else:
            yield _file(path)

    def _walk(self, folder: Path, root: Path) -> Iterator[Input]:
        """Yield the pictures below `folder` in sorted order; a folder that links lead back to is taken once."""
        skip = _folder_identity(self.output) if self.output is not None else None
        seen = {_folder_identity(folder)}
        waiting = [folder]
        while waiting:
            current = waiting.pop()
            try:
                entries = sorted(current.iterdir())
            except OSError as error:
                yield Input(
                    str(current), (current.name,), problem=f"the folder '{current}' cannot be read ({error.strerror})"
                )
                continue
            folders = []
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir():
                    identity = _folder_identity(entry)
                    if identity != skip and identity not in seen:
                        seen.add(identity)
                        folders.append(entry)
                elif self.looked_for.includes(entry):
                    yield _file(entry, root)
            waiting.extend(reversed(folders))

    def _match(self, pattern: str) -> Iterator[Input]:
        """Yield the pictures that a glob pattern matches, mirrored below the part of it without wildcards."""
        parts = Path(pattern).parts
        fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
        root = Path(*parts[:fixed])
        skip = _folder_identity(self.output) if self.output is not None else None
        count = 0
        for match in sorted(glob.glob(pattern, recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute pattern
            path = Path(match)
            if path.is_dir():
                # '**' names the folders, too, and all that is in them: walking them would only repeat that.
                if "**" not in parts and _folder_identity(path) != skip:
                    for item in self._walk(path, root):
                        count += 1
                        yield item
            elif self.looked_for.includes(path) and not _below(path, skip):
                count += 1
                yield _file(path, root)
        if not count:
            yield Input(pattern, (Path(pattern).name,), problem=f"no {self.looked_for.many} match '{pattern}'")

    def _match_lists(self, pattern: str) -> Iterator[Input]:
        """Yield what the lists that a glob pattern matches name."""
        lists = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        for path in lists:
            yield from self._read_list(Path(path))
        if not lists:
            yield Input(pattern, (Path(pattern).name,), problem=f"no lists match '{pattern}'")

    def _read_list(self, path: Path) -> Iterator[Input]:
        try:
            text = _decode(path.read_bytes())
        except FileNotFoundError:
            yield Input(str(path), (path.name,), problem=f"the list '{path}' does not exist")
            return
        except OSError as error:
            yield Input(str(path), (path.name,), problem=f"the list '{path}' cannot be read ({error.strerror})")
            return
        count = 0
        for raw in text.splitlines():
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            count += 1
            if "\x00" in line:
                yield Input(str(path), (path.name,), problem=f"the list '{path}' is not a text file")
                return
            beside = path.parent / line
            here = is_url(line) or os.path.lexists(line) or not os.path.lexists(beside)
            yield from self._expand_one(line if here else str(beside))
        if not count:
            yield Input(str(path), (path.name,), problem=f"the list '{path}' names no {self.looked_for.many}")
