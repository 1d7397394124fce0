import pytest
import torch
from torch.nn import functional

from regard.errors import ArgumentError, UnknownName, UnsupportedEdit
from regard.tap import TokenLayout, segments
from regard.tap.call import AttentionCall
from regard.tap.weights import Explicit, Fused
from tiny import noise

BATCH, HEADS, QUERIES, KEYS, WIDTH = 2, 3, 7, 5, 4


def padding_mask() -> torch.Tensor:
    mask = torch.ones(BATCH, 1, 1, KEYS, dtype=torch.bool)
    mask[1, ..., 3:] = False
    return mask


MASKS = {
    "no mask": None,
    "padding": padding_mask(),
    "position bias": noise(1, HEADS, QUERIES, KEYS, seed=9),
    "minus infinity": torch.zeros(BATCH, 1, 1, KEYS).masked_fill(~padding_mask(), -torch.inf),
}


@pytest.fixture(params=[*MASKS, "causal"])
def mask(request):
    return request.param


def call_of(mask: str = "no mask", keys: int = KEYS, dtype=torch.float32) -> AttentionCall:
    q = noise(BATCH, HEADS, QUERIES, WIDTH).to(dtype)
    k, v = (noise(BATCH, HEADS, keys, WIDTH, seed=s).to(dtype) for s in (1, 2))
    weights = Fused(q, k, MASKS.get(mask), 0.7, mask == "causal")
    return AttentionCall(weights, v, conditions=("uncond", "cond"), layer="attn")


def dense(call: AttentionCall, mask: str) -> torch.Tensor:
    """Weights in double precision, by the definition."""
    scores = call.query.double() @ call.key.double().mT * 0.7
    bias = MASKS.get(mask)
    if mask == "causal":
        bias = torch.ones(QUERIES, KEYS).tril() > 0
    if bias is not None:
        scores = (
            scores.masked_fill(~bias, -torch.inf) if bias.dtype == torch.bool else scores + bias
        )
    return scores.exp() / scores.exp().sum(-1, keepdim=True)


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual.double(), expected.double(), rtol=0, atol=1e-5)


# Reads


def test_reads_are_those_of_the_dense_map(mask):
    call = call_of(mask)
    p = dense(call, mask)
    values, counts = noise(KEYS, 6, seed=3), noise(QUERIES, 6, seed=4)
    close(call.probs(), p)
    close(call.probs(slice(2, 4)), p[..., 2:4, :])
    close(call.apply(values), p @ values.double())
    close(call.columns([4, 1]), p[..., [4, 1]])
    close(call.column_sums()[..., 0], p.sum(-2))
    close(call.column_sums(counts), p.mT @ counts.double())
    close(call.entropy(), torch.special.entr(p).sum(-1) / torch.log(torch.tensor(2.0)))
    close(torch.cat([rows for _, rows in call.row_chunks(3)], -2), p)


def test_fused_columns_are_those_of_the_dense_map():
    call = call_of(keys=200)  # so many that the fused kernel is asked
    close(call.columns([199, 0, 7, 8, 9]), dense(call, "no mask")[..., [199, 0, 7, 8, 9]])


def test_logsumexp_is_the_logarithm_of_the_denominator():
    call = call_of("position bias")
    scores = call.query.double() @ call.key.double().mT * 0.7 + MASKS["position bias"]
    close(call.logsumexp(), scores.exp().sum(-1).log())
    plain = call_of()
    close(
        plain.logsumexp(), (plain.query.double() @ plain.key.double().mT * 0.7).exp().sum(-1).log()
    )


def test_reads_of_one_row_of_the_batch_are_rows_of_the_whole(mask):
    call, rows = call_of(mask), slice(1, 2)
    close(call.probs(batch=rows), call.probs()[rows])
    close(call.columns([2], batch=rows), call.columns([2])[rows])
    close(call.entropy(batch=rows), call.entropy()[rows])
    close(call.column_sums(batch=rows), call.column_sums()[rows])
    close(call.apply(noise(KEYS, 1), batch=[1]), call.apply(noise(KEYS, 1))[[1]])


