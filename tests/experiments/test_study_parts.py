"""The parts of the study of a vision transformer, each number by another route."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
import xarray as xr
from torch.nn import functional

import fashion
from regard.experiments.studies import depth, examples, faith, heads, mistakes, sizes, whole
from regard.experiments.studies.setting import opened
from regard.explain import faithfulness
from regard.tap import Tap

DATA = fashion.clothes()


@pytest.fixture(scope="module")
def setting():
    return opened(fashion.knowing(), DATA, fashion.TINY)


@pytest.fixture(scope="module")
def every(setting):
    return whole.read_whole(setting)


@pytest.fixture(scope="module")
def cls_rows():
    """What CLS gives to each patch, renormalised, [sample, layer, head, patch]."""
    ready = fashion.knowing()
    model = fashion.network()
    model.load_state_dict(ready.model.state_dict())
    model.set_attn_implementation("eager")
    with torch.no_grad():
        seen = model(pixel_values=ready.pixels(DATA.images), output_attentions=True).attentions
    rows = torch.stack(seen, 1).double().numpy()[..., 0, 1:]
    return rows / rows.sum(-1, keepdims=True)


# ---------------------------------------------------------------- the whole test set


def test_predictions_are_the_models_own(setting, every):
    with torch.no_grad():
        logits = setting.vision.logits(setting.vision.pixels(DATA.images))
    np.testing.assert_array_equal(every["predicted"].values, logits.argmax(-1))
    np.testing.assert_array_equal(every["right"].values, logits.argmax(-1).numpy() == DATA.labels)
    np.testing.assert_allclose(every["probability"], logits.softmax(-1).amax(-1), rtol=1e-5)
    assert every["number"].values.tolist() == list(range(40))


def test_focus_is_what_scipy_makes_of_the_models_own_weights(every, cls_rows):
    focus = 1 - scipy.stats.entropy(cls_rows, axis=-1) / np.log(16)
    np.testing.assert_allclose(every["focus"].values, focus, atol=1e-5)


def test_coverage_is_the_area_of_most_of_the_attention(every, cls_rows):
    ordered = np.sort(cls_rows, axis=-1)[..., ::-1].cumsum(-1)
    np.testing.assert_allclose(every["coverage"].values, ((ordered < 0.8).sum(-1) + 1) / 16)


def test_layers_are_compared_by_the_maps_of_the_same_picture(every, cls_rows):
    mean = cls_rows.mean(2)
    # Of the mean of the heads before what goes to CLS is taken out, so only nearly the same.
    expected = np.corrcoef(mean[7])
    np.testing.assert_allclose(every["likeness"].values[7], expected, atol=0.15)
    np.testing.assert_allclose(np.diagonal(every["likeness"].values[7]), 1.0, atol=1e-6)


def test_there_is_a_row_for_each_picture_and_one_for_each_class(setting, every):
    images, classes = whole.image_table(setting, every), whole.class_table(setting, every)
    assert len(images) == 40
    assert images["class"].tolist() == [DATA.names[label] for label in DATA.labels]
    assert (images["right"] == (images["class"] == images["predicted"])).all()
    assert classes["class"].tolist() == list(DATA.names)
    assert classes["images"].tolist() == [4] * 10
    for name in ("focus", "coverage"):
        means = images.groupby("class")[name].mean()
        np.testing.assert_allclose(classes.set_index("class")[name], means[classes["class"]])
    wide = whole.head_columns(every)
    assert wide.shape == (40, 1 + 2 * 3 * 2)
    np.testing.assert_allclose(
        wide[["focus_1_0", "focus_1_1"]].mean(axis=1), images["focus_layer1"], rtol=1e-5
    )


def test_examples_are_rightly_named_and_one_of_each_class(every):
    chosen = examples.one_of_each(every)
    assert DATA.labels[chosen].tolist() == list(range(10))
    right = dict(zip(every["number"].values, every["right"].values, strict=True))
    named = {label for label in range(10) if every["right"].values[DATA.labels == label].any()}
    assert all(right[number] for number in chosen if DATA.labels[number] in named)


# ---------------------------------------------------------------- depth


def test_how_far_a_head_is_from_the_others_averages_to_the_diversity(setting):
    found = depth.read_depth(setting)
    assert found["js"].dims == ("sample", "layer")
    np.testing.assert_allclose(found["js"], found["apart"].mean("head"))
    assert float(found["js"].min()) >= 0
    # With two heads Jensen-Shannon and the generalised divergence are the same number.
    np.testing.assert_allclose(found["js"], found["generalised"], atol=1e-5)


def test_clusters_are_found_for_each_head(setting):
    redundant, table = depth.read_clusters(setting)
    assert redundant["redundant"].sizes == {"sample": 4, "layer": 3}
    assert table[["layer", "head"]].values.tolist() == [[a, b] for a in range(3) for b in range(2)]


def test_the_diagonal_is_from_corner_patch_to_corner_patch(setting):
    assert depth.diagonal_of(setting) == pytest.approx(np.hypot(21, 21))


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("own", "patch", "expected"),
    [
        ((28, 28), (2, 2), [(20, 20), (28, 28), (36, 36), (48, 48)]),
        ((224, 224), (16, 16), [(160, 160), (224, 224), (288, 288), (384, 384)]),
        ((28, 56), (7, 7), [(21, 42), (28, 56), (35, 70), (49, 98)]),
    ],
)
def test_sizes_are_shares_of_the_models_own_in_whole_patches(own, patch, expected):
    made = SimpleNamespace(vision=SimpleNamespace(size=own, patch=patch), budget=fashion.TINY)
    assert sizes.sizes_of.__wrapped__(made) == expected


def shown(size, values, right):
    maps = xr.DataArray(np.asarray(values, float), dims=("sample", "y", "x"))
    return sizes.Shown(
        size, xr.DataArray(np.asarray(right, float), dims="sample"), maps, xr.Dataset()
    )


def test_maps_of_other_grids_are_compared_on_the_models_own():
    plane = np.add.outer(np.arange(4.0), np.arange(4.0))
    own = shown((28, 28), [plane, plane], [1, 1])
    larger = np.add.outer(np.arange(8.0), np.arange(8.0))
    found = sizes.likeness(shown((56, 56), [larger, -larger], [1, 0]), own)
    # At the border the wider filter is cut off, so a slope bends a little.
    np.testing.assert_allclose(found.values, [1.0, -1.0], atol=1e-3)


def test_what_is_lost_is_told_in_points(setting):
    own, small = shown((28, 28), np.eye(4)[None].repeat(4, 0), [1, 1, 1, 0]), None
    small = shown((21, 21), np.eye(3)[None].repeat(4, 0), [1, 0, 1, 0])
    (found,) = sizes.findings(setting, [small, own])
    assert found.measured.value == pytest.approx(25.0)
    assert "Accuracy is 75 " in found.facts
    assert "50 " in found.facts


# ---------------------------------------------------------------- mistakes


def test_wrong_pictures_get_partners_of_their_class(every):
    numbers, right = mistakes.matched(every, 100)
    labels = dict(zip(every["number"].values, every["label"].values, strict=True))
    half = len(numbers) // 2
    assert half > 3
    assert [labels[n] for n in numbers[:half]] == [labels[n] for n in numbers[half:]]
    assert right.tolist() == [False] * half + [True] * half
    assert len(set(numbers)) == len(numbers)
    assert len(mistakes.matched(every, 2)[0]) == 4


def test_hard_classes_do_not_pass_for_unfocused_mistakes():
    # Class 0 is focused and mostly right, class 1 is not; within a class nothing differs.
    labels = np.repeat([0, 1], 100)
    right = np.concatenate([np.arange(100) >= 10, np.arange(100) >= 60])
    values = np.where(labels == 0, 0.9, 0.1) + 0.01 * np.tile([1, -1], 100)
    overall, inside = mistakes.compare(values, labels, right)
    assert overall.value > 0.2
    assert overall.p < 0.001
    assert abs(inside.value) < 0.003
    assert inside.p > 0.2


# ---------------------------------------------------------------- heads


def test_a_silent_head_is_one_whose_columns_of_the_projection_are_zero():
    ready, plain = fashion.knowing(), fashion.network()
    plain.load_state_dict(ready.model.state_dict())
    pixels = ready.pixels(DATA.images[:3])
    layer = "vit.layers.1.attention"
    projection = dict(plain.named_modules())[f"{layer}.o_proj"]
    with torch.no_grad():
        projection.weight[:, 8:16] = 0  # head 1 of two, of 8 channels each
        expected = plain(pixel_values=pixels).logits
        with Tap(ready.model, edit=[heads.silence(layer, [1])]):
            found = ready.logits(pixels)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, ready.logits(pixels))


def test_losses_are_those_of_the_true_class(setting):
    found = heads.read_without(setting)
    numbers = setting.sample(fashion.TINY.ablated)
    labels, pixels = torch.from_numpy(DATA.labels[numbers]), setting.pixels(numbers)
    with torch.no_grad():
        before = setting.logits(pixels)
        with Tap(setting.vision.model, edit=[heads.silence(setting.shape.layers[2], [0, 1])]):
            after = setting.logits(pixels)
    loss = [functional.cross_entropy(each, labels, reduction="none") for each in (before, after)]
    np.testing.assert_allclose(found.layers["loss"].sel(layer=2), loss[1] - loss[0], atol=1e-5)
    lost = (before.argmax(-1) == labels).float() - (after.argmax(-1) == labels).float()
    np.testing.assert_allclose(found.layers["accuracy"].sel(layer=2), 100 * lost)
    assert found.heads["loss"].sizes == {"layer": 3, "head": 2, "sample": 10}


# ---------------------------------------------------------------- faithfulness


def test_areas_and_gaps_are_those_of_the_table_of_explanations(setting):
    tested = faith.read_tested(setting)
    pixels = setting.pixels(tested.numbers)
    expected = faithfulness(
        setting.vision.model, pixels, ["attention", "rollout"], steps=fashion.TINY.steps
    ).set_index("explanation")
    table = faith.faith_table(tested).set_index("explanation")
    for kind in ("deletion", "insertion"):
        np.testing.assert_allclose(table.loc[expected.index, kind], expected[kind], rtol=1e-5)
    gaps = tested.gaps.sel(explanation="chance")
    assert float(abs(gaps["deletion"]).max()) == 0
    assert table.loc["rollout", "class_agnostic"]
    assert not table.loc["relevance", "class_agnostic"]
    assert table["completeness_error"].notna().tolist() == [False] * 3 + [True] + [False] * 2
