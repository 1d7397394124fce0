from dataclasses import replace

import pytest
import torch

from regard.errors import ArgumentError, UnknownName
from regard.layers import LayerInfo
from regard.tap import AttentionCall, Select, Tap, TokenLayout, segments
from regard.tap.weights import Fused
from unchecked import unchecked

QUERY = torch.zeros(2, 1, 6, 4)
IMAGE, TEXT = segments(("image", 6, (2, 3))), segments(("text", 6))
CALL = AttentionCall(
    Fused(QUERY, QUERY),
    QUERY,
    layer="down_blocks.1.attn2",
    stage="down",
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
        (Select(layers="down"), True),
        (Select(layers="cross"), True),
        (Select(layers="2x3"), True),
        (Select(layers="3x2"), False),
        (Select(layers="self"), False),
        (Select(layers=(name for name in ["mid", "up"])), False),
        (Select(layers=lambda path: path.endswith("2")), True),
        (Select(stage="down"), True),
        (Select(stage="mid"), False),
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
        (Select(kind="cross", stage="down", steps=range(10), condition="cond"), True),
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
    with pytest.raises(ArgumentError, match="stage is 'middle' and must be one of down, mid, up"):
        Select(stage="middle")


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


def unet_calls(select):
    """The layers of a tiny UNet that a tap hands to an observer, and all that there are."""
    from tiny import noise, tiny_unet

    model = tiny_unet(channels=(8, 16, 16), attention_at=(True, True, False))
    seen, every = [], []
    with Tap(model, observe=[(select, lambda c: seen.append(c.layer)), every.append]):
        model(noise(1, 4, 16, 16), torch.tensor(10), noise(1, 5, 16))
    return list(dict.fromkeys(seen)), every


@pytest.mark.parametrize(
    ("select", "wanted"),
    [
        (Select(layers="cross"), lambda c: c.kind == "cross"),
        (Select(layers="mid"), lambda c: c.stage == "mid"),
        (Select(layers="up_blocks.1"), lambda c: ".up_blocks.1." in f".{c.layer}"),
        (Select(layers="16x16"), lambda c: c.shape[2] == 256),
        (Select(layers=["8x8", "mid"]), lambda c: c.shape[2] == 64 or c.stage == "mid"),
        (Select(layers="2x2"), lambda c: False),
    ],
)
def test_layers_of_a_running_model_by_names_stage_kind_and_grid(select, wanted):
    seen, every = unet_calls(select)
    assert seen == list(dict.fromkeys(c.layer for c in every if wanted(c)))


@pytest.mark.parametrize("kind", [None, "cross", "self"])
@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_number_counts_in_running_order_among_what_the_rest_of_the_choice_leaves(kind, number):
    seen, every = unet_calls(Select(kind=kind, layers=number))
    running = list(dict.fromkeys(c.layer for c in every if kind in (None, c.kind)))
    assert seen == [running[number]]


@pytest.mark.parametrize("name", ["blocks", "attn3", "downwards", "mid_bloc"])
def test_a_name_that_no_module_has_is_refused_before_the_model_runs(name):
    with pytest.raises(UnknownName, match=f"no layer is named '{name}'.*Whole names in a path"):
        unet_calls(Select(layers=["mid", name]))


def test_a_number_needs_a_model_that_has_as_many():
    with pytest.raises(ArgumentError, match=r"layer is 99, and there are layers 0\.\.\d+"):
        unet_calls(Select(layers=99))
    with pytest.raises(ArgumentError, match="counts layers in running order, which takes a model"):
        Select(layers=0)(CALL)


@pytest.mark.parametrize(
    ("layers", "paths"),
    [
        (None, ["up", "up.a", "b"]),
        ("up", ["up"]),
        ("a", ["up.a"]),
    ],
)
def test_a_path_goes_before_names_also_while_a_model_runs(layers, paths):
    there = [LayerInfo("up"), LayerInfo("up.a"), LayerInfo("b", stage="up")]
    select = Select(layers=layers).among(there)
    calls = [replace(CALL, layer=each.path, stage=each.stage or None) for each in there]
    assert [call.layer for call in calls if select(call)] == paths


@pytest.mark.parametrize(
    "wrong",
    [
        {"layers": True},
        {"layers": 1.5},
        {"layers": []},
        {"layers": [None]},
        {"steps": float("nan")},
        {"steps": "3"},
        {"steps": True},
        {"steps": [1.5]},
        {"steps": {1: 2}},
        {"steps": slice(0, 3)},
        {"sample": -1},
        {"sample": "0"},
        {"kind": 3},
        {"stage": ["up"]},
        {"key": 3},
        {"when": "now"},
    ],
)
def test_what_means_nothing_is_refused_when_a_choice_is_made(wrong):
    (name,) = wrong
    with pytest.raises(ArgumentError, match=f"^Select: {name} is|layers=\\[\\] chooses nothing"):
        unchecked(Select, **wrong)


def test_an_observer_must_be_a_function_or_a_choice_and_a_function():
    for wrong in (3, None, (Select(),), (3, print), (Select(), 3), "print"):
        with pytest.raises(ArgumentError, match="^Tap: observe and edit hold"):
            unchecked(Tap, torch.nn.MultiheadAttention(8, 2), observe=[wrong])
