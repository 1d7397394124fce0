"""Prompt-to-Prompt: neutral settings, spans of steps, blending, and a dense computation by hand."""

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn

from joint import tiny_flux_pipeline, tiny_sd3_pipeline
from looks import generated, pipeline
from regard.errors import ArgumentError, PromptError, UnknownName
from regard.generation import Request
from regard.look import look
from regard.methods import (
    Changes,
    Guide,
    Method,
    drop,
    from_recipe,
    prompt_to_prompt,
    scale,
    temperature,
)
from regard.methods.prompt_to_prompt import span
from regard.steering import replay, steer
from tiny import tiny_pipeline

SOURCE, EDIT, STEPS = "a cat on the beach", "a dog on the beach", 5
LONGER = "a red cat on the beach"


def made(*variants, source=SOURCE, model=None, guidance=4.0, observe=()):
    """The latents of each variant; a list is one of these methods."""
    model, settings = (
        model or pipeline(),
        Request(source, num_inference_steps=STEPS, guidance_scale=guidance),
    )
    listed = [each if isinstance(each, dict) else {"methods": tuple(each)} for each in variants]
    return [each.latents for each in generated(model, settings, listed, observe=observe)]


def edited(prompt=EDIT, *others, guidance=4.0, source=SOURCE, model=None, observe=(), **settings):
    methods = [prompt_to_prompt(prompt, **settings), *others]
    return made(methods, guidance=guidance, source=source, model=model, observe=observe)[0]


def alone(prompt, guidance=4.0, model=None):
    request = Request(prompt, num_inference_steps=STEPS, guidance_scale=guidance)
    return generated(model or pipeline(), request)[0].latents


def same(one, other, atol=1e-5):
    torch.testing.assert_close(one, other, rtol=atol, atol=atol)


def differ(one, other, atol=1e-3):
    assert not torch.allclose(one, other, rtol=0, atol=atol)


# Neutral settings


@pytest.mark.parametrize("prompt", [EDIT, LONGER])
@pytest.mark.parametrize("guidance", [4.0, 1.0])
def test_without_the_sources_attention_it_is_the_other_prompt_drawn_alone(prompt, guidance):
    # In float32 other shapes of a batch add up in another order, which these steps multiply.
    model = copy.deepcopy(pipeline()).to(torch.float64)
    expected = alone(prompt, guidance, model)
    same(edited(prompt, cross=0, self=0, guidance=guidance, model=model), expected)
    differ(edited(prompt, guidance=guidance, model=model), expected)


@pytest.mark.parametrize("mode", ["replace", "refine"])
@pytest.mark.parametrize("guidance", [4.0, 1.0])
def test_the_same_prompt_gives_the_same_picture(mode, guidance):
    again = edited(SOURCE, cross=1, self=1, mode=mode, guidance=guidance)
    same(again, alone(SOURCE, guidance))


def test_factors_of_one_change_nothing_and_others_do():
    ones = dict.fromkeys(["a", "dog", "on", "the", "beach"], 1.0)
    same(edited(reweight=ones), edited())
    differ(edited(reweight={"dog": 4.0}), edited())
    differ(edited(reweight={"dog": -4.0}), edited(reweight={"dog": 4.0}))


def test_modes_are_chosen_by_the_number_of_words():
    same(edited(EDIT), edited(EDIT, mode="replace"), 0)
    same(edited(LONGER), edited(LONGER, mode="refine"), 0)
    differ(edited(EDIT, mode="replace"), edited(EDIT, mode="refine"), 1e-4)


def test_the_authors_tail_is_another_picture_only_where_numbers_of_tokens_differ():
    same(edited(EDIT, legacy=True), edited(EDIT), 0)
    differ(edited("a ox on the beach", legacy=True), edited("a ox on the beach"), 1e-5)


# Steps and layers


