"""What the arguments of a job stand for."""

from __future__ import annotations

from pathlib import Path

import pytest
from picture_files import photo

from depth_anything_v2.errors import InputError
from depth_anything_v2.jobs.inputs import Input, expand_inputs


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sources(*arguments: str, output: str | None = None) -> list[str]:
    found = expand_inputs(arguments, output_folder=Path(output) if output else None)
    return [item.source for item in found]


def problems(*arguments: str) -> list[str]:
    return [item.problem for item in expand_inputs(arguments) if item.problem]


def test_a_folder_gives_its_pictures_sorted_and_nothing_else() -> None:
    for name in ("b.jpg", "a.PNG", "sub/deep/ü c.webp", ".hidden/x.jpg", "out/old.png", "sub/out/keep.png"):
        photo(Path("in", name))
    photo(Path("in/.hidden.jpg"))
    Path("in/notes.txt").write_text("no picture")
    Path("in/data.bin").write_bytes(b"no picture")
    assert sources("in", output="in/out") == [
        str(Path("in", name)) for name in ("a.PNG", "b.jpg", "sub/deep/ü c.webp", "sub/out/keep.png")
    ]
    assert [item.parts for item in expand_inputs(["in/sub"])] == [("deep", "ü c.webp"), ("out", "keep.png")]


def test_links_that_lead_back_end() -> None:
    photo(Path("in/sub/a.jpg"))
    Path("in/sub/up").symlink_to("..")
    Path("in/self").symlink_to(Path("in").absolute())
    photo(Path("elsewhere/b.jpg"))
    Path("in/linked").symlink_to(Path("elsewhere").absolute())
    Path("in/dangling.jpg").symlink_to("missing.jpg")
    assert [Path(name).name for name in sources("in")] == ["dangling.jpg", "b.jpg", "a.jpg"]


def test_the_same_file_named_twice_is_one_input() -> None:
    photo(Path("in/a.jpg"))
    assert sources("in/a.jpg", "in", "./in/../in/a.jpg", str(Path("in/a.jpg").absolute())) == [str(Path("in/a.jpg"))]


def test_globs_are_expanded_where_the_shell_did_not() -> None:
    for name in ("in/x/1.jpg", "in/y/1.jpg", "in/y/2.png", "in/out/1.png"):
        photo(Path(name))
    Path("in/y/list.txt").write_text("x")
    found = expand_inputs(["in/*/*.*"], output_folder=Path("in/out"))
    assert [item.parts for item in found] == [("x", "1.jpg"), ("y", "1.jpg"), ("y", "2.png")]
    assert [item.parts for item in expand_inputs(["in/**/*.jpg"])] == [("x", "1.jpg"), ("y", "1.jpg")]
    assert [item.parts for item in expand_inputs(["in/*"], output_folder=Path("in/out"))] == [
        ("x", "1.jpg"),
        ("y", "1.jpg"),
        ("y", "2.png"),
    ]
    assert len(sources(str(Path("in/y/*").absolute()))) == 2
    assert problems("in/*.tiff", "in/x/1.jpg") == ["no pictures match 'in/*.tiff'"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file() -> None:
    photo(Path("in/[1].jpg"))
    photo(Path("in/1.jpg"))
    assert sources("in/[1].jpg") == [str(Path("in/[1].jpg"))]


def test_a_pattern_of_lists_is_expanded_to_these() -> None:
    for name in ("p/1.jpg", "p/2.jpg", "p/3.jpg"):
        photo(Path(name))
    for name, line in (("w1", "1.jpg"), ("w2", "2.jpg"), ("other", "3.jpg")):
        Path(f"p/{name}.txt").write_text(line)
    assert sources("p/w*.txt") == [str(Path("p/1.jpg")), str(Path("p/2.jpg"))]
    Path("p/w[3].txt").write_text("3.jpg")
    assert sources("p/w[3].txt") == [str(Path("p/3.jpg"))]
    assert problems("p/1.jpg", "p/v*.txt") == ["no lists match 'p/v*.txt'"]


def test_patterns_and_lists_in_a_list_are_not_followed() -> None:
    photo(Path("1.jpg"))
    Path("list.txt").write_text("*.jpg\n1.jpg")
    assert problems("list.txt") == ["'*.jpg' does not exist"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_of_any_encoding(encoding: str) -> None:
    photo(Path("lists/beside é.jpg"))
    photo(Path("here.jpg"))
    photo(Path("folder/in it.png"))
    lines = ["# pictures", "", "here.jpg", "  beside é.jpg  ", "https://example.org/a/x.jpg?v=1", "folder", "gone.jpg"]
    Path("lists/list.TXT").write_bytes("\r\n".join(lines).encode(encoding))
    found = expand_inputs(["lists/list.TXT"])
    assert [item.source for item in found] == [
        "here.jpg",
        str(Path("lists/beside é.jpg")),
        "https://example.org/a/x.jpg?v=1",
        str(Path("folder/in it.png")),
        "gone.jpg",
    ]
    assert [bool(item.problem) for item in found] == [False, False, False, False, True]


def test_the_working_directory_comes_before_the_folder_of_the_list() -> None:
    photo(Path("x.jpg"))
    photo(Path("lists/x.jpg"))
    Path("lists/a.txt").write_text("x.jpg\n")
    assert sources("lists/a.txt") == ["x.jpg"]


def test_what_is_no_picture_is_told_and_the_rest_stays() -> None:
    photo(Path("ok.jpg"))
    Path("empty").mkdir()
    Path("nothing.txt").write_text("# only a comment\n")
    Path("binary.txt").write_bytes(b"\x00\x01\x02")
    assert problems("ok.jpg", "gone.jpg", "empty", "nothing.txt", "binary.txt", "gone.txt") == [
        "'gone.jpg' does not exist",
        "the folder 'empty' holds no pictures",
        "the list 'nothing.txt' names no pictures",
        "the list 'binary.txt' is not a text file",
        "the list 'gone.txt' does not exist",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no input"),
        (["gone.jpg"], "'gone.jpg' does not exist"),
        (["empty", "gone.jpg"], r"the folder 'empty' holds no pictures \(and 1 more of 2 inputs\)"),
    ],
)
def test_nothing_at_all_to_do_is_an_error(arguments: list[str], message: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(InputError, match=message):
        expand_inputs(arguments)


def test_stdin_is_one_input_with_its_bytes() -> None:
    assert expand_inputs(["-"], read_stdin=lambda: b"bytes") == [Input("-", ("stdin",), data=b"bytes")]
    with pytest.raises(InputError, match="standard input"):
        expand_inputs(["-"])


def test_addresses_are_named_by_their_path() -> None:
    found = expand_inputs(["https://example.org/a%20b/c%2Fd%3F.jpg?size=1#x", "HTTP://example.org"])
    assert [item.parts for item in found] == [("c_d_.jpg",), ("example.org",)]
    assert all(item.path is None for item in found)
