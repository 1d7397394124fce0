import math

import pytest
import torch

from looks import PROMPT, generated, pipeline
from regard.errors import ArgumentError, UnknownName, UnsupportedEdit
from regard.generation import Request
from regard.methods import Where, scale
from regard.methods import perturbed_attention_guidance as pag
from regard.methods import smoothed_energy_guidance as seg
from regard.methods.guidance import blurred
from regard.tap import AttentionCall, Select, Tap, TokenLayout, segments
from regard.tap.weights import Explicit, Fused
from tiny import noise, tiny_pipeline

MID = "mid_block.attentions.0.transformer_blocks.0.attn1"


def latents(*methods, guidance=4.0, steps=3, model=None, observe=()):
    settings = Request(PROMPT, num_inference_steps=steps, guidance_scale=guidance)
    model = model or pipeline()
    variants = [{"methods": methods}]
    return generated(model, settings, variants, observe=observe)[0].latents


def same(one, other, atol=1e-5):
    torch.testing.assert_close(one, other, rtol=atol, atol=atol)


# ---------------------------------------------------------------- the verb


def call_of(batch=2, heads=2, queries=6, width=4):
    draw = [noise(batch, heads, queries, width, seed=seed) for seed in range(3)]
    return AttentionCall(Fused(draw[0], draw[1], None, 0.5), draw[2], layer="attn")


def test_other_queries_give_other_scores_to_the_rows_asked_for():
    call, bare = call_of(), call_of()
    call.map_queries(torch.zeros_like, rows=[1, 2], batch=[1])
    even = torch.full((2, 2, 6), 1 / 6)
    same(call.probs()[1][:, [1, 2]], even)
    same(call.probs()[1][:, [0, 3, 4, 5]], bare.probs()[1][:, [0, 3, 4, 5]])
    same(call.probs()[0], bare.probs()[0], 0)


def test_queries_that_no_longer_decide_are_not_changed():
    call = call_of()
    with pytest.raises(ArgumentError, match="the new queries have shape .* head, query, width"):
        call.map_queries(lambda queries: queries[..., :1])
    call.identity()
    with pytest.raises(UnsupportedEdit, match="map_queries: attn uses eager"):
        call.map_queries(torch.zeros_like)
    opened = AttentionCall(Explicit(call.query, call.key, noise(2, 2, 6, 6)), call.value)
    with pytest.raises(UnsupportedEdit, match="so other queries would change nothing"):
        opened.map_queries(torch.zeros_like)


def test_a_factor_past_what_numbers_hold_is_one_clear_line():
    draw = noise(1, 2, 3, 4).half()
    call = AttentionCall(Fused(draw, draw), draw)
    with pytest.raises(ArgumentError, match="factor is 1e.30, and float16 holds .* up to 65504"):
        call.scale_keys([0], 1e30)
    with pytest.raises(ArgumentError, match="scale_heads: the factor is -1e.30, and float16"):
        call.scale_heads({0: -1e30})


# ---------------------------------------------------------------- the blur


def test_a_blur_by_hand():
    """Sigma 1/3 takes a kernel of 3: weights e^-4.5 and 1, over their sum; edges are mirrored."""
    edge = math.exp(-4.5)
    middle, side = 1 / (1 + 2 * edge), edge / (1 + 2 * edge)
    grid = torch.tensor([[0.0, 0.0, 1.0, 0.0]], dtype=torch.float64)[..., None]
    smooth = blurred(grid, 1 / 3)[0, :, 0]
    expected = [0.0, side, middle, 2 * side]  # the neighbour of the last is seen on both its sides
    same(smooth, torch.tensor(expected, dtype=torch.float64), 1e-12)


@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.0, math.inf])
@pytest.mark.parametrize("sides", [(6, 6), (4, 7), (5, 2), (1, 3)])
def test_a_blurred_query_gives_blurred_scores(sigma, sides):
    """Against a dense matrix: scores are linear in the queries."""
    query = noise(*sides, 8).double()
    key = noise(9, 8, seed=1).double()
    smooth = dense_blur(sides, sigma) @ (query.flatten(0, 1) @ key.T)
    same(blurred(query, sigma).flatten(0, 1) @ key.T, smooth, 1e-12)


