import numpy as np
import pytest

from regard.errors import ArgumentError, UnknownName
from regard.layers import LayerInfo, chosen, one_layer

VIT = [LayerInfo(f"vit.layers.{n}.attention", "self", "", "7x7", 4) for n in range(12)]
UNET = [
    LayerInfo("down_blocks.1.attn1", "self", "down", "8x8"),
    LayerInfo("down_blocks.1.attn2", "cross", "down", "8x8"),
    LayerInfo("mid_block.attn2", "cross", "mid", "4x4"),
    LayerInfo("up_blocks.1.attn2", "cross", "up", "8x8"),
    LayerInfo("up_blocks.10.attn2", "cross", "up", "16x16"),
]


def places(layers, wanted):
    return [layers.index(layer) for layer in chosen(layers, wanted, caller="test")]


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        ("layers.1", [1]),
        ("layers.10", [10]),
        ("layers.11.attention", [11]),
        ("vit.layers.1.attention", [1]),
        ("attention", list(range(12))),
        ("1", [1]),
        ("self", list(range(12))),
        ("7x7", list(range(12))),
        (1, [1]),
        (-1, [11]),
        (np.int32(3), [3]),
        (np.array(3), [3]),
        ([2, "layers.1", -12], [0, 1, 2]),
        (range(10, 12), [10, 11]),
        (slice(-2, None), [10, 11]),
        (np.array([0, 5]), [0, 5]),
        (None, list(range(12))),
    ],
)
def test_layers_of_a_vision_transformer(wanted, there):
    assert places(VIT, wanted) == there


@pytest.mark.parametrize(
    ("wanted", "there"),
    [
        ("down", [0, 1]),
        ("cross", [1, 2, 3, 4]),
        ("16x16", [4]),
        ("up_blocks.1", [3]),
        ("up_blocks", [3, 4]),
        (["mid", "attn1"], [0, 2]),
    ],
)
def test_layers_of_a_unet(wanted, there):
    assert places(UNET, wanted) == there


def test_a_path_goes_before_names_and_names_before_a_stage():
    layers = [LayerInfo("up", stage="down"), LayerInfo("up.0", stage="down")]
    layers.append(LayerInfo("mid_block", stage="up"))
    assert places(layers, "up") == [0]
    assert places(layers[1:], "up") == [0]
    assert places(layers[2:], "up") == [0]


def test_a_second_call_of_a_layer_has_the_names_of_the_layer():
    assert places([LayerInfo("a.attn#1"), LayerInfo("a.attn")], "attn") == [0, 1]


@pytest.mark.parametrize("wanted", ["layer", "ayers.1", "layers.", ".", "", " ", "up", "layers.12"])
def test_part_of_a_name_is_no_name(wanted):
    with pytest.raises(UnknownName, match="Whole names in a path, self or a grid will do: 7x7"):
        chosen(VIT, wanted, caller="test")


@pytest.mark.parametrize(
    "wanted", [True, 1.0, [1.0], [None], [["up"]], {"up": 1}, b"up", np.float32(1), [True], object]
)
def test_what_is_no_name_and_no_number_is_refused(wanted):
    with pytest.raises(ArgumentError, match="must be a name, a number, a slice, or several"):
        chosen(VIT, wanted, caller="test")


@pytest.mark.parametrize("wanted", [12, -13, slice(12, 20), []])
def test_numbers_that_are_not_there_are_refused(wanted):
    with pytest.raises(ArgumentError, match=r"layers 0\.\.11|chooses nothing"):
        chosen(VIT, wanted, caller="test")


def test_one_layer_is_one():
    assert one_layer(VIT, "layers.1", caller="test") is VIT[1]
    assert one_layer(VIT, -1, caller="test") is VIT[11]
    with pytest.raises(ArgumentError, match="'attention' is a part of 12 layers"):
        one_layer(VIT, "attention", caller="test")
    with pytest.raises(ArgumentError, match="must be the path of one layer"):
        one_layer(VIT, ["layers.1"], caller="test")
