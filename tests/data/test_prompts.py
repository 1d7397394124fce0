from hashlib import sha256

import pytest

from regard.data.prompts import prompts
from regard.data.scenes import mentions_in
from regard.errors import UnknownName

# Of the list that the authors of the benchmark published: prompts joined by one line feed.
PUBLISHED = {
    "animals": (66, "f720c3cce07605aeaa184b28962c111a390db3786d8078f5b07994edd8335b0f"),
    "animals_objects": (144, "f9814174c81b8c1f122b63a4297ad19d1149bfb476f9cbbe71d5aed309efe9f8"),
    "objects": (66, "0e52e6fba0e672e65a871bed23b2430d51a3344fb8cebf972fdaa0c13a5032db"),
    "all": (276, "2ef1046044233ec934070d905726a67a36d7f8aacaf23e516841f0dbea7398ba"),
}


@pytest.mark.parametrize("subset", PUBLISHED)
def test_the_prompts_are_the_published_ones_to_the_letter(subset):
    count, checksum = PUBLISHED[subset]
    found = prompts(subset)
    assert len(found) == len(set(found)) == count
    assert sha256("\n".join(found).encode()).hexdigest() == checksum


def test_the_articles_are_the_literal_ones_of_the_benchmark():
    words = " ".join(prompts()).split()
    after_an = {after for word, after in zip(words, words[1:], strict=False) if word == "an"}
    assert after_an == {"elephant"}
    assert any("a orange" in prompt for prompt in prompts())
    assert "a horse with a glasses" in prompts()


def test_every_prompt_names_two_subjects():
    assert {len(mentions_in(prompt)) for prompt in prompts()} == {2}


def test_each_pair_of_subjects_comes_once():
    pairs = [frozenset(m.subject for m in mentions_in(prompt)) for prompt in prompts()]
    assert len(set(pairs)) == 276 == 24 * 23 // 2


def test_an_unknown_subset_is_told_the_subsets_there_are():
    with pytest.raises(UnknownName) as raised:
        prompts("animal")
    assert str(raised.value) == (
        "no set of prompts is named 'animal'. Did you mean 'animals'? "
        "Known: animals, all, animals_objects, objects."
    )