def dense_blur(sides, sigma):
    """The blur as a matrix, [patch, patch], by loops."""
    rows, columns = sides
    if sigma == math.inf:
        return torch.full((rows * columns,) * 2, 1 / (rows * columns), dtype=torch.float64)
    lines = []
    for count in sides:
        size = min(math.ceil(6 * sigma), count)
        size += 1 - size % 2
        line = torch.zeros(count, count, dtype=torch.float64)
        for at in range(count):
            for step in range(-(size // 2), size // 2 + 1):
                place = abs(at + step)
                place = 2 * (count - 1) - place if place >= count else place
                line[at, place] += math.exp(-(step**2) / (2 * sigma**2))
        lines.append(line / line.sum(-1, keepdim=True))
    return torch.kron(lines[0], lines[1])


def test_a_blur_that_is_wide_enough_is_the_mean():
    grid = noise(2, 3, 4, 5)
    assert torch.equal(blurred(grid, 1e4), blurred(grid, math.inf))
    same(blurred(grid, math.inf)[0, 1, 2], grid[0].mean((0, 1)))
    same(blurred(grid, 0.1), grid, 0)


# ---------------------------------------------------------------- guidance


@pytest.mark.parametrize("adaptive", [0.0, 0.004])
@pytest.mark.parametrize(("layer", "stage"), [(None, "mid"), (MID, None), ("up_blocks.0", None)])
@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_pag_is_that_of_diffusers(adaptive, layer, stage, guidance):
    from diffusers import StableDiffusionPAGPipeline

    model = tiny_pipeline()
    named = {None: "mid", MID: "mid", "up_blocks.0": "up_blocks.0"}[layer]
    theirs = StableDiffusionPAGPipeline(
        **model.components, pag_applied_layers=[named], requires_safety_checker=False
    )
    theirs.set_progress_bar_config(disable=True)
    expected = theirs(
        PROMPT,
        num_inference_steps=5,
        guidance_scale=guidance,
        pag_scale=3.0,
        pag_adaptive_scale=adaptive,
        generator=torch.Generator().manual_seed(0),
        output_type="latent",
    ).images
    mine = pag(3.0, adaptive=adaptive, where=Where(layers=layer, stage=stage))
    same(latents(mine, guidance=guidance, steps=5), expected, 1e-4)
    bare = latents(guidance=guidance, steps=5)
    assert not torch.allclose(expected, bare, atol=1e-2)


def evaluations(*methods, **options):
    """How many rows the denoiser evaluates in each of its calls."""
    rows, model = [], pipeline()
    hook = model.unet.register_forward_hook(lambda _, args, out: rows.append(len(out[0])))
    try:
        latents(*methods, **options)
    finally:
        hook.remove()
    return rows


@pytest.mark.parametrize("method", [pag, seg])
def test_no_push_takes_no_evaluation(method):
    assert evaluations(method(0.0)) == [2, 2, 2]
    assert sorted(evaluations(method(3.0, where=Where(steps=[0, 2])))) == [1, 1, 2, 2, 2]
    assert sorted(evaluations(method(3.0), guidance=1.0)) == [1] * 6


def test_a_push_that_has_faded_takes_no_evaluation():
    """At the noise levels 667, 334 and 1, of a thousand."""
    assert len(evaluations(pag(1.0, adaptive=0.002))) == 4


def test_a_blur_of_nothing_pushes_nowhere():
    same(latents(seg(3.0, sigma=1e-3)), latents(), 1e-5)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
@pytest.mark.parametrize("sigma", [0.5, 1.0, math.inf])
def test_seg_by_a_loop_of_ones_own(sigma, guidance):
    """c + (w - 1)(c - u) + s (c - p), with p from probabilities of blurred scores."""
    model = tiny_pipeline()
    scheduler, unet = model.scheduler, model.unet
    text, empty = model.encode_prompt(PROMPT, "cpu", 1, True, negative_prompt="")
    scheduler.set_timesteps(3)
    state = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))

    def smooth(call):
        side = call.layout.keys[0].grid
        matrix = dense_blur(side, sigma).float()
        scores = matrix @ (call.query @ call.key.mT * call.scale)
        call.map_probs(lambda probs: scores.softmax(-1))

    with torch.no_grad():
        for time in scheduler.timesteps:
            cond, uncond = (unet(state, time, words)[0] for words in (text, empty))
            with Tap(unet, edit=[(Select(kind="self", stage="mid"), smooth)]):
                other = unet(state, time, text)[0]
            guided = uncond + guidance * (cond - uncond) if guidance > 1 else cond
            state = scheduler.step(guided + 3.0 * (cond - other), time, state).prev_sample
    same(latents(seg(3.0, sigma=sigma), guidance=guidance), state, 1e-4)
    assert not torch.allclose(latents(guidance=guidance), state, atol=1e-3)


