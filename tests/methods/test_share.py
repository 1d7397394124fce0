"""Images that attend to each other: batches, anchors, filters; a dense computation by hand."""

from dataclasses import replace

import pytest
import torch

from joint import tiny_flux_pipeline, tiny_sd3_pipeline
from looks import pipeline
from regard.errors import ArgumentError
from regard.generation import Request, generate
from regard.methods import SpectrumFilter, prompt_to_prompt, share, svd_consistency
from regard.methods.spectrum import filtered
from regard.methods.svd_consistency import _lent
from regard.models import TextToImage
from regard.tap import AttentionCall, Select, segments
from regard.tap.layout import TokenLayout
from regard.tap.weights import Fused

FIRST, SECOND, THIRD = "a cat on grass", "a cat on the beach", "a red cat"
STEPS = 3


def latents(*requests, model=None, observe=()):
    made = generate(TextToImage.of(model or pipeline()), requests, observe=observe)
    return [each.latents for each in made]


def request(prompt, *methods, seed=0, guidance=4.0):
    return Request(
        prompt, seed=seed, methods=methods, num_inference_steps=STEPS, guidance_scale=guidance
    )


def scenes(make):
    """Two anchors and an image that attends to them, each asked for by itself."""
    how = make([FIRST, SECOND], seeds=[1, 2])
    return [request(FIRST, how, seed=1), request(SECOND, how, seed=2), request(THIRD, how, seed=3)]


def same(one, other, atol=1e-5):
    torch.testing.assert_close(one, other, rtol=atol, atol=atol)


def differ(one, other, atol=1e-3):
    assert not torch.allclose(one, other, rtol=0, atol=atol)


def plain(each):
    return replace(each, methods=())


# Rows of a batch


def test_an_image_is_the_same_with_its_anchors_asked_for_or_not():
    wanted = scenes(share)
    together, apart = latents(*wanted), [latents(each)[0] for each in wanted]
    for one, other in zip(together, apart, strict=True):
        same(one, other)
    for one, each in zip(together, wanted, strict=True):
        differ(one, latents(plain(each))[0])


def test_anchors_are_not_changed_by_who_attends_to_them():
    first, second, third = scenes(share)
    alone = latents(first, second)
    other = latents(first, second, third, replace(third, seed=9))
    same(alone[0], other[0])
    same(alone[1], other[1])


def test_more_images_than_a_batch_holds_share_the_same_anchors(monkeypatch):
    wanted = [*scenes(share), *(replace(scenes(share)[2], seed=s) for s in range(4, 8))]
    whole = latents(*wanted)
    monkeypatch.setattr("regard.generation.batches.ROWS", 4)
    for one, other in zip(whole, latents(*wanted), strict=True):
        same(one, other)


def test_an_image_asked_for_twice_is_given_twice():
    first, second, _ = scenes(share)
    found = latents(first, second, first)
    assert torch.equal(found[0], found[2])


def test_one_scene_that_is_its_own_only_anchor_is_as_alone():
    only = request(FIRST, share([FIRST], seeds=[0]))
    same(latents(only)[0], latents(plain(only))[0])


def test_copies_of_one_image_that_attend_to_each_other_stay_what_they_are():
    # Keys and values twice over do not change an average.
    twins = [request(FIRST, share([FIRST, FIRST], seeds=[0, 0]))]
    same(latents(*twins)[0], latents(plain(twins[0]))[0], atol=1e-4)


def test_without_guidance_there_is_one_branch():
    one = request(THIRD, share([FIRST], seeds=[1]), guidance=1.0)
    differ(latents(one)[0], latents(plain(one))[0])


def test_branches_are_chosen():
    found = [
        latents(request(THIRD, share([FIRST], branches=each)))[0]
        for each in ("cond", "uncond", "both")
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        differ(found[one], found[other], 1e-4)


def test_the_whole_tiny_model_by_hand():
    """The last image's self-attention in the up path, with the others' keys after its own."""
    outputs = []

    def see(call):
        if call.kind == "self" and call.stage == "up" and call.step == 0:
            own, keys, values = call.query, call.key, call.value
            rows = []
            for row in range(len(own)):
                half, at = divmod(row, 3)
                others = [3 * half + each for each in (1, 2) if each != at]
                k = torch.cat([keys[row], *(keys[o] for o in others)], -2)
                v = torch.cat([values[row], *(values[o] for o in others)], -2)
                weights = (own[row] @ k.mT * own.shape[-1] ** -0.5).softmax(-1)
                rows.append(weights @ v)
            outputs.append((call.output, torch.stack(rows)))

    first, second, third = scenes(share)
    latents(third, observe=[see])  # its batch: the image, then its anchors
    assert outputs
    for found, expected in outputs:
        same(found, expected, atol=1e-5)


# Filters


def call_of(images=3, patches=6):
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(images, 2, patches, 4, generator=draw) for _ in range(3))
    image = segments(("image", patches, (2, 3)))
    return AttentionCall(
        Fused(q, k, None, 0.5), v, layout=TokenLayout(image, image), conditions=("cond",) * images
    )


