"""Keys and values that other rows of the batch lend, against attention written out."""

import pytest
import torch

from regard.errors import ArgumentError, UnsupportedEdit
from regard.tap import AttentionCall, segments
from regard.tap.layout import TokenLayout
from regard.tap.weights import Explicit, Extended, Fused, Lent

BATCH, HEADS, PATCHES, WIDTH, LENT = 3, 2, 6, 4, 5
SCALE = 0.6


def call_of(bias=None):
    draw = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(BATCH, HEADS, PATCHES, WIDTH, generator=draw) for _ in range(3))
    image = segments(("image", PATCHES, (2, 3)))
    return AttentionCall(Fused(q, k, bias, SCALE), v, layout=TokenLayout(image, image))


def lent_of(number=LENT, **how):
    draw = torch.Generator().manual_seed(4)
    key, value = (torch.randn(HEADS, number, WIDTH, generator=draw) for _ in range(2))
    return Lent(key, value, **how)


SOME = torch.tensor([True, False, True, True, False])

ROWS = {
    "all see all": [lent_of()] * BATCH,
    "some see some": [lent_of(), None, lent_of(seen=SOME)],
    "weighed": [lent_of(bias=-0.7), lent_of(seen=SOME, bias=0.4), None],
}


def dense(call, lent, own_bias=0.0):
    """P [batch, head, query, own and lent key] and P V, in float64."""
    maps, outputs = [], []
    for row, each in enumerate(lent):
        some = lent_of() if each is None else each
        key = torch.cat([call.key[row], some.key], -2).double()
        value = torch.cat([call.value[row], some.value], -2).double()
        scores = SCALE * call.query[row].double() @ key.mT
        scores[..., :PATCHES] += own_bias
        seen = torch.ones(LENT, dtype=torch.bool) if some.seen is None else some.seen
        scores[..., PATCHES:] += 0.0 if each is None else each.bias
        scores[..., PATCHES:][..., ~seen if each is not None else slice(None)] = -torch.inf
        maps.append(scores.softmax(-1))
        outputs.append(maps[-1] @ value)
    return torch.stack(maps), torch.stack(outputs)


def close(found, expected):
    torch.testing.assert_close(found.double(), expected.double(), atol=2e-6, rtol=1e-5)


@pytest.fixture(params=list(ROWS))
def lent(request):
    return ROWS[request.param]


def test_attention_to_own_and_lent_keys_by_the_definition(lent):
    call = call_of()
    p, output = dense(call, lent)
    call.extend_kv(lent)
    close(call.weights.attend(call.value, dropout=0.0), output)
    close(call.probs(), p)
    close(call.probs(slice(1, 3)), p[..., 1:3, :])
    close(call.columns([0, PATCHES]), p[..., [0, PATCHES]])
    values = torch.randn(1, 1, PATCHES + LENT, 3, generator=torch.Generator().manual_seed(5))
    close(call.apply(values), p @ values.double())
    close(call.column_sums()[..., 0], p.sum(-2))
    close(call.entropy(), torch.special.entr(p).sum(-1) / torch.tensor(2.0).log())
    assert call.shape == (BATCH, HEADS, PATCHES, PATCHES + LENT)


def test_a_bias_of_the_layer_stays_with_its_own_keys(lent):
    bias = torch.linspace(-1, 1, PATCHES)
    call = call_of(bias.view(1, 1, 1, -1))
    p, output = dense(call, lent, bias.double())
    call.extend_kv(lent)
    close(call.weights.attend(call.value, dropout=0.0), output)
    close(call.probs(), p)


def test_rows_can_be_read_alone(lent):
    call = call_of()
    p, _ = dense(call, lent)
    call.extend_kv(lent)
    close(call.probs(batch=[2, 0]), p[[2, 0]])
    close(call.logsumexp(batch=[1]), call.logsumexp()[1:2])


def test_scores_can_be_divided_after_and_not_added_to():
    call, cold = call_of(), call_of()
    cold.temperature(0.5)
    cold.extend_kv([Lent(2 * lent_of().key, lent_of().value)] * BATCH)
    call.extend_kv([lent_of()] * BATCH)
    call.temperature(0.5)
    expected = dense(call_of(), [lent_of()] * BATCH)[0].log().mul(2).softmax(-1)
    close(call.probs(), expected)
    with pytest.raises(UnsupportedEdit, match="before the one that lends"):
        call.mask_keys([0])


def test_the_layout_says_which_keys_are_lent():
    call = call_of()
    call.extend_kv([lent_of()] * BATCH)
    assert call.known_layout("test").keys_of("lent").slice == slice(PATCHES, PATCHES + LENT)
    assert call.kind == "self"
    p, _ = dense(call_of(), [lent_of()] * BATCH)
    close(call.mass("lent"), p[..., PATCHES:].sum(-1))


def test_nothing_lent_changes_nothing():
    call = call_of()
    before = call.weights.attend(call.value, dropout=0.0)
    call.extend_kv([None] * BATCH)
    assert not isinstance(call.weights, Extended)
    assert torch.equal(call.weights.attend(call.value, dropout=0.0), before)


def test_lent_copies_of_a_row_s_own_keys_change_nothing():
    # A softmax over every key twice has each weight halved and met twice.
    call = call_of()
    before = call.weights.attend(call.value, dropout=0.0)
    call.extend_kv([Lent(call.key[row], call.value[row]) for row in range(BATCH)])
    close(call.weights.attend(call.value, dropout=0.0), before)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ArgumentError, match="there are 1 lent keys, of"):
        call_of().extend_kv([lent_of()])
    with pytest.raises(ArgumentError, match=r"of \[4, 5\] tokens"):
        call_of().extend_kv([lent_of(), lent_of(4), None])
    plain = call_of()
    eager = AttentionCall(Explicit(plain.query, plain.key, plain.weights.scores()), plain.value)
    with pytest.raises(UnsupportedEdit, match="attn_implementation='sdpa'"):
        eager.extend_kv([lent_of()] * BATCH)


def test_a_change_of_the_output_comes_after_the_factors_of_heads():
    from regard.tap.seam import _changed

    call = call_of()
    output = call.weights.attend(call.value, dropout=0.0)
    call.map_output(lambda tensor: tensor + 1)
    call.map_output(lambda tensor: 2 * tensor)
    call.scale_heads({0: 0.0})
    found = _changed(output, call)
    close(found[:, 0], torch.full_like(output[:, 0], 2.0))
    close(found[:, 1], 2 * (output[:, 1] + 1))