def test_half_precision_maps_are_made_in_float32():
    call = call_of(dtype=torch.bfloat16)
    assert call.probs().dtype == torch.float32
    close(call.probs(), dense(call, "no mask"))
    close(
        call.entropy(), torch.special.entr(dense(call, "no mask")).sum(-1).div(0.6931471805599453)
    )


def test_a_row_with_all_keys_masked_is_zero_everywhere():
    call = call_of()
    call.mask_keys(range(KEYS))
    assert call.probs().abs().max() == 0
    assert call.columns([0]).abs().max() == 0
    assert call.entropy().abs().max() == 0


def test_entropy_has_a_gradient_though_the_flash_kernel_gives_none():
    call = call_of()
    query = call.query.clone().requires_grad_()
    AttentionCall(Fused(query, call.key, None, 0.7), call.value).entropy().sum().backward()
    other = call.query.double().requires_grad_()
    p = torch.softmax(other @ call.key.double().mT * 0.7, -1)
    (-(p * p.log2()).sum()).backward()
    close(query.grad, other.grad)


def test_mass_of_a_segment_is_its_share():
    call = call_of()
    call.layout = TokenLayout(
        segments(("image", QUERIES)), segments(("text", 2), ("image", KEYS - 2))
    )
    close(call.mass("text"), dense(call, "no mask")[..., :2].sum(-1))
    with pytest.raises(UnknownName, match="no key segment is named 'cls'"):
        call.mass("cls")


def test_rows_of_a_condition():
    call = call_of()
    assert call.rows_of("cond") == slice(1, 2)
    assert call.rows_of("perturbed") == slice(0, 0)


# Verbs


def attended(call: AttentionCall) -> torch.Tensor:
    return call.weights.attend(call.value, dropout=0.0)


def test_masked_keys_are_as_if_they_were_not_there():
    call, rest = call_of(), [0, 1, 3]
    call.mask_keys([2, 4])
    fewer = call_of()
    expected = functional.scaled_dot_product_attention(
        fewer.query, fewer.key[:, :, rest], fewer.value[:, :, rest], scale=0.7
    )
    close(attended(call), expected)
    assert call.probs()[..., [2, 4]].abs().max() == 0


def test_an_edit_of_one_row_leaves_the_other_rows(mask):
    edits = [
        lambda call: call.mask_keys([0], batch=[1]),
        lambda call: call.scale_keys([0], 3.0, batch=[1]),
        lambda call: call.scale_keys([0], 3.0, renormalise=True, batch=[1]),
        lambda call: call.temperature(2.0, batch=[1]),
        lambda call: call.add_bias(noise(QUERIES, KEYS), batch=[1]),
        lambda call: call.map_probs(lambda p: p.flip(-1), batch=[1]),
    ]
    before = attended(call_of(mask))
    for edit in edits:
        call = call_of(mask)
        edit(call)
        close(attended(call)[:1], before[:1])
        assert not torch.allclose(attended(call)[1:], before[1:])


def test_verbs_change_the_rows_an_edit_was_selected_for():
    call = call_of()
    call.selected = slice(1, 2)
    call.mask_keys([0])
    assert call.probs()[0, ..., 0].min() > 0
    assert call.probs()[1, ..., 0].max() == 0


@pytest.mark.parametrize(
    "nothing",
    [
        lambda call: call.mask_keys([]),
        lambda call: call.scale_keys([1], 1.0),
        lambda call: call.scale_keys([1], 1.0, renormalise=True),
        lambda call: call.temperature(1.0),
        lambda call: call.add_bias(torch.zeros(1)),
        lambda call: call.set_kv(call.key, call.value),
        lambda call: call.map_probs(lambda p: p),
    ],
)
def test_an_edit_of_no_strength_changes_nothing(nothing, mask):
    call = call_of(mask)
    before = attended(call)
    nothing(call)
    close(attended(call), before)
    assert call.edited


