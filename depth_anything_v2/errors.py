"""The errors this package raises on purpose.

    DepthAnythingError
    ├── InputError            a picture, video or list that cannot be read or used
    │   ├── ImageTooLargeError    more pixels than the limit allows, or more memory needed than there is
    │   └── NoInputError          nothing at all to work on
    ├── OutputError           a result that cannot be written where it was asked for
    │   └── OutputExistsError     it is already there, and neither resume nor overwrite was said
    ├── CheckpointError       weights that cannot be used
    │   ├── CheckpointNotFoundError   no such name, file or repository
    │   ├── CheckpointDownloadError   it exists, but could not be fetched (network, 404, cut off)
    │   ├── CheckpointDigestError     the bytes are not the ones that were published
    │   ├── CheckpointUnsafeError     a pickle that would run code
    │   └── CheckpointFormatError     not a Depth Anything checkpoint, or its kind cannot be known
    ├── AlignmentError        measured distances from which no scale and shift can be found
    ├── OutOfMemoryError      a pass through the network that the device has too little memory for
    ├── DepthKindError        an operation that this kind of depth does not allow
    ├── OptionError           an option, name or combination that makes no sense
    └── MissingExtraError     a feature whose optional dependency is not installed

Every message is one sentence a user can act on: what was wrong, where, what to do. The command line
prints the message alone; a traceback means a defect of this package.
"""

from __future__ import annotations

from collections.abc import Iterable


class DepthAnythingError(Exception):
    """Base of every error raised on purpose."""


class InputError(DepthAnythingError):
    """A picture, video or list cannot be read or used."""


class ImageTooLargeError(InputError):
    """A picture has more pixels than the limit allows, or its network input needs more memory than there is."""


class NoInputError(InputError):
    """No argument leads to anything to work on."""


class OutputError(DepthAnythingError):
    """A result cannot be written where it was asked for."""


class OutputExistsError(OutputError):
    """An output is already there, and neither resuming nor overwriting was asked for."""


class CheckpointError(DepthAnythingError):
    """A checkpoint cannot be used."""


class CheckpointNotFoundError(CheckpointError):
    """No checkpoint has this name, and no file or repository is there."""


class CheckpointDownloadError(CheckpointError):
    """A checkpoint exists but could not be fetched."""


class CheckpointDigestError(CheckpointError):
    """The bytes of a download are not the ones that were published."""


class CheckpointUnsafeError(CheckpointError):
    """A file would run code when loaded."""


class CheckpointFormatError(CheckpointError):
    """The tensors are not those of a supported model, or their kind cannot be known."""


class AlignmentError(DepthAnythingError):
    """No scale and shift follow from the values given: too few, all the same, or they contradict each other."""


class OutOfMemoryError(DepthAnythingError):
    """The device has too little memory for a pass through the network."""


class DepthKindError(DepthAnythingError):
    """The operation needs another kind of depth (metric instead of relative, for example)."""


class OptionError(DepthAnythingError, ValueError):
    """An option, a name or a combination of them makes no sense."""


class MissingExtraError(DepthAnythingError, ImportError):
    """An optional dependency is not installed.

    The message names the package that is missing, not this project's extra: a name on a package index is
    only safe to install where this project is the one behind it. extra: None for a package that all installations
    have, unless somebody left it out.
    """

    def __init__(self, package: str, extra: str | None, feature: str) -> None:
        where = f" (it is in the extra '{extra}')" if extra else ""
        super().__init__(f"{feature} needs the package '{package}': pip install {package}{where}")
        self.package, self.extra = package, extra


def suggestion(word: str, known: Iterable[str], otherwise: str = "choose from") -> str:
    """Return how a message goes on after an unknown word: "did you mean 'x'?" or, with nothing near, all there are."""
    import difflib

    names = list(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean '{near[0]}'?" if near else f"{otherwise} {', '.join(names)}"
