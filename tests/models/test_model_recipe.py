import pytest

from looks import pipeline
from regard.models import TextToImage
from regard.models.recipe import MOST, differences


@pytest.fixture(scope="module")
def recipe():
    return TextToImage.of(pipeline()).recipe()


def test_a_model_differs_in_nothing_from_its_own_recipe(recipe):
    assert TextToImage.of(pipeline()).differences(recipe) == []


def test_each_difference_is_a_line(recipe):
    other = recipe | {
        "dtype": "float16",
        "scheduler_config": recipe["scheduler_config"] | {"steps_offset": 7},
    }
    assert differences(recipe, other) == [
        "its dtype is float32, not float16",
        "its scheduler's steps_offset is 1, not 7",
    ]


def test_what_only_one_version_of_the_library_knows_is_no_difference(recipe):
    other = recipe | {"scheduler_config": recipe["scheduler_config"] | {"new_setting": 1}}
    assert differences(recipe, other) == []


def test_many_differences_are_counted(recipe):
    changed = {name: "other" for name in recipe["scheduler_config"] if not name.startswith("_")}
    lines = differences(recipe, recipe | {"scheduler_config": changed})
    assert len(lines) == MOST + 1
    assert lines[-1] == f"{len(changed) - MOST} more"
