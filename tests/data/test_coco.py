import json

import numpy as np
import pytest
from PIL import Image

from regard.data.coco import categories, run_lengths, write_coco
from regard.data.drawings import SUBJECTS
from regard.data.scenes import scene
from regard.errors import ArgumentError, OutputError

COUNT = 12


@pytest.fixture(scope="module", params=[1, 2])
def version(request):
    """Of the scenes."""
    return request.param


@pytest.fixture(scope="module")
def folder(tmp_path_factory, version):
    """Twelve scenes, written once."""
    place = tmp_path_factory.mktemp("coco") / "scenes"
    write_coco(place, COUNT, seed=3, version=version)
    return place


def read(folder, kind):
    return json.loads((folder / "annotations" / f"{kind}_train.json").read_text())


def decoded(segmentation):
    """A mask from COCO's run lengths, by the definition: down the columns, off runs first."""
    flat = []
    for number, length in enumerate(segmentation["counts"]):
        flat += [number % 2 == 1] * length
    height, width = segmentation["size"]
    return np.array(flat).reshape(width, height).T


def test_run_lengths_by_hand():
    assert run_lengths(np.zeros((2, 2), bool)) == [4]
    assert run_lengths(np.ones((2, 2), bool)) == [0, 4]
    assert run_lengths(np.array([[0, 1, 1], [0, 0, 1]], bool)) == [2, 1, 1, 2]


def test_every_picture_mask_box_and_caption_comes_back(folder, version):
    instances, captions = read(folder, "instances"), read(folder, "captions")
    names = {each["id"]: each["name"] for each in instances["categories"]}
    for picture in instances["images"]:
        each = scene(picture["id"], seed=3, version=version)
        stored = np.asarray(Image.open(folder / "train" / picture["file_name"]))
        assert np.array_equal(stored, each.image)
        assert (picture["height"], picture["width"]) == stored.shape[:2]
        found = [a for a in instances["annotations"] if a["image_id"] == picture["id"]]
        assert len(found) == len(each.placed)
        for annotation, placed in zip(found, each.placed, strict=True):
            assert names[annotation["category_id"]] == placed.mention.subject
            assert np.array_equal(decoded(annotation["segmentation"]), placed.mask)
            assert annotation["area"] == placed.mask.sum()
            assert tuple(annotation["bbox"]) == placed.box
            assert annotation["colour"] == placed.mention.colour
            assert annotation["iscrowd"] == 0
        (said,) = [a for a in captions["annotations"] if a["image_id"] == picture["id"]]
        assert said["caption"] == each.caption()
    assert instances["info"]["version"] == str(version)


def test_ids_are_unique_and_point_at_something(folder):
    for kind in ("instances", "captions"):
        stored = read(folder, kind)
        pictures = {each["id"] for each in stored["images"]}
        ids = [each["id"] for each in stored["annotations"]]
        assert len(pictures) == COUNT
        assert len(ids) == len(set(ids))
        assert {each["image_id"] for each in stored["annotations"]} == pictures
    numbers = [each["id"] for each in categories()]
    assert numbers == list(range(1, 25))
    assert [each["name"] for each in categories()] == list(SUBJECTS)


def test_the_licence_of_the_drawings_is_stated_for_every_picture(folder):
    for kind in ("instances", "captions"):
        stored = read(folder, kind)
        (licence,) = stored["licenses"]
        assert "CC BY-SA 4.0" in licence["name"]
        assert "OpenMoji" in licence["name"]
        assert {each["license"] for each in stored["images"]} == {licence["id"]}


def test_progress_counts_the_scenes_written(tmp_path):
    seen = []
    write_coco(tmp_path / "scenes", 3, split="test", on_scene=seen.append)
    assert seen == [1, 2, 3]
    assert len(list((tmp_path / "scenes" / "test").iterdir())) == 3


def test_no_scenes_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="count is 0 and must be 1 or more"):
        write_coco(tmp_path / "scenes", 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_an_interrupted_export_leaves_nothing(tmp_path, interruption):
    def stop(written):
        raise interruption

    with pytest.raises((KeyboardInterrupt, OutputError)):
        write_coco(tmp_path / "scenes", 3, on_scene=stop)
    assert list(tmp_path.iterdir()) == []
