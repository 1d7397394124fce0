import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from regard.errors import ArgumentError, UnknownName
from regard.trace import Prompt, Token, tokens_from_offsets, words_of
from regard.trace.words import names_of

# Tests share the machine, so no example has a deadline.
UNTIMED = settings(deadline=None, derandomize=True)


def spelled(prompt):
    return [word for word, _, _ in words_of(prompt)]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a cat and a blue car", ["a", "cat", "and", "a", "blue", "car"]),
        ("  a\tcat\n", ["a", "cat"]),
        ("a cat, a dog!!", ["a", "cat", ",", "a", "dog", "!!"]),
        ("the dog's t-shirt", ["the", "dog's", "t-shirt"]),
        ("l’éléphant", ["l’éléphant"]),
        ("cafe\u0301 au lait", ["cafe\u0301", "au", "lait"]),
        ("a 🐱", ["a", "🐱"]),
        ("", []),
    ],
)
def test_a_prompt_splits_at_blanks_and_punctuation(prompt, words):
    assert spelled(prompt) == words


@UNTIMED
@given(st.text(max_size=60))
def test_no_character_but_blanks_is_left_out_or_told_twice(prompt):
    found = words_of(prompt)
    assert all(prompt[start:stop] == word for word, start, stop in found)
    assert "".join(spelled(prompt)) == "".join(prompt.split())
    assert all(one[2] <= other[1] for one, other in zip(found, found[1:], strict=False))


@UNTIMED
@given(st.lists(st.sampled_from(["cat", "Cat", "a", ",", "dog"]), max_size=8))
def test_every_word_of_a_prompt_has_a_name_of_its_own(words):
    names = [name.casefold() for name in names_of(words)]
    assert len(set(names)) == len(names)


def test_the_second_and_third_cat_are_numbered():
    assert names_of(["cat", "Cat", "dog", "cat"]) == ["cat", "Cat#2", "dog", "cat#3"]


def test_tokens_are_named_after_the_word_that_they_spell_most_of():
    # "turtles," is cut into "turt" + "les," + "▁" (a blank alone) + "red"
    tokens = tokens_from_offsets(
        "turtles, red",
        ["<s>", "turt", "les,", "▁", "red", "</s>", "<pad>", "<pad>"],
        [(0, 0), (0, 4), (4, 8), (8, 9), (9, 12), (0, 0), (0, 0), (0, 0)],
        [True, False, False, False, False, True, True, True],
        end=5,
        pads=[6, 7],
    )
    assert [token.name for token in tokens] == [
        *("[start]", "turtles", "turtles", "red", "red", "[end]", "[pad]", "[pad]")
    ]
    assert [token.position for token in tokens] == [None, 0, 0, 2, 2, None, None, None]
    assert [token.index for token in tokens] == list(range(8))


def test_an_encoder_without_start_and_with_pads_in_front_is_understood():
    tokens = tokens_from_offsets(
        "cat", ["<pad>", "cat", "</s>"], [(0, 0), (0, 3), (0, 0)], [True, False, True],
        end=2, pads=[0],
    )  # fmt: skip
    assert [token.role for token in tokens] == ["pad", "word", "end"]


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ArgumentError, match="got 2 texts, 1 offsets and 1 marks"):
        tokens_from_offsets("cat", ["cat", "x"], [(0, 3)], [False], end=None)


def test_a_role_outside_the_four_is_refused():
    with pytest.raises(
        ArgumentError, match="role is 'noun' and must be one of start, word, end, pad"
    ):
        Token(0, "cat", "cat", "noun", 0)


def clip_like_tokenizer():
    """A byte-pair tokenizer of the kind that CLIP has, with so few merges that words break."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>", unk_token="<end>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=60,
        special_tokens=["<start>", "<end>"],
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(["a cat and a blue turtle, a car"] * 9, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 0), ("<end>", 1)]
    )
    tokenizer.enable_padding(pad_id=1, pad_token="<end>", length=32)
    return tokenizer


def test_the_tokens_of_a_clip_tokenizer_spell_the_words_in_order():
    prompt = "A Turtle, a brat  and a cat"
    encoded = clip_like_tokenizer().encode(prompt)
    end = encoded.ids.index(1)
    tokens = tokens_from_offsets(
        prompt,
        encoded.tokens,
        encoded.offsets,
        [bool(mark) for mark in encoded.special_tokens_mask],
        end=end,
        pads=range(end + 1, 32),
    )
    assert len(tokens) == 32
    assert [token.role for token in tokens[:1] + tokens[end:]] == ["start", "end"] + ["pad"] * (
        31 - end
    )
    words = list(dict.fromkeys(token.word for token in tokens if token.role == "word"))
    assert words == ["A", "Turtle", ",", "a#2", "brat", "and", "a#3", "cat"]
    spelling = {
        word: "".join(t.text for t in tokens if t.word == word).replace("</w>", "")
        for word in words
    }
    assert spelling["brat"] == "brat"
    assert spelling["Turtle"] == "turtle"
    assert sum(token.word == "brat" for token in tokens) > 1


def test_a_word_is_carried_by_its_tokens_and_the_next_that_is_free():
    names = ["a", "cat", "and", "dog", "turtle", "turtle"]
    words = [Token(at, name, name, "word", at - 1) for at, name in enumerate(names, start=1)]
    tokens = [Token(0, "", None, "start", None), *words, Token(7, "", None, "end", None)]
    read = Prompt("a cat and dog turtle", tuple(tokens))
    assert read.carriers(["cat", "dog", "turtle"]) == [[2, 3], [4], [5, 6]]
    assert read.carriers(["turtle", "cat"]) == [[5, 6], [2, 3]]
    with pytest.raises(UnknownName):
        read.carriers(["cow"])
