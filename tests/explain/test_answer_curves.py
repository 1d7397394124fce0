import numpy as np
import pytest
import torch
import xarray as xr
from sklearn import metrics

from explained import NOTHING, classifier, pictures, total
from regard.errors import ArgumentError
from regard.explain.curves import area, deletion, insertion

PARTS = torch.tensor([[[[0.4, 0.3], [0.2, 0.1]]]])
ZERO = {"score": total, "substrate": "zero"}


def heat_of(values) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, dtype=float), dims=["sample", "y", "x"])


def test_deletion_and_insertion_of_parts_that_add_up_by_hand():
    # 0.4 + 0.3 + 0.2 + 0.1: areas (1/2 + .6 + .3 + .1) / 4 and (.4 + .7 + .9 + 1/2) / 4
    best, worst = heat_of(PARTS[:, 0]), heat_of(-PARTS[:, 0])
    assert area(deletion(NOTHING, PARTS, best, **ZERO)).item() == pytest.approx(0.375)
    assert area(insertion(NOTHING, PARTS, best, **ZERO)).item() == pytest.approx(0.625)
    assert area(deletion(NOTHING, PARTS, worst, **ZERO)).item() == pytest.approx(0.625)


def test_a_curve_in_two_steps_has_three_points():
    curve = deletion(NOTHING, PARTS, heat_of(PARTS[:, 0]), steps=2, **ZERO)
    np.testing.assert_allclose(curve[0], [1.0, 0.3, 0.0], atol=1e-6)
    assert curve["share"].values.tolist() == [0.0, 0.5, 1.0]


def test_more_steps_than_patches_are_one_patch_each():
    curve = deletion(NOTHING, PARTS, heat_of(PARTS[:, 0]), steps=9, **ZERO)
    assert curve.sizes["share"] == 5


def test_equal_patches_go_row_by_row():
    curve = deletion(NOTHING, PARTS, heat_of(np.zeros((1, 2, 2))), **ZERO)
    np.testing.assert_allclose(curve[0], [1.0, 0.6, 0.3, 0.1, 0.0], atol=1e-6)


def test_the_area_is_that_of_scikit_learn_also_where_steps_are_uneven():
    curve = xr.DataArray([0.9, 0.4, 0.3, 0.1], dims="share", coords={"share": [0.0, 0.2, 0.5, 1.0]})
    expected = metrics.auc(curve["share"], curve)
    assert area(curve).item() == pytest.approx(expected)


def test_without_a_score_the_curve_is_the_probability_of_the_class():
    model, pixels, target = classifier(), pictures(), torch.tensor([1, 0])
    heat = heat_of(np.random.default_rng(0).random((2, 3, 3)))
    curve = insertion(model, pixels, heat, target, substrate="mean")
    with torch.no_grad():
        shares = model(pixel_values=pixels).logits.softmax(-1).gather(1, target[:, None])[:, 0]
    np.testing.assert_allclose(curve[:, -1], shares, atol=1e-6)
    back = deletion(model, pixels, heat, target, substrate="mean")
    np.testing.assert_allclose(back[:, 0], curve[:, -1])
    np.testing.assert_allclose(back[:, -1], curve[:, 0])
    assert curve.attrs["units"] == "probability"


def test_many_pictures_and_steps_are_those_of_one_at_a_time():
    model, pixels = classifier(), pictures(9)
    heat = heat_of(np.random.default_rng(1).random((9, 3, 3)))
    together = deletion(model, pixels, heat)  # 90 pictures: more than one batch
    for sample in (0, 7, 8):
        one = slice(sample, sample + 1)
        alone = deletion(model, pixels[one], heat[one])
        np.testing.assert_allclose(together[one], alone, atol=1e-6)


def test_wrong_arguments_are_told():
    with pytest.raises(ArgumentError, match="deletion: steps is 0"):
        deletion(NOTHING, PARTS, heat_of(PARTS[:, 0]), steps=0, **ZERO)
    with pytest.raises(ArgumentError, match="insertion: heat has .* one map for each of the 1"):
        insertion(NOTHING, PARTS, heat_of(np.zeros((2, 2, 2))), **ZERO)
    with pytest.raises(ArgumentError, match="substrate is 'grey'"):
        deletion(NOTHING, PARTS, heat_of(PARTS[:, 0]), score=total, substrate="grey")