def test_two_guides_push_one_after_the_other_from_the_same_output():
    """In one step, c is pushed from both; neither is pushed from what the other pushed."""
    bare, first, second, both = (
        outputs(*methods) for methods in ([], [pag(2.0)], [seg(3.0)], [pag(2.0), seg(3.0)])
    )
    same(both - bare, (first - bare) + (second - bare), 1e-5)


def outputs(*methods):
    """What the scheduler gets in one step."""
    received, scheduler = [], pipeline().scheduler
    step = scheduler.step
    scheduler.step = lambda output, *a, **k: received.append(output) or step(output, *a, **k)
    try:
        latents(*methods, steps=1)
    finally:
        del scheduler.step
    return received[0]


def test_a_layer_is_taken_by_its_whole_name():
    seen = []
    note = (Select(kind="self"), lambda call: seen.append(call.layer))
    latents(observe=[note], steps=1)
    up = [layer for layer in set(seen) if "up_blocks.0" in layer]
    assert up
    with pytest.raises(UnknownName, match="no layer is named 'up_blocks.0.att'. Known: "):
        latents(pag(where=Where(layers="up_blocks.0.att")))
    same(latents(pag(where=Where(layers=up))), latents(pag(where=Where(layers="up_blocks.0"))), 0)


def test_weights_of_words_hold_in_the_extra_evaluation_too():
    """They are part of the condition, so the push is away from the same weighted prompt."""
    weighted, guided = latents(scale({"cat": 3.0})), latents(scale({"cat": 3.0}), seg(3.0))
    assert not torch.allclose(weighted, guided, atol=1e-3)
    nothing = latents(scale({"cat": 3.0}), seg(3.0, sigma=1e-3))
    same(nothing, weighted, 1e-5)


def test_on_joint_attention_only_image_queries_are_blurred():
    from regard.methods.guidance import smoothing

    parts = segments(("text", 3), ("image", 6, (2, 3)))
    call = call_of(queries=9)
    call.layout = TokenLayout(parts, parts)
    before = call.query.clone()
    smoothing(math.inf)(call)
    assert torch.equal(call.query[..., :3, :], before[..., :3, :])
    mean = before[..., 3:, :].mean(-2, keepdim=True).expand(2, 2, 6, 4)
    same(call.query[..., 3:, :], mean)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pag(math.nan), "^perturbed_attention_guidance: scale is nan and must be a finite"),
        (lambda: seg(math.inf), "^smoothed_energy_guidance: scale is inf and must be a finite"),
        (lambda: pag(adaptive=-1.0), "^perturbed_attention_guidance: adaptive is -1.0 and must be"),
        (lambda: seg(sigma=0.0), "^smoothed_energy_guidance: sigma is 0.0 and must be above 0"),
        (lambda: seg(sigma=math.nan), "^smoothed_energy_guidance: sigma is nan and must be above"),
        (lambda: pag(where={"stage": "x"}), "^perturbed_attention_guidance: stage is 'x' and must"),
        (lambda: seg(where={"steps": [3, 3]}), r"^smoothed_.*: steps=\[3, 3\] is an empty"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize("method", [pag, seg])
def test_layers_without_self_attention_are_told_with_those_that_have_it(method):
    wrong = f"^{method.__name__}: 'attn2' is in the path of .*none of which .*Those are: .*{MID}"
    with pytest.raises(ArgumentError, match=wrong):
        latents(method(where=Where(layers="attn2")))
    with pytest.raises(ArgumentError, match=f"^{method.__name__}: "):
        latents(method(where=Where(layers="down_blocks", stage="mid")))