def test_scaled_keys_by_the_definition():
    factors = torch.tensor([1.0, 1.0, 5.0, 1.0, 1.0]).double()
    p, v = dense(call_of(), "no mask"), call_of().value.double()
    plain, renormalised = call_of(), call_of()
    plain.scale_keys([2], 5.0)
    renormalised.scale_keys([2], 5.0, renormalise=True)
    close(attended(plain), p * factors @ v)
    close(plain.probs(), p)
    scaled = p * factors
    close(renormalised.probs(), scaled / scaled.sum(-1, keepdim=True))


def test_temperature_spreads_and_leaves_masks_alone():
    call = call_of("padding")
    call.temperature(1e6)
    close(call.probs()[1, ..., :3], torch.full((HEADS, QUERIES, 3), 1 / 3))
    assert call.probs()[1, ..., 3:].max() == 0


def test_after_a_map_is_replaced_all_reads_describe_the_new_one():
    call = call_of()
    call.map_probs(lambda p: torch.full_like(p, 1 / KEYS))
    close(call.probs(), torch.full((BATCH, HEADS, QUERIES, KEYS), 0.2))
    close(call.entropy(), torch.full((BATCH, HEADS, QUERIES), torch.tensor(5.0).log2().item()))
    close(call.column_sums()[..., 0], torch.full((BATCH, HEADS, KEYS), QUERIES / KEYS))
    close(attended(call)[..., 0, :], call.value.mean(-2))
    for late in (call.logsumexp, lambda: call.mask_keys([0]), lambda: call.temperature(2.0)):
        with pytest.raises(UnsupportedEdit, match="before map_probs"):
            late()


def test_keys_and_values_of_another_image():
    call = call_of()
    call.set_kv(call.key[:1].expand(2, -1, -1, -1), call.value[:1].expand(2, -1, -1, -1))
    other = call_of()
    expected = functional.scaled_dot_product_attention(
        other.query[1:], other.key[:1], other.value[:1], scale=0.7
    )
    close(attended(call)[1:], expected)


def test_more_keys_need_a_mask_where_there_was_one():
    call = call_of("padding")
    key, value = call.key.repeat(1, 1, 2, 1), call.value.repeat(1, 1, 2, 1)
    with pytest.raises(UnsupportedEdit, match=r"has a mask for 5 keys and gets 10. Pass bias="):
        call.set_kv(key, value)
    call.set_kv(key, value, bias=MASKS["padding"].repeat(1, 1, 1, 2))
    close(attended(call), attended(call_of("padding")))


