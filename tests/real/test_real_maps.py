"""Maps, explanations and measures of a real model, against its own eager attention."""

import numpy as np
import pytest
import torch
from photographs import NAMES, photo, run

import regard
from regard.explain import explanations
from regard.measures.artefacts import sink_mass
from regard.measures.spread import entropy

# What the eager model and the fused kernel add up in another order, in float32.
CLOSE = 1e-5
# The same of single weights near 1, after twelve layers: 5.2e-5 was measured among 4.8 million.
FAR = 1e-4


@pytest.mark.parametrize(
    ("name", "size"), [*((name, 224) for name in NAMES), ("astronaut", 518), ("rocket", 518)]
)
def test_maps_are_those_of_eager_attention(vision, eager, name, size):
    seen = regard.look_at(vision, photo(name), size=size, queries=["cls"])
    out = run(eager, vision.pixels([photo(name)], (size, size)))
    grid = (size // 14, size // 14)
    assert len(seen.trace.self_attention) == len(out.attentions) == 12
    for layer, expected in zip(seen.trace.self_attention, out.attentions, strict=True):
        assert expected.shape == (1, 6, grid[0] * grid[1] + 1, grid[0] * grid[1] + 1)
        for head in (0, 5):
            heat = seen.trace.attention("cls", layers=layer, heads=head)
            plane = expected[0, head, 0, 1:].reshape(grid).numpy()
            np.testing.assert_allclose(heat, plane, rtol=0, atol=CLOSE)
            assert heat.attrs["prefix_mass"]["cls"] == pytest.approx(
                expected[0, head, 0, 0].item(), abs=CLOSE
            )


def test_every_patch_looks_where_it_does_in_the_eager_model(vision, eager):
    seen = regard.look_at(vision, photo("chelsea"))
    out = run(eager, vision.pixels([photo("chelsea")]))
    for layer, expected in zip(seen.trace.self_attention, out.attentions, strict=True):
        stored = seen.trace.self_attention[layer].isel(step=0).transpose("head", "query", "key")
        np.testing.assert_allclose(stored, expected[0].numpy(), rtol=FAR, atol=CLOSE)


@pytest.mark.parametrize("name", ["chelsea", "coffee"])
def test_rollout_is_the_product_of_the_mean_maps_and_the_identity(vision, eager, name):
    pixels = vision.pixels([photo(name)])
    found = explanations.get("rollout")(vision.model, pixels, score=length_of(vision))
    product = np.eye(257)
    for weights in run(eager, pixels).attentions:
        mean = weights[0].double().mean(0).numpy()
        product = (0.5 * mean + 0.5 * np.eye(257)) @ product
    np.testing.assert_allclose(found[0].values.ravel(), product[0, 1:], rtol=0, atol=CLOSE)


def test_attention_explains_as_the_last_eager_layer_does(vision, eager):
    pixels = vision.pixels([photo("rocket")])
    found = explanations.get("attention")(vision.model, pixels, score=length_of(vision))
    expected = run(eager, pixels).attentions[-1][0, :, 0, 1:].mean(0)
    np.testing.assert_allclose(found[0].values.ravel(), expected, rtol=0, atol=CLOSE)


def test_integrated_gradients_tell_how_far_they_are_off_what_the_photograph_changes(vision):
    pixels = vision.pixels([photo("coffee")])
    score, explain = length_of(vision), explanations.get("integrated_gradients")
    found = explain(vision.model, pixels, score=score, baseline="zero", steps=3)
    with torch.no_grad():
        change = (score(pixels) - score(pixels * 0)).item()
    off = abs(found.sum().item() - change)
    assert found.attrs["completeness_error"] == pytest.approx(off, rel=1e-3, abs=1e-3)


def test_relevance_and_occlusion_of_a_photograph_are_no_flat_maps(vision):
    pixels = vision.pixels([photo("chelsea")])
    relevance = explanations.get("relevance")(vision.model, pixels, score=length_of(vision))
    explain = explanations.get("occlusion")
    hidden = explain(vision.model, pixels, score=length_of(vision), window=3, grid=(4, 4))
    assert (relevance.shape, hidden.shape) == ((1, 16, 16), (1, 4, 4))
    for found in (relevance, hidden):
        assert float(found.std()) > 0.1 * float(abs(found).mean()) > 0


def test_measures_of_a_photograph_are_those_of_its_eager_weights(vision, eager):
    seen = regard.look_at(vision, photo("astronaut"))
    out = run(eager, vision.pixels([photo("astronaut")]))
    for layer, expected in zip(seen.trace.self_attention, out.attentions, strict=True):
        weights = seen.trace.self_attention[layer]
        rows = expected[0].double().numpy()
        bits = -(rows * np.log2(np.maximum(rows, 1e-300))).sum(-1)
        found = entropy(weights).isel(step=0).transpose("head", "query")
        np.testing.assert_allclose(found, bits, rtol=0, atol=1e-3)  # of up to 8 bits
        held = sink_mass(weights, prefix=1).isel(step=0).transpose("head", "query")
        np.testing.assert_allclose(held, rows[..., 0], rtol=FAR, atol=CLOSE)


def length_of(vision):
    """A question to an encoder: how long is its class token at the end?"""
    return lambda pixels: vision.forward(pixels).last_hidden_state[:, 0].norm(dim=-1)
