from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from dataset_files import picture, write_picture

from depth_anything_v2.datasets.da2k import PointPair, load_da2k, scene_type
from depth_anything_v2.errors import InputError, NoInputError

ENTRY = {"point1": [3, 5], "point2": [20, 30], "closer_point": "point1"}


def annotate(folder: Path, data: object) -> None:
    (folder / "annotations.json").write_text(json.dumps(data))


def test_pictures_pairs_and_scene_types(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "indoor" / "a.png", picture())
    other = {**ENTRY, "closer_point": "point2"}
    annotate(tmp_path, {"images/indoor/a.png": [ENTRY, other], "images/non_real_7/b.jpg": [ENTRY]})
    samples = load_da2k(tmp_path)
    assert [(sample.name, sample.scene) for sample in samples] == [
        ("images/indoor/a.png", "indoor"),
        ("images/non_real_7/b.jpg", "non_real"),
    ]
    assert samples[0].pairs == (PointPair((3, 5), (20, 30), 1), PointPair((3, 5), (20, 30), 2))
    np.testing.assert_array_equal(samples[0].image, picture())
    with pytest.raises(InputError, match="no such file"):
        _ = samples[1].image


def test_scene_type_of_a_path() -> None:
    assert scene_type("images/transparent_reflective/x.jpg") == "transparent_reflective"
    assert scene_type("images/object_0012.jpg") == "object"
    assert scene_type("images/x.jpg") == ""


@pytest.mark.parametrize(
    "entries", [[{"point1": [1, 2]}], [{**ENTRY, "closer_point": "left"}], [{**ENTRY, "point1": [1]}], 3]
)
def test_odd_annotations_name_their_picture(tmp_path: Path, entries: object) -> None:
    annotate(tmp_path, {"images/x.jpg": entries})
    with pytest.raises(InputError, match=r"the annotation of 'images/x.jpg' is not two points"):
        load_da2k(tmp_path)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"no annotations.json in"):
        load_da2k(tmp_path)
    annotate(tmp_path, {})
    with pytest.raises(NoInputError, match="holds no annotations"):
        load_da2k(tmp_path)
    annotate(tmp_path, {"images/x.jpg": [ENTRY]})
    with pytest.raises(InputError, match="none of the 1 pictures"):
        load_da2k(tmp_path)
    annotate(tmp_path, [1])
    with pytest.raises(InputError, match="an object of picture -> annotations"):
        load_da2k(tmp_path)
    (tmp_path / "annotations.json").write_text("{")
    with pytest.raises(InputError, match="it is not JSON"):
        load_da2k(tmp_path)
