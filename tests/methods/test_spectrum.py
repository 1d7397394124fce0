import itertools

import pytest
import torch

from regard.errors import ArgumentError
from regard.methods.spectrum import SpectrumFilter, filtered
from unchecked import no_type_checks

FOUR = torch.tensor([10.0, 3.0, 1.0, 0.5], dtype=torch.float64)
SHAPES = ["exponential", "log", "log2", "power", "scaled-log"]


def spectrum(how, values=FOUR):
    return how.apply(values).tolist()


def by_svd(matrix, how):
    """The same filter by a full decomposition."""
    middle = matrix.mean(-2, keepdim=True) if how.centred else 0.0
    u, values, w = torch.linalg.svd(matrix - middle, full_matrices=False)
    return u @ torch.diag_embed(how.apply(values)) @ w + middle


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        ({"rank": 2}, 2),
        ({"rank": 9}, 4),
        # Squares 100, 9, 1, 0.25: shares of 0.907, 0.989, 0.998, 1 are reached.
        ({"energy": 0.9}, 1),
        ({"energy": 0.95}, 2),
        ({"energy": 0.99}, 3),
        ({"energy": 1.0}, 4),
        ({"energy": 1e-9}, 1),  # at least one
        # The quantiles 0, 0.5 and 0.9 of the four are 0.5, 2 and 7.9.
        ({"share": 1.0}, 4),
        ({"share": 0.5}, 2),
        ({"share": 0.1}, 1),
        ({}, 4),
    ],
)
def test_what_is_kept_by_hand(how, kept):
    assert spectrum(SpectrumFilter(**how)) == FOUR[:kept].tolist() + [0.0] * (4 - kept)


def test_a_share_of_five_percent_keeps_that_many():
    for number, kept in ((1024, 52), (640, 32)):
        values = torch.linspace(1.0, 0.0, number, dtype=torch.float64)
        assert SpectrumFilter(share=0.05).keeps(values).sum() == kept


def test_what_is_kept_has_more_energy_the_more_is_asked_for():
    energies = [
        SpectrumFilter(energy=share).apply(FOUR).square().sum().item()
        for share in torch.linspace(0.05, 1.0, 20).tolist()
    ]
    assert energies == sorted(energies)


def test_logarithms_with_the_norm_of_one_matrix_or_of_both():
    pair = torch.tensor([[100.0, 10.0, 0.5], [20.0, 5.0, 2.0]], dtype=torch.float64)
    alone = SpectrumFilter(shape="log").apply(pair)
    joint = SpectrumFilter(shape="log", joint=True).apply(pair)
    torch.testing.assert_close(
        alone, torch.tensor([[90.0, 45.0, 0.0], [18.0, 9.6, 4.1]]).double(), atol=0.5, rtol=0.01
    )
    torch.testing.assert_close(
        joint, torch.tensor([[76.0, 38.0, 0.0], [50.0, 27.0, 11.0]]).double(), atol=0.6, rtol=0.0
    )
    torch.testing.assert_close(alone.square().sum(-1), pair.square().sum(-1))
    torch.testing.assert_close(joint.square().sum(), pair.square().sum())


@pytest.mark.parametrize("shape", SHAPES)
def test_equal_values_stay_as_they_are(shape):
    same = torch.full((5,), 7.0, dtype=torch.float64)
    torch.testing.assert_close(SpectrumFilter(shape=shape).apply(same), same)


def test_each_shape_by_hand():
    two = torch.tensor([4.0, 2.0], dtype=torch.float64)
    for how, ratio in (
        ({"shape": "log"}, 2.0),  # ln 4 = 2 ln 2
        ({"shape": "log2"}, 4.0),
        ({"shape": "power", "amount": 0.5}, 2**0.5),
        ({"shape": "exponential", "amount": 0.5}, 2 * 2.718281828),  # 4 e^2 : 2 e^1
        ({"shape": "scaled-log", "amount": 3.0}, 2 / 1.321928095),  # ln 4 : ln 2.5
    ):
        first, second = SpectrumFilter(**how).apply(two)
        assert (first / second).item() == pytest.approx(ratio, rel=1e-6)
        assert (first**2 + second**2).item() == pytest.approx(20.0)


def test_the_scaled_logarithm_alone_does_not_depend_on_the_scale():
    for shape, same in (("scaled-log", True), ("log", False)):
        how = SpectrumFilter(shape=shape)
        assert torch.allclose(how.apply(10 * FOUR), 10 * how.apply(FOUR)) == same


FILTERS = [
    SpectrumFilter(**keep, **({} if shape is None else {"shape": shape}), centred=centred)
    for keep, shape, centred in itertools.product(
        ({}, {"rank": 3}, {"share": 0.3}, {"energy": 0.9}), (None, *SHAPES), (False, True)
    )
]


@pytest.mark.parametrize("how", FILTERS, ids=str)
@pytest.mark.parametrize("size", [(40, 12), (12, 40)])
def test_it_is_what_a_full_decomposition_gives(how, size):
    matrix = torch.randn(2, *size, generator=torch.Generator().manual_seed(0)).double() * 3 + 1
    found, values = filtered(matrix, how)
    torch.testing.assert_close(found, by_svd(matrix, how), atol=1e-6, rtol=1e-6)
    middle = matrix.mean(-2, keepdim=True) if how.centred else 0.0
    torch.testing.assert_close(values, torch.linalg.svdvals(matrix - middle), atol=1e-6, rtol=1e-6)


def test_the_whole_rank_is_the_matrix_itself():
    matrix = torch.randn(30, 8, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(filtered(matrix, SpectrumFilter(rank=8))[0], matrix)
    assert filtered(matrix, SpectrumFilter())[0] is matrix


def test_heads_that_do_not_mix_can_be_filtered_apart_or_together():
    """Blocks in rows of their own: the components of both are those of each."""
    one, other = torch.randn(2, 10, 4, generator=torch.Generator().manual_seed(2)).double()
    both = torch.block_diag(one, other)
    how = SpectrumFilter(shape="power", amount=2.0)
    together, apart = filtered(both, how)[0], [filtered(each, how)[0] for each in (one, other)]
    # One norm for both, so that they agree up to a factor for each.
    for place, each in enumerate(apart):
        part = together[10 * place : 10 * place + 10, 4 * place : 4 * place + 4]
        factor = (part * each).sum() / each.square().sum()
        torch.testing.assert_close(part, factor * each)


def test_a_matrix_of_zeros_stays_one():
    for how in FILTERS:
        assert not filtered(torch.zeros(6, 4), how)[0].any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"rank": 0}, {"rank": -1}, {"rank": 1.5}, {"rank": True}, {"rank": "2"},
        {"share": 0.0}, {"share": 1.5}, {"share": "a"}, {"share": float("nan")},
        {"energy": -0.1}, {"energy": 2}, {"rank": 2, "share": 0.5},
        {"shape": "cube"}, {"shape": "log", "amount": 2.0}, {"amount": 2.0},
        {"shape": "scaled-log", "amount": 0.0}, {"shape": "power", "amount": "2"},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(wrong):
    with no_type_checks(), pytest.raises(ArgumentError, match=r"^SpectrumFilter: [^\n]*\.$"):
        SpectrumFilter(**wrong)
