import pytest
import torch

from regard.errors import ArgumentError
from regard.tap import AttentionCall, Select, TokenLayout, segments
from regard.tap.weights import Fused

QUERY = torch.zeros(2, 1, 6, 4)
IMAGE, TEXT = segments(("image", 6, (2, 3))), segments(("text", 6))
CALL = AttentionCall(
    Fused(QUERY, QUERY),
    QUERY,
    layer="down_blocks.1.attn2",
    place="down",
    step=3,
    conditions=("uncond", "cond"),
    layout=TokenLayout(IMAGE, TEXT),
)


@pytest.mark.parametrize(
    ("select", "chosen"),
    [
        (Select(), True),
        (Select(kind="cross"), True),
        (Select(kind="self"), False),
        (Select(layers="attn2"), True),
        (Select(layers="attn1"), False),
        (Select(layers=["attn1", "down_blocks.1"]), True),
        (Select(layers="down_blocks"), True),
        (Select(layers="blocks.1"), False),
        (Select(layers=(name for name in ["mid", "up"])), False),
        (Select(layers=lambda path: path.endswith("2")), True),
        (Select(place="down"), True),
        (Select(place="mid"), False),
        (Select(query="image", key="text"), True),
        (Select(query="text"), False),
        (Select(key="image"), False),
        (Select(steps=3), True),
        (Select(steps=range(3)), False),
        (Select(steps={3, 5}), True),
        (Select(condition="cond"), True),
        (Select(condition="perturbed"), False),
        (Select(sample=0), True),
        (Select(sample=1), False),
        (Select(when=lambda call: call.shape[1] == 2), False),
        (Select(kind="cross", place="down", steps=range(10), condition="cond"), True),
    ],
)
def test_a_call_is_chosen_if_every_question_is_answered_yes(select, chosen):
    assert select(CALL) is chosen
    assert select(CALL) is chosen


def test_a_condition_narrows_the_rows_that_verbs_change():
    assert Select(condition="cond").rows(CALL) == slice(1, 2)
    assert Select().rows(CALL) == slice(None)


def test_unknown_kinds_and_places_are_refused():
    with pytest.raises(
        ArgumentError, match="kind is 'crossed' and must be one of self, cross, joint"
    ):
        Select(kind="crossed")
    with pytest.raises(ArgumentError, match="place is 'middle' and must be one of down, mid, up"):
        Select(place="middle")


def test_an_image_of_a_batch_has_one_row_in_each_part():
    query = torch.zeros(6, 1, 2, 4)
    call = AttentionCall(
        Fused(query, query), query, conditions=("uncond",) * 3 + ("cond",) * 3, layer="attn"
    )
    assert call.images == 3
    rows = range(6)
    assert list(rows[Select(sample=2).rows(call)]) == [2, 5]
    assert list(rows[Select(sample=2, condition="uncond").rows(call)]) == [2]
    assert list(rows[Select(sample=0, condition="perturbed").rows(call)]) == []
