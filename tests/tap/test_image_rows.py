"""Rows of attention of an image's own patches, kept while a model runs."""

import numpy as np
import pytest
import torch

from regard.errors import ArgumentError, NothingObserved
from regard.tap import AttentionCall, TokenLayout, segments
from regard.tap.observers import ImageRows, image_rows
from regard.tap.weights import Fused

IMAGE, TEXT = ("image", 6, (2, 3)), ("text", 4)
TOKENS = segments(TEXT, IMAGE)
JOINT = TokenLayout(TOKENS, TOKENS)


def call(seed=None, *, layout=JOINT, batch=1, conditions=("cond",), **about):
    """A call of two heads with random queries and keys, or zeros: attention is then even."""
    queries, keys = (axis[-1].stop for axis in (layout.queries, layout.keys))
    make = torch.zeros if seed is None else torch.randn
    torch.manual_seed(seed or 0)
    query, key = make(batch, 2, queries, 4), make(batch, 2, keys, 4)
    about = {"layer": "attn", **about}
    return AttentionCall(Fused(query, key), key, layout=layout, conditions=conditions, **about)


def rows(patches=((0, 1),), *, keep=("step", "head"), steps=2, most=10**6):
    return ImageRows(patches, keep=keep, steps=steps, most=most)


def taken(observer, *calls):
    for each in calls:
        observer(each)
    return observer.take()


def test_text_is_one_key_before_those_of_the_image():
    # even over 10 keys: 4 of them are text
    (found,) = taken(rows([(0, 1), (-1, 2)]), call())
    assert (found.layer, found.kind, found.grid) == ("attn", "joint", (2, 3))
    assert (found.prefix, found.queries, found.steps) == (["text"], [2, 6], [0])
    np.testing.assert_allclose(found.weights, np.full((1, 2, 2, 7), [0.4] + [0.1] * 6), rtol=1e-6)


def test_the_rows_are_those_of_the_patches():
    one = call(3)
    wanted = one.probs()[:, :, [4 + 1, 4 + 5]]
    (found,) = taken(rows([(0, 1), (1.0, 1.0)]), one)
    torch.testing.assert_close(found.weights[..., 1:], wanted[..., 4:])
    torch.testing.assert_close(found.weights[..., 0], wanted[..., :4].sum(-1))


def test_image_and_nothing_else_has_no_key_before_it():
    alone = segments(IMAGE)
    (found,) = taken(rows(), call(1, layout=TokenLayout(alone, alone)))
    assert (found.prefix, found.kind, found.queries) == ([], "self", [1])


def test_every_pass_counts_alike_in_its_step_and_every_step_in_the_mean():
    calls = [call(1, step=0), call(2, step=0, pass_=1), call(3, step=1)]
    first, second, third = (each.probs()[0, :, 5, 4:] for each in calls)
    (found,) = taken(rows(keep=("head",)), *calls)
    mean = ((first + second) / 2 + third) / 2
    torch.testing.assert_close(found.weights[0, :, 0, 1:], mean)
    (found,) = taken(rows(keep=("step",)), *calls)
    assert found.steps == [0, 1]
    torch.testing.assert_close(found.weights[1, 0, 0, 1:], third.mean(0))


def test_only_the_conditional_row_of_the_first_image_is_kept():
    labels = ("uncond",) * 2 + ("cond",) * 2
    one = call(4, batch=4, conditions=labels)
    (found,) = taken(rows(), one)
    torch.testing.assert_close(found.weights[0, :, 0, 1:], one.probs()[2, :, 5, 4:])
    with pytest.raises(NothingObserved, match="in none of the layers that self_attention names"):
        taken(rows(), call(conditions=("uncond",)))


def test_cross_attention_is_passed_by():
    cross = TokenLayout(segments(IMAGE), segments(TEXT))
    observer = rows()
    (found,) = taken(observer, call(layout=cross, layer="attn2"), call())
    assert found.layer == "attn"


def test_every_patch_is_read_some_at_a_time(monkeypatch):
    whole = taken(rows(None), call(5))[0].weights
    monkeypatch.setattr(image_rows, "CHUNK", 4)
    assert whole.shape == (1, 2, 6, 7)
    torch.testing.assert_close(taken(rows(None), call(5))[0].weights, whole)


def test_a_second_run_starts_afresh():
    (found,) = taken(rows(), call(1), call(2, run=1))
    torch.testing.assert_close(found.weights[0, :, 0, 1:], call(2).probs()[0, :, 5, 4:])


def test_each_layer_says_what_it_takes_before_more_than_the_most_is_refused():
    # 4 bytes x 2 steps x 2 heads x 1 patch x 7 keys, of each of two layers
    observer = rows(most=4 * 2 * 2 * 7)
    observer(call(layer="a"))
    observer(call(layer="b"))
    said = r"would keep 224 bytes \(224 B\) of 2 layers, and max_bytes is 112 .* raise max_bytes="
    with pytest.raises(ArgumentError, match=said):
        observer(call(layer="a", step=1))
    with pytest.raises(ArgumentError, match=said):
        observer.take()


def test_an_image_without_a_grid_has_no_rows_and_columns():
    alone = segments(("image", 6))
    with pytest.raises(ArgumentError, match="look: the 6 image tokens of attn have no grid"):
        taken(rows(), call(layout=TokenLayout(alone, alone)))
