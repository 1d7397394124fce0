import numpy as np
import pytest
import torch
import xarray as xr

from explained import NOTHING, classifier, pictures, total
from regard.errors import ArgumentError, UnknownName
from regard.explain.faithful import faithfulness

PARTS = torch.tensor([[[[8.0, 4.0], [2.0, 1.0]]], [[[1.0, 2.0], [4.0, 8.0]]]])


def told(sign):
    def explain(model, pixels, target=None, *, score=None):
        return xr.DataArray(sign * pixels[:, 0].numpy(), dims=["sample", "y", "x"])

    return explain


def table(**options):
    methods = {"best": told(1), "worst": told(-1)}
    found = faithfulness(
        NOTHING, PARTS, methods, score=total, substrate="zero", steps=None, **options
    )
    return found.set_index("explanation")


def test_areas_and_shares_of_the_whole_by_hand():
    found = table()
    # deletion 15, 7, 3, 1, 0: (7.5 + 7 + 3 + 1) / 4; worst 15, 14, 12, 8, 0
    assert found.loc["best", "deletion"] == pytest.approx(18.5 / 4)
    assert found.loc["worst", "deletion"] == pytest.approx(41.5 / 4)
    assert found.loc["best", "deletion_normalised"] == pytest.approx(18.5 / 4 / 15)
    assert found.loc["best", "insertion"] == pytest.approx(41.5 / 4)


def test_random_orders_lie_between_and_gaps_say_on_which_side():
    found = table(orders=40)
    # A random order has 15, 11.25, 7.5, 3.75, 0 in the mean: an area of 7.5.
    band = found.loc["best", "deletion_random"], found.loc["best", "deletion_random_sd"]
    assert band[0] == pytest.approx(7.5, abs=4 * band[1] / 40**0.5)
    for kind in ("deletion", "insertion"):
        assert found.loc["best", f"{kind}_gap"] > 0 > found.loc["worst", f"{kind}_gap"]
        assert found.loc["best", f"{kind}_gap"] == pytest.approx(
            abs(found.loc["best", kind] - found.loc["best", f"{kind}_random"])
        )


def test_a_seed_fixes_the_band():
    assert table(seed=3).equals(table(seed=3))
    assert not table(seed=3).equals(table(seed=4))


def test_right_and_wrong_answers_are_told_apart():
    model, pixels = classifier(), pictures(4)
    with torch.no_grad():
        said = model(pixel_values=pixels).logits.argmax(-1)
    labels = said.clone()
    labels[0] = (said[0] + 1) % 4
    found = faithfulness(model, pixels, ["rollout"], labels=labels).iloc[0]
    parts = (3 * found["deletion_gap_right"] + found["deletion_gap_wrong"]) / 4
    assert parts == pytest.approx(found["deletion_gap"])
    all_right = faithfulness(model, pixels, ["rollout"], labels=said).iloc[0]
    assert np.isnan(all_right["insertion_gap_wrong"])


def test_there_is_one_row_per_explanation_with_what_was_done():
    found = faithfulness(classifier(), pictures(), ["rollout", "integrated_gradients"])
    assert found["explanation"].tolist() == ["rollout", "integrated_gradients"]
    assert found["class_agnostic"].tolist() == [True, False]
    assert found["completeness_error"].notna().tolist() == [False, True]
    assert found.attrs == {"substrate": "blur", "steps": 20, "orders": 10, "seed": 0}


def test_wrong_arguments_are_told():
    model, pixels = classifier(), pictures()
    with pytest.raises(ArgumentError, match="orders is 9 and must be a whole number of 10 or more"):
        faithfulness(model, pixels, ["rollout"], orders=9)
    with pytest.raises(UnknownName, match="no explanation is named 'rolout'. Did you mean"):
        faithfulness(model, pixels, ["rolout"])
    with pytest.raises(ArgumentError, match="no methods are named"):
        faithfulness(model, pixels, [])
    with pytest.raises(ArgumentError, match=r"labels are \(3,\) and must be the true class"):
        faithfulness(model, pixels, ["rollout"], labels=torch.tensor([0, 1, 2]))