def injected_steps(kind, row=0, **settings):
    """In which steps the maps of the edit are those of the source, for each number of patches."""
    found = {}

    def note(call):
        if call.kind == kind:
            own, source = call.probs(batch=call.rows_of("cond"))[[row, -1]]
            steps = found.setdefault(call.shape[2], set())
            steps.update([call.step] if torch.allclose(own, source, rtol=1e-5, atol=1e-6) else [])

    edited(observe=[note], **settings)
    return {patches: sorted(steps) for patches, steps in found.items()}


def test_shares_of_steps_are_counted_as_by_the_authors():
    # int(0.5 * 6) = 3 of 5 steps for words, int(0.5 * 5) = 2 for patches.
    assert injected_steps("cross", cross=0.5, self=0)[64] == [0, 1, 2]
    assert injected_steps("self", cross=0, self=0.5)[64][:2] == [0, 1]
    assert injected_steps("cross", cross=[0.5, 0.7], self=0)[64] == [3]
    assert len(injected_steps("self", cross=0, self=0.5)[64]) == 2
    assert span(0.8, 51) == range(40)
    assert span(0.4, 50) == range(20)
    assert span(1, 51) == range(51)


def test_fine_layers_keep_their_own_attention_to_patches():
    found = injected_steps("self", cross=0, self=1, largest=16)
    assert found[16] == [0, 1, 2, 3, 4]
    assert set(found[64]) <= {0}  # before the first words are read both are the same
    assert injected_steps("self", cross=0, self=1)[64] == [0, 1, 2, 3, 4]


def test_a_word_may_have_a_share_of_its_own():
    same(edited(cross={"default": 0.5}), edited(cross=0.5), 0)
    same(edited(cross={"default": 0.5, "dog": 0.5}), edited(cross=0.5), 0)
    same(edited(cross={"dog": 1.0}), edited(cross=1.0), 0)
    late = edited(cross={"dog": 0.2})
    differ(late, edited(cross=1.0), 1e-5)
    differ(late, edited(cross=0.2), 1e-5)


# Blending


def test_inside_everywhere_is_no_blending_and_inside_nowhere_is_the_bare_source(monkeypatch):
    where = "regard.methods.local_blend.THRESHOLD"
    monkeypatch.setattr(where, -1.0)
    same(edited(local_blend=["cat", "dog"]), edited(), 0)
    monkeypatch.setattr(where, 2.0)
    same(edited(local_blend=["cat", "dog"]), alone(SOURCE))


def test_after_the_last_step_too_all_outside_is_the_sources(monkeypatch):
    left = torch.zeros(2, 8, 8, dtype=torch.bool)
    left[..., :4] = True
    monkeypatch.setattr("regard.methods.local_blend.mask", lambda maps, size: left)
    blended = edited(local_blend="beach")
    same(blended[..., 4:], alone(SOURCE)[..., 4:])
    differ(blended[..., :4], alone(SOURCE)[..., :4])


# Beside others


def evaluations(*variants, **options):
    """How many rows the denoiser evaluates in each of its calls."""
    rows, model = [], pipeline()
    hook = model.unet.register_forward_hook(lambda _, args, out: rows.append(len(args[0])))
    try:
        made(*variants, **options)
    finally:
        hook.remove()
    return rows


def test_edits_of_one_noise_share_their_source():
    edits = [[prompt_to_prompt(EDIT)], [prompt_to_prompt(LONGER)], [prompt_to_prompt("a bird")]]
    assert evaluations(*edits, guidance=1.0) == [4] * STEPS
    for one, together in zip(edits, made(*edits), strict=True):
        same(together, made(one)[0])


def test_edits_of_other_noise_have_another_source():
    variants = [{"methods": (prompt_to_prompt(EDIT),), "seed": seed} for seed in (0, 1)]
    assert evaluations(*variants, [], guidance=1.0) == [2] * STEPS * 2 + [1] * STEPS
    together = made(*variants, [])
    for variant, latents in zip(variants, together, strict=False):
        same(latents, made(variant)[0])
    same(together[2], alone(SOURCE), 0)


