"""Files of measured points."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_anything_v2.errors import InputError
from depth_anything_v2.io.points import read_points

EXPECTED = [[10, 20.5, 1.25], [300, 0, 14]]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "10,20.5,1.25\n300,0,14\n"),
        ("b.csv", "\ufeffx,y,metres\r\n10,20.5,1.25\r\n300,0,14\r\n"),
        ("c.csv", "# by laser\nName, Depth , v , U\n'door',1.25,20.5,10  # first\n\nwall,14,0,300\n"),
        ("d.csv", "x;y;m\n10;20,5;1,25\n300;0;14\n"),
        ("e.txt", "10 20.5   1.25\n300\t0\t14"),
        ("f.tsv", "distance_m\tcolumn\trow\n1.25\t10\t20.5\n14\t300\t0\n"),
        ("g.json", "[[10, 20.5, 1.25], [300, 0, 14]]"),
        ("h.json", '{"points": [{"x": 10, "y": 20.5, "metres": 1.25}, {"note": 1, "z": 14, "u": 300, "v": 0}]}'),
    ],
)
def test_every_way_to_write_two_points(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    points = read_points(tmp_path / name)
    assert points.dtype == np.float64
    assert points.tolist() == EXPECTED


def test_numpy_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array(EXPECTED, np.float32))
    assert read_points(tmp_path / "p.npy").tolist() == EXPECTED
    for wrong in (np.ones((2, 4)), np.ones(3), np.array([["a", "b", "c"]])):
        np.save(tmp_path / "p.npy", wrong)
        with pytest.raises(InputError, match=r"p.npy' as points: it is \(.*\), not \(N, 3\) numbers"):
            read_points(tmp_path / "p.npy")
    (tmp_path / "p.npy").write_bytes(b"junk")
    with pytest.raises(InputError, match="not a NumPy array"):
        read_points(tmp_path / "p.npy")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "x,y\n1,2\n", "line 1: the column metres is missing: points need x, y, metres, here are x, y"),
        ("a.csv", "a,b,c\n1,2,3\n", "the column x and y and metres is missing"),
        ("a.csv", "1,2\n3,4\n", "line 1: it has 2 columns, not x, y, metres"),
        ("a.csv", "1,2,3,4\n", "it has 4 columns, not x, y, metres; name the columns"),
        ("a.csv", "x,y,metres\n1,2,3\n\n4,5\n", "line 4: it has 2 columns, the first line has 3"),
        ("a.csv", "1,2,3\n1,two,3\n", "line 2: y is 'two', not a finite number"),
        ("a.csv", "1,2,3\n1,2,nan\n", "line 2: metres is 'nan', not a finite number"),
        ("a.csv", "1,2,3\n,2,3\n", "line 2: x is '', not a finite number"),
        ("a.csv", "1,2,3\n1,2,-3\n", "line 2: -3 m is not a distance"),
        ("a.csv", "x,y,metres\n1,2,inf\n", "line 2: metres is 'inf'"),
        ("a.csv", "", "holds no point"),
        ("a.csv", "x,y,metres\n# nothing\n", "holds no point"),
        ("a.json", "[[1, 2, 3], [1, 2]]", r"point 2: \[1, 2\] is not \[x, y, metres\]"),
        ("a.json", '[{"x": 1, "y": 2}]', "point 1: the column metres is missing"),
        ("a.json", "[[1, 2, null]]", "point 1: metres is 'None'"),
        ("a.json", "[[1, 2, true]]", "point 1: metres is 'True'"),
        ("a.json", '{"a": 1}', "a list of"),
        ("a.json", "[1, 2", "not JSON"),
        ("a.xlsx", "", "suffix is none of .csv, .txt"),
    ],
)
def test_what_is_wrong_and_where(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_points(tmp_path / name)
    assert name in str(caught.value)


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_points(tmp_path / "a.csv")
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(InputError, match="directory"):
        read_points(tmp_path / "b.csv")
    (tmp_path / "c.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not text"):
        read_points(tmp_path / "c.csv")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-10, 5000), st.floats(-10, 5000), st.floats(1e-3, 1e4)), min_size=1, max_size=20))
def test_text_and_json_agree(
    tmp_path_factory: pytest.TempPathFactory, points: list[tuple[float, float, float]]
) -> None:
    folder = tmp_path_factory.mktemp("points")
    (folder / "p.csv").write_text("".join(f"{x!r},{y!r},{m!r}\n" for x, y, m in points))
    (folder / "p.json").write_text(json.dumps(points))
    np.testing.assert_array_equal(read_points(folder / "p.csv"), points)
    np.testing.assert_array_equal(read_points(folder / "p.json"), points)