@pytest.mark.parametrize("per", ["layer", "head"])
def test_filters_of_whole_layers_and_of_heads(per):
    call, how = call_of(), SpectrumFilter(rank=2)
    found = _lent(call.key[1:], how, per)
    for anchor in range(2):
        matrix = call.key[1 + anchor]  # [head, patch, width]
        if per == "head":
            expected = torch.stack([_low_rank(each) for each in matrix])
        else:
            beside = torch.cat(list(matrix), -1)
            expected = torch.stack(_low_rank(beside).split(4, -1))
        same(found[anchor], expected)


def _low_rank(matrix, rank=2):
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    s[rank:] = 0
    return u @ torch.diag(s) @ v


def test_all_values_kept_is_plain_sharing():
    plainly = latents(*scenes(share))
    filters = scenes(lambda *a, **k: svd_consistency(*a, keys={}, values={"energy": 1.0}, **k))
    for one, other in zip(plainly, latents(*filters), strict=True):
        assert torch.equal(one, other)


def test_a_filter_of_keys_leaves_values_alone():
    call = call_of()
    assert torch.equal(_lent(call.value[1:], SpectrumFilter(), "layer"), call.value[1:])
    keys = latents(*scenes(lambda *a, **k: svd_consistency(*a, keys={"rank": 1}, values={}, **k)))
    values = latents(*scenes(lambda *a, **k: svd_consistency(*a, keys={}, values={"rank": 1}, **k)))
    differ(keys[2], values[2], 1e-4)
    assert filtered(call.key, SpectrumFilter(rank=1))[0].shape == call.key.shape


@pytest.mark.parametrize("build", [tiny_sd3_pipeline, tiny_flux_pipeline])
def test_joint_transformers_share_the_patches_of_the_image(build):
    model = build()
    seen = []

    def see(call):
        if call.step == 0:
            layout = call.known_layout("test")
            seen.append((len(layout.keys_of("lent")), len(layout.keys_of("image"))))

    wanted = replace(request(THIRD, share([FIRST], seeds=[1])), guidance_scale=None)
    shared = latents(wanted, model=model, observe=[(Select(query="image", key="image"), see)])
    assert seen
    assert all(lent == own for lent, own in seen)
    differ(shared[0], latents(plain(wanted), model=model)[0], 1e-5)


# Refusals


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: share("a cat"), "share: anchors is 'a cat' and must be the prompts"),
        (lambda: share([]), "must be the prompts of one image or more"),
        (lambda: share(["a cat", " "]), "a prompt of the anchors is empty"),
        (lambda: share(["a cat"], seeds=[1, 2]), "must be a whole number of 0 or more for each of"),
        (lambda: share(["a cat"], seeds=[-1]), "must be a whole number of 0 or more"),
        (lambda: share(["a cat"], weight=-1.0), "weight is -1.0 and must be 0 or more"),
        (lambda: share(["a cat"], branches="half"), "branches is 'half' and must be one of"),
        (lambda: svd_consistency(["a cat"], per="patch"), "per is 'patch' and must be one of"),
        (lambda: svd_consistency(["a cat"], keys={"share": 2.0}), "keys: share is 2.0 and must be"),
        (lambda: svd_consistency(["a cat"], values={"rank": 0}), "values: rank is 0 and must"),
        (
            lambda: svd_consistency(["a cat"], values={"ranks": 1}),
            "values is .* must give a filter",
        ),
        (
            lambda: svd_consistency(["a cat"], keys={"energy": 0.0}),
            "keys: energy is 0.0 and must be",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        wrong()


def test_methods_of_one_prompt_are_refused_beside_it():
    both = request(FIRST, share([SECOND]), prompt_to_prompt("a dog on grass"))
    with pytest.raises(ArgumentError, match="of share and prompt-to-prompt, one lets images"):
        latents(both)


def test_a_rank_above_the_matrix_keeps_it_whole():
    matrix = call_of().key
    same(filtered(matrix, SpectrumFilter(rank=99))[0], matrix)
