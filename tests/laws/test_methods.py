"""What holds for every method of the registry."""

import functools
import itertools
import json

import pytest
import torch

from looks import PROMPT, generated, pipeline
from regard.errors import ArgumentError, UnknownName
from regard.generation import Request
from regard.methods import from_recipe, methods, options_of, parse
from regard.methods.text import spelled
from regard.tap import attention_layers

STEPS = 3
LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn2"

ANCHORS = [PROMPT.replace("grass", "snow"), "a turtle and a cat on grass"]

STRONG = {
    "attend-and-excite": {"words": "turtle", "thresholds": {"0": 0.5}, "max_refinements": 2},
    "choose-noise": {"words": ["cat", "turtle"], "candidates": 6},
    "consistory": {"subject": "cat", "anchors": ANCHORS},
    "drop": {"words": "cat"},
    "identity": {},
    "nudge": {"words": ["turtle"], "every": 1},
    "perturbed-attention-guidance": {"scale": 5.0, "where": {"layers": "attn1"}},
    "prompt-to-prompt": {
        "prompt": PROMPT.replace("grass", "snow"),
        "cross": {"default": 0.5, "turtle": 0.0},
    },
    "scale": {"weights": {"turtle": 4.0}},
    "scale-heads": {"layer": LAYER, "factors": {"0": 0.0}},
    "scale-layers": {"factor": 0.25, "where": {"kind": "cross"}},
    "share": {"anchors": ANCHORS},
    "shuffled": {"seed": 3, "where": {"kind": "cross"}},
    "smoothed-energy-guidance": {"scale": 5.0, "where": {"layers": "attn1"}},
    "svd-consistency": {"anchors": ANCHORS, "keys": {"rank": 3}, "values": {"shape": "log"}},
    "temperature": {"factor": 0.2},
    "uniform": {"where": {"kind": "cross"}},
}
"""Settings under which each method changes the image."""

NEUTRAL = {
    "attend-and-excite": {"words": ["cat"], "scale_factor": 0.0},
    "choose-noise": {"words": "cat", "candidates": 1},
    "nudge": {"words": ["cat"], "scale_factor": 0.0},
    "perturbed-attention-guidance": {"scale": 0.0},
    "scale": {"weights": {"turtle": 1.0}},
    "scale-heads": {"layer": LAYER, "factors": {"0": 1.0}},
    "scale-layers": {"factor": 1.0},
    "share": {"anchors": ANCHORS, "weight": 0.0},
    "smoothed-energy-guidance": {"scale": 0.0},
    "svd-consistency": {"anchors": ANCHORS, "values": None},
    "temperature": {"factor": 1.0},
}
"""Settings under which a method that has a strength changes nothing."""

PUSHES = ["perturbed-attention-guidance", "smoothed-energy-guidance"]
"""They change no branch by itself, but what the guidance makes of both."""

MOVES = ["attend-and-excite", "nudge"]
"""They update latents, wherever attention is."""

READS = ["prompt-to-prompt"]
"""They have another prompt, and say in shares of the steps until when the source counts."""

BEGINS = ["choose-noise"]
"""They change what the run begins with, and no step of it."""

SHARES = ["consistory", "share", "svd-consistency"]
"""They act on a whole batch, and name its branches themselves."""

IN_STEPS = [name for name in STRONG if name not in READS + BEGINS]
BRANCHES = [name for name in IN_STEPS if name not in PUSHES + MOVES + SHARES]
SEVERAL_LAYERS = [name for name in IN_STEPS if name not in ["scale-heads", *MOVES]]
LAST = ["identity", *READS]


def made(*variants, guidance=4.0, **settings):
    """The latents of each variant."""
    wanted = Request(PROMPT, num_inference_steps=STEPS, guidance_scale=guidance, **settings)
    listed = [each if isinstance(each, dict) else {"methods": tuple(each)} for each in variants]
    return [each.latents for each in generated(pipeline(), wanted, listed)]


def strong(name, **where):
    settings = STRONG[name]
    if where:
        settings = {**settings, "where": {**settings.get("where", {}), **where}}
    return from_recipe({"method": name, **settings})


@functools.cache
def alone(name=None):
    """The latents under the strong settings of one method, or of none."""
    return made([strong(name)] if name else [])[0]


def test_every_method_is_tested_here():
    assert set(STRONG) == set(methods)


@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_settings_give_the_bare_image_bit_for_bit(name):
    bare, neutral = made([], [])[0], from_recipe({"method": name, **NEUTRAL[name]})
    assert torch.equal(made([neutral])[0], alone())
    torch.testing.assert_close(made([neutral], [])[0], bare, rtol=0, atol=5e-5)


@pytest.mark.parametrize("name", STRONG)
def test_strong_settings_change_the_image(name):
    assert not torch.allclose(alone(name), alone(), atol=1e-3)


@pytest.mark.parametrize("name", STRONG)
def test_a_recipe_makes_the_same_method_again(name):
    method = strong(name)
    again = from_recipe(json.loads(json.dumps(method.recipe())))
    assert again == method
    assert torch.equal(made([again])[0], alone(name))


@pytest.mark.parametrize("name", STRONG)
def test_its_text_makes_the_same_method_again(name):
    assert parse(spelled(strong(name))) == strong(name)


