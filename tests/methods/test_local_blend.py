"""Where an edit is its own: masks by hand."""

import torch

from regard.methods.local_blend import LocalBlend, chosen, mask
from regard.tap import TokenLayout, segments
from regard.tap.call import AttentionCall
from regard.tap.weights import Replaced


def maps(*peaks, size=6):
    found = torch.zeros(2, size, size)
    for image, y, x, weight in peaks:
        found[image, y, x] = weight
    return found


def test_a_peak_grows_by_one_patch_each_way_and_both_masks_join():
    inside = mask(maps((0, 0, 0, 1.0), (1, 5, 5, 0.2)), (6, 6))
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[:2, :2] = True
    expected[4:, 4:] = True
    assert torch.equal(inside[0], expected)


def test_less_than_three_tenths_of_the_maximum_is_outside():
    inside = mask(maps((0, 0, 0, 1.0), (0, 0, 3, 0.31), (0, 5, 5, 0.29)), (6, 6))
    assert inside[0, 0, 3]
    assert not inside[0, 5, 5]


def test_the_mask_is_stretched_to_the_latents_by_nearest_neighbours():
    inside = mask(maps((0, 0, 0, 1.0), size=4), (8, 8))
    assert inside[0].sum() == 4 * 4
    assert inside[0, :4, :4].all()


def test_no_attention_at_all_is_outside():
    assert not mask(maps(), (6, 6)).any()


def test_the_finest_grid_of_at_most_256_tokens_is_read():
    assert chosen([(32, 32), (16, 16), (8, 8)]) == (16, 16)
    assert chosen([(12, 20), (24, 40), (6, 10)]) == (12, 20)
    assert chosen([(64, 64), (32, 32)]) == (32, 32)


def call(edit, source, grid=(4, 4)):
    """Two rows: of an edit and, last, of its source; each attends evenly to two keys but there."""
    heat = torch.zeros(2, 1, 16, 3)
    heat[0, 0, edit, 1] = heat[1, 0, source, 2] = 1.0
    q, k = torch.zeros(2, 1, 16, 4), torch.zeros(2, 1, 3, 4)
    layout = TokenLayout(segments(("image", 16, grid)), segments(("text", 3)))
    return AttentionCall(Replaced(q, k, heat), k, layout=layout, conditions=("cond",) * 2)


def test_latents_are_the_edits_where_it_or_the_source_is_looked_at_in_any_step_so_far():
    blend, latents = LocalBlend([2], [1]), torch.stack([torch.ones(4, 4, 4), torch.zeros(4, 4, 4)])
    blend.see(call(edit=0, source=15))
    first = blend.blended(0, latents)
    corners = torch.zeros(4, 4)
    corners[:2, :2] = corners[2:, 2:] = 1.0
    assert torch.equal(first[0], corners.expand(4, 4, 4))
    assert torch.equal(first[1], latents[1])
    blend.see(call(edit=3, source=15))
    second = blend.blended(1, latents)
    corners[:2, 2:] = 1.0
    assert torch.equal(second[0, 0], corners)