def test_methods_of_the_same_picture_speak_of_its_own_prompt():
    hidden = edited(EDIT, drop("dog"))
    differ(hidden, edited(EDIT), 1e-4)
    differ(edited(EDIT, temperature(0.3)), edited(EDIT), 1e-4)
    differ(edited(EDIT, scale({"dog": 0.0})), edited(EDIT), 1e-4)
    with pytest.raises(UnknownName, match="no word is named 'cat'"):
        edited(EDIT, drop("cat"))


def test_a_word_that_was_dropped_afterwards_is_not_looked_at():
    seen = look(
        pipeline(), SOURCE, num_inference_steps=2, methods=[prompt_to_prompt(EDIT), drop("dog")]
    )
    assert seen.trace.heatmap("dog").max() == 0


def shifting(step, latents):
    return latents + 1.0


def test_a_guide_moves_the_edit_and_not_its_source():
    """Where its attention is its own, the picture is that of the prompt alone under the guide."""
    guides = [
        Guide(latents=lambda moment: moment.latents + 1.0),
        Guide(after=shifting),
    ]
    for guide in guides:
        mine = Method("mine", {}, lambda run, guide=guide: Changes(guide=guide))
        shifted = made([mine], source=EDIT)[0]
        same(edited(EDIT, mine, cross=0, self=0), shifted, 1e-4)
        differ(shifted, alone(EDIT))
        kept = edited(SOURCE, mine, cross=1, self=1)
        differ(kept, alone(SOURCE))
    source = [Guide(latents=lambda moment: seen.append(moment.latents[-1:]) or moment.latents + 1)]
    seen = []
    edited(EDIT, Method("mine", {}, lambda run: Changes(guide=source[0])))
    steps = []
    note = Guide(latents=lambda moment: steps.append(moment.latents) or moment.latents)
    made([Method("note", {}, lambda run: Changes(guide=note))])
    for one, other in zip(seen, steps, strict=True):
        same(one, other)


def test_a_guide_that_evaluates_some_images_alone_does_so_without_the_source():
    evaluated = []

    def evaluate(moment):
        with moment.tap.aside(), torch.no_grad():
            evaluated.append(moment.evaluate(moment.latents[:1], [0]))
        return moment.latents

    mine = Method("mine", {}, lambda run: Changes(guide=Guide(latents=evaluate)))
    same(edited(EDIT, mine), edited(EDIT))
    bare = evaluated[0]
    evaluated.clear()
    edited(EDIT, mine, cross=0, self=0)
    same(bare, evaluated[0])


# Looks


def test_a_look_has_the_edits_prompt_words_and_maps():
    seen = look(
        pipeline(), SOURCE, num_inference_steps=2, methods=[prompt_to_prompt(EDIT, cross=1)]
    )
    bare = look(pipeline(), SOURCE, num_inference_steps=2)
    assert seen.trace.word_names == ("a", "dog", "on", "the", "beach")
    assert seen.trace.recipe["prompt"] == EDIT
    assert seen.trace.recipe["source_prompt"] == SOURCE
    assert "source_prompt" not in bare.trace.recipe
    assert seen.trace.recipe["parity_error"] < 1e-5
    first = dict(layers="down_blocks.0", steps=0)
    maps = [each.trace.heatmap(word, **first) for each, word in ((seen, "dog"), (bare, "cat"))]
    np.testing.assert_allclose(*maps, atol=1e-6)


def test_rows_of_the_maps_add_up_where_words_are_swapped():
    seen = look(
        pipeline(), SOURCE, num_inference_steps=2, methods=[prompt_to_prompt("a ox on the beach")]
    )
    for maps in seen.trace.word_maps.values():
        np.testing.assert_allclose(maps.sum("token"), 1.0, atol=1e-5)