# Refusals


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda call: call.columns([5]), r"columns: attn has keys 0..4, not 5"),
        (lambda call: call.mask_keys([-1]), r"mask_keys: attn has keys 0..4, not -1"),
        (lambda call: call.scale_heads({3: 0.0}), r"scale_heads: attn has heads 0..2, not 3"),
        (lambda call: call.temperature(0.0), r"temperature: factor is 0.0 and must be > 0"),
        (
            lambda call: call.scale_keys([0], -1.0, renormalise=True),
            r"must be >= 0 with renormalise",
        ),
        (lambda call: call.map_probs(lambda p: p[..., :2]), r"map_probs: the new map has shape"),
        (lambda call: call.kind, r"no token layout is known for the model"),
    ],
)
def test_bad_arguments_are_refused(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        wrong(call_of())


def test_an_observer_cannot_edit():
    call = call_of()
    call.output = attended(call)
    with pytest.raises(UnsupportedEdit, match=r"Pass the function to Tap\(edit="):
        call.mask_keys([0])


def test_keys_of_open_attention_cannot_be_exchanged():
    call = call_of()
    opened = AttentionCall(Explicit(call.query, call.key, call.weights.scores()), call.value)
    close(opened.probs(), call.probs())
    close(opened.logsumexp(), call.logsumexp())
    with pytest.raises(UnsupportedEdit, match="attn_implementation='sdpa'"):
        opened.set_kv(call.key, call.value)


def test_no_array_of_queries_times_keys_is_made():
    """The reads that promise so: the largest tensor that torch makes is queries x head width."""
    queries = 512

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for x in out if isinstance(out, tuple) else (out,):
                if torch.is_tensor(x):
                    Largest.size = max(Largest.size, x.numel())
            return out

    q = noise(1, 2, queries, 16)
    call = AttentionCall(Fused(q, q, None, 0.25), q)
    with Largest():
        call.columns([0, 1])
        call.entropy()
        call.column_sums()
        call.apply(noise(queries, 3))
    assert Largest.size <= 2 * queries * 16


def square_call() -> AttentionCall:
    return call_of(keys=QUERIES)


def test_identity_gives_each_query_its_own_value():
    call = square_call()
    call.identity()
    torch.testing.assert_close(attended(call), call.value, rtol=0, atol=0)
    assert torch.equal(call.probs()[1, 2], torch.eye(QUERIES))
    assert torch.equal(call.probs([3])[0, 0], torch.eye(QUERIES)[[3]])
    assert call.entropy().abs().max() == 0
    weights = noise(QUERIES, 2, seed=5)
    assert torch.equal(call.column_sums(weights)[0, 0], weights)


def test_identity_needs_as_many_keys_as_queries():
    with pytest.raises(UnsupportedEdit, match="identity: attn has 7 queries and 5 keys"):
        call_of().identity()


def test_rows_with_another_map_and_rows_without_live_in_one_call():
    """Each row by itself, against both in one call."""
    bias = noise(QUERIES, QUERIES, seed=4)
    alone, changed = square_call(), square_call()
    alone.add_bias(bias)
    changed.identity()
    both = square_call()
    both.identity(batch=[1])
    both.add_bias(bias, batch=[0])
    both.temperature(1.0)
    for read in (
        attended,
        lambda call: call.probs(),
        lambda call: call.entropy(),
        lambda call: call.columns([2, 0]),
        lambda call: call.apply(noise(QUERIES, 3, seed=6)),
        lambda call: call.column_sums(),
    ):
        close(read(both)[0], read(alone)[0])
        close(read(both)[1], read(changed)[1])
    close(both.probs(batch=[1, 0])[0], changed.probs()[1])
    close(both.probs(batch=slice(0, 1)), alone.probs()[:1])


def test_rows_without_scores_refuse_what_needs_scores():
    call = square_call()
    call.identity(batch=[1])
    with pytest.raises(UnsupportedEdit, match="it has no scores any more"):
        call.mask_keys([0])
    with pytest.raises(UnsupportedEdit, match="it has no scores any more"):
        call.temperature(2.0, batch=[1])
    with pytest.raises(UnsupportedEdit, match="it has no scores any more"):
        call.logsumexp()


@pytest.mark.parametrize("factor", [float("inf"), float("nan")])
def test_factors_that_are_no_numbers_are_refused(factor):
    with pytest.raises(ArgumentError, match="must be a finite number"):
        call_of().scale_keys([0], factor)
    with pytest.raises(ArgumentError, match="must be > 0 and finite"):
        call_of().temperature(factor)


def test_other_keys_give_other_scores_to_the_rows_asked_for(mask):
    call, order = call_of(mask), [2, 0, 1, 4, 3]
    call.map_keys(lambda keys: keys[..., order, :], batch=[1])
    by_hand = call_of(mask)
    by_hand.weights = Fused(
        by_hand.query, by_hand.key[..., order, :], MASKS.get(mask), 0.7, mask == "causal"
    )
    close(call.probs()[1], dense(by_hand, mask)[1])
    close(call.probs()[0], dense(call_of(mask), mask)[0])


def test_keys_that_no_longer_decide_are_not_changed():
    call = call_of()
    with pytest.raises(ArgumentError, match="the new keys have shape"):
        call.map_keys(lambda keys: keys[..., :1, :])
    call.map_probs(lambda p: p, batch=[0])
    call.map_keys(torch.zeros_like, batch=[1])
    close(call.probs()[1], torch.full((HEADS, QUERIES, KEYS), 1 / KEYS))
    with pytest.raises(UnsupportedEdit, match="map_keys: attn uses eager"):
        call.map_keys(torch.zeros_like)
