import numpy as np
import pytest
import torch

from explained import classifier, pictures
from regard.errors import ArgumentError
from regard.explain.gradients import added_up, attention_gradients, positive, relevance


def eager_answer(model, pixels, target):
    """Maps and their gradients by transformers' own eager path, without our tap."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    output = model(pixel_values=pixels, output_attentions=True)
    answer = output.logits.gather(1, target[:, None]).sum()
    gradients = torch.autograd.grad(answer, output.attentions)
    model.set_attn_implementation(before)
    pairs = zip(output.attentions, gradients, strict=True)
    return [(maps.detach().double().numpy(), grad.double().numpy()) for maps, grad in pairs]


def test_relevance_is_the_rule_by_hand_on_the_gradients_of_transformers():
    model, pixels, target = classifier(), pictures(), torch.tensor([1, 3])
    flow = np.eye(10)
    for maps, gradient in eager_answer(model, pixels, target):
        weighted = np.maximum(maps * gradient, 0).mean(1)
        flow = flow + weighted @ flow
    found = relevance(model, pixels, target)
    np.testing.assert_allclose(found, flow[:, 0, 1:].reshape(2, 3, 3), rtol=1e-5, atol=1e-5)


def test_relevance_from_the_last_layer_is_its_own_weighted_row():
    model, pixels, target = classifier(), pictures(), torch.tensor([0, 2])
    maps, gradient = eager_answer(model, pixels, target)[-1]
    expected = np.maximum(maps * gradient, 0).mean(1)[:, 0, 1:].reshape(2, 3, 3)
    found = relevance(model, pixels, target, start_layer=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_of_self_attention_alone_relevance_is_a_product():
    draw = torch.Generator().manual_seed(0)
    parts = [torch.rand(2, 3, 3, generator=draw, dtype=torch.float64) for _ in range(3)]
    expected = torch.eye(3, dtype=torch.float64)
    for part in parts:
        expected = (torch.eye(3, dtype=torch.float64) + part) @ expected
    torch.testing.assert_close(added_up(parts), expected, rtol=0, atol=1e-9)


def test_relevance_of_nothing_is_the_identity():
    assert torch.equal(added_up([torch.zeros(1, 3, 3)])[0], torch.eye(3))


def test_only_the_positive_part_of_each_head_counts():
    product = torch.tensor([[[[1.0, -4.0]], [[3.0, 2.0]]]])
    assert positive(product).tolist() == [[[2.0, 1.0]]]


def test_growing_attention_adds_up_to_the_change_of_the_answer():
    few = attention_gradients(classifier(), pictures(), steps=2).attrs["completeness_error"]
    many = attention_gradients(classifier(), pictures(), steps=32).attrs["completeness_error"]
    assert many < few / 20  # the midpoint rule is of second order
    assert many < 1e-3


def test_growing_attention_of_the_last_layer_is_nearly_linear_in_it():
    """After the last layer come only a norm and a perceptron: one point at 1/2 is near."""
    model, pixels, target = classifier(), pictures(), torch.tensor([0, 1])
    one = attention_gradients(model, pixels, target, steps=1)
    many = attention_gradients(model, pixels, target, steps=64)
    assert float(np.corrcoef(one.values.ravel(), many.values.ravel())[0, 1]) > 0.9


def test_frozen_models_can_be_explained():
    model, pixels = classifier(), pictures(1)
    expected = relevance(model, pixels)
    for weights in model.parameters():
        weights.requires_grad_(False)
    try:
        np.testing.assert_array_equal(relevance(model, pixels), expected)
    finally:
        for weights in model.parameters():
            weights.requires_grad_(True)


def test_bad_arguments_are_told():
    model, pixels = classifier(), pictures(1)
    with pytest.raises(ArgumentError, match=r"start_layer is 2, and the model has layers 0\.\.1"):
        relevance(model, pixels, start_layer=2)
    with pytest.raises(ArgumentError, match="steps is 0 and must be a whole number of 1 or more"):
        attention_gradients(model, pixels, steps=0)
