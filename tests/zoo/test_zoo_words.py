import numpy as np
import pytest

from regard.data.drawings import COLOURS, SUBJECTS
from regard.data.prompts import prompts
from regard.zoo.words import COMPOUNDS, CONTEXT, OPENINGS, merges, tokenizer, with_filler


@pytest.fixture(scope="module")
def learnt():
    return tokenizer()


def pieces(learnt, text):
    return learnt.tokenize(text)


def test_it_is_always_the_same_one(learnt):
    again = tokenizer()
    assert again.get_vocab() == learnt.get_vocab()
    assert pieces(again, "a blue suitcase") == pieces(learnt, "a blue suitcase")


@pytest.mark.parametrize("word", [*SUBJECTS, *COLOURS])
def test_a_frequent_word_is_one_token_and_a_compound_several(learnt, word):
    count = len(pieces(learnt, word))
    assert count >= 2 if word in COMPOUNDS else count == 1


@pytest.mark.parametrize("word", ["two", "three", "front", "next", "cats", "mice", "benches"])
def test_numbers_relations_and_plurals_are_words_of_version_2(word):
    assert len(pieces(tokenizer(2), word)) == 1
    assert len(pieces(tokenizer(2), "balloons")) > 1


def test_merges_by_hand():
    # 'low' twice and 'lot': l-o comes 3 times; then lo-w</w> (2) before lo-t</w> (1).
    alphabet = [letter + end for end in ("", "</w>") for letter in "lotw"]
    assert merges(["low", "low", "lot"], alphabet) == [("l", "o"), ("lo", "w</w>"), ("lo", "t</w>")]


def test_of_pairs_that_come_alike_often_the_first_of_the_alphabet_wins():
    assert merges(["ba", "ab"], ["a", "b", "a</w>", "b</w>"]) == [("a", "b</w>"), ("b", "a</w>")]
    assert merges(["ab", "ba"], ["a", "b", "a</w>", "b</w>"]) == [("a", "b</w>"), ("b", "a</w>")]


def test_any_other_text_falls_apart_and_can_be_put_together_again(learnt):
    text = "zebra qui boit 7 thés"
    assert len(pieces(learnt, text)) > len(text.split())
    assert learnt.decode(learnt(text).input_ids, skip_special_tokens=True).strip() == text
    assert learnt.unk_token_id not in learnt(text).input_ids[1:-1]


def test_every_prompt_of_the_benchmark_fits(learnt):
    assert max(len(learnt(prompt).input_ids) for prompt in prompts()) <= CONTEXT


def test_short_text_is_padded_with_the_end_token(learnt):
    ids = learnt("a cat", padding="max_length").input_ids
    assert len(ids) == CONTEXT
    assert ids[0] == learnt.bos_token_id
    assert ids[3:] == [learnt.eos_token_id] * (CONTEXT - 3)


def test_one_caption_in_five_has_filler_and_none_loses_its_words():
    rng = np.random.default_rng(0)
    texts = [with_filler("a cat", rng) for _ in range(2000)]
    filled = [text for text in texts if text != "a cat"]
    assert 0.17 < len(filled) / len(texts) < 0.23
    assert all("a cat" in text for text in texts)
    opened = [text for text in filled if text.removesuffix(" a cat") in OPENINGS]
    assert 0.4 < len(opened) / len(filled) < 0.6