@pytest.mark.parametrize("name", IN_STEPS)
def test_a_recipe_of_before_has_the_parts_of_where_side_by_side(name):
    settings = {**STRONG[name], **STRONG[name].get("where", {}), "steps": [1, 2]}
    settings.pop("where", None)
    assert from_recipe({"method": name, **settings}) == strong(name, steps=[1, 2])


def parts_of(name):
    return {o.name.removeprefix("where.") for o in options_of(name) if o.name.startswith("where.")}


WRONG = {"steps": 0, "layers": "up", "stage": "up", "kind": "self", "condition": "both"}


@pytest.mark.parametrize("name", STRONG)
@pytest.mark.parametrize("part", WRONG)
def test_a_part_of_where_that_makes_no_sense_is_refused(name, part):
    if part in parts_of(name):
        assert strong(name, **{part: WRONG[part]}).settings["where"][part] == WRONG[part]
        return
    who = name.replace("-", "_") if parts_of(name) else "from_recipe"
    with pytest.raises(ArgumentError, match=f"^{who}: .*where"):
        strong(name, **{part: WRONG[part]})


def test_each_image_of_a_batch_has_its_own_method():
    each = [[], *([strong(name)] for name in STRONG), []]
    together = made(*each)
    for methods_of_one, latents in zip(each, together, strict=True):
        torch.testing.assert_close(latents, made(methods_of_one)[0], rtol=0, atol=5e-5)


@pytest.mark.parametrize("name", IN_STEPS)
def test_steps_before_a_method_begins_are_those_of_the_bare_run(name):
    late = strong(name, steps=[2, 3])
    together = made([], [late], [strong(name, steps=1)])
    torch.testing.assert_close(together[0], alone(), rtol=0, atol=5e-5)
    torch.testing.assert_close(together[1], made([late])[0], rtol=0, atol=5e-5)
    assert not torch.allclose(together[1], together[2], atol=1e-4)


# Even attention stays even in any order, and has no peak to move to or to choose by; there is
# nothing to perturb in what is the identity.
EVEN = [("shuffled", "uniform"), *((name, "uniform") for name in MOVES + BEGINS)]
ALIKE = EVEN + [("identity", name) for name in PUSHES]
# Guides and source images are for one prompt, and images that share attention have several; what
# each patch attends to alone, or what has been lent, cannot be lent again.
APART = {*PUSHES, *MOVES, *BEGINS, *READS, *SHARES, "identity"}
ALIKE += [
    (one, other)
    for one, other in itertools.combinations(STRONG, 2)
    if {one, other} <= APART and {one, other} & {*SHARES}
]
PAIRS = [pair for pair in itertools.combinations(STRONG, 2) if pair not in ALIKE]


def test_even_attention_stays_even_in_any_order():
    both = made([strong("uniform"), strong("shuffled")])[0]
    torch.testing.assert_close(both, alone("uniform"), rtol=0, atol=5e-5)


@pytest.mark.parametrize("first", dict.fromkeys(first for first, _ in PAIRS))
def test_methods_compose_whichever_the_order_that_their_scores_allow(first):
    """A map that was replaced has no scores any more; all else goes with all else."""
    pairs = [sorted(pair, key=lambda name: name in LAST) for pair in PAIRS if pair[0] == first]
    together = made(*([strong(name) for name in pair] for pair in pairs))
    for pair, both in zip(pairs, together, strict=True):
        for name in pair:
            assert not torch.allclose(both, alone(name), atol=1e-4), pair


@pytest.mark.parametrize("name", BRANCHES)
def test_the_branch_that_is_chosen_is_changed(name):
    """Without guidance there is only the conditional branch."""
    with pytest.raises(
        ArgumentError, match="condition is 'uncond', and with guidance 1 there is no"
    ):
        made([strong(name, condition="uncond")], guidance=1.0)
    different = [made([strong(name, condition=branch)])[0] for branch in ("cond", "uncond", "both")]
    for one, other in itertools.combinations(different, 2):
        assert not torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("name", IN_STEPS)
def test_steps_that_a_run_has_not_are_refused_before_it_runs(name):
    who = name.replace("-", "_")
    with pytest.raises(ArgumentError, match=rf"^{who}: .* includes step 3, and the run has 3"):
        made([strong(name, steps=[1, 4])])
    with pytest.raises(ArgumentError, match=rf"^{who}: steps=\[4, 4\] is an empty range"):
        made([strong(name, steps=[4, 4])])


@pytest.mark.parametrize("name", BRANCHES)
def test_a_branch_that_guidance_lacks_is_refused(name):
    who = name.replace("-", "_")
    with pytest.raises(
        ArgumentError, match=rf"^{who}: condition is 'half' and must be one of cond"
    ):
        made([strong(name, condition="half")])


@pytest.mark.parametrize("name", SEVERAL_LAYERS)
def test_a_layer_that_is_not_there_is_answered_with_those_that_are(name):
    with pytest.raises(UnknownName, match="no layer is named 'attn3'.*Known: .*attn1"):
        made([strong(name, layers="attn3")])


@pytest.mark.parametrize("name", SEVERAL_LAYERS)
def test_layers_and_stages_choose_where(name):
    in_one = made([strong(name, layers="mid_block")])[0]
    torch.testing.assert_close(in_one, made([strong(name, stage="mid")])[0], rtol=0, atol=0)
    assert not torch.allclose(in_one, alone(name), atol=1e-4)


def test_the_layers_are_those_of_the_model():
    assert attention_layers(pipeline())[LAYER] > 0