@pytest.mark.parametrize("prompt", [EDIT, LONGER])
def test_steered_has_both_prompts_and_replays(prompt, tmp_path):
    methods = [prompt_to_prompt(prompt, cross=[0, 0.5], reweight={"beach": 2.0})]
    steered = steer(pipeline(), SOURCE, methods, num_inference_steps=2)
    bare = look(pipeline(), SOURCE, num_inference_steps=2)
    assert torch.equal(steered.before.latents, bare.latents)
    assert steered.recipe["prompt"] == SOURCE
    assert steered.after.trace.recipe["prompt"] == prompt
    steered.save(tmp_path / "out")
    again = replay(pipeline(), tmp_path / "out" / "recipe.json")
    assert torch.equal(again.after.latents, steered.after.latents)
    mass = steered.table.query("measure == 'mass'").set_index("word")
    new = prompt.split()[1]
    assert np.isnan(mass.loc[new, "before"])
    assert mass.loc[new, "after"] > 0
    inside = steered.table.query("measure == 'distance inside'")["word"]
    assert {new, "beach"} <= set(inside)


def test_a_recipe_makes_the_same_method_again():
    method = prompt_to_prompt(
        EDIT, cross={"default": [0.0, 0.5], "dog": 1}, self=0.2, local_blend=("cat", "dog"),
        reweight={"dog": 2.0}, mode="replace", largest=64, legacy=True,
    )  # fmt: skip
    again = from_recipe(json.loads(json.dumps(method.recipe())))
    assert again == method
    same(made([again])[0], made([method])[0], 0)


# Bad input


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"prompt": " "}, PromptError, "the prompt is empty and needs at least one word"),
        ({"cross": 1.5}, ArgumentError, r"cross of 'default' is 1.5 and must lie in 0..1"),
        ({"cross": {"dog": -0.1}}, ArgumentError, r"cross of 'dog' is -0.1 and must lie in 0..1"),
        ({"self": [0.5, 0.2]}, ArgumentError, r"self is \[0.5, 0.2\] and must lie in 0..1"),
        ({"self": [0.5]}, ArgumentError, r"self is \[0.5\] and must be a share of the steps, or"),
        ({"self": float("nan")}, ArgumentError, "self is nan and must lie in"),
        ({"reweight": {"dog": float("inf")}}, ArgumentError, "reweight of 'dog' is inf and must"),
        ({"largest": 0}, ArgumentError, "largest is 0 and must be 1 or more"),
        ({"mode": "refin"}, UnknownName, "no mode is named 'refin'. Did you mean 'refine'"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        prompt_to_prompt(**{"prompt": EDIT, **settings})


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"prompt": LONGER, "mode": "replace"}, ArgumentError, "has 5 words, .* 6. Use mode"),
        ({"reweight": {"cat": 2.0}}, UnknownName, "no word is named 'cat'. .*Known: .*dog"),
        ({"cross": {"cat": 0.5}}, UnknownName, "no word is named 'cat'"),
        ({"local_blend": "bird"}, UnknownName, "no word is named 'bird'.*local_blend takes"),
        ({"local_blend": "dog"}, ArgumentError, "'a cat on the beach' has none of the words of"),
        ({"local_blend": ["cat"]}, ArgumentError, "'a dog on the beach' has none of the words of"),
        ({"prompt": "dog " * 20}, PromptError, "would truncate the prompt: 'dog"),
    ],
)
def test_what_does_not_fit_the_run_is_refused_before_it_runs(settings, error, message):
    model = pipeline()
    hook = model.unet.register_forward_hook(lambda *_: pytest.fail("it ran"))
    try:
        with pytest.raises(error, match=message):
            edited(**{"prompt": EDIT, **settings})
    finally:
        hook.remove()


def test_a_source_that_is_cut_off_and_two_prompts_at_once_are_refused():
    with pytest.raises(PromptError, match="would truncate the prompt: 'cat"):
        edited(EDIT, source="cat " * 20)
    with pytest.raises(ArgumentError, match=f"reads one prompt, and 2 .*'{EDIT}', '{LONGER}'"):
        edited(EDIT, prompt_to_prompt(LONGER))
    with pytest.raises(ArgumentError, match="reads one prompt, and 2"):
        look(pipeline(), SOURCE, methods=[prompt_to_prompt(EDIT), prompt_to_prompt(LONGER)])


