"""Each patch to itself alone, where patches and text are in one sequence."""

import pytest
import torch

from regard.errors import UnsupportedEdit
from regard.tap import Segment, TokenLayout, segments
from regard.tap.call import AttentionCall
from regard.tap.weights import Fused
from tiny import noise

IMAGE, TEXT = ("image", 4, (2, 2)), ("text", 3)
ORDERS = pytest.mark.parametrize("parts", [(IMAGE, TEXT), (TEXT, IMAGE)], ids=["sd3", "flux"])


def call_of(parts, *, even: bool = False) -> AttentionCall:
    query, key, value = (noise(2, 2, 7, 4, seed=seed) for seed in range(3))
    both = segments(*parts)
    return AttentionCall(
        Fused(query * (not even), key),
        value,
        layer="attn",
        layout=TokenLayout(both, both),
        conditions=("uncond", "cond"),
    )


def image_of(call: AttentionCall) -> Segment:
    return call.layout.keys_of("image")


@ORDERS
def test_even_attention_by_hand(parts):
    """A patch has itself and three tokens, a quarter each; a token has all seven."""
    call = call_of(parts, even=True)
    call.identity()
    probs, image = call.probs()[0, 0], image_of(call).slice
    assert torch.equal(probs[image, image], torch.eye(4) / 4)
    text = call.layout.keys_of("text").slice
    torch.testing.assert_close(probs[image, text], torch.full((4, 3), 1 / 4))
    torch.testing.assert_close(probs[text], torch.full((3, 7), 1 / 7))


@ORDERS
def test_the_softmax_is_over_what_is_left(parts):
    call = call_of(parts)
    before = call_of(parts)
    scores = (before.query.double() @ before.key.double().mT).exp()
    image = image_of(call)
    for patch in range(image.start, image.stop):
        for other in range(image.start, image.stop):
            scores[..., patch, other] *= patch == other
    call.identity()
    expected = scores / scores.sum(-1, keepdim=True)
    torch.testing.assert_close(call.probs().double(), expected, rtol=0, atol=1e-6)
    output = call.weights.attend(call.value, dropout=0.0)
    torch.testing.assert_close(output.double(), expected @ call.value.double(), rtol=0, atol=1e-5)


@ORDERS
def test_only_the_rows_that_are_chosen_change(parts):
    call, bare = call_of(parts), call_of(parts)
    call.identity(batch=call.rows_of("cond"))
    assert torch.equal(call.probs(batch=[0]), bare.probs(batch=[0]))
    assert not torch.allclose(call.probs(batch=[1]), bare.probs(batch=[1]), atol=0.01)


def test_it_goes_with_what_changes_scores_and_is_refused_after_a_map_was_replaced():
    call, other = call_of((IMAGE, TEXT)), call_of((IMAGE, TEXT))
    call.temperature(2.0)
    call.identity()
    other.identity()
    other.temperature(2.0)
    torch.testing.assert_close(call.probs(), other.probs())
    replaced = call_of((IMAGE, TEXT))
    replaced.map_probs(lambda probs: probs)
    with pytest.raises(UnsupportedEdit, match="it has no scores any more"):
        replaced.identity()
    over = call_of((IMAGE, TEXT))
    over.output = over.value
    with pytest.raises(UnsupportedEdit, match="^identity: attn has been evaluated already"):
        over.identity()
