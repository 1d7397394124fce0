import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.data.drawings import COLOURS, SUBJECTS
from regard.data.prompts import prompts
from regard.data.scenes import BACKGROUNDS, Mention, caption, mentions_in, plural


@pytest.mark.parametrize(
    ("mentions", "background", "english", "literal"),
    [
        ([("cat", None)], None, "a cat", "a cat"),
        ([("elephant", None)], None, "an elephant", "an elephant"),
        ([("apple", None)], "lake", "an apple on the lake", "a apple on the lake"),
        ([("car", "orange")], None, "an orange car", "a orange car"),
        ([("apple", "red")], None, "a red apple", "a red apple"),
        ([("cat", None), ("bow", None)], None, "a cat with a bow", "a cat with a bow"),
        ([("cat", None), ("bow", "red")], None, "a cat and a red bow", "a cat and a red bow"),
        ([("bow", None), ("crown", None)], None, "a bow and a crown", "a bow and a crown"),
        ([("cat", None), ("dog", None)], "night sky", "a cat and a dog on the night sky", None),
    ],
)
def test_a_caption_follows_the_grammar_of_the_benchmark(mentions, background, english, literal):
    named = [Mention(*each) for each in mentions]
    assert caption(named, background) == english
    assert caption(named, background, "literal") == (literal or english)


def test_every_prompt_of_the_benchmark_is_a_literal_caption():
    for prompt in prompts():
        assert caption(mentions_in(prompt), articles="literal") == prompt


mention = st.builds(
    Mention, st.sampled_from(SUBJECTS), st.sampled_from([None, *COLOURS]), st.integers(1, 3)
)
relation = st.sampled_from(["and", "next to", "in front of"])
ground = st.sampled_from([None, *BACKGROUNDS])


@given(st.lists(mention, min_size=1, max_size=2), ground, relation)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_what_a_caption_says_can_be_read_out_of_it(mentions, background, relation):
    read = mentions_in(caption(mentions, background, relation=relation))
    # 'glasses' are the same word, one or many, but the number before it tells.
    assert read == tuple(mentions)


def test_mentions_are_read_through_capitals_and_commas():
    assert mentions_in("A red car, a Cat.") == (Mention("car", "red"), Mention("cat"))
    assert mentions_in("blue sky") == ()


def test_several_of_a_kind_are_counted_in_words():
    two = [Mention("mouse", count=2), Mention("bench", "green", 3)]
    assert caption(two, relation="next to") == "two mice next to three green benches"
    assert caption([Mention("cat", count=2), Mention("bow")]) == "two cats with a bow"


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_plural_is_read_as_its_subject(subject):
    assert mentions_in(f"three {plural(subject)}") == (Mention(subject, count=3),)


def test_a_number_without_its_noun_counts_nothing():
    assert mentions_in("two or a cat") == (Mention("cat"),)
    assert mentions_in("cats and dogs") == (Mention("cat"), Mention("dog"))
