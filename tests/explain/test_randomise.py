import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

from explained import classifier, pictures
from regard.errors import UnknownName
from regard.explain import explanations
from regard.explain.randomise import class_sensitivity, model_randomisation, parts_of, randomise


def state(model):
    return {name: weights.clone() for name, weights in model.state_dict().items()}


def test_afterwards_weights_and_answers_are_bit_for_bit_as_before():
    model, pixels = classifier(), pictures()
    before = state(model)

    @torch.no_grad()
    def answer():
        return model(pixel_values=pixels).logits

    first = answer()
    with randomise(model, 1):
        assert not torch.equal(answer(), first)
    assert torch.equal(answer(), first)
    with pytest.raises(RuntimeError, match="boom"), randomise(model, 1):
        raise RuntimeError("boom")
    assert torch.equal(answer(), first)
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())


def test_weights_are_only_put_in_another_order_and_a_seed_fixes_it():
    model = nn.Linear(6, 5)
    before = model.weight.detach().clone()
    with randomise(model, 7):
        first = model.weight.detach().clone()
    with randomise(model, 7):
        assert torch.equal(model.weight, first)
    assert torch.equal(first.flatten().sort()[0], before.flatten().sort()[0])
    assert not torch.equal(first, before)


def test_only_the_parts_named_change_and_alike_whichever_others_do():
    model = classifier()
    before = state(model)
    with randomise(model, 0):
        everything = state(model)
    with randomise(model, 0, layers=["vit.layers.1"]):
        for name, now in model.state_dict().items():
            expected = everything if name.startswith("vit.layers.1.") else before
            assert torch.equal(now, expected[name]), name


def test_parts_go_from_the_input_to_the_output():
    assert parts_of(classifier()) == [
        "vit.embeddings",
        "vit.layers.0",
        "vit.layers.1",
        "vit.layernorm",
        "classifier",
    ]


def test_an_unknown_part_is_told_before_anything_changes():
    model = classifier()
    before = state(model)
    with (
        pytest.raises(UnknownName, match="no part is named 'vit.layers.2'"),
        randomise(model, layers=["vit.layers.1", "vit.layers.2"]),
    ):
        pass
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())


def test_maps_that_ask_no_model_stay_and_maps_that_do_change():
    model, pixels = classifier(), pictures(4)
    found = model_randomisation(model, pixels, ["edges", "rollout", "relevance"])
    assert found["part"].tolist()[::3] == parts_of(model)[::-1]
    last = found[found["part"] == "vit.embeddings"].set_index("explanation")
    assert last.loc["edges", "spearman"] == pytest.approx(1.0)
    assert last.loc["edges", "ssim"] == pytest.approx(1.0)
    assert last.loc["edges", "edges"] == pytest.approx(1.0)
    assert last.loc["relevance", "spearman"] < 0.9
    first = found[found["part"] == "classifier"].set_index("explanation")
    assert first.loc["rollout", "spearman"] == pytest.approx(1.0)  # it does not ask for the class


def test_one_part_at_a_time_differs_from_the_cascade():
    model, pixels = classifier(), pictures()
    options = {"layers": ["classifier", "vit.layers.1"]}
    cascade = model_randomisation(model, pixels, ["relevance"], **options)
    alone = model_randomisation(model, pixels, ["relevance"], cascade=False, **options)
    assert cascade["spearman"][0] == alone["spearman"][0]
    assert cascade["spearman"][1] != alone["spearman"][1]


def test_the_class_asked_about_stays_that_of_the_untouched_model():
    model, pixels = classifier(), pictures(1)
    targets = []

    def explain(model, pixels, target=None, *, score=None):
        targets.append(target.tolist())
        return xr.DataArray(np.eye(3)[None], dims=["sample", "y", "x"])

    model_randomisation(model, pixels, {"noted": explain})
    assert len(targets) == 6
    assert all(each == targets[0] for each in targets)


def test_class_agnostic_maps_of_two_classes_are_one():
    found = class_sensitivity(classifier(), pictures(4), list(explanations.names()))
    found = found.set_index("explanation")
    blind = found[found["class_agnostic"].astype(bool)]
    assert set(blind.index) == {"attention", "edges", "random", "rollout"}
    np.testing.assert_allclose(blind["spearman"], 1.0)
    np.testing.assert_allclose(blind["ssim"], 1.0)
    assert (found.loc[~found["class_agnostic"].astype(bool), "spearman"] < 0.99).all()
