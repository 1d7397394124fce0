"""Attention injected from one row of a batch into another, against dense maps."""

import pytest
import torch

from regard.errors import ArgumentError, UnsupportedEdit
from regard.tap.call import AttentionCall
from regard.tap.weights import Explicit, Fused
from tiny import noise

BATCH, HEADS, QUERIES, KEYS, WIDTH = 3, 2, 6, 5, 4
MAPPER = noise(KEYS, KEYS, seed=5).abs()
SHARE = torch.tensor([0.0, 1.0, 0.5, 0.0, 2.0])


def call_of(open_scores: bool = False) -> AttentionCall:
    q, k = noise(BATCH, HEADS, QUERIES, WIDTH), noise(BATCH, HEADS, KEYS, WIDTH, seed=1)
    value = noise(BATCH, HEADS, KEYS, WIDTH, seed=2)
    weights = Explicit(q, k, q @ k.mT * 0.7) if open_scores else Fused(q, k, None, 0.7)
    return AttentionCall(weights, value, conditions=("cond",) * BATCH, layer="attn")


def dense() -> torch.Tensor:
    call = call_of()
    return (call.query.double() @ call.key.double().mT * 0.7).softmax(-1)


def injected() -> torch.Tensor:
    """By hand: row 1 has row 2's weights through the mapper, and shares of its own."""
    p = dense()
    p[1] = p[2] @ MAPPER.double() + p[1] * SHARE.double()
    return p


def close(actual, expected):
    torch.testing.assert_close(actual.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("open_scores", [False, True])
def test_a_plain_copy_is_the_other_rows_map_on_ones_own_values(open_scores):
    call, p = call_of(open_scores), dense()
    p[1] = p[2]
    call.inject_from(2, batch=[1])
    close(call.probs(), p)
    close(call.weights.attend(call.value, dropout=0.0), p @ call.value.double())


def test_a_plain_copy_stays_one_fused_call():
    call = call_of()
    call.inject_from(2, batch=slice(0, 2))
    assert isinstance(call.weights, Fused)


@pytest.mark.parametrize("open_scores", [False, True])
def test_reads_and_output_are_those_of_the_map_by_hand(open_scores):
    call, p = call_of(open_scores), injected()
    call.inject_from(2, mapper=MAPPER, share=SHARE, batch=slice(1, 2))
    close(call.probs(), p)
    close(call.probs(slice(1, 3), batch=[1]), p[[1], :, 1:3])
    close(call.columns([4, 0]), p[..., [4, 0]])
    close(call.apply(noise(KEYS, 3, seed=7), batch=[1]), p[[1]] @ noise(KEYS, 3, seed=7).double())
    close(call.column_sums(noise(QUERIES, 2, seed=8)), p.mT @ noise(QUERIES, 2, seed=8).double())
    close(call.weights.attend(call.value, dropout=0.0), p @ call.value.double())


def test_no_mapper_or_no_share_leaves_keys_in_place_or_nothing_of_ones_own():
    p = dense()
    call = call_of()
    call.inject_from(2, share=torch.ones(KEYS), batch=[1])
    close(call.probs(batch=[1]), p[[2]] + p[[1]])
    call = call_of()
    call.inject_from(2, mapper=MAPPER, batch=[1])
    close(call.probs(batch=[1]), p[[2]] @ MAPPER.double())


def test_what_was_injected_can_be_hidden_and_tempered():
    call, p = call_of(), injected()[1]
    call.inject_from(2, mapper=MAPPER, share=SHARE, batch=[1])
    call.mask_keys([0, 3], batch=[1])
    p[..., [0, 3]] = 0
    close(call.probs(batch=[1])[0], p / p.sum(-1, keepdim=True))
    close(call.probs(batch=[0, 2]), dense()[[0, 2]])
    call = call_of()
    call.inject_from(2, mapper=MAPPER, share=SHARE, batch=[1])
    call.temperature(0.5, batch=[1])
    p = injected()[1] ** 2
    close(call.probs(batch=[1])[0], p / p.sum(-1, keepdim=True))


def test_rows_give_the_attention_that_they_have_by_then():
    call, p = call_of(), dense()
    call.mask_keys([0], batch=[2])
    call.inject_from(2, batch=[0])
    expected = p[2].clone()
    expected[..., 0] = 0
    close(call.probs(batch=[0])[0], expected / expected.sum(-1, keepdim=True))


def test_what_cannot_be_injected_is_refused():
    with pytest.raises(ArgumentError, match=r"^inject_from: the batch has rows 0\.\.2, not 3"):
        call_of().inject_from(3)
    with pytest.raises(ArgumentError, match=r"shapes \(4, 4\) and \(5,\), and attn with 5 keys"):
        call_of().inject_from(2, mapper=torch.eye(4), batch=[1])
    call = call_of()
    call.inject_from(2, mapper=-torch.eye(KEYS), batch=[1])
    with pytest.raises(UnsupportedEdit, match="below 0 have no scores"):
        call.mask_keys([0], batch=[1])
    with pytest.raises(UnsupportedEdit, match="has no scores any more"):
        call.logsumexp(batch=[1])
