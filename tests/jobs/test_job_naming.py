"""No two inputs share an output, and names say which input they are of."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth_anything_v2.jobs.inputs import Input, expand_inputs
from depth_anything_v2.jobs.naming import output_stems, overwritten_input
from depth_anything_v2.jobs.options import PredictOptions
from depth_anything_v2.jobs.outputs import DepthFiles


def named(*paths: str, formats: tuple[str, ...] = ("png",), root: str = "", flat: bool = False) -> list[str]:
    """Return the stems for files below `root`, or for single files when it is empty."""
    inputs = []
    for path in paths:
        parts = Path(path).parts
        length = len(parts) - len(Path(root).parts) if root else 1
        inputs.append(Input(path, parts[-length:], ("w", *parts[:-length])))
    files = DepthFiles(PredictOptions(formats))
    return output_stems(inputs, lambda stem: list(files.files(stem)), flat=flat)


@pytest.mark.parametrize(
    ("paths", "stems"),
    [
        (["in/x.jpg", "in/y.jpg"], ["x", "y"]),
        (["in/a/x.jpg", "in/b/x.jpg"], ["a/x", "b/x"]),
        (["in/x.jpg", "in/x.png", "in/y.png"], ["x.jpg", "x.png", "y"]),
        (["in/x.JPG", "in/X.jpg"], ["x.JPG", "X.jpg-2"]),
        (["in/x.jpg", "in/x.jpg.png"], ["x", "x.jpg"]),
        (["in/x.jpg", "in/x.png", "in/x.jpg.png"], ["x.jpg", "x.png", "x.jpg.png"]),
        (["in/x.png/y.jpg", "in/x.tif"], ["x.png/y", "x.tif"]),
        (["in/a.b.jpg", "in/a.c.jpg"], ["a.b", "a.c"]),
    ],
)
def test_names_below_one_folder(paths: list[str], stems: list[str]) -> None:
    assert named(*paths, root="in") == stems


@pytest.mark.parametrize(
    ("paths", "stems"),
    [
        (["p/x.jpg", "q/y.jpg"], ["x", "y"]),
        (["p/x.jpg", "q/x.jpg"], ["p/x", "q/x"]),
        (["p/x.jpg", "q/x.png"], ["x.jpg", "x.png"]),
        (["p/a/x.jpg", "q/a/x.jpg"], ["p/a/x", "q/a/x"]),
        (["p/x.jpg", "q/x.jpg", "q/x.png"], ["p/x.jpg", "q/x.jpg", "x.png"]),
    ],
)
def test_names_of_single_files(paths: list[str], stems: list[str]) -> None:
    assert named(*paths) == stems


def test_flat_names_are_bare_where_that_is_possible() -> None:
    assert named("in/a/x.jpg", "in/b/y.jpg", "in/b/x.jpg", root="in", flat=True) == ["a/x", "y", "b/x"]


def test_files_of_different_formats_do_not_meet() -> None:
    """x.jpg as png16 and x_depth16.jpg as png would be the same file; so would a sidecar."""
    formats = ("png", "png16")
    stems = named("in/x.jpg", "in/x_depth16.jpg", formats=formats, root="in")
    files = DepthFiles(PredictOptions(formats))
    written = [name for stem in stems for name in files.files(stem)]
    assert len(set(written)) == 4


def test_two_unicode_forms_of_one_name_are_kept_apart() -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.jpg") for form in ("NFC", "NFD"))
    stems = named(f"in/{composed}", f"in/{decomposed}", root="in")
    assert unicodedata.normalize("NFC", stems[0]) != unicodedata.normalize("NFC", stems[1])


def test_addresses_and_stdin() -> None:
    inputs = expand_inputs(
        ["http://a.org/x.jpg", "http://b.org/x.jpg", "http://a.org/y.jpg?v=1", "http://a.org/y.jpg?v=2", "-"],
        read_stdin=lambda: b"",
    )
    assert output_stems(inputs, lambda stem: [f"{stem}.png"]) == ["a.org/x", "b.org/x", "y.jpg", "y.jpg-2", "stdin"]


SEGMENT = st.sampled_from(["a", "A", "b", "x", "X", "x.png", "x.jpg", "a.png"])
PATHS = st.lists(
    st.tuples(
        st.lists(SEGMENT, max_size=2), st.sampled_from(["x", "X", "a"]), st.sampled_from([".jpg", ".png", ".JPG", ""])
    ),
    min_size=1,
    max_size=12,
    unique_by=str,
)


@given(PATHS, st.booleans(), st.sampled_from([("png",), ("png", "npy", "png16")]))
def test_no_two_inputs_ever_share_a_file(paths: list[tuple[list[str], str, str]], flat: bool, formats) -> None:
    names = ["/".join(["in", *folders, name + suffix]) for folders, name, suffix in paths]
    stems = named(*names, formats=formats, root="in", flat=flat)
    files = DepthFiles(PredictOptions(formats))
    written = [name.casefold() for stem in stems for name in files.files(stem)]
    assert len(set(written)) == len(names) * len(files.files("x"))
    folders = {str(parent) for name in written for parent in Path(name).parents}
    assert folders.isdisjoint(written)


def test_the_order_of_inputs_does_not_change_names() -> None:
    paths = ["in/a/x.jpg", "in/x.png", "in/x.jpg", "in/b/y.jpg", "in/b/y.png", "in/c.jpg"]
    expected = dict(zip(paths, named(*paths, root="in"), strict=True))
    random.Random(1).shuffle(paths)
    assert dict(zip(paths, named(*paths, root="in"), strict=True)) == expected


def test_an_output_that_is_an_input_is_found_through_links(tmp_path: Path) -> None:
    source = tmp_path / "x.png"
    source.write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path)
    inputs = [Input(str(source), ("x.png",))]
    assert overwritten_input([tmp_path / "link" / "x.png"], inputs) == tmp_path / "link" / "x.png"
    assert overwritten_input([tmp_path / "y.png"], inputs) is None
