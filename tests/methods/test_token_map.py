"""Which token stands for which: tables by hand, and alignments against all there are."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from looks import pipeline, tokenized
from regard.errors import ArgumentError
from regard.methods.token_map import aligned, refined, replaced

LENGTH = 16


def prompt(text):
    """The tiny tokenizer knows 'cat' as one token and spells 'ox' as two."""
    return tokenized(pipeline(), text)


def table(*entries, same=()):
    found = torch.zeros(LENGTH, LENGTH)
    for source, edit, weight in entries:
        found[source, edit] = weight
    for index in same:
        found[index, index] = 1.0
    return found


# start a cat on end pads from 5 on; start a o x on end pads from 6 on.
ONE_TO_TWO = [(2, 2, 0.5), (2, 3, 0.5), (3, 4, 1.0), (4, 5, 1.0), (5, 6, 1.0)]
TWO_TO_ONE = [(2, 2, 1.0), (3, 2, 1.0), (4, 3, 1.0), (5, 4, 1.0)]
TABLES = {
    ("a cat on", "a dog on"): (table(same=range(16)), table(same=range(16))),
    ("a cat on", "a ox on"): (
        table(*ONE_TO_TWO, same=[0, 1, *range(6, 16)]),
        table(*ONE_TO_TWO[:2], same=[0, 1, *range(4, 16)]),
    ),
    ("a ox on", "a cat on"): (
        table(*TWO_TO_ONE, same=[0, 1, *range(6, 16)]),
        table(*TWO_TO_ONE[:2], same=[0, 1, *range(3, 15)]),
    ),
    ("a ox on", "a ax on"): (table(same=range(16)), table(same=range(16))),
}


@pytest.mark.parametrize("pair", TABLES)
def test_words_are_swapped_as_by_hand(pair):
    source, edit = map(prompt, pair)
    ours, legacy = TABLES[pair]
    for expected, how in ((ours, {}), (legacy, {"legacy": True})):
        found = replaced(source, edit, **how)
        assert torch.equal(found.mapper, expected)
        assert torch.equal(found.carried, torch.ones(LENGTH))


@pytest.mark.parametrize("pair", TABLES)
def test_a_swap_neither_makes_nor_loses_attention_and_the_authors_tail_does(pair):
    source, edit = map(prompt, pair)
    torch.testing.assert_close(replaced(source, edit).mapper.sum(1), torch.ones(LENGTH))
    lengths = {len(each.pads) for each in (source, edit)}
    whole = replaced(source, edit, legacy=True).mapper.sum(1)
    assert torch.equal(whole, torch.ones(LENGTH)) == (len(lengths) == 1)


def as_described(source, edit):
    """The authors' replacement as methods describe it: two places that move on until one ends.

    Before the last swap both move from token to token, over a swap each by its own tokens; after
    it, what is written is the diagonal at the edit's place.
    """
    before, after = (
        [[t.index for t in each.tokens if t.position == place] for place in range(len(words))]
        for each, words in ((source, source.text.split()), (edit, edit.text.split()))
    )
    pairs = zip(source.text.split(), edit.text.split(), strict=True)
    swaps = [place for place, (old, new) in enumerate(pairs) if old != new]
    found, i, j = torch.zeros(LENGTH, LENGTH), 0, 0
    while i < LENGTH and j < LENGTH:
        if swaps and before[swaps[0]][0] == i:
            old, new = before[swaps[0]], after[swaps.pop(0)]
            if len(old) == len(new):
                found[old, new] = 1.0
            else:
                found[torch.tensor(old)[:, None], new] = 1 / len(new)
            i, j = i + len(old), j + len(new)
        else:
            found[i if swaps else j, j] = 1.0
            i, j = i + 1, j + 1
    return found


@pytest.mark.parametrize(
    "pair",
    [
        *TABLES,
        ("a suitcase and a blue car", "a cat and a red car"),
        ("a cat and a red car", "a suitcase and a blue car"),
        ("a ox and an owl", "a cat and an elephant"),
        ("ox on grass", "cat in snow"),
        ("a cat", "a cat"),
    ],
)
def test_legacy_is_the_authors_loop(pair):
    source, edit = map(prompt, pair)
    assert torch.equal(replaced(source, edit, legacy=True).mapper, as_described(source, edit))


def test_columns_that_the_authors_code_leaves_empty_stay_empty():
    # 'suitcase' has seven tokens, so the edit's places are six behind when the source's end.
    source, edit = map(prompt, ("a suitcase and a blue car", "a cat and a red car"))
    empty = replaced(source, edit, legacy=True).mapper.sum(0) == 0
    assert empty.nonzero()[:, 0].tolist() == list(range(10, 16))


def test_words_of_other_numbers_are_not_swapped():
    with pytest.raises(
        ArgumentError, match=r"'a cat' has 2 words, 'a red cat' 3\. Use mode 'refine'"
    ):
        replaced(prompt("a cat"), prompt("a red cat"))


def test_new_words_keep_their_own_and_the_rest_is_carried():
    # start a cat end pads from 4 on; start a red cat end pads from 5 on.
    found = refined(prompt("a cat"), prompt("a red cat"))
    expected = table((0, 0, 1.0), (1, 1, 1.0), (2, 3, 1.0), (3, 4, 1.0), same=range(5, 16))
    assert torch.equal(found.mapper, expected)
    assert found.carried.tolist() == [1, 1, 0, *[1] * 13]


def test_padding_where_a_word_was_keeps_its_own_unless_legacy():
    source, edit = prompt("a red cat"), prompt("a cat")
    ours, legacy = refined(source, edit), refined(source, edit, legacy=True)
    assert ours.mapper[:, 4].sum() == ours.carried[4] == 0  # the end of the source stood there
    assert legacy.mapper[4, 4] == legacy.carried[4] == 1
    assert torch.equal(ours.mapper[:, 5:], legacy.mapper[:, 5:])
    assert torch.equal(ours.mapper[:, :4], legacy.mapper[:, :4])


def longest(source, edit):
    """How many tokens can be matched in order, by trying all subsets."""
    for count in range(min(len(source), len(edit)), 0, -1):
        subsets = set(itertools.combinations(source, count))
        if subsets & set(itertools.combinations(edit, count)):
            return count
    return 0


@given(*[st.lists(st.sampled_from("abc"), max_size=7)] * 2)
def test_alignments_are_as_good_as_the_best_of_all(source, edit):
    found = aligned(source, edit)
    matched = [(old, new) for new, old in enumerate(found) if old is not None]
    assert len(found) == len(edit)
    assert all(source[old] == edit[new] for old, new in matched)
    assert all(one[0] < two[0] for one, two in itertools.pairwise(matched))
    assert len(matched) == longest(source, edit)


def test_among_alignments_as_good_earlier_tokens_are_taken():
    assert aligned("ab", "aab") == [0, None, 1]
    assert aligned("aab", "ab") == [0, 2]
