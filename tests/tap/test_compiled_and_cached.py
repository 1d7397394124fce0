"""Compiled, cached and offloaded models: looked at as any other, and what did not run is said."""

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import regard.models as models
from joint import tiny_flux_pipeline
from regard.errors import ArgumentError
from regard.look import look
from regard.tap import HeatMap, Tap
from regard.tap.family import family_of
from regard.trace import Trace
from tiny import generate, tiny_pipeline, tiny_vit


def by_hand(model) -> str:
    """Names and bytes of all weights, in order."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f".{name}".encode() + value.numpy().tobytes())
    return digest.hexdigest()


def test_a_compiled_denoiser_is_looked_through(tmp_path):
    plain, compiled = tiny_pipeline(), tiny_pipeline()
    compiled.unet = torch.compile(compiled.unet, backend="eager")
    one, other = (look(each, "a cat on grass", num_inference_steps=2) for each in (plain, compiled))
    np.testing.assert_array_equal(np.asarray(one.image), np.asarray(other.image))
    for layer, maps in one.trace.word_maps.items():
        assert maps.identical(other.trace.word_maps[layer])
    assert one.trace.recipe["weights_sha256"] == other.trace.recipe["weights_sha256"]
    other.save(tmp_path / "look")
    assert family_of(compiled.unet) is family_of(plain.unet)


def test_the_fingerprint_is_that_of_names_and_bytes_compiled_or_not():
    model = tiny_vit()
    assert models.fingerprint(model) == by_hand(model)
    assert models.fingerprint(torch.compile(model, backend="eager")) == by_hand(model)


def offloaded(model, *, known: bool = True):
    """A model as accelerate leaves it after a run: empty tensors, and hooks that have the real."""
    for path, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        for name, value in own.items():
            setattr(module, name, torch.nn.Parameter(value.to("meta"), requires_grad=False))
        if own and known:
            held = {name: value.detach() for name, value in own.items()}
            hook = SimpleNamespace(weights_map=held)
            # One hook, or several after another.
            module._hf_hook = hook if len(path) % 2 else SimpleNamespace(hooks=[object(), hook])
    return model


def test_offloaded_weights_are_read_where_they_lie():
    model = tiny_vit()
    expected = by_hand(model)
    assert models.fingerprint(offloaded(model)) == expected


def test_weights_that_cannot_be_read_are_unknown_with_the_reason():
    told = models.fingerprint(offloaded(tiny_vit(), known=False))
    assert told.startswith("unknown: ")
    assert "it is offloaded, and where to is not known" in told


def cached(threshold: float):
    from diffusers.hooks import FirstBlockCacheConfig, apply_first_block_cache

    pipeline = tiny_flux_pipeline()
    apply_first_block_cache(pipeline.transformer, FirstBlockCacheConfig(threshold=threshold))
    return pipeline


def ran_in(pipeline) -> dict[str, list[int]]:
    """In which calls of the transformer each block computed attention, by hooks of our own."""
    ran, calls = {"transformer_blocks.0.attn": [], "single_transformer_blocks.0.attn": []}, [-1]
    count = lambda *_: calls.__setitem__(0, calls[0] + 1)  # noqa: E731
    hooks = [pipeline.transformer.register_forward_pre_hook(count)]
    for layer, steps in ran.items():
        note = lambda *_, at=steps: at.append(calls[0])  # noqa: E731
        module = pipeline.transformer.get_submodule(layer)
        hooks.append(module.register_forward_pre_hook(note))
    generate(pipeline, "a cat on grass", steps=5)
    for hook in hooks:
        hook.remove()
    return ran


@pytest.mark.parametrize("threshold", [0.0, 10.0])
def test_steps_that_a_cache_skips_are_said_and_not_filled(threshold, tmp_path):
    expected = ran_in(cached(threshold))
    seen = look(cached(threshold), "a cat on grass", num_inference_steps=5)
    for layer, maps in seen.trace.word_maps.items():
        assert maps.step.values.tolist() == expected[layer]
    missing = {layer: sorted({*range(5)} - {*ran}) for layer, ran in expected.items()}
    missing = {layer: steps for layer, steps in missing.items() if steps}
    assert seen.trace.recipe.get("skipped_steps", {}) == missing
    assert bool(missing) == (threshold > 0)
    seen.save(tmp_path / "look")
    page = (tmp_path / "look" / "page.html").read_text()
    assert ("Some layers did not run in every step" in page) == bool(missing)
    saved = Trace.load(tmp_path / "look" / "trace.zarr")
    assert {n: m.step.values.tolist() for n, m in saved.layers.items()} == expected


def test_no_mean_over_layers_of_different_steps():
    pipeline, heat = tiny_pipeline(), HeatMap([1], keep=("step",))
    with Tap(pipeline, observe=[lambda c: heat(c) if c.stage == "mid" or c.step == 0 else None]):
        generate(pipeline, steps=2)
    with pytest.raises(ArgumentError, match="layers of this model ran in different steps"):
        heat.result()