@pytest.mark.parametrize("model", [tiny_sd3_pipeline, tiny_flux_pipeline])
def test_models_without_layers_for_text_alone_are_refused(model):
    with pytest.raises(ArgumentError, match="Pipeline attends to text and image at once"):
        look(model(), SOURCE, num_inference_steps=1, methods=[prompt_to_prompt(EDIT)])


# Against a dense computation


class Dense(nn.Module):
    """A processor of diffusers: explicit softmax over [uncond, uncond, source, edit]."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, *_, **__):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        heads = [
            x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for x in (attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context))
        ]
        probs = (heads[0] @ heads[1].mT * attn.scale).softmax(-1)
        probs[3] = self.change(probs[2], probs[3], cross=encoder_hidden_states is not None)
        out = (probs @ heads[2]).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](out))


def dense(model, edit, change, steps, guidance):
    """Latents of the edit by a loop of DDIM written out."""
    from diffusers.models.attention_processor import AttnProcessor2_0

    texts = [*[""] * 2, SOURCE, edit]
    ids = model.tokenizer(
        texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt"
    ).input_ids
    side = model.unet.config.sample_size
    noise = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(0))
    latents, alphas = noise.repeat(2, 1, 1, 1), model.scheduler.alphas_cumprod
    ahead = len(alphas) // steps
    times = [i * ahead + 1 for i in reversed(range(steps))]
    try:
        with torch.no_grad():
            text = model.text_encoder(ids)[0]
            for step, time in enumerate(times):
                processor = Dense(lambda *a, step=step, **k: change(step, *a, **k))
                model.unet.set_attn_processor(processor)
                out = model.unet(latents.repeat(2, 1, 1, 1), time, text).sample
                uncond, cond = out.chunk(2)
                noise = uncond + guidance * (cond - uncond)
                now, then = alphas[time], alphas[max(time - ahead, 0)]
                clean = (latents - (1 - now) ** 0.5 * noise) / now**0.5
                latents = then**0.5 * clean + (1 - then) ** 0.5 * noise
    finally:
        model.unet.set_attn_processor(AttnProcessor2_0())
    return latents[1:]


def swapped(step, source, own, *, cross):
    """cross 0.8 and self 0.4 of 5 steps: steps 0..3 and 0..1; 'cat' becomes 'o' and 'x'."""
    if not cross:
        return source if step < 2 and source.shape[-1] <= 256 else own
    if step >= 4:
        return own
    # start a cat on the beach end, pads from 7; start a o x on the beach end, pads from 8.
    half = source[..., 2:3] / 2
    rest = [source[..., 3:7], source[..., 7:9].sum(-1, keepdim=True), source[..., 9:]]
    return torch.cat([source[..., :2], half, half, *rest], -1)


def refined_and_weighted(step, source, own, *, cross):
    """'red' is new, and 'beach' counts twice while its attention is the source's."""
    if not cross:
        return source if step < 2 and source.shape[-1] <= 256 else own
    if step >= 4:
        return own
    # start a cat on the beach end, pads from 7; start a red cat on the beach end, pads from 8.
    new = torch.cat([source[..., :2], own[..., 2:3], source[..., 2:7], source[..., 8:]], -1)
    new[..., 6] *= 2
    return new


@pytest.mark.parametrize(
    ("edit", "change", "settings"),
    [
        ("a ox on the beach", swapped, {}),
        (LONGER, refined_and_weighted, {"reweight": {"beach": 2.0}}),
    ],
)
def test_latents_are_those_of_explicit_maps_in_a_loop_by_hand(edit, change, settings):
    """On levels of 32 x 32 and 16 x 16, of which only the second takes over self-attention."""
    model = tiny_pipeline(size=32)
    ours = edited(edit, model=model, **settings)
    same(ours, dense(model, edit, change, STEPS, 4.0), 1e-4)
    differ(ours, dense(model, edit, lambda step, source, own, cross: own, STEPS, 4.0))
