import pytest
import torch
from torch import nn

from regard.errors import ArgumentError, UnknownName
from regard.tap import LayerShape, Segment, TokenLayout, layout_for, segments
from regard.tap.families.unet import level
from regard.tap.family import family_of, forget_layout
from tiny import noise, tiny_unet

IMAGE, TEXT = segments(("image", 6, (2, 3))), segments(("text", 6))


@pytest.mark.parametrize(
    ("queries", "keys", "kind"),
    [
        (IMAGE, IMAGE, "self"),
        (IMAGE, TEXT, "cross"),
        (IMAGE, segments(("text", 6), ("image", 6)), "joint"),
        (segments(("cls", 1), ("image", 6)), segments(("cls", 1), ("image", 6)), "self"),
        (segments(("probe", 1)), IMAGE, "cross"),
        (TEXT, TEXT, "self"),
    ],
)
def test_kind_follows_from_what_attends_to_what_not_from_shapes(queries, keys, kind):
    assert TokenLayout(queries, keys).kind == kind


def test_segments_lie_end_to_end_and_empty_ones_are_left_out():
    assert segments(("cls", 1), ("register", 0), ("image", 6, (2, 3))) == (
        Segment("cls", 0, 1),
        Segment("image", 1, 7, (2, 3)),
    )


def test_a_grid_that_does_not_fit_is_refused():
    with pytest.raises(ArgumentError, match="'image' has 6 tokens, but its grid is 2 x 2"):
        segments(("image", 6, (2, 2)))


def test_a_segment_that_is_not_there_is_named():
    with pytest.raises(UnknownName, match=r"no key segment is named 'txt'. Did you mean 'text'\?"):
        TokenLayout(IMAGE, TEXT).keys_of("txt")


def test_levels_of_odd_latents_round_up():
    # 13 x 9 halves to 7 x 5, to 4 x 3, to 2 x 2.
    assert [level((13, 9), n) for n in (117, 35, 12, 4, 5)] == [
        (13, 9),
        (7, 5),
        (4, 3),
        (2, 2),
        None,
    ]


def test_grids_of_odd_latents_are_those_of_the_model():
    from regard.tap import Tap

    grids = []
    unet = tiny_unet()
    read = lambda call: grids.append(call.layout.queries_of("image").grid)  # noqa: E731
    with torch.no_grad(), Tap(unet, observe=[read]):
        unet(noise(1, 4, 9, 6), 1, noise(1, 5, 16))
    assert set(grids) == {(9, 6), (5, 3)}


def test_a_subclass_has_the_layout_of_its_family():
    class Mine(type(tiny_unet())):
        pass

    assert family_of(Mine.__new__(Mine)) is not None
    assert family_of(nn.Linear(1, 1)) is None


def test_a_layout_of_ones_own():
    class Pixels(nn.Module):
        pass

    @layout_for("Pixels")
    def pixels(model, inputs, shape):
        return TokenLayout(IMAGE, IMAGE)

    try:
        family = family_of(Pixels())
        assert family.layout(Pixels(), {}, LayerShape("attn", 0, 6, 6)).kind == "self"
        assert family.stage("attn") is None
        with pytest.raises(ArgumentError, match="Pixels has a layout already"):
            layout_for("Pixels")
    finally:
        forget_layout("Pixels")
    assert family_of(Pixels()) is None
